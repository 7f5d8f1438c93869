"""The follower: whatever the log and the disk do, each entry is counted once, and what it says of itself is so."""

import asyncio
import sqlite3
import threading
from collections.abc import AsyncIterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

import aggregators.rollups.rollups
from aggregators.following import batches, follow
from aggregators.following.follow import Follower, FollowerStopped
from aggregators.following.standing import ABSURD_RECORDS, Readability, State, Why
from aggregators.rollups.rollups import Rollups, RollupsInterrupted
from aggregators.sealing import seal as sealing
from aggregators.sealing.seal_files import DIRECTORY_NAME, numbers
from ingest.coarsen import floor_hour
from ingest.log import Log, LogUnavailable
from ingest.log.embedded import EmbeddedLog
from ingest.log.memory import MemoryLog
from ingest.log.sqlite_file import FILE_NAME
from ingest.report import Entry, Extent, Partition
from ingest.telemetry.events import Event
from tests.aggregators.followers import (
    PATIENCE_SECONDS,
    FailingReader,
    clock_at,
    contents,
    drain,
    endless,
    follow_to_the_end,
    following,
)
from tests.aggregators.stored_reports import CATALOGUE, START, fill, stored

ENTRIES = stored(150, seed=1)
DAMAGED = Entry("tidegate.managed.route_window.v1", b"k" * 16, b"\xc3\x01" + b"unknown!" + b"what a device said", START)


@pytest.fixture(params=["memory", "embedded"])
async def log(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Log]:
    """Each log there is, with three partitions a topic."""
    log: Log = MemoryLog(partitions=3) if request.param == "memory" else EmbeddedLog(tmp_path / "log", partitions=3)
    yield log
    await log.close()


async def stopped(follower: Follower) -> None:
    """Return once the follower has stopped by itself."""
    async with asyncio.timeout(PATIENCE_SECONDS):
        while follower.status().state is not State.STOPPED:
            await asyncio.sleep(0.01)


def told(caplog: pytest.LogCaptureFixture) -> list[dict[str, Any]]:
    """The fields of every line about the follower's state."""
    return [record.__dict__["fields"] for record in caplog.records if record.msg is Event.FOLLOWER_STATE]


async def test_every_report_is_counted_once(log: Log, tmp_path: Path) -> None:
    """Every report in the log is counted, those that lie there twice as duplicates, and later ones follow."""
    await fill(log, ENTRIES)
    reports = [entry.key for entry in ENTRIES if "control" not in entry.topic]
    async with following(tmp_path / "rollups", log) as follower:
        await drain(follower)
        status = follower.status()
        assert (status.state, status.why, status.lag, status.oldest_waiting) == (State.FOLLOWING, None, 0, None)
        assert (status.applied, status.duplicates) == (len(set(reports)), len(reports) - len(set(reports)))
        assert status.applied_to == max(entry.timestamp for entry in ENTRIES)
        await fill(log, ENTRIES[:10])
        await drain(follower)
        again = sum("control" not in entry.topic for entry in ENTRIES[:10])
        assert follower.status().duplicates == status.duplicates + again


async def test_restarts_and_small_batches_change_nothing(
    log: Log, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A follower that begins anew goes on where the last one ended, and the tables are those of one long life."""
    await fill(log, ENTRIES)
    await follow_to_the_end(tmp_path / "one", log)
    monkeypatch.setattr(batches, "MAX_RECORDS", 20)
    for _ in range(3):
        async with following(tmp_path / "many", log) as follower:
            async with asyncio.timeout(PATIENCE_SECONDS):
                while not follower.status().applied:
                    await asyncio.sleep(0.001)
    await follow_to_the_end(tmp_path / "many", log)
    assert contents(tmp_path / "many") == contents(tmp_path / "one")


async def test_a_backlog_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """While it catches up it says so, and how many entries wait, and since when the oldest of them does."""
    monkeypatch.setattr(batches, "MAX_RECORDS", 10)
    memory = MemoryLog()
    await fill(memory, ENTRIES)
    seen = []
    async with following(tmp_path, memory) as follower:
        apply = follower.rollups.apply

        def watched(*arguments: Any) -> Any:
            seen.append(follower.status())
            return apply(*arguments)

        monkeypatch.setattr(follower.rollups, "apply", watched)
        await drain(follower)
    lags = [status.lag for status in seen[1:]]
    assert lags[0] == len(ENTRIES) - 10
    assert lags == sorted(lags, reverse=True)
    assert {status.state for status in seen} == {State.CATCHING_UP}
    assert {status.caught_up_at for status in seen} == {None}
    assert seen[0].oldest_waiting == min(entry.timestamp for entry in ENTRIES)


async def test_schemas_of_later_policies_are_learnt(tmp_path: Path) -> None:
    """A schema that came into the log after the follower began is looked up before a record under it is parked."""
    memory = MemoryLog()
    async with following(tmp_path, memory) as follower:
        await drain(follower)
        await fill(memory, ENTRIES)
        await drain(follower)
        assert follower.status().parked == 0
        assert follower.status().applied > 0


async def test_a_record_that_cannot_be_read_is_parked(log: Log, tmp_path: Path) -> None:
    """It is noted with its place, reason and length, and nothing of its bytes; everything else is counted."""
    await fill(log, ENTRIES)
    await follow_to_the_end(tmp_path / "without", log)
    await log.append([DAMAGED])
    newest = {one: (await log.read(one, after=-1, limit=1000))[-1] for one in await log.partitions()}
    ((partition, offset),) = [(one, last.offset) for one, last in newest.items() if last.entry == DAMAGED]
    async with following(tmp_path / "with", log) as follower:
        await drain(follower)
        assert follower.status().parked == 1
    with closing(Rollups.open(tmp_path / "with")) as rollups, rollups.cursor() as cursor:
        rows = cursor.execute('SELECT topic, partition, "offset", reason, length FROM parked').fetchall()
    assert rows == [(*partition, offset, "unknown_schema", len(DAMAGED.value))]
    assert contents(tmp_path / "with") | {"parked": []} == contents(tmp_path / "without")
    assert b"a device said" not in (tmp_path / "with" / "rollups.duckdb").read_bytes()


async def test_an_absurd_share_stops(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """Where more than one record in twenty cannot be read it stops, and says why and which command helps."""
    memory = MemoryLog()
    await fill(memory, [DAMAGED] * ABSURD_RECORDS)
    async with following(tmp_path, memory) as follower:
        await stopped(follower)
        status = follower.status()
        assert status.why is Why.TOO_MANY_UNREADABLE
        assert "1000 of the newest 1000 records cannot be read" in status.detail
        assert "tidegate rebuild --data DIR --from-log" in status.detail
        with pytest.raises(FollowerStopped, match="cannot be read"):
            await drain(follower)
    assert told(caplog)[-1]["why"] is Why.TOO_MANY_UNREADABLE


@pytest.mark.parametrize(
    ("history", "absurd"),
    [
        pytest.param([(999, 999)], False, id="too few to tell"),
        pytest.param([(1000, 50)], False, id="exactly one in twenty"),
        pytest.param([(1000, 51)], True, id="one more"),
        pytest.param([(100_000, 0), (1000, 51)], True, id="a long good past does not hide it"),
        pytest.param([(1000, 51), (1000, 0)], False, id="it has passed"),
        pytest.param([(900, 45), (100, 6)], True, id="over two batches"),
        pytest.param([(10, 10), (10_000, 0)], False, id="a few at the start"),
    ],
)
def test_which_share_is_absurd(history: list[tuple[int, int]], absurd: bool) -> None:
    """The share counts among the newest batches that have a thousand records together."""
    readability = Readability()
    for records, parked in history:
        readability.add(records=records, parked=parked)
    assert (readability.absurd is not None) is absurd


async def test_it_waits_for_the_log(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """While the log cannot be read it waits, says so once, and goes on when it can."""
    monkeypatch.setattr(follow, "RETRY_SECONDS", 0.01)
    memory = MemoryLog()
    await fill(memory, ENTRIES)
    async with following(tmp_path, FailingReader(memory, [LogUnavailable("not now")] * 5)) as follower:
        async with asyncio.timeout(PATIENCE_SECONDS):
            while follower.status().why is not Why.LOG_UNAVAILABLE:
                await asyncio.sleep(0)
        assert follower.status().state is State.CATCHING_UP
        assert "not now" in follower.status().detail
        await drain(follower)
        assert follower.status().why is None
    assert [fields.get("why") for fields in told(caplog)] == [Why.LOG_UNAVAILABLE, None]


def cut_head(directory: Path) -> None:
    """Remove all but the newest entry of every partition, as a retention would that nobody waited for."""
    with closing(sqlite3.connect(directory / FILE_NAME)) as file, file:
        file.execute(
            'DELETE FROM entries WHERE ("partition", "offset") NOT IN '
            '(SELECT "partition", max("offset") FROM entries GROUP BY "partition")'
        )


@pytest.mark.parametrize("applied_before", [False, True])
async def test_history_that_is_gone_is_refused(tmp_path: Path, applied_before: bool) -> None:
    """Where the log lacks entries that were not applied yet it stops, says so, and names the command to run."""
    log = EmbeddedLog(tmp_path / "log")
    if applied_before:
        await fill(log, ENTRIES[:50])
        await follow_to_the_end(tmp_path / "rollups", log)
    await fill(log, ENTRIES)
    cut_head(tmp_path / "log")
    async with following(tmp_path / "rollups", log) as follower:
        await stopped(follower)
        assert follower.status().why is Why.HISTORY_GONE
        assert "tidegate gap --data DIR" in follower.status().detail
    await log.close()


async def test_another_log_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A log that ends before what was applied from it is another one, and nothing is taken from it."""
    monkeypatch.setattr(follow, "RETRY_SECONDS", 0.01)
    memory = MemoryLog()
    await fill(memory, ENTRIES)
    await follow_to_the_end(tmp_path, memory)
    before = contents(tmp_path)
    other = MemoryLog()
    await fill(other, ENTRIES[:20])
    async with following(tmp_path, other) as follower:
        await stopped(follower)
        assert follower.status().why is Why.LOG_REPLACED
    assert contents(tmp_path) == before


async def test_a_log_that_seems_shorter_for_a_moment_is_waited_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A log that ends too early when it is looked at for the first time, and then does not, is the same log."""
    monkeypatch.setattr(follow, "RETRY_SECONDS", 0.01)
    memory = MemoryLog()
    await fill(memory, ENTRIES)
    await follow_to_the_end(tmp_path, memory)
    extent, looks = memory.extent, iter(range(follow.LOOKS - 1))

    async def stale(partition: Partition) -> Extent:
        return Extent(0, 0) if next(looks, None) is not None else await extent(partition)

    monkeypatch.setattr(memory, "extent", stale)
    async with following(tmp_path, memory) as follower:
        await drain(follower)
        assert (follower.status().state, follower.status().why) == (State.FOLLOWING, None)


async def test_a_silent_log_is_looked_at_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where all that was not applied is gone from a log that it follows, it stops though nothing more comes."""
    monkeypatch.setattr(follow, "IDLE_SECONDS", 0.01)
    memory, clock = MemoryLog(), clock_at(12)
    await fill(memory, ENTRIES)
    async with following(tmp_path, memory, clock=clock) as follower:
        await drain(follower)
        monkeypatch.setattr(memory, "extent", gone)
        clock.advance(follow.COMPARE_SECONDS)
        await stopped(follower)
        assert follower.status().why is Why.HISTORY_GONE


async def gone(partition: Partition) -> Extent:
    """What a retention leaves that takes away everything, and that which nobody had read."""
    del partition
    return Extent(1_000_000, 1_000_000)


async def test_a_fault_stops(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture) -> None:
    """An error that nobody foresaw stops it, and is logged by its type and place, not by what it says."""
    memory = MemoryLog()
    await fill(memory, ENTRIES)

    def broken(*_: object) -> None:
        raise ZeroDivisionError("what a device said")

    async with following(tmp_path, memory) as follower:
        monkeypatch.setattr(follower.rollups, "apply", broken)
        await stopped(follower)
        assert follower.status().why is Why.FAULT
        assert "a device said" not in follower.status().detail
    line = next(record for record in caplog.records if record.msg is Event.FOLLOWER_STATE)
    assert isinstance(line.__dict__["error"], ZeroDivisionError)


async def test_cancelled_it_waits_for_the_batch(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A run that is cancelled in the middle of a batch ends when the batch is whole, and the next one goes on."""
    memory = MemoryLog()
    await fill(memory, ENTRIES)
    rollups = Rollups.open(tmp_path / "cancelled")
    applying, may_go_on = threading.Event(), threading.Event()
    apply = rollups.apply

    def slow(*arguments: Any) -> Any:
        applying.set()
        may_go_on.wait(PATIENCE_SECONDS)
        return apply(*arguments)

    monkeypatch.setattr(rollups, "apply", slow)
    follower = Follower(memory, rollups, clock=clock_at(12), tiers=lambda: CATALOGUE.tiers)
    running = asyncio.create_task(follower.run())
    await asyncio.to_thread(applying.wait, PATIENCE_SECONDS)
    running.cancel()
    await asyncio.sleep(0)
    assert not running.done()
    may_go_on.set()
    with pytest.raises(asyncio.CancelledError):
        await running
    assert follower.status().state is State.STOPPED
    assert sum(last + 1 for last in rollups.offsets().values()) == len(ENTRIES)
    rollups.close()


async def test_what_is_drained_began_after_the_call(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A clock that is set back does not make anybody believe that what was appended since is applied."""
    memory, clock = MemoryLog(), clock_at(12)
    async with following(tmp_path, memory, clock=clock) as follower:
        await drain(follower)
        monkeypatch.setattr(clock, "now_ms", clock_at(11).now_ms)
        await fill(memory, ENTRIES)
        await drain(follower)
        assert sum(last + 1 for last in follower.rollups.offsets().values()) == len(ENTRIES)


async def test_the_time_of_the_log_is_known_after_a_restart(tmp_path: Path) -> None:
    """A follower that finds nothing new says up to which hour the log was applied before it."""
    memory = MemoryLog()
    await fill(memory, ENTRIES)
    await follow_to_the_end(tmp_path, memory)
    async with following(tmp_path, memory) as follower:
        await drain(follower)
        assert follower.status().applied == 0
        assert follower.status().applied_to == floor_hour(max(entry.timestamp for entry in ENTRIES))


async def test_a_batch_that_takes_long_is_interrupted_at_the_end(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """The end of the follower rolls back a batch that goes on and on, which is no fault; the next one applies it."""
    monkeypatch.setattr(follow, "GRACE_SECONDS", 0.01)
    memory, applying = MemoryLog(), threading.Event()
    await fill(memory, ENTRIES)
    rollups = Rollups.open(tmp_path)
    with monkeypatch.context() as patched:
        patched.setattr(aggregators.rollups.rollups, "_store", endless(applying))
        follower = Follower(memory, rollups, clock=clock_at(12), tiers=lambda: CATALOGUE.tiers)
        running = asyncio.create_task(follower.run())
        await asyncio.to_thread(applying.wait, PATIENCE_SECONDS)
        async with asyncio.timeout(PATIENCE_SECONDS):
            follower.stop()
            await follower.end_work()
            await running
    rollups.close()
    assert told(caplog) == []
    with closing(Rollups.open(tmp_path)) as reopened:
        assert reopened.offsets() == {}
    await follow_to_the_end(tmp_path, memory)


async def test_a_seal_that_takes_long_is_interrupted_at_the_end(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The end of the follower rolls a seal back that goes on and on, and the next follower seals the same rows."""
    monkeypatch.setattr(follow, "GRACE_SECONDS", 0.01)
    memory, sealing_now = MemoryLog(), threading.Event()
    await fill(memory, ENTRIES)
    async with following(tmp_path, memory) as follower:
        await drain(follower)
        with monkeypatch.context() as patched:
            patched.setattr(sealing, "let_go", endless(sealing_now))
            sealed = asyncio.create_task(follower.seal())
            await asyncio.to_thread(sealing_now.wait, PATIENCE_SECONDS)
            async with asyncio.timeout(PATIENCE_SECONDS):
                await follower.end_work()
            with pytest.raises(RollupsInterrupted):
                await sealed
    async with following(tmp_path, memory) as follower:
        await drain(follower)
        seal = await follower.seal()
        assert seal is None or seal.number == 1
    assert numbers(tmp_path / DIRECTORY_NAME) == [1]
