"""Tier x report x field x action x why: the policies as a table, made from the compiled plans and nothing else."""

from collections.abc import Iterator
from dataclasses import asdict, dataclass
from typing import Any

from schemas.catalogue import Catalogue
from schemas.plan import Plan, PlannedField, planned_leaves


@dataclass(frozen=True, slots=True)
class MatrixRow:
    """What one tier does to one field of one report. `how` spells a coarsening out; `refused_from` is an ISO date."""

    tier: str
    policy_version: int
    report: str
    field: str
    privacy: str
    unit: str
    action: str
    how: str | None
    consent: str | None
    refused_from: str | None
    why: str

    def as_dict(self) -> dict[str, Any]:
        """The row as a JSON object; what does not apply is left out."""
        return {name: value for name, value in asdict(self).items() if value is not None}


COLUMNS = tuple(MatrixRow.__dataclass_fields__)
NOT_PARAMETERS = {"fields", "reports", "action", "why", "although", "consent", "by"}


def matrix(catalogue: Catalogue) -> Iterator[MatrixRow]:
    """Every row of every plan, by tier, report and place in the schema."""
    plans = sorted(catalogue.plans.values(), key=lambda plan: (plan.tier.name, plan.schema.label))
    for plan in plans:
        yield from plan_rows(plan)


def plan_rows(plan: Plan) -> Iterator[MatrixRow]:
    """The rows of one plan: a row for each field that a rule decides over, a container kept whole being one."""
    for planned in planned_leaves(plan.fields):
        yield _row(plan, planned)


def _row(plan: Plan, planned: PlannedField) -> MatrixRow:
    field, rule = planned.field, planned.rule
    refused_from = plan.refused_from(field.path)
    return MatrixRow(
        tier=plan.tier.name,
        policy_version=plan.tier.version,
        report=plan.schema.label,
        field=field.path,
        privacy=field.privacy or "",
        unit=field.unit or "",
        action=rule.action,
        how=how(planned),
        consent=getattr(rule, "consent", None),
        refused_from=None if refused_from is None else refused_from.isoformat(),
        why=rule.why,
    )


def how(planned: PlannedField) -> str | None:
    """A coarsening in words, `version (parts 2)`; None for the other actions."""
    by = getattr(planned.rule, "by", None)
    if by is None:
        return None
    parameters = planned.rule.model_dump(exclude=NOT_PARAMETERS)
    told = ", ".join(f"{name} {_plain(value)}" for name, value in parameters.items())
    return f"{by} ({told})" if told else str(by)


def _plain(value: Any) -> str:
    return " ".join(str(item) for item in value) if isinstance(value, tuple) else str(value)
