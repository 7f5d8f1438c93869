"""`tidegate policy`: what each tier keeps, and why ."""

import json
from pathlib import Path

import click
from rich.console import Console
from rich.padding import Padding

from schemas.catalogue import Catalogue
from schemas.errors import nearest
from schemas.matrix import MatrixRow, matrix, rows_about, sections
from schemas.tier import Tier
from tidegate.cli.contracts import contracts, loosest_first, report_named, tier_named, tiers_option
from tidegate.cli.data_directory import json_option
from tidegate.cli.matrix_formats import FORMATS, decisions, heading
from tidegate.cli.page import action, facts, page, wrapped


@click.group("policy")
def policy_group() -> None:
    """Show what each tier keeps of what devices post, and why.

    Everything here is generated from the policies in force, and from nothing else: what is shown is what is done.

    Exit codes: 0 shown, 1 the files cannot be used, 2 wrong usage.
    """


@policy_group.command("show")
@click.argument("tier")
@tiers_option
@json_option
def show(tier: str, tiers: Path, as_json: bool) -> None:
    """Show a tier: its limits, its reports, and every field with its action and why.

    Fields that one rule decides over stand together. A field that no rule names is dropped.

    --json prints the document that the gate publishes to the tier's devices at GET /v1/policy.

    \b
    Examples:
      tidegate policy show contractor
      tidegate policy show managed --tiers ./policies
      tidegate policy show byod --json

    Exit codes: 0 shown, 1 the files cannot be used, 2 wrong usage.
    """  # noqa: D301 - \b keeps click from joining the lines
    catalogue = contracts(tiers)
    policy = tier_named(catalogue, tier)
    if as_json:
        from ingest.http.policy_document import policy_document

        click.echo(json.dumps(policy_document(catalogue, policy), indent=2))
        return
    console = page()
    _tell_tier(console, policy)
    for section in sections(row for row in matrix(catalogue) if row.tier == tier):
        console.print()
        console.print(heading(section, catalogue), style="bold")
        console.print(decisions(section.groups, width=console.width))


def _tell_tier(console: Console, tier: Tier) -> None:
    console.print(f"{tier.name}, policy version {tier.version}", style="bold")
    for line in wrapped(tier.why, console.width):
        console.print(line)
    console.print()
    console.print(facts(_limits(tier)))


def _limits(tier: Tier) -> dict[str, object]:
    admission = tier.admission
    tasks = "task" if tier.min_tasks_per_row == 1 else "tasks"
    consents = ", ".join(f"{report} needs {purpose}" for report, purpose in tier.requires_consent.items())
    refused = ", ".join(f"{entry.field} from {entry.since.isoformat()}" for entry in tier.refuse_if_present)
    networks = ", ".join(str(network) for network in admission.trusted_networks)
    return {
        "stricter than": tier.stricter_than,
        "reports": ", ".join(tier.reports),
        "consents": consents or None,
        "refused": refused or None,
        "k": f"{tier.k} devices at least in a published cell",
        "rows": f"of at least {tier.min_tasks_per_row} {tasks}; smaller ones are folded on the device",
        "windows": f"of {tier.window_minutes} minutes, taken up to {tier.horizon_days} days back "
        f"and {tier.clock_ahead_seconds} seconds ahead of the clock",
        "pseudonyms": f"for {tier.pseudonym.epoch_days} days, then their key changes" if tier.pseudonym else "none",
        "stored": f"for {tier.retention_days} days, with the time by the {tier.record.timestamp}",
        "residency": _residency(tier),
        "hostnames": ", ".join(tier.hostnames) or None,
        "rate": f"{admission.requests_per_second:g} requests a second, {admission.burst} at once, "
        f"{admission.concurrency} under way",
        "tokens": f"{' or '.join(admission.inside)} from {networks}; {' or '.join(admission.outside)} from anywhere",
    }


def _residency(tier: Tier) -> str:
    """Which regions may be stored where, in words."""
    rest = "any region" if len(tier.residency) == 1 else "any other region, or none"
    return "; ".join(
        f"{rest if region == '*' else region}, stored "
        + ("anywhere" if "*" in places else f"in {' or '.join(places)}" if places else "nowhere")
        for region, places in tier.residency.items()
    )


@policy_group.command("matrix")
@click.option("--tier", help="Only this tier.")
@click.option("--report", help="Only this report: a name, or a name with its version.")
@click.option(
    "--format",
    "form",
    type=click.Choice(list(FORMATS)),
    default="table",
    show_default=True,
    help="json and csv have a row for each tier, report and field; table and markdown tell what is common once.",
)
@tiers_option
def matrix_command(tier: str | None, report: str | None, form: str, tiers: Path) -> None:
    """Print tier x report x field x action x why, generated from the policies.

    \b
    Examples:
      tidegate policy matrix --report health_window
      tidegate policy matrix --format csv > policies.csv
      tidegate policy matrix --tier contractor --format markdown

    Exit codes: 0 printed, 1 the files cannot be used, 2 wrong usage.
    """  # noqa: D301 - as above
    catalogue = contracts(tiers)
    if tier is not None:
        tier_named(catalogue, tier, hint="--tier")
    label = None if report is None else report_named(catalogue, report, hint="--report").label
    order = loosest_first(catalogue.tiers)
    chosen = [row for row in matrix(catalogue) if tier in (None, row.tier) and label in (None, row.report)]
    rows = sorted(chosen, key=lambda row: order.index(row.tier))
    if not rows:
        raise click.BadParameter(f"tier {tier} does not take {label}", param_hint="--report")
    FORMATS[form](rows, catalogue)


@policy_group.command("explain")
@click.argument("tier")
@click.argument("field")
@tiers_option
@json_option
def explain(tier: str, field: str, tiers: Path, as_json: bool) -> None:
    """Explain what a tier does with a field, and what the other tiers do.

    FIELD is a path from the top of a report, such as user_email or rows.model; `tidegate schema show REPORT` lists
    them. Of a field that holds others, those are explained.

    \b
    Examples:
      tidegate policy explain byod user_email
      tidegate policy explain contractor rows.latency

    Exit codes: 0 explained, 1 the files cannot be used, 2 wrong usage.
    """  # noqa: D301 - as above
    catalogue = contracts(tiers)
    chosen = tier_named(catalogue, tier).name
    _require_field(catalogue, field)
    others = [name for name in loosest_first(catalogue.tiers) if name != chosen]
    about = {name: _about(catalogue, name, field) for name in (chosen, *others)}
    if as_json:
        document = {name: [row.as_dict() for row in rows] for name, rows in about.items()}
        click.echo(json.dumps({"field": field, "tier": chosen, "tiers": document}, indent=2))
        return
    console = page()
    for index, (name, rows) in enumerate(about.items()):
        if index:
            console.print()
        _explain(console, catalogue, catalogue.tiers[name], field, rows)


def _require_field(catalogue: Catalogue, field: str) -> None:
    paths = {path for schema in catalogue.schemas for path in schema.fields}
    if field not in paths:
        same_end = sorted(path for path in paths if path.rpartition(".")[2] == field)
        hint = f"did you mean {' or '.join(same_end)}?" if same_end else nearest(field, paths)
        raise click.BadParameter(f"no report has a field {field!r}; {hint}", param_hint="FIELD")


def _about(catalogue: Catalogue, tier: str, field: str) -> list[MatrixRow]:
    plans = [plan for plan in catalogue.plans.values() if plan.tier.name == tier and field in plan.schema.fields]
    return [row for plan in sorted(plans, key=lambda plan: plan.schema.label) for row in rows_about(plan, field)]


def _explain(console: Console, catalogue: Catalogue, tier: Tier, field: str, rows: list[MatrixRow]) -> None:
    console.print(f"{tier.name}, policy version {tier.version}", style="bold")
    groups: dict[tuple[str | None, ...], list[MatrixRow]] = {}
    for row in rows:
        groups.setdefault((row.field, *row.decision), []).append(row)
    for group in groups.values():
        _tell_decision(console, tier, group, reports=len({row.report for row in rows}))
    absent = [
        schema.label for schema in catalogue.schemas if field in schema.fields and schema.name not in tier.reports
    ]
    if absent:
        text = f"not taken from this tier at all: {', '.join(sorted(absent))}"
        for line in wrapped(text, console.width, indent="  "):
            console.print(line, style="dim")


def _tell_decision(console: Console, tier: Tier, group: list[MatrixRow], *, reports: int) -> None:
    row = group[0]
    everywhere = len(group) == reports and reports > 1
    where = f"all {reports} reports of this tier that have it" if everywhere else ", ".join(r.report for r in group)
    told = facts(
        {
            "class": f"{row.privacy}, unit {row.unit}",
            "action": action(row.action),
            "how": row.how,
            "consent": row.consent and f"only if the device's consent {row.consent} is given, else dropped",
            "why": row.why,
            "refused from": row.refused_from and f"{row.refused_from}. {_why_refused(tier, row.field)}",
        }
    )
    console.print(f"  {row.field}, in {where}")
    console.print(Padding(told, (0, 0, 0, 4)))


def _why_refused(tier: Tier, field: str) -> str:
    return next(entry.why for entry in tier.refuse_if_present if entry.field == field)
