"""Tier x report x field x action x why: the policies as a table, made from the compiled plans and nothing else."""

from collections.abc import Iterable, Iterator
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

    @property
    def decision(self) -> tuple[str | None, ...]:
        """What the policy says, whatever the field is called: rows with one decision can be told together."""
        return self.action, self.how, self.consent, self.refused_from, self.why

    def as_dict(self) -> dict[str, Any]:
        """The row as a JSON object; what does not apply is left out."""
        return {name: value for name, value in asdict(self).items() if value is not None}


@dataclass(frozen=True, slots=True)
class Section:
    """Rows of one tier that hold alike in all of `reports` (their labels); `tier` may take other reports as well."""

    tier: str
    policy_version: int
    reports: tuple[str, ...]
    rows: tuple[MatrixRow, ...]

    @property
    def groups(self) -> list[list[MatrixRow]]:
        """The rows with one decision together, in the order in which the decisions first occur."""
        groups: dict[tuple[str | None, ...], list[MatrixRow]] = {}
        for row in self.rows:
            groups.setdefault(row.decision, []).append(row)
        return list(groups.values())


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


def rows_about(plan: Plan, path: str) -> Iterator[MatrixRow]:
    """The rows that decide over the field at `path`: its own, that of what contains it, or those of what is in it."""
    for row in plan_rows(plan):
        if f"{path}.".startswith(f"{row.field}.") or row.field.startswith(f"{path}."):
            yield row


def sections(rows: Iterable[MatrixRow]) -> Iterator[Section]:
    """The rows for a person: per tier, first what all of its reports have in common, then what each adds."""
    tiers: dict[tuple[str, int], dict[str, list[MatrixRow]]] = {}
    for row in rows:
        tiers.setdefault((row.tier, row.policy_version), {}).setdefault(row.report, []).append(row)
    for (tier, version), reports in tiers.items():
        common = set.intersection(*({(row.field, row.decision) for row in report} for report in reports.values()))
        if len(reports) > 1 and common:
            first = next(iter(reports.values()))
            shared = tuple(row for row in first if (row.field, row.decision) in common)
            yield Section(tier, version, tuple(reports), shared)
        for label, report in reports.items():
            own = tuple(row for row in report if len(reports) == 1 or (row.field, row.decision) not in common)
            yield Section(tier, version, (label,), own)


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
        consent=planned.consent,
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
