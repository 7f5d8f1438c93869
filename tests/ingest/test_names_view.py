"""The names of the manifest as a gate holds them: when they change, and what a broken store does to them."""

import asyncio
import json
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

import ingest.names_view
from ingest.clock import ManualClock
from ingest.names_view import NamesView
from ingest.operator_documents import FILE_NAME, OperatorDocuments
from ingest.state_file import StateFileError
from ingest.telemetry.events import Event

NOW_MS = 1_795_000_000_000
HOUR_MS = 3_600_000
PATIENCE_SECONDS = 20.0


@dataclass(frozen=True)
class Desk:
    """The store as a command uses it, and the view as the gate does, on one file and one clock."""

    file: Path
    clock: ManualClock
    view: NamesView
    events: list[tuple[Event, dict[str, Any]]]

    def put(self, *regions: str, at_ms: int = NOW_MS) -> None:
        with closing(OperatorDocuments(self.file, self.clock)) as documents:
            documents.put("manifest", {"regions": list(regions)}, at_ms)

    def regions(self) -> set[bytes]:
        """The regions in force after another look."""
        self.view.look()
        return set(self.view.current().get("region", ()))

    def logged(self, event: Event) -> list[dict[str, Any]]:
        return [fields for logged, fields in self.events if logged is event]


@pytest.fixture
def desk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Desk]:
    """An empty store and a view of it, and whatever the view logs."""
    events: list[tuple[Event, dict[str, Any]]] = []
    monkeypatch.setattr(ingest.names_view, "log", lambda event, **fields: events.append((event, fields)))
    clock = ManualClock(NOW_MS)
    with closing(NamesView(tmp_path / FILE_NAME, clock)) as view:
        yield Desk(tmp_path / FILE_NAME, clock, view, events)


def test_without_a_manifest_there_are_no_names(desk: Desk) -> None:
    """A gate on a fresh directory knows no name, and says so once."""
    assert desk.view.current() == {}
    assert not desk.view.look()
    assert desk.logged(Event.MANIFEST_IN_FORCE) == [{"manifest": 0, "names": 0}]


def test_a_manifest_is_seen_at_the_next_look(desk: Desk) -> None:
    """Names that were put are in force after the next look, which tells that they changed."""
    desk.put("eu-west", "eu-north")
    assert desk.view.look()
    assert desk.view.current()["region"] == {b"eu-west", b"eu-north"}
    assert not desk.view.look()
    assert desk.logged(Event.MANIFEST_IN_FORCE)[1:] == [{"manifest": 1, "names": 2}]


def test_a_view_begins_with_what_is_in_force(desk: Desk) -> None:
    """A gate that starts has the names before its first report."""
    desk.put("eu-west")
    with closing(NamesView(desk.file, desk.clock)) as view:
        assert view.current()["region"] == {b"eu-west"}


def test_a_manifest_for_later_waits(desk: Desk) -> None:
    """Names that were put for a later time come into force then, without anything happening to the store."""
    desk.put("old")
    desk.put("new", at_ms=NOW_MS + HOUR_MS)
    assert desk.regions() == {b"old"}
    desk.clock.advance(HOUR_MS / 1000 - 1)
    assert desk.regions() == {b"old"}
    desk.clock.advance(1)
    assert desk.regions() == {b"new"}


def test_prices_are_no_names(desk: Desk) -> None:
    """Only the manifest is looked at, whatever else the operator puts."""
    desk.put("eu-west", at_ms=NOW_MS - 1)
    with closing(OperatorDocuments(desk.file, desk.clock)) as documents:
        documents.put("prices", {"currency": "EUR"}, NOW_MS)
    assert desk.regions() == {b"eu-west"}
    assert desk.logged(Event.MANIFEST_UNREADABLE) == []


def test_a_restored_file_is_read_anew(desk: Desk, tmp_path: Path) -> None:
    """A file that takes the place of another is read, even if its manifest has the same number."""
    desk.put("here")
    assert desk.regions() == {b"here"}
    elsewhere = tmp_path / "backup.sqlite3"
    with closing(OperatorDocuments(elsewhere, desk.clock)) as documents:
        documents.put("manifest", {"regions": ["there"]}, NOW_MS)
    for name in ("", "-wal", "-shm"):  # as docs/operations.md says, or SQLite applies them to the restored file
        Path(f"{desk.file}{name}").unlink()
    elsewhere.rename(desk.file)
    assert desk.regions() == {b"there"}


def broken_file(file: Path) -> None:
    """Put something else in the place of the store."""
    file.unlink()
    file.write_bytes(b"not a database at all" * 400)


def foreign_manifest(file: Path) -> None:
    """Put a manifest that only another version of the program understands."""
    with closing(OperatorDocuments(file, ManualClock(NOW_MS))) as documents:
        documents.put("manifest", {"regions": ["c"], "planets": ["earth"]}, NOW_MS)


def no_table(file: Path) -> None:
    """Damage the store where it is."""
    with closing(sqlite3.connect(file)) as other:
        other.execute("DROP TABLE documents")


@pytest.mark.parametrize("harm", [Path.unlink, broken_file, no_table, foreign_manifest])
def test_the_last_good_names_stay(desk: Desk, harm: Any) -> None:
    """Whatever happens to the store, the names stay as they were, and it is told once."""
    desk.put("eu-west")
    assert desk.regions() == {b"eu-west"}
    harm(desk.file)
    assert [desk.view.look() for _ in range(3)] == [False, False, False]
    assert desk.view.current()["region"] == {b"eu-west"}
    assert desk.logged(Event.MANIFEST_UNREADABLE) == [{}]


def test_a_repaired_store_is_followed_again(desk: Desk) -> None:
    """Once the store can be read again its manifest comes into force by itself."""
    desk.put("old")
    assert desk.regions() == {b"old"}
    broken_file(desk.file)
    assert desk.regions() == {b"old"}
    desk.file.unlink()
    desk.put("new")
    assert desk.regions() == {b"new"}


@pytest.mark.parametrize("harm", [broken_file, foreign_manifest])
def test_a_gate_does_not_start_on_a_broken_store(desk: Desk, harm: Any) -> None:
    """Where there are no last good names, a view is refused rather than begun without any."""
    harm(desk.file)
    with pytest.raises(StateFileError, match="backup"):
        NamesView(desk.file, desk.clock)


async def test_follow_hands_over_every_change(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    """A task that follows applies names each time others come into force, and only then."""
    monkeypatch.setattr(ingest.names_view, "LOOK_EVERY_SECONDS", 0.001)
    looks = 0
    looked = desk.view.look

    def look() -> bool:
        nonlocal looks
        looks += 1
        return looked()

    async def looks_more_often() -> None:
        before = looks
        while looks < before + 3:
            await asyncio.sleep(0.001)

    monkeypatch.setattr(desk.view, "look", look)
    applied: list[frozenset[bytes]] = []
    task = asyncio.create_task(desk.view.follow(lambda names: applied.append(names["region"])))
    for region in ("one", "two"):
        desk.put(region)
        await asyncio.wait_for(looks_more_often(), PATIENCE_SECONDS)
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    assert applied == [{b"one"}, {b"two"}]


def test_what_is_stored_is_json(desk: Desk) -> None:
    """What the view reads is plain JSON, for whoever looks into the file with other tools."""
    desk.put("eu-west")
    with closing(sqlite3.connect(desk.file)) as other:
        [(document,)] = other.execute("SELECT document FROM documents")
    assert json.loads(document) == {"regions": ["eu-west"]}
