"""When an hour is over, by the log's time and by what was read of it."""

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, cast

import pytest

from aggregators.publications import Publications, Rulebook
from aggregators.standing import FollowerStatus, State
from ingest.clock import ManualClock
from schemas.tier import Tier

if TYPE_CHECKING:
    from aggregators.follow import Follower

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
