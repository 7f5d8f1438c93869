"""Where the numbers of the metrics come from: the gate, and the follower with what it publishes.

Each function is called whenever somebody collects, from that one's thread: it must be quick and must not raise.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Protocol

from ingest.telemetry.account import RECEIVED, Account, Buckets
from ingest.telemetry.metric_list import (
    ACTIVE_REQUESTS,
    CHECKED,
    FOLLOWER_LAG,
    FOLLOWER_REPORTS,
    FOLLOWER_STATE,
    FOLLOWER_WHY,
    LOG_COMMITS,
    LOG_ENTRIES,
    POLICY_VERSION,
    PUBLICATION_AGE,
    READY,
    RECEIVED_REPORTS,
    REMARKS,
    REPORTS,
    REQUEST_BODY_SIZE,
    REQUEST_DURATION,
    Metric,
)

Row = tuple[Any, ...]
"""The values of a metric's labels, in their order, then the number."""

Read = Callable[[], Iterable[Row]]

HistogramRows = Iterable[tuple[str, str, Buckets]]


class Source(Protocol):
    """What measures something."""

    def reads(self) -> Mapping[Metric, Read]:
        """How each metric is read, histograms aside."""
        ...

    def histograms(self) -> Iterable[tuple[Metric, HistogramRows]]:
        """The histograms as they are now."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Sources:
    """The gate."""

    account: Account
    active_requests: Callable[[], Mapping[str, int]]
    log_entries: Callable[[], int]
    log_commits: Callable[[], int]
    ready: Callable[[], bool]
    policy_versions: Callable[[], Mapping[str, int]]

    def reads(self) -> Mapping[Metric, Read]:
        """As `Source.reads`."""
        account = self.account
        return {
            RECEIVED_REPORTS: lambda: ((row.tier, row.reports) for row in account.ledger() if row.outcome == RECEIVED),
            REPORTS: account.outcome_totals,
            CHECKED: account.checked_totals,
            REMARKS: account.remark_totals,
            ACTIVE_REQUESTS: lambda: self._per_tier(self.active_requests()),
            LOG_ENTRIES: lambda: [(self.log_entries(),)],
            LOG_COMMITS: lambda: [(self.log_commits(),)],
            READY: lambda: [(int(self.ready()),)],
            POLICY_VERSION: lambda: self._per_tier(self.policy_versions()),
        }

    def histograms(self) -> Iterable[tuple[Metric, HistogramRows]]:
        """As `Source.histograms`."""
        return (REQUEST_DURATION, self.account.durations()), (REQUEST_BODY_SIZE, self.account.bodies())

    def _per_tier(self, numbers: Mapping[str, int]) -> Iterator[Row]:
        label = self.account.tier_label
        return ((tier, number) for tier, number in dict(numbers).items() if label(tier) == tier)


@dataclass(frozen=True, slots=True, kw_only=True)
class AnswersSources:
    """The follower and the publications; `states` and `whys` have all that there are, with 1 for the one that holds."""

    lag: Callable[[], int]
    reports: Callable[[], Mapping[str, int]]
    states: Callable[[], Mapping[str, int]]
    whys: Callable[[], Mapping[str, int]]
    publication_age: Callable[[], float | None]

    def reads(self) -> Mapping[Metric, Read]:
        """As `Source.reads`."""
        return {
            FOLLOWER_LAG: lambda: [(self.lag(),)],
            FOLLOWER_REPORTS: lambda: self.reports().items(),
            FOLLOWER_STATE: lambda: self.states().items(),
            FOLLOWER_WHY: lambda: self.whys().items(),
            PUBLICATION_AGE: lambda: [(age,) for age in [self.publication_age()] if age is not None],
        }

    def histograms(self) -> Iterable[tuple[Metric, HistogramRows]]:
        """None."""
        return ()
