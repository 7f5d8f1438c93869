"""What the follower does about what was raised: what passes by itself is waited for, anything else stops it."""

from collections.abc import Mapping
from math import inf
from typing import NamedTuple

from aggregators.fence import Fenced
from aggregators.following.batches import HistoryGone, LogReplaced
from aggregators.following.standing import State, Why
from aggregators.rollups.rollups import (
    RollupsDamaged,
    RollupsFull,
    RollupsInUse,
    RollupsOutOfReach,
    RollupsUntrusted,
)
from aggregators.sealing.seal import RollupsBehindSeals, SealFailed
from ingest.clock import Clock
from ingest.log import LogDamaged, LogUnavailable


class TooManyUnreadable(Exception):
    """The share of records that cannot be read is absurd."""


class Waiting(NamedTuple):
    """How the follower stands while it waits."""

    state: State
    why: Why


WAITS: Mapping[type[Exception], Waiting] = {
    LogDamaged: Waiting(State.CATCHING_UP, Why.LOG_DAMAGED),
    LogUnavailable: Waiting(State.CATCHING_UP, Why.LOG_UNAVAILABLE),
    SealFailed: Waiting(State.CATCHING_UP, Why.SEALS_UNAVAILABLE),
    RollupsFull: Waiting(State.STORAGE_FULL, Why.NO_SPACE),
    RollupsOutOfReach: Waiting(State.CATCHING_UP, Why.ROLLUPS_UNAVAILABLE),
    RollupsUntrusted: Waiting(State.CATCHING_UP, Why.ROLLUPS_UNAVAILABLE),
}
"""What passes; the first that an exception is one of."""

OF_THE_ROLLUPS = (RollupsFull, RollupsOutOfReach, RollupsUntrusted)
"""After these the file is opened again, or made anew: twice as long is waited each time, for both take a while."""

OF_MAKING_ANEW = (*OF_THE_ROLLUPS, SealFailed)

CALM_SECONDS = 3600.0
"""A disk that fails now and then lets many a pass go well. So long without a failure, and it counts as well again."""

STOPS: Mapping[type[Exception], Why] = {
    HistoryGone: Why.HISTORY_GONE,
    LogReplaced: Why.LOG_REPLACED,
    TooManyUnreadable: Why.TOO_MANY_UNREADABLE,
    RollupsDamaged: Why.ROLLUPS_DAMAGED,
    RollupsInUse: Why.ROLLUPS_IN_USE,
    RollupsBehindSeals: Why.ROLLUPS_BEHIND_SEALS,
    Fenced: Why.FENCED,
}
"""What stops the follower, and why; every exception that is not here and not waited for is a fault of ours."""


def waited_for(error: Exception) -> Waiting | None:
    """How the follower stands while this passes; None where it does not."""
    return next((waiting for kind, waiting in WAITS.items() if isinstance(error, kind)), None)


class Patience:
    """How long the follower waits after each failure, in seconds; belongs to its event loop.

    `first`, and where the rollups have to be opened again or made anew twice as long each time, up to `longest`.
    """

    def __init__(self, clock: Clock, *, first: float, longest: float) -> None:
        self._clock = clock
        self._first, self._longest = first, longest
        self._opening = self._making_anew = first
        self._failed_at = -inf

    def after(self, error: Exception) -> float:
        """While the rollups may be gone on with once they are opened again."""
        if not isinstance(error, OF_THE_ROLLUPS):
            return self._first
        seconds, self._opening = self._opening, min(2 * self._opening, self._longest)
        return seconds

    def before_making_anew(self, error: Exception) -> float:
        """While they are not to be trusted. What keeps the log from being looked at costs little, and is looked for."""
        if not isinstance(error, OF_MAKING_ANEW):
            return self._first
        self._failed_at = self._clock.monotonic()
        seconds, self._making_anew = self._making_anew, min(2 * self._making_anew, self._longest)
        return seconds

    def all_is_well(self) -> None:
        """A pass went well."""
        self._opening = self._first
        if self._clock.monotonic() - self._failed_at >= CALM_SECONDS:
            self._making_anew = self._first
