"""When the next request may go: a state machine over a monotonic clock and a random generator, both handed in.

    closed --four failures in a row--> open --its time has come--> half open --one small batch--> closed, or open again

* After a failure: a random time up to a ceiling that doubles from 5 seconds to 15 minutes, and no less than the gate
  asked for.
* After a refusal that a person has to mend: from a minute up to an hour.
* With more to send: a batch every few seconds, so that thirty days offline come back at a polite rate.
* After there was nothing to send: it is looked again in a minute, and what is found then waits for up to a minute more,
  so that a fleet whose windows end together does not come together.
"""

from collections.abc import Callable
from random import Random

FIRST_SECONDS = 5.0
LONGEST_SECONDS = 900.0
FAILURES_TO_OPEN = 4

FIRST_PAUSE_SECONDS = 60.0
LONGEST_PAUSE_SECONDS = 3_600.0

BETWEEN_SECONDS = (2.0, 5.0)
SPREAD_SECONDS = 60.0
IDLE_SECONDS = 60.0
"""How long until the queue is looked at again: another process may have put something in."""

MOST_REPORTS = 1_000
FEW_REPORTS = 8
"""What is sent to find out whether the gate is back."""

AT_LEAST_SECONDS = 1.0
BEYOND = 0.25
"""By how much of what the gate asked for a device may come later: never earlier, and not with all others."""


class Pace:
    """`monotonic` gives seconds; `random` decides about every delay."""

    def __init__(self, monotonic: Callable[[], float], random: Random) -> None:
        self._monotonic = monotonic
        self._random = random
        self._failures = 0
        self._pauses = 0
        self._not_before = monotonic()
        self._asked_until = self._not_before
        self._idle = True
        self.limit = MOST_REPORTS
        """How many reports may go together while all is well."""

    @property
    def circuit(self) -> str:
        """closed, open or half_open."""
        if self._failures < FAILURES_TO_OPEN and not self._pauses:
            return "closed"
        return "open" if self.seconds() > 0 else "half_open"

    @property
    def most_reports(self) -> int:
        """How many reports the next batch may have."""
        return self.limit if self.circuit == "closed" else min(self.limit, FEW_REPORTS)

    def seconds(self) -> float:
        """Until the next request may go; 0 when it may."""
        return max(self._not_before - self._monotonic(), 0.0)

    def found(self) -> None:
        """There is something to send. The first time after nothing was, it waits its turn."""
        if self._idle:
            self._idle = False
            self._wait(self._random.uniform(0, SPREAD_SECONDS))

    def found_nothing(self) -> None:
        """There is nothing to send."""
        self._idle = True
        self._wait(IDLE_SECONDS)

    def answered(self) -> None:
        """The gate took what was sent, in whole or in part."""
        self._failures = self._pauses = 0
        self.limit = min(self.limit * 2, MOST_REPORTS)
        self._wait(self._random.uniform(*BETWEEN_SECONDS))

    def failed(self, retry_after: float | None = None) -> None:
        """There was no answer, or one that says to try again; `retry_after` are the seconds that it named."""
        ceiling = min(FIRST_SECONDS * 2.0 ** min(self._failures, 20), LONGEST_SECONDS)
        self._wait(max(self._random.uniform(0, ceiling), AT_LEAST_SECONDS))
        if retry_after is not None:
            self.asked(retry_after)
        self._failures += 1

    def refused(self) -> None:
        """A person has to change something before it makes sense to go on."""
        self._wait(min(FIRST_PAUSE_SECONDS * 2.0 ** min(self._pauses, 20), LONGEST_PAUSE_SECONDS))
        self._not_before += self._random.uniform(0, BEYOND) * self.seconds()
        self._pauses += 1

    def too_many(self, sent: int) -> None:
        """A batch of so many reports was too large."""
        self.limit = max(min(self.limit, sent) // 2, 1)
        self._wait(self._random.uniform(*BETWEEN_SECONDS))

    def at_most(self, reports: int) -> None:
        """The process before this one had come down to batches of so many."""
        self.limit = max(min(self.limit, reports), 1)

    def asked(self, seconds: float) -> None:
        """The gate wants to hear nothing for so long; a longer delay of our own stays."""
        later = seconds * (1 + self._random.uniform(0, BEYOND)) + self._random.uniform(0, AT_LEAST_SECONDS)
        self._asked_until = self._monotonic() + later
        self._not_before = max(self._not_before, self._asked_until)

    @property
    def asked_seconds(self) -> float:
        """How long the gate still wants to hear nothing."""
        return max(self._asked_until - self._monotonic(), 0.0)

    def hurry(self) -> None:
        """Somebody waits for what there is: no delay of our own holds any more, only what the gate asked for."""
        self._idle = False
        self._not_before = self._asked_until

    def restart(self) -> None:
        """The settings are others: what was learned of the gate before means nothing."""
        self._failures = self._pauses = 0
        self.limit = MOST_REPORTS
        self._not_before = self._asked_until = self._monotonic()

    def _wait(self, seconds: float) -> None:
        self._not_before = self._monotonic() + seconds
