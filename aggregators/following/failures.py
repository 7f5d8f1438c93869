"""What the follower does about what was raised: what passes by itself is waited for, anything else stops it."""

from collections.abc import Mapping
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
