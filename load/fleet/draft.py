"""A task while it is being made: the same facts as `load.fleet.nouns.Task`, which may still change."""

from dataclasses import dataclass, field, fields
from operator import attrgetter

from load.fleet.demand import Ask
from load.fleet.nouns import Task
from load.fleet.routing import Plan


@dataclass(slots=True)
class Draft:
    """See `Task` for every field but the last."""

    device: int
    time: int
    data_class: str
    task_kind: str
    input_size: str
    authority: str
    device_approved: str
    planned_route: str
    decision_reason: str
    policy_version: str
    offline: bool
    actual_route: str
    precision: str = "none"
    served_region: str | None = None
    model: str | None = None
    model_version: str | None = None
    attempts: int = 1
    succeeded: bool = False
    refused: bool = False
    degraded: bool = False
    cold_start: bool = False
    contract_checked: bool = False
    contract_valid: bool = False
    citations_expected: int = 0
    citations_present: int = 0
    tokens_in: int = 0
    tokens_out: int = 0
    bytes_sent: int = 0
    disclosures: frozenset[str] = frozenset()
    latency_ms: int | None = None
    first_token_ms: int | None = None
    violations: frozenset[str] = frozenset()
    fallback_reason: str = "none"
    consent: str = "not_required"
    disclosed: str = "disclosed"
    bytes_moved: int = 0
    seconds_in_fallback: int = 0
    returned_after_s: int | None = None
    returned_by_canary: bool = False
    planned_model: str | None = field(default=None)
    """The file on the device that the task was planned for."""

    @property
    def fell_back(self) -> bool:
        return self.actual_route != self.planned_route


def begin(device: int, ask: Ask, plan: Plan, *, policy_version: str) -> Draft:
    """A task of which only the demand and the plan are known, and nothing has failed yet."""
    return Draft(
        device=device,
        time=ask.time,
        data_class=ask.data_class,
        task_kind=ask.task_kind,
        input_size=ask.input_size,
        authority=ask.authority,
        device_approved="approved" if ask.approved else "not_approved",
        planned_route=plan.route,
        decision_reason=plan.reason,
        policy_version=policy_version,
        offline=ask.offline,
        actual_route=plan.route,
    )


_facts = attrgetter(*(field.name for field in fields(Task)))


def finish(draft: Draft) -> Task:
    """The task as it can no longer change."""
    return Task(*_facts(draft))
