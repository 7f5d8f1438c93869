"""`tidegate schema`: lint, show and compare the contracts."""

import json
from pathlib import Path
from typing import Any, NoReturn

import click
from rich.table import Table
from rich.text import Text

from ingest.clock import SystemClock
from schemas.avro_types import Array, AvroType, Enumeration, Field, Fixed, Map, Primitive, Record
from schemas.catalogue import Catalogue, load_catalogue
from schemas.compatible import output_pairs, tightening_findings
from schemas.errors import ContractError, Finding
from schemas.report_schema import ReportSchema
from tidegate.cli.compatible import compatible
from tidegate.cli.contracts import contracts, report_named, reports_option, tier_named, tiers_option
from tidegate.cli.data_directory import json_option
from tidegate.cli.example import example
from tidegate.cli.page import WIDE, columns, facts, page, wrapped


@click.group("schema")
def schema_group() -> None:
    """Lint, show and compare the report schemas and the policies.

    Exit codes: 0 nothing wrong, 1 findings or not compatible, 2 wrong usage.
    """


@schema_group.command("lint")
@reports_option
@tiers_option
def lint(reports: Path, tiers: Path) -> None:
    """Check everything that must hold within and between the contract files.

    Each report schema: allowed types only, a privacy class, a unit and a doc on every field, one common header. Each
    policy: known names, no identifier and no free text kept, nothing kept that the looser tier drops. Between policies:
    the stripped records of any two tiers can be read under each other's schemas.

    Every finding is printed as FILE:LINE: problem, with what mends it.

    \b
    Examples:
      tidegate schema lint
      tidegate schema lint --tiers ./policies

    Exit codes: 0 nothing wrong, 1 findings, 2 wrong usage.
    """  # noqa: D301 - \b keeps click from joining the lines
    try:
        catalogue = load_catalogue(reports=reports, tiers=tiers)
    except ContractError as error:
        _refuse(error.findings)
    findings = tuple(tightening_findings(catalogue, tiers))
    if findings:
        _refuse(findings)
    click.echo(_checked(catalogue))


def _refuse(findings: tuple[Finding, ...]) -> NoReturn:
    for finding in findings:
        click.echo(str(finding))
    click.echo(f"{len(findings)} {'finding' if len(findings) == 1 else 'findings'}", err=True)
    raise click.exceptions.Exit(1)


def _checked(catalogue: Catalogue) -> str:
    fields = sum(len(schema.fields) for schema in catalogue.schemas)
    rules = sum(len(tier.rules) for tier in catalogue.tiers.values())
    pairs = sum(1 for _ in output_pairs(catalogue))
    return (
        f"Nothing wrong: {len(catalogue.schemas)} report schemas with {fields} fields, {len(catalogue.tiers)} tiers "
        f"with {rules} rules, {len(catalogue.plans)} plans, {pairs} pairs of output schemas."
    )


@schema_group.command("show")
@click.argument("report", required=False)
@click.option("--output", is_flag=True, help="The schema of the stripped record under --tier, instead of the report's.")
@click.option("--tier", help="Whose policy makes the stripped record.")
@click.option("--example", "as_example", is_flag=True, help="A small valid report as JSON, to try a policy on.")
@reports_option
@tiers_option
@json_option
def show(
    report: str | None, output: bool, tier: str | None, as_example: bool, reports: Path, tiers: Path, as_json: bool
) -> None:
    """List the reports, or show one.

    REPORT is a name (the newest version) or a name with its version, such as route_window.v1. Without it every report
    is listed with the fingerprint that its messages carry: the 8 bytes behind the marker C3 01, in hexadecimal, in the
    order in which they are sent.

    --json prints the Avro schema; so does --output, which is the schema that the records of a topic are written with.

    --example prints a report made up for the last full hour, with an id of its own and the name of a host in it, which
    every tier that ships takes off.

    \b
    Examples:
      tidegate schema show
      tidegate schema show route_window
      tidegate schema show route_window.v1 --json > route_window.v1.avsc
      tidegate schema show route_window --output --tier byod
      tidegate schema show health_window --example > health_window.json && tidegate strip managed health_window.json

    Exit codes: 0 shown, 1 the files cannot be used, 2 wrong usage.
    """  # noqa: D301 - as above
    if output != (tier is not None):
        raise click.UsageError("--output and --tier go together: the policy of a tier makes the output schema")
    if as_example and output:
        raise click.UsageError("--example is a report as a device posts it, --output is what is stored; choose one")
    if report is None and (output or as_example):
        option = "--output" if output else "--example"
        raise click.UsageError(f"{option} needs a REPORT; `tidegate schema show` lists them")
    catalogue = contracts(tiers, reports)
    if report is None:
        _show_list(catalogue, as_json=as_json)
        return
    schema = report_named(catalogue, report)
    if as_example:
        click.echo(json.dumps(example(schema, now=SystemClock().now_ms()), indent=2))
    elif tier is not None:
        click.echo(json.dumps(_output(catalogue, schema, tier), indent=2))
    elif as_json:
        click.echo(json.dumps(schema.document, indent=2))
    else:
        _show_report(schema)


def _output(catalogue: Catalogue, schema: ReportSchema, tier: str) -> dict[str, Any]:
    plan = catalogue.plans.get((tier_named(catalogue, tier, hint="--tier").name, schema.fingerprint))
    if plan is None:
        raise click.BadParameter(f"tier {tier} does not take {schema.name}", param_hint="--tier")
    return plan.output


def _show_list(catalogue: Catalogue, *, as_json: bool) -> None:
    schemas = sorted(catalogue.schemas, key=lambda schema: schema.label)
    if as_json:
        listed = [
            {"report": schema.name, "version": schema.version, "fingerprint": schema.fingerprint.hex()}
            for schema in schemas
        ]
        click.echo(json.dumps(listed, indent=2))
        return
    table = columns("report", "fingerprint", "fields", "what it says")
    for schema in schemas:
        table.add_row(
            schema.label, schema.fingerprint.hex(), str(len(schema.fields)), Text(schema.document.get("doc", ""))
        )
    page().print(table)


def _show_report(schema: ReportSchema) -> None:
    console = page()
    console.print(schema.label, style="bold")
    for line in wrapped(schema.document.get("doc", ""), console.width):
        console.print(line)
    console.print()
    console.print(facts({"fingerprint": schema.fingerprint.hex(), "fields": len(schema.fields)}))
    console.print()
    console.print((_wide if console.width >= WIDE else _narrow)(schema))


def _wide(schema: ReportSchema) -> Table:
    table = columns("id", "field", "type", "class", "unit", "doc")
    for column in ("id", "field", "class"):
        next(c for c in table.columns if c.header == column).no_wrap = True
    for field in schema.fields.values():
        table.add_row(str(field.id), field.path, type_of(field), field.privacy, field.unit, field.doc)
    return table


def _narrow(schema: ReportSchema) -> Table:
    table = columns("id", "field, class, unit, type and doc")
    for field in schema.fields.values():
        head = Text(field.path, style="bold").append(f"  {field.privacy}, {field.unit}", style="default")
        table.add_row(str(field.id), Text("\n").join([head, Text(type_of(field), style="dim"), Text(field.doc or "")]))
    return table


def type_of(field: Field) -> str:
    """A field's type as a person writes it: `null or string`, `array of record`, `enum vpn | office | home`."""
    return f"null or {type_name(field.type)}" if field.nullable else type_name(field.type)


def type_name(node: AvroType) -> str:
    """As `type_of`, for a type without its field."""
    match node:
        case Primitive(name, logical):
            return name if logical is None else f"{name} {logical}"
        case Enumeration(_, symbols):
            return f"enum {' | '.join(symbols)}"
        case Fixed(_, size):
            return f"fixed {size} bytes"
        case Array(items):
            return f"array of {type_name(items)}"
        case Map(values):
            return f"map of {type_name(values)}"
        case Record(name):
            return f"record {name.rpartition('.')[2]}"


schema_group.add_command(compatible)
