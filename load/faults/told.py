"""What the clients were told of each report: the only thing that the product is held to.

A try ends in one of three ways. *ok*: a 202 that does not name the report as refused. *refused*: an answer that says
so. *in doubt*: a 503 that says so, or no answer, and perhaps the report arrived; a bare timeout is in doubt.
"""

import time
from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from enum import Enum
from typing import NamedTuple

from load.faults.made import Made

IN_DOUBT = "in_doubt"
ACCEPTED = "accepted"


class Heard(NamedTuple):
    """What was told of some reports of one request, and when: seconds of the clock that never goes back.

    `outcome` is `accepted`, `in_doubt` or the reason of a refusal.
    """

    sent: float
    heard: float
    tier: str
    outcome: str
    reports: int


class Standing(Enum):
    """What has to hold of a report, after all that its sender was told."""

    ACCEPTED = "accepted"
    DOUBTFUL = "doubtful"
    REFUSED = "refused"


@dataclass(slots=True)
class Tries:
    """What became of every try to post one report."""

    made: Made
    accepted: int = 0
    doubtful: int = 0
    reasons: Counter[str] = field(default_factory=Counter)
    discarded: Counter[str] = field(default_factory=Counter)
    """Of the reasons those that a 202 gave for this report alone."""

    @property
    def standing(self) -> Standing:
        if self.accepted:
            return Standing.ACCEPTED
        return Standing.DOUBTFUL if self.doubtful else Standing.REFUSED


@dataclass(slots=True)
class Told:
    """All reports that were ever posted to one data directory.

    `unanswered` counts requests that outlived their deadline; `permitted` are the reasons for which reports may be
    refused now although nothing is wrong with them, as while the gate's clock is wrong.
    """

    reports: dict[bytes, Tries] = field(default_factory=dict)
    unanswered: int = 0
    requests: Counter[str] = field(default_factory=Counter)
    permitted: frozenset[str] = frozenset()
    faults: list[str] = field(default_factory=list)
    """Answers that no gate may give: a sentence each, without anything that was sent."""

    heard: list[Heard] = field(default_factory=list)
    """What was told in this round."""

    def ok(self, posted: Sequence[Made], *, sent: float = 0.0) -> None:
        self.requests["ok"] += 1
        self._hear(posted, ACCEPTED, sent)
        for made in posted:
            self._of(made).accepted += 1
            if made.refused is not None:
                self.faults.append(f"a report was accepted that has to be refused with {made.refused}")

    def discarded(self, made: Made, reason: str, *, sent: float = 0.0) -> None:
        """A 202 says that the report will never be taken."""
        self.refused([made], reason)
        self._of(made).discarded[reason] += 1
        self._hear([made], reason, sent)
        if reason != made.refused and reason not in self.permitted:
            self.faults.append(f"a report was refused with {reason}, and not with {made.refused}")

    def refused(self, posted: Sequence[Made], reason: str) -> None:
        self.requests[reason] += 1
        for made in posted:
            self._of(made).reasons[reason] += 1

    def in_doubt(self, posted: Sequence[Made], *, sent: float = 0.0) -> None:
        self.requests[IN_DOUBT] += 1
        self._hear(posted, IN_DOUBT, sent)
        for made in posted:
            self._of(made).doubtful += 1

    def enter(self, posted: Sequence[Made], status: int, *, reason: str, sent: float = 0.0) -> None:
        """What a stopping gate said to a body half received: 202, or 503 with a reason, or it closed (0)."""
        match status, reason:
            case 202, _:
                self.ok(posted, sent=sent)
            case (0, _) | (503, "in_doubt"):
                self.in_doubt(posted, sent=sent)
            case 503, _ if reason:
                self.refused(posted, reason)
            case _:
                self.in_doubt(posted, sent=sent)
                self.faults.append(f"a body half received was answered with {status} while the gate stopped")

    def standing(self, standing: Standing) -> Iterator[Tries]:
        """The reports that stand so."""
        return (tries for tries in self.reports.values() if tries.standing is standing)

    def summary(self) -> dict[str, int]:
        """How many reports stand how, for people."""
        found: dict[str, int] = defaultdict(int)
        for tries in self.reports.values():
            found[tries.standing.value] += 1
        return dict(found)

    def acknowledged(self, *, after: float, before: float) -> int:
        """How many reports of this round got a 202 that were sent and answered in between."""
        return sum(
            one.reports for one in self.heard if one.outcome == ACCEPTED and after < one.sent and one.heard < before
        )

    def _hear(self, posted: Sequence[Made], outcome: str, sent: float) -> None:
        if posted:
            self.heard.append(Heard(sent, time.monotonic(), posted[0].tier, outcome, len(posted)))

    def _of(self, made: Made) -> Tries:
        return self.reports.setdefault(made.report_id, Tries(made))
