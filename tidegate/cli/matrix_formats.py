"""The matrix of policies in each of the forms that `tidegate policy matrix` prints."""

import csv
import json
import sys
from collections.abc import Callable, Iterator, Sequence

import click
from rich.table import Table
from rich.text import Text

from schemas.catalogue import Catalogue
from schemas.matrix import COLUMNS, MatrixRow, Section, sections
from tidegate.cli.page import WIDE, action, columns, page

Rows = Sequence[MatrixRow]


def heading(section: Section, catalogue: Catalogue) -> str:
    """What the rows of a section are about."""
    taken = catalogue.tiers[section.tier].reports
    if len(section.reports) == 1:
        return section.reports[0] if section.rows else f"{section.reports[0]}: nothing of its own"
    return (
        f"every report ({len(section.reports)} of {len(taken)})"
        if len(section.reports) != len(taken)
        else "every report"
    )


def decisions(groups: Sequence[Rows], *, width: int) -> Table:
    """Groups of rows with one decision each, as a table that fits `width` columns."""
    return _wide(groups) if width >= WIDE else _narrow(groups)


def conditions(row: MatrixRow) -> list[str]:
    """What qualifies an action, in words: how it coarsens, under which consent, and from when it refuses."""
    told = [row.how] if row.how else []
    if row.consent:
        told.append(f"if consent {row.consent}, else drop")
    if row.refused_from:
        told.append(f"report refused from {row.refused_from}")
    return told


def _wide(groups: Sequence[Rows]) -> Table:
    table = columns("field", "class", "action", "how", "why")
    for index in (0, 1, 2):
        table.columns[index].no_wrap = True
    table.columns[3].ratio, table.columns[4].ratio = 2, 5
    table.expand = True
    for group in groups:
        table.add_row(
            "\n".join(row.field for row in group),
            "\n".join(row.privacy for row in group),
            action(group[0].action),
            "\n".join(conditions(group[0])),
            Text(group[0].why),
            end_section=True,
        )
    return table


def _narrow(groups: Sequence[Rows]) -> Table:
    table = columns("action", "field (class), and why")
    table.columns[0].no_wrap = True
    for group in groups:
        fields = Text(", ".join(f"{row.field} ({row.privacy})" for row in group), style="bold")
        told = [fields, *(Text(condition) for condition in conditions(group[0])), Text(group[0].why, style="dim")]
        table.add_row(action(group[0].action), Text("\n").join(told), end_section=True)
    return table


def _print_table(rows: Rows, catalogue: Catalogue) -> None:
    console = page()
    tier = None
    for section in sections(rows):
        if section.tier != tier:
            tier = section.tier
            console.print(f"{tier}, policy version {section.policy_version}", style="bold underline")
            console.print()
        console.print(heading(section, catalogue), style="bold")
        if section.rows:
            console.print(decisions(section.groups, width=console.width))


def _print_json(rows: Rows, _: Catalogue) -> None:
    click.echo(json.dumps([row.as_dict() for row in rows], indent=2))


def _print_csv(rows: Rows, _: Catalogue) -> None:
    """RFC 4180, the names of the columns first; what does not apply is empty."""
    writer = csv.DictWriter(sys.stdout, COLUMNS, lineterminator="\r\n")
    writer.writeheader()
    writer.writerows(row.as_dict() for row in rows)


def _print_markdown(rows: Rows, catalogue: Catalogue) -> None:
    for line in _markdown(rows, catalogue):
        click.echo(line)


def _markdown(rows: Rows, catalogue: Catalogue) -> Iterator[str]:
    tier = None
    for section in sections(rows):
        if section.tier != tier:
            yield from (() if tier is None else ("",))
            tier = section.tier
            yield f"## {tier}, policy version {section.policy_version}"
        yield from ("", f"### {heading(section, catalogue)}")
        if section.rows:
            yield from ("", "| field | class | unit | action | how | why |", "| --- | --- | --- | --- | --- | --- |")
        for row in section.rows:
            cells = (f"`{row.field}`", row.privacy, row.unit, row.action, "; ".join(conditions(row)), row.why)
            yield "| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |"


FORMATS: dict[str, Callable[[Rows, Catalogue], None]] = {
    "table": _print_table,
    "json": _print_json,
    "csv": _print_csv,
    "markdown": _print_markdown,
}
"""By the name that --format takes."""
