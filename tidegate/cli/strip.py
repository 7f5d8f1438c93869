"""`tidegate strip`: what would become of a report, shown to whoever has it.

The report goes through the gate's own code. What a tier takes off is told by name, never by value.
"""

import json
import secrets
from collections.abc import Iterator, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any, BinaryIO

import click
from rich.console import Console
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from ingest.body import MAX_BODY
from ingest.clock import SystemClock
from ingest.http.answers import rejected
from ingest.keys import KEY_BYTES
from ingest.pipeline import CUT, Rules, Submission, Verdict, judge, messages_of
from ingest.problems import Reason, Rejected
from ingest.report import Remark, StrippedReport
from ingest.telemetry.account import UNKNOWN_FIELD_LABEL
from schemas.catalogue import Catalogue
from schemas.matrix import how
from schemas.plan import UNKNOWN_FIELD, Action, Plan, PlannedField, planned_leaves
from tidegate.cli.contracts import contracts, report_named, tier_named, tiers_option
from tidegate.cli.data_directory import json_option
from tidegate.cli.page import action, columns, facts, page
from tidegate.cli.record_text import UNKNOWN_NAMES, kept, record_lines, remark_path
from tidegate.cli.submission_file import media_type_of, report_of

NEXT_STEPS = {
    "retry": "send the same bytes again later",
    "discard": "never send these bytes again",
    "keep": "keep the report until the device or the gate was updated",
    "ask_admin": "a person has to change something",
}
"""What a device does at each of the actions of `ingest.problems`."""

WHY_UNKNOWN = (
    "A name that the schema does not have can be a leak itself, so it is counted and forgotten with its value."
)

PSEUDONYMS = "Pseudonyms shown here were made with a key that is forgotten now; those of a gate are different ones."


class Moment(click.ParamType[int]):
    """A time such as 2026-11-21T09:30:00Z; its value is in milliseconds since the epoch."""

    name = "time"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> int:
        try:
            moment = datetime.fromisoformat(str(value))
        except ValueError:
            self.fail(f"{value!r} is no time; write it like 2026-11-21T09:30:00Z", param, ctx)
        if moment.tzinfo is None:
            self.fail(f"{value!r} does not say which clock it is by; add Z for UTC, or an offset", param, ctx)
        return round(moment.timestamp() * 1000)


@click.command("strip", short_help="Show what stays of a report, what goes, and why.")
@click.argument("tier")
@click.argument("file", type=click.File("rb"))
@click.option("--report", help="Which report it is; needed for JSON unless the file's name begins with it.")
@click.option("--media-type", type=click.Choice(sorted(CUT)), help="What the file holds.  [default: as it looks]")
@click.option("--now", type=Moment(), help="What the gate's clock says.  [default: now]")
@click.option("--location", default="local", show_default=True, help="Where the gate stores, as to `tidegate serve`.")
@tiers_option
@json_option
def strip_command(
    tier: str,
    file: BinaryIO,
    report: str | None,
    media_type: str | None,
    now: int | None,
    location: str,
    tiers: Path,
    as_json: bool,
) -> None:
    """Show what would become of a report: what stays, what goes, and why.

    FILE (- is stdin) holds a report as it would be posted: an Avro single-object message, an avro-sequence, or JSON. It
    goes through the gate's own code under the policy of TIER; nothing is stored or sent. What goes is named and
    counted, never shown.

    Pseudonyms are made with a key for this one run, so they are not those of any gate. Names that only the operator's
    manifest can know read "other".

    For a file to begin with: `tidegate schema show route_window --example > route_window.json`.

    \b
    Examples:
      tidegate strip managed route_window.json
      tidegate strip contractor report.avro --now 2026-11-21T09:30:00Z
      curl -s https://example.org/report.json | tidegate strip byod - --report health_window

    Exit codes: 0 all accepted, 1 at least one refused, 2 wrong usage.
    """  # noqa: D301 - \b keeps click from joining the lines
    catalogue = contracts(tiers)
    tier_named(catalogue, tier)
    body = file.read()
    media_type = media_type or media_type_of(body)
    name = (
        report_of(body, media_type=media_type, file=getattr(file, "name", "-"), catalogue=catalogue)
        if report is None
        else report
    )
    submission = Submission(
        tier=tier,
        report=report_named(catalogue, name, hint="--report").name,
        media_type=media_type,
        coding="",
        body=body,
    )
    verdicts = _judge(submission, catalogue, location, now=SystemClock().now_ms() if now is None else now)
    if as_json:
        click.echo(json.dumps([_document(index, verdict) for index, verdict in enumerate(verdicts)], indent=2))
    else:
        _tell(submission, verdicts, catalogue)
    if any(isinstance(verdict, Rejected) for verdict in verdicts):
        raise click.exceptions.Exit(1)


def _judge(submission: Submission, catalogue: Catalogue, location: str, *, now: int) -> Sequence[Verdict]:
    key = secrets.token_bytes(KEY_BYTES)
    rules = Rules(catalogue=catalogue, names={}, location=location, key=lambda *_: key)
    if len(submission.body) > MAX_BODY:
        return [Rejected(Reason.BODY_TOO_LARGE)]
    try:
        verdicts = [judge(message, submission, rules, now=now) for message in messages_of(submission, rules)]
    except Rejected as refusal:
        return [refusal]
    return verdicts or [Rejected(Reason.EMPTY_BODY)]


def _document(index: int, verdict: Verdict) -> dict[str, Any]:
    if isinstance(verdict, Rejected):
        return {**rejected(index, verdict), "title": verdict.reason.problem.title}
    plan = verdict.plan
    return {
        "index": index,
        "outcome": "accepted",
        "report": plan.schema.label,
        "tier": plan.tier.name,
        "policy_version": plan.tier.version,
        "topic": plan.topic,
        "stays": kept(plan.readable(verdict.body)),
        "goes": list(_gone(verdict)),
    }


def _gone(stripped: StrippedReport) -> Iterator[dict[str, Any]]:
    """What each remark of a stripped report says, with the rule behind it."""
    leaves = {planned.field.id: planned for planned in planned_leaves(stripped.plan.fields)}
    for remark in stripped.remarks:
        told = {
            "field": remark_path(stripped.plan, remark.field),
            "action": remark.action.value,
            "values": remark.values,
            **_reasons(stripped.plan, remark, leaves.get(remark.field)),
        }
        yield {name: value for name, value in told.items() if value is not None}


def _reasons(plan: Plan, remark: Remark, planned: PlannedField | None) -> dict[str, Any]:
    if remark.field == UNKNOWN_FIELD or planned is None:
        return {"why": WHY_UNKNOWN}
    refused_from = plan.refused_from(planned.field.path)
    withheld = remark.action is Action.DROP and planned.action is not Action.DROP
    return {
        "how": f"the report does not give the consent {planned.consent}" if withheld else how(planned),
        "why": planned.rule.why,
        "refused_from": None if refused_from is None else refused_from.isoformat(),
    }


def _tell(submission: Submission, verdicts: Sequence[Verdict], catalogue: Catalogue) -> None:
    console = page()
    for index, verdict in enumerate(verdicts):
        if index:
            console.print()
        number = f"report {index + 1} of {len(verdicts)}: " if len(verdicts) > 1 else ""
        if isinstance(verdict, Rejected):
            _tell_refused(console, number, submission, verdict, catalogue)
        else:
            _tell_accepted(console, number, verdict)


def _tell_refused(
    console: Console, number: str, submission: Submission, refusal: Rejected, catalogue: Catalogue
) -> None:
    problem = refusal.reason.problem
    tier = catalogue.tiers[submission.tier]
    console.print(f"{number}{submission.report} is refused by {tier.name}, policy version {tier.version}", style="bold")
    console.print()
    why = next((entry.why for entry in tier.refuse_if_present if entry.field == refusal.path), None)
    told = {
        "reason": Text(refusal.reason.value, style="red"),
        "path": refusal.path,
        "status": problem.status,
        "title": problem.title,
        "why": why if refusal.reason is Reason.FIELD_REFUSED else None,
        "action": f"{problem.action}: {NEXT_STEPS[problem.action]}",
    }
    console.print(Padding(facts(told), (0, 0, 0, 2)))


def _tell_accepted(console: Console, number: str, stripped: StrippedReport) -> None:
    plan = stripped.plan
    accepted = f"{number}{plan.schema.label} is accepted by {plan.tier.name}, policy version {plan.tier.version}"
    console.print(accepted, style="bold")
    console.print(f"It would be stored in {plan.topic}.")
    console.print()
    console.print("What stays", style="bold")
    for line in record_lines(kept(plan.readable(stripped.body)), width=console.width, indent="  "):
        console.print(line)
    console.print()
    gone = list(_gone(stripped))
    if not gone:
        console.print("Nothing goes: every value was kept as it was.", style="bold")
        return
    console.print("What goes, and why", style="bold")
    console.print(_gone_table(gone))
    if any(told["action"] == Action.PSEUDONYMISE.value for told in gone):
        console.print(PSEUDONYMS)


def _gone_table(gone: Sequence[dict[str, Any]]) -> Table:
    table = columns("action", "field, number of values, and why")
    table.columns[0].no_wrap = True
    for told in gone:
        name = UNKNOWN_NAMES if told["field"] == UNKNOWN_FIELD_LABEL else told["field"]
        values = "1 value" if told["values"] == 1 else f"{told['values']} values"
        lines = [Text(name, style="bold").append(f"  {values}", style="not bold")]
        lines += [Text(told[part], style=style) for part, style in (("how", ""), ("why", "dim")) if part in told]
        if "refused_from" in told:
            lines.append(Text(f"From {told['refused_from']} on a report that carries it is refused.", style="red"))
        table.add_row(action(told["action"]), Text("\n").join(lines), end_section=True)
    return table
