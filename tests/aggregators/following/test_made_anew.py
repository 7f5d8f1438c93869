"""Rollups whose disk has failed, from when that is known until they are whole again: who may work on them, and when."""

import asyncio
import logging
import os
import threading
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from aggregators.database import FILE_NAME, is_doubted
from aggregators.fence import Fence
from aggregators.following import follow
from aggregators.following.failures import CALM_SECONDS, Patience
from aggregators.following.follow import Follower
from aggregators.following.standing import State, Why
from aggregators.publication.published import numbers
from aggregators.repair import rebuild
from aggregators.repair.rebuild import PUBLISHED_NAME, open_or_rebuild
from aggregators.rollups.rollups import Rollups, RollupsFull, RollupsOutOfReach, RollupsUntrusted
from aggregators.sealing.seal import SealFailed
from aggregators.sealing.seal_files import DIRECTORY_NAME as SEALS
from ingest.log import LogUnavailable
from ingest.log.memory import MemoryLog
from ingest.report import Partition
from ingest.telemetry.events import Event
from tests.aggregators.followers import (
    PATIENCE_SECONDS,
    FailingReader,
    apply_everything,
    clock_at,
    contents,
    drain,
    endless,
    follow_to_the_end,
    following,
)
from tests.aggregators.following.test_failing_disk import fails_once
from tests.aggregators.following.test_follow import stopped
from tests.aggregators.following.test_follower_waits import until
from tests.aggregators.publication.test_publications import publications_of
from tests.aggregators.stored_reports import CATALOGUE, fill, stored

ENTRIES = stored(120, seed=51, hours=0)
"""Of one hour, after which nothing is sealed that is not told to be."""


class Reader(FailingReader):
    """A reader that can be told not to read entries, or not even to look where partitions end."""

    def __init__(self, log: MemoryLog) -> None:
        super().__init__(log, [])
        self.log = log
        self.reads = self.looks = True
        self.begins = 0

    async def read(self, partition: Partition, *, after: int, limit: int) -> Any:
        if not self.reads:
            raise LogUnavailable("a made-up outage")
        return await super().read(partition, after=after, limit=limit)

    async def extent(self, partition: Partition) -> Any:
        if not self.looks:
            raise LogUnavailable("a made-up outage")
        extent = await super().extent(partition)
        return extent._replace(first=min(extent.first + self.begins, extent.end))


@pytest.fixture
async def reader(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Reader:
    """Of a log of which a half is in `tmp_path` and sealed; the follower waits for no seconds."""
    monkeypatch.setattr(follow, "RETRY_SECONDS", 0.001)
    log = MemoryLog()
    await fill(log, ENTRIES[:60])
    async with following(tmp_path, log) as follower:
        await drain(follower)
        assert await follower.seal()
    await fill(log, ENTRIES[60:])
    return Reader(log)


def failing(_: Rollups) -> None:
    """What meets a disk that has failed."""
    raise RollupsUntrusted("a made-up failure")


async def fail(follower: Follower) -> None:
    """The disk under the rollups fails."""
    with pytest.raises(RollupsUntrusted):
        await follower.between_batches(failing)


async def said(caplog: pytest.LogCaptureFixture, event: Event) -> None:
    """Return once that is in the log."""
    async with asyncio.timeout(PATIENCE_SECONDS):
        while event not in [record.msg for record in caplog.records]:
            await asyncio.sleep(0.001)


async def test_nothing_is_published_before_they_are_whole(
    tmp_path: Path, reader: Reader, caplog: pytest.LogCaptureFixture
) -> None:
    """While the log cannot be read on from the seal no hour is over, nor is one published that somebody asks for."""
    caplog.set_level(logging.INFO)
    async with following(tmp_path, reader) as follower:
        publications = publications_of(follower, tmp_path)
        await drain(follower)
        whole = contents_of(follower.rollups)
        reader.reads = False
        await fail(follower)
        await said(caplog, Event.ROLLUPS_MADE_ANEW)
        await until(follower, Why.LOG_UNAVAILABLE)
        assert contents_of(follower.rollups) < whole
        assert publications.closed_to() is None
        assert await publications.publish_closed() is None
        with pytest.raises(RollupsOutOfReach):
            await publications.publish_everything(complete_to=clock_at(12).now_ms())
        assert numbers(tmp_path / PUBLISHED_NAME) == []
        reader.reads = True
        await drain(follower)
        assert contents_of(follower.rollups) == whole
        assert await publications.publish_closed() is not None


def contents_of(rollups: Rollups) -> int:
    """How many reports are in the tables."""
    with rollups.cursor() as cursor:
        ((reports,),) = cursor.execute("SELECT sum(accepted + duplicates)::BIGINT FROM receipts").fetchall()
    return int(reports)


@pytest.mark.parametrize(
    "waits",
    [pytest.param(True, id="whoever met it waits for it"), pytest.param(False, id="who met it was cancelled")],
)
async def test_nobody_works_on_them(tmp_path: Path, reader: Reader, waits: bool) -> None:
    """From the failure on, in the queue behind it or later, nothing is done to the file that nobody trusts."""
    worked: list[Rollups] = []
    async with following(tmp_path, reader) as follower:
        await drain(follower)
        reader.looks = False
        met = asyncio.create_task(follower.between_batches(failing))
        queued = asyncio.create_task(follower.between_batches(worked.append))
        await asyncio.sleep(0)
        if not waits:
            met.cancel()
        for task in (met, queued):
            with pytest.raises((RollupsUntrusted, asyncio.CancelledError) if task is met else RollupsUntrusted):
                await task
        await until(follower, Why.LOG_UNAVAILABLE)
        with pytest.raises(RollupsUntrusted):
            await publications_of(follower, tmp_path).publish_everything(complete_to=0)
        with pytest.raises(RollupsUntrusted):
            await follower.seal()
        assert worked == []
        reader.looks = True
        await drain(follower)
        await follower.between_batches(worked.append)
        assert len(worked) == 1
    assert await equals_whole(tmp_path, reader)


async def equals_whole(directory: Path, reader: Reader) -> bool:
    """Whether the rollups are those of a follower whose disk never failed."""
    await apply_everything(directory / "whole", reader)
    return contents(directory) == contents(directory / "whole")


async def failed_and_stopped(directory: Path, reader: Reader) -> int:
    """A process that was told to stop between the failure and making anew; gives the number of the file."""
    async with following(directory, reader) as follower:
        await drain(follower)
        reader.looks = False
        await fail(follower)
    reader.looks = True
    return (directory / FILE_NAME).stat().st_ino


async def test_the_next_process_does_not_trust_them_either(tmp_path: Path, reader: Reader) -> None:
    """What was known of the file when a process ended is known to the next one, which makes it anew."""
    file = tmp_path / FILE_NAME
    before = await failed_and_stopped(tmp_path, reader)
    assert is_doubted(file)
    open_or_rebuild(tmp_path, tiers=CATALOGUE.tiers).close()
    await follow_to_the_end(tmp_path, reader)
    assert not is_doubted(file)
    assert file.stat().st_ino != before
    assert await equals_whole(tmp_path, reader)


async def test_the_next_process_looks_at_the_log_first(tmp_path: Path, reader: Reader) -> None:
    """Where the log does not reach back to the seal, the file and what is known of it stay as they are."""
    before = await failed_and_stopped(tmp_path, reader)
    reader.begins = 1_000
    async with following(tmp_path, reader) as follower:
        await stopped(follower)
        assert follower.status().why is Why.ROLLUPS_DAMAGED
    assert (tmp_path / FILE_NAME).stat().st_ino == before
    assert is_doubted(tmp_path / FILE_NAME)


async def test_a_stop_reaches_it(tmp_path: Path, reader: Reader, monkeypatch: pytest.MonkeyPatch) -> None:
    """What takes long while they are made anew is interrupted by the end of the process; the next start makes them."""
    monkeypatch.setattr(follow, "GRACE_SECONDS", 0.01)
    begun = threading.Event()
    async with following(tmp_path, reader) as follower:
        await drain(follower)
        with monkeypatch.context() as patched:
            patched.setattr(rebuild, "_load_rows", endless(begun))
            await fail(follower)
            await asyncio.to_thread(begun.wait, PATIENCE_SECONDS)
            follower.stop()
            async with asyncio.timeout(PATIENCE_SECONDS):
                await follower.end_work()
    assert not (tmp_path / FILE_NAME).exists()
    open_or_rebuild(tmp_path, tiers=CATALOGUE.tiers).close()
    assert {one.name for one in tmp_path.iterdir()} >= {FILE_NAME, SEALS}
    assert not is_doubted(tmp_path / FILE_NAME)
    await follow_to_the_end(tmp_path, reader)
    assert await equals_whole(tmp_path, reader)


async def test_one_that_was_overtaken_makes_nothing(tmp_path: Path, reader: Reader) -> None:
    """A follower whose seals another one has taken over stops, and leaves its file where it is."""
    async with following(tmp_path, reader) as follower:
        await drain(follower)
        before = (tmp_path / FILE_NAME).stat().st_ino
        reader.looks = False
        await fail(follower)
        await until(follower, Why.LOG_UNAVAILABLE)
        Fence.claim(tmp_path / SEALS)
        reader.looks = True
        await stopped(follower)
        assert follower.status().why is Why.FENCED
    assert (tmp_path / FILE_NAME).stat().st_ino == before


async def test_what_is_applied_again_is_not_counted_again(tmp_path: Path, reader: Reader) -> None:
    """The counts of a process are those of one whose disk never failed, whatever is sealed in between."""
    async with following(tmp_path / "whole", reader) as follower:
        await drain(follower)
        status = follower.status()
        expected = (status.applied, status.duplicates, status.parked)
    assert all(expected[:2])
    directory = tmp_path / "failing"
    async with following(directory, reader) as follower:
        await drain(follower)
        for seals in (False, False, True):
            if seals:
                await follower.seal()
            await fail(follower)
            await drain(follower)
            status = follower.status()
            assert (status.applied, status.duplicates, status.parked) == expected
        await fill(reader.log, ENTRIES[:10])
        await drain(follower)
        again = sum("control" not in entry.topic for entry in ENTRIES[:10])
        assert follower.status().duplicates == expected[1] + again


FULL, UNTRUSTED, NO_SEALS, NO_LOG = RollupsFull(), RollupsUntrusted(), SealFailed(), LogUnavailable()


@pytest.mark.parametrize(
    ("errors", "waits"),
    [
        pytest.param([UNTRUSTED] * 6, [1, 2, 4, 8, 10, 10], id="twice as long each time, up to a bound"),
        pytest.param([UNTRUSTED, NO_SEALS, FULL, UNTRUSTED], [1, 2, 4, 8], id="whatever is in the way of it"),
        pytest.param([UNTRUSTED, NO_LOG, NO_LOG, UNTRUSTED], [1, 1, 1, 2], id="the log is asked every second"),
        pytest.param([UNTRUSTED, 5, UNTRUSTED, 5, UNTRUSTED], [1, 2, 4], id="a good pass now and then is not enough"),
        pytest.param([UNTRUSTED, UNTRUSTED, CALM_SECONDS, UNTRUSTED], [1, 2, 1], id="an hour of them is"),
    ],
)
def test_how_long_it_waits_before_it_makes_them_anew(errors: Sequence[Any], waits: Sequence[float]) -> None:
    """Numbers stand for seconds that pass until a pass goes well."""
    clock = clock_at(0)
    patience = Patience(clock, first=1, longest=10)
    waited = []
    for error in errors:
        if isinstance(error, Exception):
            waited.append(patience.before_making_anew(error))
        else:
            clock.advance(error)
            patience.all_is_well()
    assert waited == waits


async def test_it_waits_longer_each_time(tmp_path: Path, reader: Reader, monkeypatch: pytest.MonkeyPatch) -> None:
    """Seals that cannot be read while they are made anew, for which little is waited at other times, included."""
    waited: list[float] = []

    async def pause(_: Follower, seconds: float) -> None:
        waited.append(seconds)
        await asyncio.sleep(0)

    load = rebuild.load_seals
    for _ in range(3):
        load = fails_once(load, OSError(24, os.strerror(24)))
    async with following(tmp_path, reader) as follower:
        await drain(follower)
        monkeypatch.setattr(rebuild, "load_seals", load)
        monkeypatch.setattr(Follower, "_pause", pause)
        await fail(follower)
        async with asyncio.timeout(PATIENCE_SECONDS):
            while is_doubted(tmp_path / FILE_NAME) or follower.status().state is not State.FOLLOWING:
                await asyncio.sleep(0.001)
    first = waited.index(0.002)
    assert waited[first - 1 : first + 3] == [0.001, 0.002, 0.004, 0.008]
