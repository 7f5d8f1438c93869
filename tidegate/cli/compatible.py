"""`tidegate schema compatible`: whether old and new records can be read as each other's, and if not, where and why."""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import click

from schemas.catalogue import load_plans
from schemas.compatible import DIRECTIONS, Incompatibility, NotAvro, incompatibilities, policy_incompatibilities
from schemas.errors import ContractError
from tidegate.cli.contracts import contracts, report_named, reports_option
from tidegate.cli.data_directory import json_option
from tidegate.cli.page import page, wrapped

HEADINGS = {
    "new reads old": "NEW cannot read what was written under OLD:",
    "old reads new": "OLD cannot read what is written under NEW:",
}


@dataclass(frozen=True, slots=True)
class Compared:
    """Two schemas that were compared: what they are called, and what was found."""

    what: str
    found: tuple[Incompatibility, ...]


@click.command("compatible")
@click.argument("old")
@click.argument("new")
@reports_option
@json_option
def compatible(old: str, new: str, reports: Path, as_json: bool) -> None:
    """Say whether records under OLD and NEW can be read as each other's.

    OLD and NEW are two Avro schema files (.avsc), two versions of a report (route_window.v1 route_window.v2), or two
    versions of a policy (.toml). Of two policies the schemas of their stripped records are compared, for each report
    that both of them take.

    Each place where a direction fails is named by its path: rows[] is an item of the array rows, names{} a value of the
    map names. The verdict is that of the Apache Avro project's checker.

    \b
    Examples:
      tidegate schema compatible route_window.v1 route_window.v2
      tidegate schema compatible old.avsc new.avsc
      git show HEAD:schemas/tiers/byod.toml > /tmp/old.toml
      tidegate schema compatible /tmp/old.toml schemas/tiers/byod.toml

    Exit codes: 0 fully compatible, 1 not, 2 wrong usage or files that cannot be compared.
    """  # noqa: D301 - \b keeps click from joining the lines
    try:
        compared = tuple(_compare(old, new, reports))
    except (NotAvro, ContractError) as error:
        raise click.UsageError(f"these cannot be compared\n{error}") from None
    if as_json:
        click.echo(json.dumps(_document(compared), indent=2))
    else:
        _tell(old, new, compared)
    if any(one.found for one in compared):
        raise click.exceptions.Exit(1)


def _compare(old: str, new: str, reports: Path) -> Iterator[Compared]:
    kind = _kind(old)
    if kind != _kind(new):
        raise click.UsageError("OLD and NEW must be of one kind: two .avsc files, two .toml files, or two reports")
    if kind == ".toml":
        yield from _compare_policies(_file(old, "OLD"), _file(new, "NEW"), reports)
    elif kind == ".avsc":
        older, newer = _avro_file(_file(old, "OLD")), _avro_file(_file(new, "NEW"))
        yield Compared(f"{old} and {new}", tuple(incompatibilities(older, newer)))
    else:
        catalogue = contracts(reports=reports)
        older, newer = report_named(catalogue, old).document, report_named(catalogue, new).document
        yield Compared(f"{old} and {new}", tuple(incompatibilities(older, newer)))


def _kind(name: str) -> str:
    suffix = Path(name).suffix
    return suffix if suffix in (".avsc", ".toml") else "report"


def _file(name: str, which: str) -> Path:
    file = Path(name)
    if not file.is_file():
        raise click.BadParameter(f"there is no file {name}", param_hint=which)
    return file


def _avro_file(file: Path) -> dict[str, Any]:
    try:
        document = json.loads(file.read_text(encoding="utf-8"))
    except ValueError as error:
        raise click.UsageError(f"{file} is not JSON: {error}") from None
    if not isinstance(document, dict):
        raise click.UsageError(f"{file} is not an Avro record schema: it holds no JSON object")
    return document


def _compare_policies(old: Path, new: Path, reports: Path) -> Iterator[Compared]:
    older, newer = load_plans(old, reports=reports), load_plans(new, reports=reports)
    for label, found in policy_incompatibilities(older, newer):
        yield Compared(label, tuple(found))
    if not older.keys() & newer.keys():
        raise click.UsageError("there is nothing to compare: the two policies take no report in common")


def _document(compared: tuple[Compared, ...]) -> dict[str, Any]:
    return {
        "compatible": not any(one.found for one in compared),
        "compared": [one.what for one in compared],
        "incompatibilities": [
            {"in": one.what, "direction": found.direction, "where": found.where, "kind": found.kind, "why": found.why}
            for one in compared
            for found in one.found
        ],
    }


def _tell(old: str, new: str, compared: tuple[Compared, ...]) -> None:
    console = page()
    refused = [one for one in compared if one.found]
    if not refused:
        several = "" if len(compared) == 1 else f" in all of {', '.join(one.what for one in compared)}"
        for line in wrapped(f"Fully compatible{several}: {old} and {new} read each other's records.", console.width):
            console.print(line)
        return
    for one in refused:
        console.print(f"{one.what}: not fully compatible", style="bold")
        for direction in DIRECTIONS:
            _tell_direction([found for found in one.found if found.direction == direction], HEADINGS[direction])


def _tell_direction(found: list[Incompatibility], heading: str) -> None:
    console = page()
    if found:
        console.print(f"\n  {heading}")
    for one in found:
        console.print(f"    {one.where}  ({one.kind})")
        for line in wrapped(one.why, console.width, indent="      "):
            console.print(line)
