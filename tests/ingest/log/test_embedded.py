"""What the embedded log promises beyond `tests/contract/test_log.py`: shared commits, other processes, foreign files.

Crashes and full disks are in `test_embedded_faults.py`.
"""

import asyncio
import os
import sqlite3
import subprocess
import sys
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import pytest

from ingest.log import InDoubt, LogUnavailable, StorageFull, sqlite_file
from ingest.log.embedded import AppendLimits, CannotOpenLog, EmbeddedLog, EmbeddedLogReader
from ingest.log.sqlite_file import APPLICATION_ID, VERSION, raise_as_failed_commit, raise_as_ours, statement
from ingest.report import Entry

ROOT = Path(__file__).resolve().parents[3]
TOPIC = "tidegate.managed.route_window.v1"
PATIENCE_SECONDS = 60.0


def entry(key: bytes, value: bytes = b"value") -> Entry:
    """An entry without headers."""
    return Entry(TOPIC, key, value, 1_795_000_000_000)


async def keys(log: EmbeddedLog | EmbeddedLogReader) -> list[bytes]:
    """The keys of all entries."""
    return [
        stored.entry.key
        for partition in await log.partitions()
        for stored in await log.read(partition, after=-1, limit=1_000_000)
    ]


@contextmanager
def program(text: str, *arguments: object) -> Iterator[subprocess.Popen[str]]:
    """A Python process that runs `text`, killed at the end if it is still there."""
    command = [sys.executable, "-c", text, *map(str, arguments)]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        try:
            yield process
        finally:
            process.kill()


async def until(condition: Callable[[], bool]) -> None:
    """Returns once the condition holds; fails when it does not in time."""
    async with asyncio.timeout(PATIENCE_SECONDS):
        while not condition():
            await asyncio.sleep(0.001)


@pytest.fixture
async def log(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[EmbeddedLog]:
    """A log of which little may wait, but for long, for its file as well."""
    monkeypatch.setattr(sqlite_file, "BUSY_SECONDS", PATIENCE_SECONDS)
    log = EmbeddedLog(tmp_path / "log", limits=AppendLimits(entries=10, value_bytes=1000, seconds=20))
    yield log
    await log.close()


@contextmanager
def impatient(log: EmbeddedLog) -> Iterator[None]:
    """Calls that are made in the block are late soon."""
    patient = log._limits
    log._limits = log._group._limits = replace(patient, seconds=1)
    try:
        yield
    finally:
        log._limits = log._group._limits = patient


@contextmanager
def blocked(directory: Path) -> Iterator[None]:
    """Keeps the writer waiting in the middle of its transaction, by holding the lock that it needs."""
    blocker = sqlite3.connect(directory / "log.sqlite", isolation_level=None)
    blocker.execute("BEGIN IMMEDIATE")
    try:
        yield
    finally:
        blocker.execute("ROLLBACK")
        blocker.close()


async def being_written(log: EmbeddedLog, *entries: Entry) -> "asyncio.Task[object]":
    """A call of append whose commit has begun."""
    task: asyncio.Task[object] = asyncio.create_task(log.append(entries))
    await until(lambda: bool(log._group._writing))
    return task


class TestGroupCommit:
    async def test_concurrent_appends_share_a_commit(self, log: EmbeddedLog) -> None:
        """Calls that are made in one turn of the loop are stored by one commit, and both are counted."""
        await asyncio.gather(*(log.append([entry(b"%d" % number)]) for number in range(10)))
        assert (log.commits, log.entries) == (1, 10)

    async def test_appends_during_a_commit_share_the_next(self, log: EmbeddedLog, tmp_path: Path) -> None:
        """What arrives while a commit runs waits, however many calls it is, and needs only one more."""
        with blocked(tmp_path / "log"):
            first = await being_written(log, entry(b"first"))
            others = [asyncio.create_task(log.append([entry(b"%d" % number)])) for number in range(10)]
            await asyncio.sleep(0)
        await asyncio.gather(first, *others)
        assert log.commits == 2
        assert len(await keys(log)) == 11

    async def test_a_late_append_is_refused_or_in_doubt(self, log: EmbeddedLog, tmp_path: Path) -> None:
        """Past the deadline a call is in doubt if its commit has begun, and otherwise refused and not stored."""
        with blocked(tmp_path / "log"), impatient(log):
            begun = await being_written(log, entry(b"begun"))
            waiting = asyncio.create_task(log.append([entry(b"waiting")]))
            with pytest.raises(InDoubt):
                await begun
            with pytest.raises(LogUnavailable):
                await waiting
            with pytest.raises(LogUnavailable):
                await log.probe()
        await until(lambda: not log._group._writing)
        await log.append([entry(b"after")])
        assert await keys(log) == [b"begun", b"after"]

    @pytest.mark.parametrize(
        "waiting",
        [
            pytest.param([entry(b"%d" % number) for number in range(10)], id="as many entries as may wait"),
            pytest.param([entry(b"large", bytes(1000))], id="as many bytes as may wait"),
            pytest.param([entry(b"huge", bytes(5000))], id="one call above the bound, which nothing else waits for"),
        ],
    )
    async def test_what_waits_is_bounded(self, log: EmbeddedLog, tmp_path: Path, waiting: list[Entry]) -> None:
        """When as much waits as may wait the next call is refused at once, and those that wait are stored."""
        with blocked(tmp_path / "log"):
            first = await being_written(log, entry(b"first"))
            full = asyncio.create_task(log.append(waiting))
            await asyncio.sleep(0)
            with pytest.raises(LogUnavailable, match="too much waits"):
                await log.append([entry(b"refused")])
        await asyncio.gather(first, full)
        assert await keys(log) == [b"first", *(one.key for one in waiting)]

    async def test_a_call_cancelled_before_its_commit_is_left_out(self, log: EmbeddedLog, tmp_path: Path) -> None:
        """A caller that is cancelled while it waits is not stored, and frees its place for another."""
        with blocked(tmp_path / "log"):
            first = await being_written(log, entry(b"first"))
            cancelled = asyncio.create_task(log.append([entry(b"cancelled")]))
            other = asyncio.create_task(log.append([entry(b"other")]))
            await asyncio.sleep(0)
            cancelled.cancel()
        await asyncio.gather(first, other)
        assert await keys(log) == [b"first", b"other"]

    async def test_close_answers_those_that_wait(self, log: EmbeddedLog, tmp_path: Path) -> None:
        """Appends made before close are stored and answered, the ones that had not begun included."""
        first = asyncio.create_task(log.append([entry(b"first")]))
        await asyncio.sleep(0)
        second = asyncio.create_task(log.append([entry(b"second")]))
        await asyncio.sleep(0)
        await log.close()
        assert first.done()
        assert second.done()
        assert await keys(EmbeddedLogReader(tmp_path / "log")) == [b"first", b"second"]

    async def test_every_commit_is_synced(self, log: EmbeddedLog) -> None:
        """The writer syncs its write-ahead log at each commit (2 is FULL), which no killed process could show."""

        def settings() -> list[object]:
            connection = log._writer.open()
            return [connection.execute(f"PRAGMA {name}").fetchone()[0] for name in ("journal_mode", "synchronous")]

        assert await asyncio.get_running_loop().run_in_executor(log._executor, settings) == ["wal", 2]

    async def test_a_fault_of_ours_is_raised_and_undone(self, log: EmbeddedLog) -> None:
        """An entry that SQLite cannot hold fails its commit with the fault itself, and the next append succeeds."""
        impossible = Entry(TOPIC, b"impossible", b"", 2**63)
        with pytest.raises(OverflowError):
            await log.append([entry(b"before"), impossible])
        (after,) = await log.append([entry(b"after")])
        assert after.offset == 0, "what was undone has used up no offset"
        assert await keys(log) == [b"after"]


FOLLOWER = """
import asyncio, sys
from pathlib import Path
from ingest.log import LogUnavailable
from ingest.log.embedded import EmbeddedLogReader

async def main():
    reader, after = EmbeddedLogReader(Path(sys.argv[1])), -1
    print("following", flush=True)
    while True:
        try:
            for partition in await reader.partitions():
                for stored in await reader.read(partition, after=after, limit=10):
                    after = stored.offset
                    print(stored.entry.key.decode(), flush=True)
        except LogUnavailable:
            pass
        await asyncio.sleep(0.002)

asyncio.run(main())
"""


class TestReader:
    async def test_another_process_sees_what_is_appended(self, tmp_path: Path) -> None:
        """A reader in another process, started before there is a log, gets every entry while the writer goes on."""
        with program(FOLLOWER, tmp_path / "log") as follower:
            assert follower.stdout is not None
            read_line = follower.stdout.readline
            async with asyncio.timeout(PATIENCE_SECONDS):
                assert await asyncio.to_thread(read_line) == "following\n"
                log = EmbeddedLog(tmp_path / "log")
                for number in range(30):
                    await log.append([entry(b"key-%d" % number)])
                    assert await asyncio.to_thread(read_line) == f"key-{number}\n"
        await log.close()

    async def test_the_writer_may_be_gone(self, tmp_path: Path) -> None:
        """A reader opens a log that was closed, and reads on when a new writer has come."""
        first = EmbeddedLog(tmp_path / "log")
        await first.append([entry(b"first")])
        await first.close()
        reader = EmbeddedLogReader(tmp_path / "log")
        assert await keys(reader) == [b"first"]
        second = EmbeddedLog(tmp_path / "log")
        await second.append([entry(b"second")])
        assert await keys(reader) == [b"first", b"second"]
        await second.close()
        await reader.close()

    async def test_no_log_yet(self, tmp_path: Path) -> None:
        """While there is no log a read is refused and says when there will be one, and later it succeeds."""
        reader = EmbeddedLogReader(tmp_path / "log")
        with pytest.raises(LogUnavailable, match="appears when a gate is started"):
            await reader.partitions()
        log = EmbeddedLog(tmp_path / "log")
        assert list(await reader.partitions()) == []
        await reader.close()
        await log.close()

    async def test_a_log_that_appears_while_it_is_opened(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        """Whoever opens a file in the moment in which it becomes a log is told to try again, not that it is none."""
        writer = sqlite3.connect(tmp_path / "log.sqlite", isolation_level=None, check_same_thread=False)
        writer.execute("PRAGMA journal_mode = WAL")

        def becomes_a_log(said: str) -> None:
            if "user_version" in said:
                writer.executescript(
                    f"BEGIN; {statement('schema')} PRAGMA application_id = {APPLICATION_ID}; "
                    f"PRAGMA user_version = {VERSION}; COMMIT;"
                )

        def looked_at(connection: sqlite3.Connection, file: Path) -> bool:
            connection.set_trace_callback(becomes_a_log)
            try:
                return is_new(connection, file)
            finally:
                connection.set_trace_callback(None)

        is_new = sqlite_file._is_new
        reader = EmbeddedLogReader(tmp_path)
        with monkeypatch.context() as patch:
            patch.setattr(sqlite_file, "_is_new", looked_at)
            with pytest.raises(LogUnavailable, match="is being made"):
                await reader.partitions()
        assert list(await reader.partitions()) == []
        await reader.close()
        writer.close()

    async def test_a_reader_cannot_write(self, log: EmbeddedLog, tmp_path: Path) -> None:
        """The connection of a reader refuses every change."""
        await log.append([entry(b"key")])
        reader = EmbeddedLogReader(tmp_path / "log")
        with pytest.raises(LogUnavailable, match="SQLITE_READONLY"):
            await reader._on_thread(lambda: reader._connected().execute("DELETE FROM entries"))
        await reader.close()


class TestOneWriter:
    async def test_a_second_writer_is_refused(self, log: EmbeddedLog, tmp_path: Path) -> None:
        """A second writer on a directory is told which process to stop, and the first one works on."""
        with pytest.raises(CannotOpenLog, match=rf"pid {os.getpid()}\).*stop that process"):
            EmbeddedLog(tmp_path / "log")
        await log.append([entry(b"key")])

    async def test_the_next_writer_after_close(self, log: EmbeddedLog, tmp_path: Path) -> None:
        """Closing lets the next writer in."""
        await log.close()
        await EmbeddedLog(tmp_path / "log").close()


def foreign_database(file: Path, *, application: int = 0, version: int = 0) -> None:
    """A SQLite database with somebody's table."""
    database = sqlite3.connect(file)
    database.executescript(f"""
        CREATE TABLE theirs (a); PRAGMA application_id = {application}; PRAGMA user_version = {version};
    """)
    database.close()


async def newer_log(file: Path) -> None:
    """A log that says it has a later format."""
    await EmbeddedLog(file.parent).close()
    database = sqlite3.connect(file)
    database.execute(f"PRAGMA user_version = {VERSION + 1}")
    database.close()


class TestForeignFiles:
    @pytest.mark.parametrize(
        "make",
        [
            pytest.param(lambda file: file.write_bytes(b"not a database, " * 100), id="no database"),
            pytest.param(foreign_database, id="a database without an application id"),
            pytest.param(lambda file: foreign_database(file, application=7, version=1), id="another application's"),
        ],
    )
    async def test_a_foreign_file_is_refused_and_left_alone(self, tmp_path: Path, make: Callable[[Path], None]) -> None:
        """A file that tidegate did not make stays as it is, and the error says to move it or go elsewhere."""
        file = tmp_path / "log.sqlite"
        make(file)
        before = file.read_bytes()
        with pytest.raises(CannotOpenLog, match=r"not made by tidegate.*move that file away"):
            EmbeddedLog(tmp_path)
        with pytest.raises(CannotOpenLog, match="not made by tidegate"):
            await EmbeddedLogReader(tmp_path).partitions()
        assert file.read_bytes() == before

    async def test_a_newer_format_is_refused(self, tmp_path: Path) -> None:
        """A log of a later format is refused with what to run instead, and the directory is free again."""
        await newer_log(tmp_path / "log.sqlite")
        for _ in range(2):
            with pytest.raises(CannotOpenLog, match=rf"format {VERSION + 1}.*reads format {VERSION}.*a newer one"):
                EmbeddedLog(tmp_path)
        with pytest.raises(CannotOpenLog, match=f"format {VERSION + 1}"):
            await EmbeddedLogReader(tmp_path).partitions()


async def test_files_are_private(tmp_path: Path) -> None:
    """Whatever the umask, the directory is for its owner alone, and so is every file in it."""
    before = os.umask(0)
    try:
        log = EmbeddedLog(tmp_path / "data" / "log")
        await log.append([entry(b"key")])
        files = sorted((tmp_path / "data" / "log").iterdir())
        assert [file.name for file in files] == ["log.lock", "log.sqlite", "log.sqlite-shm", "log.sqlite-wal"]
        assert {oct(file.stat().st_mode & 0o777) for file in files} == {"0o600"}
        assert oct((tmp_path / "data" / "log").stat().st_mode & 0o777) == "0o700"
        await log.close()
    finally:
        os.umask(before)


@pytest.mark.parametrize(
    ("error", "before_commit", "at_commit"),
    [
        pytest.param("SQLITE_FULL", StorageFull, StorageFull, id="no space: the frame that commits was not written"),
        pytest.param("SQLITE_IOERR_WRITE", LogUnavailable, LogUnavailable, id="a failed write: the same"),
        pytest.param("SQLITE_IOERR_FSYNC", LogUnavailable, InDoubt, id="a failed sync: all was written, perhaps kept"),
        pytest.param("SQLITE_IOERR_SHMSIZE", LogUnavailable, InDoubt, id="written and synced, but not made visible"),
        pytest.param("SQLITE_READONLY", LogUnavailable, LogUnavailable, id="refused before anything was written"),
        pytest.param("SQLITE_CORRUPT", LogUnavailable, LogUnavailable, id="not to be used"),
        pytest.param(None, LogUnavailable, LogUnavailable, id="an error of the module itself"),
    ],
)
def test_errors_say_whether_anything_was_stored(
    error: str | None, before_commit: type[Exception], at_commit: type[Exception]
) -> None:
    """An error of SQLite becomes the answer that is true of the entries, without SQLite's own text."""
    raised = sqlite3.OperationalError("text of SQLite")
    if error is not None:
        raised.sqlite_errorname = error
    for translate, expected in ((raise_as_ours, before_commit), (raise_as_failed_commit, at_commit)):
        with pytest.raises((LogUnavailable, InDoubt)) as caught:
            translate(raised)
        assert type(caught.value) is expected
        assert "text of SQLite" not in str(caught.value)
        assert caught.value.__suppress_context__
