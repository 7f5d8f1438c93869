"""What the follower waits for, or leaves aside: seals that cannot be looked at now, entries that are damaged."""

import asyncio
import errno
import logging
import os
import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from aggregators import fence
from aggregators.following import follow
from aggregators.following.follow import Follower
from aggregators.following.standing import State, Why
from aggregators.repair.gaps import find_gaps
from aggregators.repair.rebuild import rebuild
from aggregators.sealing import seal
from ingest.log import LogDamaged
from ingest.log.embedded import EmbeddedLog
from ingest.log.memory import MemoryLog
from ingest.log.sqlite_file import FILE_NAME
from ingest.telemetry.events import Event
from tests.aggregators.followers import PATIENCE_SECONDS, asked, clock_at, counted, drain, following
from tests.aggregators.following.test_follow import told
from tests.aggregators.stored_reports import CATALOGUE, fill, stored

ENTRIES = stored(150, seed=22)
TOPIC = "tidegate.managed.route_window.v1"


async def until(follower: Follower, why: Why | None) -> None:
    """Return once the follower waits for that."""
    async with asyncio.timeout(PATIENCE_SECONDS):
        while follower.status().why is not why:
            assert follower.status().state is not State.STOPPED, follower.status()
            await asyncio.sleep(0.001)


def failing(call: Callable[..., Any], *, code: int, times: int) -> Callable[..., Any]:
    """`call`, which the system refuses so many times first."""
    left = [times]

    def instead(*arguments: Any, **options: Any) -> Any:
        if left[0]:
            left[0] -= 1
            raise OSError(code, os.strerror(code), "a path")
        return call(*arguments, **options)

    return instead


@pytest.mark.parametrize("code", [errno.EMFILE, errno.EIO, errno.ESTALE])
@pytest.mark.parametrize(
    ("module", "name"),
    [
        pytest.param(fence, "_claimed", id="the claims, at the start and after each batch"),
        pytest.param(seal, "numbers", id="which seals there are"),
        pytest.param(fence, "_take_next", id="the claim"),
    ],
)
async def test_it_waits_for_the_seals(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, module: Any, name: str, code: int
) -> None:
    """A system that does not let it look at the seals is asked again, which is said once, and everything is counted."""
    monkeypatch.setattr(follow, "RETRY_SECONDS", 0.001)
    caplog.set_level(logging.INFO)
    log = MemoryLog()
    await fill(log, ENTRIES)
    monkeypatch.setattr(module, name, failing(getattr(module, name), code=code, times=3))
    async with following(tmp_path, log) as follower:
        await drain(follower)
        assert (follower.status().state, follower.status().why) == (State.FOLLOWING, None)
    assert [fields.get("why") for fields in told(caplog)] == [Why.SEALS_UNAVAILABLE, None]
    assert sum(counted(tmp_path)) == sum("control" not in entry.topic for entry in ENTRIES)


async def test_it_waits_for_the_seals_at_any_time(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """While it follows it says what it waits for and what to do, and goes on by itself."""
    monkeypatch.setattr(follow, "RETRY_SECONDS", 0.001)
    monkeypatch.setattr(follow, "IDLE_SECONDS", 0.001)
    log = MemoryLog()
    async with following(tmp_path, log) as follower:
        await drain(follower)
        with monkeypatch.context() as patched:
            patched.setattr(fence, "_claimed", failing(fence._claimed, code=errno.EMFILE, times=1_000_000))
            await until(follower, Why.SEALS_UNAVAILABLE)
            assert os.strerror(errno.EMFILE) in follower.status().detail
            assert str(tmp_path) not in follower.status().detail
            assert "It tries again every second" in follower.status().detail
        await fill(log, ENTRIES)
        await drain(follower)
        assert follower.status().why is None


async def test_a_failed_seal_is_not_a_fault(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where nothing can be opened any more while a seal is written, that is what is raised."""
    log = MemoryLog()
    await fill(log, ENTRIES)
    async with following(tmp_path, log) as follower:
        await drain(follower)
        with monkeypatch.context() as patched:
            refuse = failing(fence._claimed, code=errno.EMFILE, times=1_000_000)
            patched.setattr(fence, "_claimed", refuse)
            with pytest.raises(seal.SealFailed):
                await follower.seal()
        assert await follower.seal() is not None


def damage(directory: Path, offset: int, *, value: bytes = b"noise") -> None:
    """Put another value into the place of one that is in the log."""
    with closing(sqlite3.connect(directory / FILE_NAME)) as file, file:
        changed = file.execute(
            'UPDATE entries SET value = ? WHERE "offset" = ? AND partition = '
            "(SELECT id FROM partitions WHERE topic = ?)",
            (value, offset, TOPIC),
        )
        assert changed.rowcount == 1


async def test_damage_holds_up_one_partition(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """What lies before a damaged entry and every other partition is applied; nothing is called drained; it is said."""
    monkeypatch.setattr(follow, "RETRY_SECONDS", 0.001)
    caplog.set_level(logging.INFO)
    log = EmbeddedLog(tmp_path / "log")
    await fill(log, ENTRIES[:100])
    damage(tmp_path / "log", 7)
    async with following(tmp_path / "rollups", log) as follower:
        await until(follower, Why.LOG_DAMAGED)
        status = follower.status()
        assert (status.state, status.caught_up_at) == (State.CATCHING_UP, None)
        assert f"offset 7 of partition 0 of {TOPIC} is not what was appended" in status.detail
        assert "tidegate gap" in status.detail
        await fill(log, ENTRIES[100:])
        others = [one for one in await log.partitions() if one.topic not in (TOPIC, "tidegate.schemas")]
        ends = {one: (await log.extent(one)).end - 1 for one in others}
        async with asyncio.timeout(PATIENCE_SECONDS):
            while {one: follower.rollups.offsets().get(one) for one in others} != ends:
                await asyncio.sleep(0.001)
        assert follower.status().caught_up_at is None
        with pytest.raises(TimeoutError):
            await follower.drained(timeout=0.05)
    assert asked(tmp_path / "rollups", f"SELECT last FROM offsets WHERE topic = '{TOPIC}'") == [(6,)]  # noqa: S608
    assert [(fields["state"], fields.get("why")) for fields in told(caplog)] == [(State.CATCHING_UP, Why.LOG_DAMAGED)]
    assert Event.FOLLOWER_STATE in [record.msg for record in caplog.records]
    await log.close()


@pytest.mark.parametrize(
    ("places", "gap"),
    [
        pytest.param([7], (7, 7), id="one entry"),
        pytest.param([7, 8, 9], (7, 9), id="several"),
        pytest.param([-2, -1], (-2, -1), id="the newest"),
    ],
)
async def test_damage_is_accepted_as_a_gap(tmp_path: Path, places: list[int], gap: tuple[int, int]) -> None:
    """A person may go on behind it; everything that is whole is counted, and a rebuild from the log is refused."""
    log = EmbeddedLog(tmp_path / "log")
    await fill(log, ENTRIES)
    (partition,) = [one for one in await log.partitions() if one.topic == TOPIC]
    end = (await log.extent(partition)).end
    for offset in places:
        damage(tmp_path / "log", offset % end)
    rollups = tmp_path / "rollups"
    async with following(rollups, log) as follower:
        await until(follower, Why.LOG_DAMAGED)
    (found,) = await find_gaps(rollups, log, tiers=CATALOGUE.tiers, clock=clock_at(12), accept_why="a test")
    assert (found.partition, found.first, found.last) == (partition, gap[0] % end, gap[1] % end)
    async with following(rollups, log) as follower:
        await drain(follower)
        assert follower.status().why is None
    reports = sum("control" not in entry.topic for entry in ENTRIES)
    assert sum(counted(rollups)) == reports - found.records
    with pytest.raises(LogDamaged):
        await rebuild(rollups, log, chain=(), tiers=CATALOGUE.tiers, progress=lambda _: None)
    await log.close()
