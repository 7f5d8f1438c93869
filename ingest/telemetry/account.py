"""The gate's bookkeeping: how many reports came in, what became of them, what was taken off, and how long it took.

Rules held here:

* counting is an addition to a plain number (measured below 0.3 µs a call); the OpenTelemetry SDK takes 6 µs for one
  `Histogram.record`, so it reads this account when it collects and is never called on behalf of a request;
* every label comes from a closed set: tiers, reports and fields from the catalogue, outcomes from `Reason`. A tier that
  the catalogue does not have counts under "none", so that no name a device made up can become a label;
* `received` is counted at the door and `outcome` where it is decided, independently, so that one can check the other;
* totals never go down. What the control topic still has to be told is the difference to what was last taken.

One thread counts (the event loop's). Others may read: they see copies, each number whole, not all of one moment.
"""

from bisect import bisect_left
from collections.abc import Iterable, Iterator, Mapping
from typing import NamedTuple

from ingest.problems import Reason
from ingest.report import Remark
from schemas.catalogue import Catalogue
from schemas.plan import UNKNOWN_FIELD, Action, Plan

NO_TIER = "none"
"""The tier label of requests whose endpoint belongs to no tier."""

UNKNOWN_FIELD_LABEL = "unknown"
"""The field label of names that a device made up."""

RECEIVED = "received"
ACCEPTED = "accepted"
OUTCOMES: tuple[str, ...] = (ACCEPTED, *(reason.value for reason in Reason))
"""What can become of a report; `Reason.IN_DOUBT` is among the reasons."""

STATUS_CLASSES = ("none", "1xx", "2xx", "3xx", "4xx", "5xx")
"""The first digit of an HTTP status; "none" where no answer could be given (the sender hung up)."""

DURATION_BOUNDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)
"""Seconds. OpenTelemetry's advice for HTTP begins at 5 ms; a commit of the embedded log takes one or two."""

BODY_BOUNDS = (256, 1024, 4096, 16384, 65536, 262144, 1048576)
"""Bytes as they came over the wire: from a small report to the largest body that the gate takes."""


class OutcomeCount(NamedTuple):
    """So many reports of `tier` met `outcome`, one of `RECEIVED` and `OUTCOMES`."""

    tier: str
    outcome: str
    reports: int


class RemarkCount(NamedTuple):
    """`values` values of a schema field met `action` instead of being kept."""

    tier: str
    report: str
    field: str
    action: str
    values: int


class Buckets:
    """Observations of one quantity by explicit upper bounds, each bound included in its bucket, and their sum."""

    __slots__ = ("bounds", "counts", "total")

    def __init__(self, bounds: tuple[float, ...]) -> None:
        self.bounds = bounds
        self.counts = [0] * (len(bounds) + 1)
        self.total = 0.0

    def observe(self, value: float) -> None:
        """Count one observation."""
        self.counts[bisect_left(self.bounds, value)] += 1
        self.total += value


class Account:
    """The counts of one gate process since its start."""

    def __init__(self, catalogue: Catalogue) -> None:
        self._ledger: dict[str, dict[str, int]] = {}
        self._taken: dict[str, dict[str, int]] = {}
        self._checked: dict[str, int] = {}
        self._durations: dict[str, tuple[Buckets, ...]] = {}
        self._bodies: dict[str, tuple[Buckets, ...]] = {}
        self._remarks: dict[tuple[str, bytes], tuple[Plan, dict[Action, list[int]]]] = {}
        self.adopt(catalogue)

    def adopt(self, catalogue: Catalogue) -> None:
        """Make room for the tiers and plans of a (re)loaded catalogue; those of an earlier one keep their counts."""
        for tier in (NO_TIER, *catalogue.tiers):
            self._ledger.setdefault(tier, dict.fromkeys((RECEIVED, *OUTCOMES), 0))
            self._taken.setdefault(tier, dict.fromkeys((RECEIVED, *OUTCOMES), 0))
            self._checked.setdefault(tier, 0)
            self._durations.setdefault(tier, tuple(Buckets(DURATION_BOUNDS) for _ in STATUS_CLASSES))
            self._bodies.setdefault(tier, tuple(Buckets(BODY_BOUNDS) for _ in STATUS_CLASSES))
        for key, plan in catalogue.plans.items():
            room = 1 + max(field.id for field in plan.schema.fields.values())
            self._remarks.setdefault(key, (plan, {action: [0] * room for action in Action}))

    def tier_label(self, tier: str | None) -> str:
        """`tier` if the catalogue has, or ever had, such a tier; else "none"."""
        return tier if tier in self._ledger else NO_TIER

    def received(self, tier: str | None, reports: int) -> None:
        """Count reports at the door: before any of them is looked at, whatever becomes of them."""
        self._ledger[self.tier_label(tier)][RECEIVED] += reports

    def outcome(self, tier: str | None, outcome: str, reports: int) -> None:
        """Count reports whose outcome is decided; one that is not in `OUTCOMES` raises KeyError."""
        self._ledger[self.tier_label(tier)][outcome] += reports

    def checked(self, tier: str | None, reports: int) -> None:
        """Count reports that their sender only wanted to have checked; they are no part of the ledger."""
        self._checked[self.tier_label(tier)] += reports

    def remarks(self, plan: Plan, remarks: Iterable[Remark]) -> None:
        """Count the values that `plan`, one of an adopted catalogue, did not let through as they were."""
        counts = self._remarks[plan.tier.name, plan.schema.fingerprint][1]
        # Most remarks are drops, and hashing an enum member costs as much as the rest of the loop.
        dropped = counts[drop := Action.DROP]
        for field, action, values in remarks:
            (dropped if action is drop else counts[action])[field] += values

    def answered(self, tier: str | None, *, status: int, seconds: float, body_bytes: int) -> None:
        """Count a finished request; `status` 0 where nobody was left to answer, `body_bytes` as on the wire."""
        label = self.tier_label(tier)
        status_class = status // 100 if 100 <= status < 600 else 0
        self._durations[label][status_class].observe(seconds)
        self._bodies[label][status_class].observe(body_bytes)

    def take(self) -> tuple[OutcomeCount, ...]:
        """What the ledger counted since the last take, zeros left out."""
        taken = tuple(self._not_taken())
        for tier, outcome, reports in taken:
            self._taken[tier][outcome] += reports
        return taken

    def restore(self, counts: Iterable[OutcomeCount]) -> None:
        """Put back what was taken and could not be appended; the next take has it again."""
        for tier, outcome, reports in counts:
            self._taken[tier][outcome] -= reports

    def _not_taken(self) -> Iterator[OutcomeCount]:
        for tier, outcome, total in self.ledger():
            if reports := total - self._taken[tier][outcome]:
                yield OutcomeCount(tier, outcome, reports)

    def ledger(self) -> Iterator[OutcomeCount]:
        """The totals of the ledger; received and accepted always, reasons once they occurred."""
        for tier, counts in self._ledger.copy().items():
            for outcome, reports in counts.items():
                if reports or outcome in (RECEIVED, ACCEPTED):
                    yield OutcomeCount(tier, outcome, reports)

    def outcome_totals(self) -> Iterator[OutcomeCount]:
        """Every outcome of every tier, zeros included.

        A counter that appears with its first event has never risen, and whoever watches for a rise misses that event.
        """
        for tier, counts in self._ledger.copy().items():
            yield from (OutcomeCount(tier, outcome, counts[outcome]) for outcome in OUTCOMES)

    def checked_totals(self) -> Iterator[tuple[str, int]]:
        """(tier, reports that were only checked)."""
        yield from self._checked.copy().items()

    def remark_totals(self) -> Iterator[RemarkCount]:
        """The remarks that occurred, the versions of a report added together."""
        totals: dict[tuple[str, str, str, str], int] = {}
        for plan, counts in self._remarks.copy().values():
            labels = {field.id: path for path, field in plan.schema.fields.items()}
            labels[UNKNOWN_FIELD] = UNKNOWN_FIELD_LABEL
            for action, per_field in counts.items():
                for field, values in enumerate(per_field):
                    if values:
                        key = (plan.tier.name, plan.schema.name, labels[field], action.value)
                        totals[key] = totals.get(key, 0) + values
        return (RemarkCount(*key, values) for key, values in totals.items())

    def durations(self) -> Iterator[tuple[str, str, Buckets]]:
        """(tier, status class, seconds a request took) where there was a request."""
        return _occurred(self._durations.copy())

    def bodies(self) -> Iterator[tuple[str, str, Buckets]]:
        """(tier, status class, bytes of a body) where there was a request."""
        return _occurred(self._bodies.copy())


def _occurred(by_tier: Mapping[str, tuple[Buckets, ...]]) -> Iterator[tuple[str, str, Buckets]]:
    for tier, by_status in by_tier.items():
        for status_class, buckets in zip(STATUS_CLASSES, by_status, strict=True):
            if any(buckets.counts):
                yield tier, status_class, buckets
