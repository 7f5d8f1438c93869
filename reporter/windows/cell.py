"""What a window counts of the tasks that are alike in everything they are counted by."""

from bisect import bisect_left
from collections import Counter
from collections.abc import Mapping
from functools import cache

from reporter.reports import OTHER
from reporter.windows.disclosure import broken_rules
from reporter.windows.histogram import BORDERS, Places, observe
from reporter.windows.numbers import whole
from reporter.windows.task import DIMENSIONS, NOTHING, Facts, Task, facts_of, settled
from reporter.windows.telling import Key
from reporter.windows.vocabulary import Fit, fits

FALLBACK_DIMENSIONS = ("data_class", "planned_route", "actual_route", "fallback_reason", "consent", "disclosed")
"""What rows of fallback_window are by."""

SUMMED = (
    "attempts", "succeeded", "refused", "cold_starts", "contract_checked", "contract_valid", "citations_expected",
    "citations_present", "tokens_in", "tokens_out", "bytes_sent",
)  # fmt: skip
"""The counts of a row that are sums over its tasks, in the order of `Cell.sums`."""

WORDS = (*DIMENSIONS, "fallback_reason", "consent", "disclosed")
"""The facts that are symbols or names, which `other` can stand for; they come first."""

NO_SUMS = (0,) * len(SUMMED)


class Cell:
    """Tasks of one combination: what they have in common, how many they are, their sums and their histograms.

    `facts` are in the words of the schemas. `planned` and `fell_back` hold whatever became of the routes there.
    """

    __slots__ = (
        "bytes_moved", "canary_returns", "facts", "fell_back", "first_token", "latency", "planned", "return_time",
        "returns", "seconds", "sums", "tasks",
    )  # fmt: skip

    def __init__(self, facts: Facts, *, planned: str, fell_back: bool) -> None:
        self.facts = facts
        self.planned = planned
        self.fell_back = fell_back
        self.sums = NO_SUMS
        self.latency: Places = {}
        self.first_token: Places = {}
        self.return_time: Places = {}
        self.tasks = self.bytes_moved = self.seconds = self.returns = self.canary_returns = 0

    @property
    def dimensions(self) -> Key:
        """What its row of route_window is by."""
        return self.facts[: len(DIMENSIONS)]

    @property
    def fallback_dimensions(self) -> Key:
        """What its row of fallback_window is by."""
        facts = self.facts
        routes = facts.planned_route, facts.actual_route
        return (facts.data_class, *routes, facts.fallback_reason, facts.consent, facts.disclosed)

    def disclosed(self) -> Mapping[str, int]:
        """What was disclosed for how many of the tasks."""
        return dict.fromkeys(self.facts.disclosures, self.tasks)

    def broken(self) -> Mapping[str, int]:
        """Which rules how many of the tasks broke."""
        return dict.fromkeys(broken_rules(self.facts), self.tasks)

    def count(self, task: Task) -> None:
        """Adds a task, wholly or not at all: what is no number raises TypeError before anything has changed."""
        sums, latency, first_token = self.sums, task.latency_ms, task.first_token_ms
        latency_at = None if latency is None else bisect_left(BORDERS, latency + 0.0)
        first_token_at = None if first_token is None else bisect_left(BORDERS, first_token + 0.0)
        self.sums = (
            sums[0] + task.attempts,
            sums[1] + task.succeeded,
            sums[2] + task.refused,
            sums[3] + task.cold_start,
            sums[4] + task.contract_checked,
            sums[5] + task.contract_valid,
            sums[6] + task.citations_expected,
            sums[7] + task.citations_present,
            sums[8] + task.tokens_in,
            sums[9] + task.tokens_out,
            sums[10] + task.bytes_sent,
        )
        self.tasks += 1
        if latency_at is not None:
            self.latency[latency_at] = self.latency.get(latency_at, 0) + 1
        if first_token_at is not None:
            self.first_token[first_token_at] = self.first_token.get(first_token_at, 0) + 1
        if self.fell_back:
            self._count_fallback(task)

    def count_return(self, after_s: int, *, canaries: int) -> None:
        """The planned route was found back; `canaries` is 1 where a trial task led there."""
        self.returns += 1
        self.canary_returns += canaries
        observe(self.return_time, after_s)

    def _count_fallback(self, task: Task) -> None:
        """What a task that fell back says beside the rest."""
        self.bytes_moved += whole(task.bytes_moved)
        self.seconds += whole(task.seconds_in_fallback)
        if task.returned_after_s is not None:
            self.count_return(whole(task.returned_after_s), canaries=int(task.returned_by_canary is True))


class MixedCell(Cell):
    """Tasks of combinations that are too many to be held apart: under `other`, rules and disclosures one by one."""

    __slots__ = ("_broken", "_disclosed")

    def __init__(self, like: Cell) -> None:
        others = (OTHER,) * len(WORDS)
        facts = Facts._make((*others, like.facts.offline, like.facts.degraded, NOTHING))
        super().__init__(facts, planned=like.planned, fell_back=like.fell_back)
        self._disclosed: Counter[str] = Counter()
        self._broken: Counter[str] = Counter()

    def disclosed(self) -> Mapping[str, int]:
        return self._disclosed

    def broken(self) -> Mapping[str, int]:
        return self._broken

    def count(self, task: Task) -> None:
        super().count(task)
        facts = cell_for(Facts._make(facts_of(task))).facts
        self._disclosed.update(facts.disclosures)
        self._broken.update(broken_rules(facts))


def cell_for(facts: Facts) -> Cell:
    """An empty cell for tasks with these facts."""
    complete = settled(facts)
    reported = as_reported(complete)
    fell_back = complete.planned_route != complete.actual_route
    return Cell(reported, planned=reported.planned_route or OTHER, fell_back=fell_back)


def as_reported(facts: Facts) -> Facts:
    """The facts in the words of the schemas."""
    words = [fit(said) for fit, said in zip(_fits_of_words(), facts[: len(WORDS)], strict=True)]
    told = fits("route_window", "rows.disclosures")["disclosure"]
    disclosures = frozenset(said for said in facts.disclosures if told(said) == said) if facts.disclosures else NOTHING
    return Facts._make((*words, facts.offline is True, facts.degraded is True, disclosures))


@cache
def _fits_of_words() -> tuple[Fit, ...]:
    route, fallback = fits("route_window", "rows"), fits("fallback_window", "rows")
    return tuple(route.get(name) or fallback[name] for name in WORDS)
