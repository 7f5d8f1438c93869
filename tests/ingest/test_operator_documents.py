"""Documents of the operator: what is in force when, and that nothing is ever lost."""

import sqlite3
import stat
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from ingest.clock import ManualClock
from ingest.operator_documents import FILE_NAME, DocumentVersion, OperatorDocuments
from ingest.state_file import StateFileError

NOW_MS = 1_795_000_000_000
HOUR_MS = 3_600_000

A, B, C = {"regions": ["a"]}, {"regions": ["b"]}, {"regions": ["c"]}


@pytest.fixture
def clock() -> ManualClock:
    """A clock that stands still."""
    return ManualClock(NOW_MS)


@pytest.fixture
def documents(tmp_path: Path, clock: ManualClock) -> Iterator[OperatorDocuments]:
    """An empty store."""
    with closing(OperatorDocuments(tmp_path / FILE_NAME, clock)) as opened:
        yield opened


def number_at(documents: OperatorDocuments, at_ms: int) -> int | None:
    """The number of the manifest in force."""
    found = documents.in_force("manifest", at_ms)
    return None if found is None else found.number


def test_a_document_is_in_force_from_its_time_on(documents: OperatorDocuments) -> None:
    """What is in force changes at the very millisecond of a document's time, and there is nothing before the first."""
    documents.put("manifest", A, NOW_MS)
    documents.put("manifest", B, NOW_MS + HOUR_MS)
    times = (NOW_MS - 1, NOW_MS, NOW_MS + HOUR_MS - 1, NOW_MS + HOUR_MS)
    assert [number_at(documents, at) for at in times] == [None, 1, 1, 2]


def test_what_a_version_tells(documents: OperatorDocuments, clock: ManualClock) -> None:
    """A version has its number within its kind, when it was recorded, from when it is in force, and its content."""
    clock.advance(5)
    documents.put("prices", C, NOW_MS)
    made = documents.put("manifest", A, NOW_MS + HOUR_MS)
    assert made == DocumentVersion(1, "manifest", NOW_MS + 5_000, NOW_MS + HOUR_MS, A)
    assert documents.history("manifest") == [made]


def test_the_later_recorded_of_two_at_one_time(documents: OperatorDocuments) -> None:
    """Of two documents with the same time the one recorded later is in force, and both stay on record."""
    documents.put("manifest", A, NOW_MS)
    documents.put("manifest", B, NOW_MS)
    assert number_at(documents, NOW_MS) == 2
    assert [version.document for version in documents.history("manifest")] == [A, B]


def test_a_time_that_has_passed(documents: OperatorDocuments) -> None:
    """A document for the past is in force until the next one, and takes its place in the history by its time."""
    documents.put("manifest", A, NOW_MS)
    documents.put("manifest", B, NOW_MS - HOUR_MS)
    assert [number_at(documents, at) for at in (NOW_MS - HOUR_MS, NOW_MS)] == [2, 1]
    assert [version.number for version in documents.history("manifest")] == [2, 1]


def test_the_same_document_is_recorded_once(documents: OperatorDocuments, clock: ManualClock) -> None:
    """Putting what is in force at that time returns the version that is there, and nothing is added."""
    first = documents.put("manifest", A, NOW_MS)
    clock.advance(60)
    assert documents.put("manifest", dict(A), NOW_MS + 60_000) == first
    assert documents.history("manifest") == [first]


def test_a_document_may_come_back(documents: OperatorDocuments) -> None:
    """A document that was in force before another one is recorded anew when it is put again."""
    for place, document in enumerate((A, B, A)):
        documents.put("manifest", document, NOW_MS + place)
    assert [version.document for version in documents.history("manifest")] == [A, B, A]


def test_kinds_do_not_meet(documents: OperatorDocuments) -> None:
    """Manifest and prices are numbered and in force apart from each other."""
    documents.put("manifest", A, NOW_MS)
    assert documents.in_force("prices", NOW_MS) is None
    assert documents.put("prices", A, NOW_MS).number == 1


def test_it_is_there_when_opened_again(tmp_path: Path, documents: OperatorDocuments, clock: ManualClock) -> None:
    """What was put is read by another connection, and the file is its owner's alone."""
    made = documents.put("manifest", A, NOW_MS)
    with closing(OperatorDocuments(tmp_path / FILE_NAME, clock)) as again:
        assert again.history("manifest") == [made]
    assert stat.S_IMODE((tmp_path / FILE_NAME).stat().st_mode) == 0o600


@pytest.mark.parametrize(
    "statement",
    [
        pytest.param("DELETE FROM documents", id="removed"),
        pytest.param("UPDATE documents SET in_force = 0", id="moved in time"),
        pytest.param("UPDATE documents SET document = '{}'", id="emptied"),
        pytest.param("INSERT OR REPLACE INTO documents VALUES ('manifest', 1, 0, 0, '{}')", id="replaced"),
    ],
)
def test_no_document_is_ever_changed(tmp_path: Path, documents: OperatorDocuments, statement: str) -> None:
    """The file itself refuses whoever tries to change the past."""
    made = documents.put("manifest", A, NOW_MS)
    with closing(sqlite3.connect(tmp_path / FILE_NAME)) as other, pytest.raises(sqlite3.IntegrityError):
        other.execute(statement)
    assert documents.history("manifest") == [made]


def damage(file: Path) -> None:
    """Overwrite a file by something that is no database."""
    for name in (f"{file.name}-wal", f"{file.name}-shm"):
        (file.parent / name).unlink(missing_ok=True)
    file.write_bytes(b"not a database at all" * 400)


def test_a_damaged_file_is_refused_with_advice(tmp_path: Path, clock: ManualClock) -> None:
    """A file that is no database is not used, not replaced, and the refusal says what to do."""
    damage(tmp_path / FILE_NAME)
    before = (tmp_path / FILE_NAME).read_bytes()
    with pytest.raises(StateFileError, match="restore it from a backup"):
        OperatorDocuments(tmp_path / FILE_NAME, clock)
    assert (tmp_path / FILE_NAME).read_bytes() == before


def test_damage_that_shows_later_is_told_the_same_way(tmp_path: Path, documents: OperatorDocuments) -> None:
    """A store that breaks while it is open raises the same error as one that cannot be opened."""
    with closing(sqlite3.connect(tmp_path / FILE_NAME)) as other:
        other.execute("DROP TABLE documents")
    for attempt in (
        lambda: documents.history("manifest"),
        lambda: documents.in_force("manifest", NOW_MS),
        lambda: documents.put("manifest", A, NOW_MS),
    ):
        with pytest.raises(StateFileError, match="restore it from a backup"):
            attempt()


def test_a_file_of_a_newer_program_is_refused(tmp_path: Path, clock: ManualClock) -> None:
    """A store with another schema is not guessed at."""
    OperatorDocuments(tmp_path / FILE_NAME, clock).close()
    with closing(sqlite3.connect(tmp_path / FILE_NAME)) as other:
        other.execute("PRAGMA user_version = 2")
    with pytest.raises(StateFileError, match="schema version 2"):
        OperatorDocuments(tmp_path / FILE_NAME, clock)
