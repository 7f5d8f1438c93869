"""Appends of a process that stood still until they were late, and whose entries were stored meanwhile."""

import asyncio
import threading
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor

import pytest

from ingest.log import InDoubt, LogUnavailable, group_commit
from ingest.log.group_commit import AppendLimits, GroupCommit, Positions
from ingest.report import Entry, Partition, Position
from tests.ingest.leaping_clock import leaping_clock
from tests.ingest.log.kafka.append_bench import TOPIC, entry

LIMITS = AppendLimits(seconds=20)
PATIENCE_SECONDS = 30
LONG_LOOK = 20.0
"""For who must not be overtaken by the end of the last look, however slow the machine."""

STORED = [Position(Partition(TOPIC, 0), 7)]


async def test_a_commit_that_ended_meanwhile_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    """A commit that ended while the process stood still is told, though the deadline is noticed first."""
    monkeypatch.setattr(group_commit, "LAST_LOOK_SECONDS", LONG_LOOK)
    begun = threading.Event()

    def write(calls: Sequence[Sequence[Entry]]) -> Sequence[Positions]:
        begun.set()
        return [STORED for _ in calls]

    clock = leaping_clock(monkeypatch)
    with ThreadPoolExecutor(1) as executor:
        commits = GroupCommit(write, executor=executor, limits=LIMITS)
        call = asyncio.create_task(commits.append([entry(b"key")]))
        while not begun.is_set():
            await asyncio.sleep(0)
        executor.submit(int).result(
            PATIENCE_SECONDS
        )  # behind the commit: it has ended, and nobody here has heard of it
        clock.leap(LIMITS.seconds + 1)
        assert await call == STORED
        await commits.drain()


async def test_a_commit_that_goes_on_is_in_doubt(monkeypatch: pytest.MonkeyPatch) -> None:
    """A commit that has not ended when the process goes on is in doubt, and what waits behind it is refused."""
    begun, may_end = threading.Event(), threading.Event()

    def write(calls: Sequence[Sequence[Entry]]) -> Sequence[Positions]:
        begun.set()
        assert may_end.wait(PATIENCE_SECONDS)
        return [STORED for _ in calls]

    clock = leaping_clock(monkeypatch)
    with ThreadPoolExecutor(1) as executor:
        commits = GroupCommit(write, executor=executor, limits=LIMITS)
        try:
            call = asyncio.create_task(commits.append([entry(b"key")]))
            while not begun.is_set():
                await asyncio.sleep(0)
            behind = asyncio.create_task(commits.append([entry(b"behind")]))
            await asyncio.sleep(0)
            clock.leap(LIMITS.seconds + 1)
            with pytest.raises(InDoubt):
                await call
            with pytest.raises(LogUnavailable):
                await behind
        finally:
            may_end.set()
        await commits.drain()
