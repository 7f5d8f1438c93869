"""A queue whose file is damaged: what comes out is what was put in, or it is known that something is missing."""

import os
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing, suppress
from dataclasses import replace
from pathlib import Path
from random import Random
from typing import Any

import pytest

from reporter.queue.file import QueueFile
from reporter.queue.nouns import Limits, Queued
from reporter.queue.queue import Queue
from reporter.queue.unavailable import Unavailable
from tests.reporter.made_up import HOUR_MS, MANAGED, NOW_MS, due, put, queue, report

REPORTS = 40
PAGE = 4096
SEED = 20261121


def filled(folder: Path) -> dict[bytes, Queued]:
    """A queue of several pages; its reports by id."""
    reports = [report(start=NOW_MS - (1 + number) * HOUR_MS) for number in range(REPORTS)]
    put(queue(folder), *reports)
    return {one.report_id: one for one in reports}


def patiently(waiting: Queue) -> dict[bytes, Queued]:
    """All that is due, asked for again once a file was set aside."""
    with suppress(Unavailable):
        return {one.queued.report_id: one.queued for one in due(waiting)}
    return {one.queued.report_id: one.queued for one in due(waiting)}


def lost(waiting: Queue) -> int | None:
    """What the next trace_window will say is missing; None where it will say that this is not known."""
    with waiting.closing("a window") as window:
        return window.untold().lost


def test_a_damaged_page(tmp_path: Path) -> None:
    """Whatever page is overwritten, no report comes out changed, and none is missing without being counted."""
    put_in = filled(tmp_path)
    file = tmp_path / "queue.db"
    whole = file.read_bytes()
    random = Random(SEED)
    print(f"seed {SEED}")
    for damage, spoilt in spoilt_copies(whole, random):
        file.write_bytes(spoilt)
        waiting = queue(tmp_path)
        found = patiently(waiting)
        assert all(put_in.get(report_id) == one for report_id, one in found.items()), damage
        missing = lost(waiting)
        assert missing is None or missing == REPORTS - len(found), damage


def spoilt_copies(whole: bytes, random: Random) -> Iterator[tuple[str, bytes]]:
    """Every page zeroed, overwritten, and with three bytes changed somewhere; the file cut at several places."""
    for start in range(0, len(whole), PAGE):
        yield f"zeros at {start}", whole[:start] + bytes(PAGE) + whole[start + PAGE :]
        yield f"junk at {start}", whole[:start] + random.randbytes(PAGE) + whole[start + PAGE :]
        at = start + random.randrange(PAGE - 3)
        yield f"changed at {at}", whole[:at] + random.randbytes(3) + whole[at + 3 :]
    for length in (1, 100, PAGE, 2 * PAGE):
        yield f"without the last {length}", whole[:-length]


@pytest.mark.parametrize("part", ["consent", "message"])
def test_a_byte_that_sqlite_does_not_miss(tmp_path: Path, part: str) -> None:
    """A report of which one byte was changed is given up by itself, and counted; the others come out."""
    policy = replace(MANAGED, requires_consent={"path_probe": "diagnostics"})
    one = report("path_probe", start=NOW_MS - 9 * HOUR_MS, policy=policy)
    put(queue(tmp_path), one, other := report(consents=frozenset()))
    sought = one.message.content[-40:] if part == "message" else b"<diagnostics>"
    file = tmp_path / "queue.db"
    whole = file.read_bytes()
    assert whole.count(sought) == 1
    for place in range(start := whole.index(sought), start + len(sought)):
        file.write_bytes(whole[:place] + bytes([whole[place] ^ 1]) + whole[place + 1 :])
        waiting = queue(tmp_path)
        assert patiently(waiting) == {other.report_id: other}
        assert lost(waiting) == 1


COLUMNS = ["tier = 'byod'", "report = 'trace_window'", "window_start = 7", "identifiers_at = 9", "report_id = x'00'"]


@pytest.mark.parametrize("change", COLUMNS)
def test_a_column_that_was_changed(tmp_path: Path, change: str) -> None:
    """No report is sent as another one than was put in: to another tier, under another name or of another time."""
    put(queue(tmp_path), report())
    with closing(sqlite3.connect(tmp_path / "queue.db")) as file:
        file.execute(f"UPDATE reports SET {change}")  # noqa: S608  # columns of this test
        file.commit()
    waiting = queue(tmp_path)
    assert not due(waiting, "byod" if "byod" in change else "managed")
    assert lost(waiting) == 1


OTHER_FILES: list[Any] = [
    pytest.param(lambda _: b"", id="nothing at all"),
    pytest.param(lambda _: b"SQLite format 3\x00", id="cut after its first bytes"),
    pytest.param(lambda whole: whole[: len(whole) // 2], id="cut in the middle"),
    pytest.param(lambda _: b"tango-foxtrot" * 4096, id="another kind of file"),
    pytest.param(lambda whole: os.urandom(len(whole)), id="random bytes"),
]


@pytest.mark.parametrize("change", OTHER_FILES)
def test_a_file_that_is_none(tmp_path: Path, change: Callable[[bytes], bytes]) -> None:
    """A file that cannot be read is set aside under a name of its own; the new one works, and knows of it."""
    filled(tmp_path)
    file = tmp_path / "queue.db"
    spoilt = change(file.read_bytes())
    file.write_bytes(spoilt)
    waiting = queue(tmp_path)
    assert not patiently(waiting)
    assert (tmp_path / "queue.db.damaged-1").read_bytes() == spoilt
    assert lost(waiting) is None
    put(waiting, report())
    assert len(due(waiting)) == 1


def test_another_database(tmp_path: Path) -> None:
    """A file of SQLite's that is no queue is set aside like any other."""
    with closing(sqlite3.connect(tmp_path / "queue.db")) as other:
        other.execute("CREATE TABLE reports (x)")
        other.commit()
    assert not patiently(queue(tmp_path))
    assert (tmp_path / "queue.db.damaged-1").exists()


def test_a_newer_file_is_left_alone(tmp_path: Path) -> None:
    """A queue that a newer program made is neither used nor set aside."""
    filled(tmp_path)
    with closing(sqlite3.connect(tmp_path / "queue.db")) as newer:
        newer.execute("PRAGMA user_version = 2")
    with pytest.raises(Unavailable, match="newer"):
        due(queue(tmp_path))
    assert not list(tmp_path.glob("*.damaged*"))


def test_damaged_again_and_again(tmp_path: Path) -> None:
    """Only the newest files that were set aside are kept, with their journals, and how many there were is known."""
    waiting = queue(tmp_path, limits=Limits(damaged_files=2))
    for _ in range(5):
        put(waiting, report())
        (tmp_path / "queue.db").write_bytes(b"damaged")
        with pytest.raises(Unavailable, match="damaged"):
            due(queue(tmp_path))
    assert waiting.status().totals == {"queue_damaged": 5}
    aside = {f"queue.db.damaged-{number}{journal}" for number in (4, 5) for journal in ("", "-journal")}
    assert {file.name for file in tmp_path.glob("*.damaged*")} == aside


def test_killed_while_a_file_is_set_aside(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A process that ends before the new file is there leaves it to the next one, and the loss is known."""
    filled(tmp_path)
    (tmp_path / "queue.db").write_bytes(b"damaged")

    def killed(*_: Any, **__: Any) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as dying:
        dying.setattr(QueueFile, "_make", killed)
        with pytest.raises(KeyboardInterrupt):
            due(queue(tmp_path))
    with pytest.raises(Unavailable, match="damaged"):
        due(queue(tmp_path))
    assert lost(queue(tmp_path)) is None


def test_a_journal_left_behind(tmp_path: Path) -> None:
    """The journal of a file that somebody deleted is not played into the new one."""
    put(queue(tmp_path), *[report() for _ in range(400)])
    with closing(sqlite3.connect(tmp_path / "queue.db", isolation_level=None)) as dying:
        dying.execute("PRAGMA cache_size = 1")  # so that it writes before the end, and the journal counts
        dying.execute("BEGIN")
        dying.execute("DELETE FROM counts")
        dying.execute("UPDATE reports SET message = zeroblob(300)")
        journal = (tmp_path / "queue.db-journal").read_bytes()
    assert journal
    (tmp_path / "queue.db").unlink()
    (tmp_path / "queue.db-journal").write_bytes(journal)
    waiting = queue(tmp_path)
    put(waiting, one := report())
    assert [row.queued for row in due(waiting)] == [one]


def test_a_process_that_had_the_file_open_goes_on_in_the_new_one(tmp_path: Path) -> None:
    """What a process puts in after another one has set the file aside is in the new file."""
    one, other = queue(tmp_path), queue(tmp_path)
    put(one, report())
    put(other, report())
    (tmp_path / "queue.db").write_bytes(b"damaged")
    with pytest.raises(Unavailable):
        due(queue(tmp_path))
    put(other, last := report())
    assert [row.queued for row in due(one)] == [last]


def test_nothing_is_set_aside_under_a_transaction(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A file is not taken from under a process that writes to it: whoever finds it damaged waits, and gives up."""
    monkeypatch.setattr("reporter.queue.patience.BUSY_SECONDS", 0.05)
    waiting = queue(tmp_path)
    with waiting.closing("a window") as window:
        (tmp_path / "queue.db").write_bytes((tmp_path / "queue.db").read_bytes()[:100])
        with pytest.raises(Unavailable, match="locked"):
            due(queue(tmp_path))
        assert window.untold().closed == 0
        assert not list(tmp_path.glob("*.damaged*"))


def test_presence_that_is_damaged(tmp_path: Path) -> None:
    """A fact that cannot be read is as if it had never been put down."""
    waiting = queue(tmp_path)
    with waiting.closing("a window") as window:
        window.presence = {"1": {}}
    with closing(sqlite3.connect(tmp_path / "queue.db")) as file:
        file.execute("UPDATE facts SET value = '[1'")
        file.commit()
    with waiting.closing("next") as window:
        assert window.presence is None


@pytest.mark.parametrize("consents", [frozenset(), frozenset({"location"}), frozenset({"diagnostics"})])
def test_what_is_set_aside_rests_on_consents_too(tmp_path: Path, consents: frozenset[str]) -> None:
    """A file that was set aside goes with a consent on which a report in it rests, even if nobody saw it withdrawn."""
    policy = replace(MANAGED, requires_consent={"path_probe": "diagnostics"})
    put(queue(tmp_path), one := report("path_probe", policy=policy))
    file = tmp_path / "queue.db"
    file.write_bytes(b"tango" + file.read_bytes()[5:])
    assert not patiently(queue(tmp_path))
    aside = tmp_path / "queue.db.damaged-1"
    assert one.report_id in aside.read_bytes()
    queue(tmp_path).keep_only(consents)
    assert aside.exists() is ("diagnostics" in consents)
