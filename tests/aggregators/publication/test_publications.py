"""When an hour is over, by the log's time and by what was read of it; restarts, and an end while it is published."""

import asyncio
import threading
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, cast

import pytest

from aggregators.following import follow
from aggregators.following.standing import FollowerStatus, State
from aggregators.publication import publish
from aggregators.publication.measures import load_measures
from aggregators.publication.publications import Publications, Rulebook
from aggregators.publication.published import numbers
from aggregators.repair.rebuild import PUBLISHED_NAME
from aggregators.rollups.rollups import RollupsInterrupted
from ingest.clock import ManualClock
from ingest.log.memory import MemoryLog
from schemas.tier import Tier
from tests.aggregators.followers import PATIENCE_SECONDS, clock_at, drain, endless, following
from tests.aggregators.stored_reports import CATALOGUE, fill, stored

if TYPE_CHECKING:
    from aggregators.following.follow import Follower

HOUR = 3_600_000
MINUTE = 60_000
NOON = 1_795_003_200_000 // HOUR * HOUR
SETTLE = 10 * MINUTE


class Standing:
    """A follower of which only the status is asked."""

    def __init__(self, *, applied_to: int | None, caught_up_at: int | None) -> None:
        self._status = FollowerStatus(
            state=State.FOLLOWING,
            why=None,
            detail="",
            lag=0,
            applied_to=applied_to,
            oldest_waiting=None,
            caught_up_at=caught_up_at,
            applied=0,
            duplicates=0,
            parked=0,
        )

    def status(self) -> FollowerStatus:
        return self._status


def no_tiers() -> Mapping[str, Tier]:
    """No policies; they are not asked for here."""
    return {}


@pytest.mark.parametrize(
    ("applied_to", "caught_up_at", "closed_to"),
    [
        pytest.param(NOON + SETTLE, NOON + SETTLE, NOON, id="settled to the millisecond"),
        pytest.param(NOON + SETTLE - 1, NOON + SETTLE, NOON - HOUR, id="a millisecond too early"),
        pytest.param(NOON + SETTLE, NOON + 5 * HOUR, NOON, id="a gate that stands still closes no hour"),
        pytest.param(NOON + 5 * HOUR, NOON + SETTLE, NOON, id="with a backlog, what was read to its end counts"),
        pytest.param(None, NOON, None, id="nothing was applied"),
        pytest.param(NOON, None, None, id="the log was never read to its end"),
    ],
)
def test_hours_that_are_over(applied_to: int | None, caught_up_at: int | None, closed_to: int | None) -> None:
    """An hour is over once the newest record and the newest full reading are both past its end by the settling time."""
    follower = cast("Follower", Standing(applied_to=applied_to, caught_up_at=caught_up_at))
    rulebook = Rulebook(measures={}, tiers=no_tiers, documents=Path("documents"), directory=Path("published"))
    publications = Publications(follower, rulebook, clock=ManualClock(NOON), settle_ms=SETTLE)
    assert publications.closed_to() == closed_to


def publications_of(follower: "Follower", data: Path) -> Publications:
    """Publications of what a real follower has applied."""
    rulebook = Rulebook(
        measures=load_measures(),
        tiers=lambda: CATALOGUE.tiers,
        documents=data / "operator.sqlite3",
        directory=data / PUBLISHED_NAME,
    )
    return Publications(follower, rulebook, clock=clock_at(12), settle_ms=0)


async def test_the_newest_publication_is_known_after_a_restart(tmp_path: Path) -> None:
    """It is told as the process told it that made it, and where nothing has changed it stays the newest."""
    log = MemoryLog()
    await fill(log, stored(60, seed=3))
    async with following(tmp_path, log) as follower:
        await drain(follower)
        made = await publications_of(follower, tmp_path).publish_closed()
        assert made is not None
        assert made.publication.withheld > 0
    async with following(tmp_path, log) as follower:
        publications = publications_of(follower, tmp_path)
        publications.take_up(follower.rollups)
        assert publications.newest == made
        await drain(follower)
        assert await publications.publish_closed() == made


async def test_what_is_over_is_published_after_a_restart(tmp_path: Path) -> None:
    """What was applied and not published is published by the next process, though the log has nothing new."""
    log = MemoryLog()
    await fill(log, stored(60, seed=3))
    async with following(tmp_path, log) as follower:
        await drain(follower)
    async with following(tmp_path, log) as follower:
        await drain(follower)
        made = await publications_of(follower, tmp_path).publish_closed()
        assert made is not None
        assert made.publication.cells + made.publication.withheld > 0


async def test_a_publication_that_takes_long_is_interrupted_at_the_end(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The end of the follower rolls it back, and the next process makes it under the same number."""
    monkeypatch.setattr(follow, "GRACE_SECONDS", 0.01)
    log, publishing = MemoryLog(), threading.Event()
    await fill(log, stored(60, seed=3))
    async with following(tmp_path, log) as follower:
        await drain(follower)
        with monkeypatch.context() as patched:
            patched.setattr(publish, "_note", endless(publishing))
            made = asyncio.create_task(publications_of(follower, tmp_path).publish_closed())
            await asyncio.to_thread(publishing.wait, PATIENCE_SECONDS)
            async with asyncio.timeout(PATIENCE_SECONDS):
                await follower.end_work()
            with pytest.raises(RollupsInterrupted):
                await made
    assert numbers(tmp_path / PUBLISHED_NAME) == []
    async with following(tmp_path, log) as follower:
        await drain(follower)
        again = await publications_of(follower, tmp_path).publish_closed()
        assert again is not None
        assert again.publication.number == 1
