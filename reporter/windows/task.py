"""What is known of one task when it has ended, and what follows where the application left something unsaid.

A `Task` lives as long as it runs; a window adds it up and lets go of it. Of its facts a window keeps the combination,
`Facts`, with how many tasks had it. What is unsaid there is settled by `settled`, always to the side of who is to be
protected: a fallback into another zone of which nothing is said had no consent and was not disclosed.
"""

from operator import attrgetter
from typing import Any, NamedTuple

from reporter.reports import OTHER
from reporter.windows.disclosure import crosses_zone
from reporter.windows.numbers import whole
from reporter.windows.vocabulary import LONGEST_NAME, text

DIMENSIONS = (
    "data_class", "task_kind", "input_size", "authority", "device_approved", "planned_route", "actual_route",
    "decision_reason", "precision", "served_region", "model", "model_version", "policy_version",
)  # fmt: skip
"""What rows of route_window are by."""


class Facts(NamedTuple):
    """Everything of a task that is not counted but counted by: the dimensions first, then what decides on rules.

    `reason`, `consent` and `disclosed` mean something for a fallback only.
    """

    data_class: str | None
    task_kind: str | None
    input_size: str | None
    authority: str | None
    device_approved: str | None
    planned_route: str | None
    actual_route: str | None
    decision_reason: str | None
    precision: str | None
    served_region: str | None
    model: str | None
    model_version: str | None
    policy_version: str | None
    fallback_reason: str | None
    consent: str | None
    disclosed: str | None
    offline: bool
    degraded: bool
    disclosures: frozenset[str]


class Task:
    """One task, told step by step by the application that runs it. Symbols as in the schemas; None is unsaid.

    Numbers should be whole and at least zero (`numbers.whole` makes them so). `seconds_in_fallback` and
    `returned_after_s`, where they are said, stand in place of what is measured from one task to the next (`ways_back`).
    `disclosures` are what was told to the person.
    """

    __slots__ = (
        *Facts._fields, "attempts", "succeeded", "refused", "cold_start", "contract_checked", "contract_valid",
        "citations_expected", "citations_present", "tokens_in", "tokens_out", "bytes_sent", "bytes_moved", "latency_ms",
        "first_token_ms", "seconds_in_fallback", "returned_after_s", "returned_by_canary",
    )  # fmt: skip

    data_class: str | None
    task_kind: str | None
    input_size: str | None
    authority: str | None
    device_approved: str | None
    planned_route: str | None
    actual_route: str | None
    decision_reason: str | None
    precision: str | None
    served_region: str | None
    model: str | None
    model_version: str | None
    policy_version: str | None
    fallback_reason: str | None
    consent: str | None
    disclosed: str | None
    offline: bool
    degraded: bool
    disclosures: frozenset[str]
    attempts: int
    succeeded: bool
    refused: bool
    cold_start: bool
    contract_checked: bool
    contract_valid: bool
    citations_expected: int
    citations_present: int
    tokens_in: int
    tokens_out: int
    bytes_sent: int
    bytes_moved: int
    latency_ms: float | None
    first_token_ms: float | None
    seconds_in_fallback: int | None
    returned_after_s: int | None
    returned_by_canary: bool

    def __init__(self) -> None:
        # In chains: 33 parameters with a default each took 1.3 µs, this takes a third of it.
        self.data_class = self.task_kind = self.input_size = self.authority = self.device_approved = None
        self.planned_route = self.actual_route = self.decision_reason = self.precision = self.served_region = None
        self.model = self.model_version = self.policy_version = self.fallback_reason = None
        self.consent = self.disclosed = self.latency_ms = self.first_token_ms = None
        self.seconds_in_fallback = self.returned_after_s = None
        self.offline = self.degraded = self.succeeded = self.refused = self.cold_start = False
        self.contract_checked = self.contract_valid = self.returned_by_canary = False
        self.citations_expected = self.citations_present = self.tokens_in = self.tokens_out = 0
        self.bytes_sent = self.bytes_moved = 0
        self.attempts = 1
        self.disclosures = NOTHING


NOTHING: frozenset[str] = frozenset()

facts_of = attrgetter(*Facts._fields)
"""A task's facts as a plain tuple, in the order of `Facts`."""

TIMES = ("latency_ms", "first_token_ms")
"""These may lie between whole numbers: the histogram has buckets down to an eighth of a millisecond."""

NUMBERS = Task.__slots__[len(Facts._fields) :]


def repaired(task: Task) -> Task:
    """A copy in which everything has the type that it should have; what does not is `other`, untrue or zero."""
    copy = Task()
    for field in Facts._fields:
        setattr(copy, field, _word(getattr(task, field)))
    copy.offline, copy.degraded = task.offline is True, task.degraded is True
    copy.disclosures = _words(task.disclosures)
    for field in NUMBERS:
        said = getattr(task, field)
        setattr(copy, field, _number(said, getattr(copy, field)))
    for field in TIMES:
        said = getattr(task, field)
        if type(said) is float and said >= 0:
            setattr(copy, field, said)
    return copy


def _number(said: Any, unsaid: Any) -> Any:
    """A number, a truth or None, as the field holds one where nothing is said."""
    if unsaid is False:
        return said is True
    return None if said is None and unsaid is None else whole(said)


def _words(said: Any) -> frozenset[str]:
    return frozenset(_word(one) or OTHER for one in said) if type(said) in (frozenset, set, list, tuple) else NOTHING


def _word(said: Any) -> str | None:
    word = text(said)
    return None if said is None else word if word is not None and len(word) <= LONGEST_NAME else OTHER


def settled(facts: Facts) -> Facts:
    """The facts with what is unsaid put in its place."""
    planned = facts.planned_route or facts.actual_route
    actual = facts.actual_route or facts.planned_route
    silent = crosses_zone(planned, actual)
    shown = not silent or "fallback_shown" in facts.disclosures
    return facts._replace(
        planned_route=planned,
        actual_route=actual,
        fallback_reason=facts.fallback_reason or ("none" if planned == actual else None),
        precision=facts.precision or ("unknown" if facts.model else "none"),
        consent=facts.consent or ("not_asked" if silent else "not_required"),
        disclosed=facts.disclosed or ("disclosed" if shown else "undisclosed"),
    )
