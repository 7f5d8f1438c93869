"""The disk under the rollups fails, or no file can be opened: what is waited for, made anew, and left alone."""

import asyncio
import logging
import os
import shutil
import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import duckdb
import pytest

from aggregators.database import FILE_NAME, Database
from aggregators.following import follow
from aggregators.following.standing import State, Why
from aggregators.repair import rebuild
from aggregators.rollups.rollups import (
    Rollups,
    RollupsFailed,
    RollupsFull,
    RollupsOutOfReach,
    RollupsUntrusted,
)
from aggregators.sealing.seal_files import DIRECTORY_NAME as SEALS
from ingest.log.embedded import EmbeddedLog
from ingest.log.sqlite_file import FILE_NAME as LOG_FILE
from ingest.telemetry.events import Event
from tests.aggregators.followers import (
    PATIENCE_SECONDS,
    apply_everything,
    contents,
    drain,
    follow_to_the_end,
    following,
)
from tests.aggregators.following.traced import CHANGES, FILES, require_strace, traced_life
from tests.aggregators.stored_reports import CATALOGUE, fill, stored

ENTRIES = stored(120, seed=41)


@pytest.mark.parametrize(
    ("error", "expected"),
    [
        pytest.param(
            duckdb.FatalException("Failed to create checkpoint because of error: fsync failed!"),
            RollupsUntrusted,
            id="a sync",
        ),
        pytest.param(
            duckdb.FatalException('Could not fsync file "/x/rollups.duckdb": No space left on device'),
            RollupsUntrusted,
            id="a sync that finds no space: the pages are gone as well",
        ),
        pytest.param(
            duckdb.TransactionException('Could not write file "/x/rollups.duckdb.wal": Input/output error'),
            RollupsUntrusted,
            id="a write",
        ),
        pytest.param(
            duckdb.IOException('Could not write file "/x/seals/.draft/a.parquet": Input/output error'),
            RollupsOutOfReach,
            id="a write to another file",
        ),
        pytest.param(
            duckdb.TransactionException('Cannot open file "/x/rollups.duckdb.wal": Too many open files'),
            RollupsOutOfReach,
            id="too many files in the process",
        ),
        pytest.param(
            duckdb.IOException('Cannot open file "/x/rollups.duckdb": Too many open files in system'),
            RollupsOutOfReach,
            id="too many files in the system",
        ),
        pytest.param(
            duckdb.FatalException('Could not write file "/x/rollups.duckdb": No space left on device'),
            RollupsFull,
            id="a write that finds no space",
        ),
        pytest.param(
            duckdb.IOException('Cannot open file "/x/rollups.duckdb.wal": Read-only file system'),
            RollupsOutOfReach,
            id="a file system that may only be read",
        ),
        pytest.param(
            duckdb.IOException('Cannot open file "/x/rollups.duckdb": Cannot allocate memory'),
            RollupsOutOfReach,
            id="no memory in the system",
        ),
        pytest.param(
            duckdb.IOException('Could not read from file "/x/rollups.duckdb": Stale file handle'),
            RollupsOutOfReach,
            id="a share that is away",
        ),
        pytest.param(
            duckdb.IOException('Could not read from file "/x/rollups.duckdb": Structure needs cleaning'),
            RollupsUntrusted,
            id="a file system that is damaged",
        ),
        pytest.param(
            duckdb.IOException('Could not write file "/x/rollups.duckdb.tmp/duckdb_temp_0.tmp": Input/output error'),
            RollupsOutOfReach,
            id="a write of what memory has no room for",
        ),
        pytest.param(
            duckdb.IOException('Could not write file "/x/rollups.duckdb.wal.recovery": Input/output error'),
            RollupsUntrusted,
            id="a write beside it of what belongs in it",
        ),
        pytest.param(
            duckdb.ConversionException("Could not convert string 'fsync failed' to INT32"),
            RollupsFailed,
            id="a value that reads like one",
        ),
    ],
)
def test_what_an_error_of_the_system_is(tmp_path: Path, error: duckdb.Error, expected: type[Exception]) -> None:
    """What passes, what must not be trusted and what is a fault of ours are told apart, without DuckDB's text."""
    with closing(Database(tmp_path / FILE_NAME)) as database:
        with pytest.raises(Exception) as raised, database.errors():  # noqa: PT011  # its type is what is compared
            raise error
        assert type(raised.value) is expected
        assert "convert" not in str(raised.value)


def fails_once(call: Callable[..., Any], error: Exception, *, after: int = 0) -> Callable[..., Any]:
    """`call`, which raises `error` once, after so many calls that went well."""
    calls = iter(range(after + 1))

    def instead(*arguments: Any, **options: Any) -> Any:
        if next(calls, None) == after:
            raise error
        return call(*arguments, **options)

    return instead


def cut_log(directory: Path) -> None:
    """Remove the first entries of every partition, as a retention would."""
    with closing(sqlite3.connect(directory / LOG_FILE)) as file, file:
        file.execute('DELETE FROM entries WHERE "offset" < 3')


@pytest.fixture
async def log(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> EmbeddedLog:
    """A log of which a half is in `tmp_path / "rollups"` and sealed; the follower waits for no seconds."""
    monkeypatch.setattr(follow, "RETRY_SECONDS", 0.001)
    log = EmbeddedLog(tmp_path / "log", partitions=2)
    await fill(log, ENTRIES[:60])
    async with following(tmp_path / "rollups", log) as follower:
        await drain(follower)
        assert await follower.seal()
    await fill(log, ENTRIES[60:])
    return log


def files(directory: Path) -> set[str]:
    """What is in the directory of the rollups."""
    return {file.name for file in directory.iterdir()}


async def equals_whole(tmp_path: Path, log: EmbeddedLog) -> bool:
    """Whether the rollups are those of a follower whose disk never failed."""
    await apply_everything(tmp_path / "whole", log)
    return contents(tmp_path / "rollups") == contents(tmp_path / "whole")


@pytest.mark.parametrize("sealed", [True, False])
async def test_it_makes_them_anew(
    tmp_path: Path, log: EmbeddedLog, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, sealed: bool
) -> None:
    """From seals and log, or from the log alone, into another file; what was applied is in it once; it is said."""
    caplog.set_level(logging.INFO)
    rollups = tmp_path / "rollups"
    if not sealed:
        shutil.rmtree(rollups)
        await follow_to_the_end(rollups, log)
        shutil.rmtree(rollups / SEALS)
        await fill(log, stored(40, seed=42))
    before = (rollups / FILE_NAME).stat().st_ino
    monkeypatch.setattr(Rollups, "apply", fails_once(Rollups.apply, RollupsUntrusted("a made-up failure")))
    async with following(rollups, log) as follower:
        await drain(follower)
        assert (follower.status().state, follower.status().why) == (State.FOLLOWING, None)
        await follower.seal()
    assert (rollups / FILE_NAME).stat().st_ino != before
    assert files(rollups) == {FILE_NAME, SEALS}
    assert await equals_whole(tmp_path, log)
    said = [record.msg for record in caplog.records if record.msg in (Event.FOLLOWER_STATE, Event.ROLLUPS_MADE_ANEW)]
    assert Event.ROLLUPS_MADE_ANEW in said
    await log.close()


async def test_a_publication_or_a_seal_may_find_out(tmp_path: Path, log: EmbeddedLog) -> None:
    """Whatever work on the rollups meets it, they are made anew before anything else is applied to them."""

    def failing(_: Rollups) -> None:
        raise RollupsUntrusted("a made-up failure")

    rollups = tmp_path / "rollups"
    async with following(rollups, log) as follower:
        await drain(follower)
        before = (rollups / FILE_NAME).stat().st_ino
        with pytest.raises(RollupsUntrusted):
            await follower.between_batches(failing)
        await drain(follower)
        assert (rollups / FILE_NAME).stat().st_ino != before
    assert await equals_whole(tmp_path, log)
    await log.close()


async def stands_still(tmp_path: Path, log: EmbeddedLog) -> str:
    """What a follower says that stops with damaged rollups; the file is the one that was there."""
    before = (tmp_path / "rollups" / FILE_NAME).stat().st_ino
    async with following(tmp_path / "rollups", log) as follower:
        async with asyncio.timeout(PATIENCE_SECONDS):
            while follower.status().state is not State.STOPPED:
                await asyncio.sleep(0.001)
        assert follower.status().why is Why.ROLLUPS_DAMAGED
        detail = follower.status().detail
    assert (tmp_path / "rollups" / FILE_NAME).stat().st_ino == before
    return detail


async def test_what_is_nowhere_else_is_left_alone(
    tmp_path: Path, log: EmbeddedLog, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where the log does not reach back to the newest seal, or to its beginning, it stops and touches nothing."""
    await follow_to_the_end(tmp_path / "rollups", log)
    shutil.rmtree(tmp_path / "rollups" / SEALS)
    cut_log(tmp_path / "log")
    await fill(log, stored(20, seed=43))
    monkeypatch.setattr(Rollups, "apply", fails_once(Rollups.apply, RollupsUntrusted("a made-up failure")))
    assert "does not reach back" in await stands_still(tmp_path, log)
    await log.close()


async def test_interrupted_it_is_done_by_the_next_start(
    tmp_path: Path, log: EmbeddedLog, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whoever starts while a file is put aside makes the new one, and does not open the old one."""
    rollups = tmp_path / "rollups"
    with monkeypatch.context() as patched:
        patched.setattr(Rollups, "apply", fails_once(Rollups.apply, RollupsUntrusted("a made-up failure")))
        patched.setattr(rebuild, "load_seals", fails_once(rebuild.load_seals, MemoryError()))
        async with following(rollups, log) as follower:
            async with asyncio.timeout(PATIENCE_SECONDS):
                while follower.status().state is not State.STOPPED:
                    await asyncio.sleep(0.001)
    assert files(rollups) == {f"{FILE_NAME}.untrusted", f"{FILE_NAME}.doubted", SEALS}
    rebuild.open_or_rebuild(rollups, tiers=CATALOGUE.tiers).close()
    await follow_to_the_end(rollups, log)
    assert files(rollups) == {FILE_NAME, SEALS}
    assert await equals_whole(tmp_path, log)
    await log.close()


@pytest.mark.parametrize("error", [RollupsFull("full"), RollupsUntrusted("again"), OSError(24, "Too many open files")])
async def test_making_them_anew_may_have_to_wait(
    tmp_path: Path, log: EmbeddedLog, monkeypatch: pytest.MonkeyPatch, error: Exception
) -> None:
    """Where the disk has no space meanwhile, or fails again, it is tried again, and nothing empty takes the place."""
    monkeypatch.setattr(Rollups, "apply", fails_once(Rollups.apply, RollupsUntrusted("a made-up failure")))
    monkeypatch.setattr(rebuild, "load_seals", fails_once(rebuild.load_seals, error))
    async with following(tmp_path / "rollups", log) as follower:
        await drain(follower)
    assert files(tmp_path / "rollups") == {FILE_NAME, SEALS}
    assert await equals_whole(tmp_path, log)
    await log.close()


@pytest.mark.faults
@pytest.mark.parametrize(
    ("traced", "injected", "anew"),
    [
        pytest.param(CHANGES, "openat:error=EMFILE:when=2..4", 0, id="no file can be opened for a while"),
        pytest.param(FILES, "fdatasync:error=EIO:when=1", 1, id="the sync of a commit"),
        pytest.param(FILES, "fdatasync:error=EIO:when=4..6", 1, id="syncs, while they are made anew too"),
        pytest.param(FILES, "fdatasync:error=ENOSPC:when=2", 1, id="a sync that finds no space"),
        pytest.param(FILES, "pwrite64:error=EIO:when=9", 1, id="a write of a checkpoint"),
    ],
)
async def test_calls_to_the_system_that_fail(
    tmp_path: Path, log: EmbeddedLog, traced: tuple[str, ...], injected: str, anew: int
) -> None:
    """A real process whose calls fail goes on by itself, makes anew what is not to be trusted, and counts once."""
    require_strace()
    options = ("-o", os.devnull, "-e", f"inject={injected}")
    with traced_life(tmp_path / "rollups", tmp_path / "log", *options, files=traced) as process:
        out, err = process.communicate(timeout=PATIENCE_SECONDS)
    assert out == "closed\n", err
    assert err.count(str(Event.ROLLUPS_MADE_ANEW)) == anew, err
    # Something was waited for, and then it followed.
    assert err.count(str(Event.FOLLOWER_STATE)) >= 2, err
    await follow_to_the_end(tmp_path / "rollups", log)
    assert files(tmp_path / "rollups") == {FILE_NAME, SEALS}
    assert await equals_whole(tmp_path, log)
    await log.close()
