"""How the follower stands: what it says of itself, and why when it does not go on."""

from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum

from aggregators.rollups.rollups import Applied
from ingest.report import Partition

ABSURD_SHARE = 0.05
ABSURD_RECORDS = 1_000
"""Stop when more than this share of at least this many of the newest records cannot be read. Single records that cannot
be read are damage; one in twenty is a release that does not know what the gates write."""


class State(Enum):
    """What the follower does."""

    CATCHING_UP = "catching_up"
    """It reads what had been appended before it began, or waits for the log, the seals or the rollups."""
    FOLLOWING = "following"
    """All that was in the log when it last looked is in the rollups."""
    STORAGE_FULL = "storage_full"
    """The rollups find no space; it tries again by itself."""
    STOPPED = "stopped"
    """It does not go on before a person has acted, or was told to stop."""


class Why(Enum):
    """Why the follower waits or has stopped: a closed list, each with what to do."""

    LOG_UNAVAILABLE = "log_unavailable"
    LOG_DAMAGED = "log_damaged"
    SEALS_UNAVAILABLE = "seals_unavailable"
    ROLLUPS_UNAVAILABLE = "rollups_unavailable"
    NO_SPACE = "no_space"
    HISTORY_GONE = "history_gone"
    LOG_REPLACED = "log_replaced"
    TOO_MANY_UNREADABLE = "too_many_unreadable"
    ROLLUPS_DAMAGED = "rollups_damaged"
    ROLLUPS_IN_USE = "rollups_in_use"
    ROLLUPS_BEHIND_SEALS = "rollups_behind_seals"
    FENCED = "fenced"
    FAULT = "fault"


WHAT_TO_DO: dict[Why, str] = {
    Why.LOG_UNAVAILABLE: "It tries again every second; see whether brokers answer, or the system's log for the disk.",
    Why.LOG_DAMAGED: (
        "What else can be read is applied meanwhile, and what is there is not published as complete. Restore the log "
        "from its backup. If that cannot be, stop, and let `tidegate gap --data DIR` show what is lost; with --accept "
        "WHY the rollups go on behind it, and answers say so."
    ),
    Why.SEALS_UNAVAILABLE: (
        "It tries again every second, and nothing is lost or counted twice; see whether the directory of the seals is "
        "there and may be read and written, and how many files are open."
    ),
    Why.ROLLUPS_UNAVAILABLE: (
        "It goes on by itself, and nothing is lost or counted twice; see how many files are open, and the system's log "
        "for the disk. Where that has failed the rollups are made anew from seals and log."
    ),
    Why.NO_SPACE: "Free space under the rollups. It goes on by itself, and nothing is counted twice.",
    Why.HISTORY_GONE: (
        "Restore the log from its backup. If that cannot be, stop, and let `tidegate gap --data DIR` show what is "
        "lost; with --accept WHY the rollups go on behind it, and answers say so."
    ),
    Why.LOG_REPLACED: (
        "Restore the newer log, or run `tidegate rebuild --data DIR --from-log` to count what is in this one and "
        "nothing else."
    ),
    Why.TOO_MANY_UNREADABLE: (
        "They are still in the log. Look at them with `tidegate log tail --data DIR`, start the tidegate that knows "
        "their schemas, and run `tidegate rebuild --data DIR --from-log` to have them counted."
    ),
    Why.ROLLUPS_DAMAGED: "Stop, run `tidegate rebuild --data DIR`, and start again.",
    Why.ROLLUPS_IN_USE: "Stop the other process, and start again.",
    Why.ROLLUPS_BEHIND_SEALS: "These are an older copy. Stop, run `tidegate rebuild --data DIR`, and start again.",
    Why.FENCED: (
        "Nothing is lost, for the other one reads the same log. Let one of both run: to have it be this one, stop the "
        "other and start this one again."
    ),
    Why.FAULT: "A fault of ours: report the log line follower_state, which says where, and start again.",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class FollowerStatus:
    """Times are milliseconds since the epoch, UTC; counts are since the start.

    lag: about how many entries were not applied yet when it last counted. applied_to: the greatest time of a record
    that was applied. oldest_waiting: the least time of a record that is being applied; None when drained. caught_up_at:
    the beginning of the newest pass that found every partition drained: all that had been appended by then is in.
    """

    state: State
    why: Why | None
    detail: str
    lag: int
    applied_to: int | None
    oldest_waiting: int | None
    caught_up_at: int | None
    applied: int
    duplicates: int
    parked: int


class Readability:
    """The share of the newest records that could not be read, since the start."""

    def __init__(self) -> None:
        self._batches = deque[tuple[int, int]]()
        self._records = 0
        self._parked = 0

    def add(self, *, records: int, parked: int) -> None:
        """Count a batch, and let go of those that are not needed to have enough of the newest."""
        self._batches.append((records, parked))
        self._records += records
        self._parked += parked
        while self._records - self._batches[0][0] >= ABSURD_RECORDS:
            gone_records, gone_parked = self._batches.popleft()
            self._records -= gone_records
            self._parked -= gone_parked

    @property
    def absurd(self) -> str | None:
        """What is wrong, in words; None while the share can be borne or nobody can tell yet."""
        if self._records < ABSURD_RECORDS or self._parked <= ABSURD_SHARE * self._records:
            return None
        return f"{self._parked} of the newest {self._records} records cannot be read"


class Told:
    """What was counted since the newest seal, so that rollups which are made anew of it count nothing twice."""

    def __init__(self) -> None:
        self._batches: list[tuple[Mapping[Partition, int], Applied]] = []
        self._again = Applied()

    def news(self, ends: Mapping[Partition, int], applied: Applied) -> Applied:
        """What of a batch was not counted before; `ends` are the last offsets in it."""
        self._batches.append((ends, applied))
        news = applied.without(self._again)
        self._again = self._again.without(applied)
        return news

    def sealed(self) -> None:
        """All of it is in a seal now."""
        self._batches.clear()

    def made_anew(self, ends: Mapping[Partition, int]) -> None:
        """What lies behind the offsets of a seal will be applied once more; no batch lies on both sides of it."""
        for last, applied in self._batches:
            if any(offset > ends.get(partition, -1) for partition, offset in last.items()):
                self._again += applied
        self._batches.clear()


BEGINNING = FollowerStatus(
    state=State.CATCHING_UP,
    why=None,
    detail="",
    lag=0,
    applied_to=None,
    oldest_waiting=None,
    caught_up_at=None,
    applied=0,
    duplicates=0,
    parked=0,
)
