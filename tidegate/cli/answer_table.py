"""An answer as a page of text: title, range, rows with aligned numbers, what was withheld, notes, what moved."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from rich.console import Console
from rich.table import Table

from tidegate.cli.page import columns, facts

DECIMALS = 4
"""Of numbers that are no whole ones: shares are told in hundredths of a percent."""
LARGE = 1000.0
"""From here on two decimals are enough."""

NOTHING = "-"


def show_answer(console: Console, document: Mapping[str, Any]) -> None:
    """Print an answer as `GET /v1/answers/<measure>` gives it."""
    console.print(f"{document['measure']}  {document['title']}", style="bold")
    console.print(facts(_facts(document)))
    if document["rows"]:
        _print(console, _table(document["columns"], document["rows"]))
    if "compare" in document:
        _show_comparison(console, document)
    for note in _notes(document):
        console.print(f"note: {note}", style="yellow", soft_wrap=True)  # it may hold a command to be copied


def show_listing(console: Console, document: Mapping[str, Any]) -> None:
    """Print what may be asked, as `GET /v1/answers` gives it."""
    table = columns("measure", "answers", "by", "with")
    table.columns[2].no_wrap = True
    for one in document["measures"]:
        combinations = [",".join(combination["by"]) or "(nothing)" for combination in one["combinations"]]
        with_units = ", ".join(column["name"] for column in one["columns"])
        table.add_row(one["measure"], f"{one['title']}\n{one['question']}", "\n".join(combinations), with_units)
        table.add_section()
    console.print(table)
    console.print("Each of the lines under `by` is one --by; tier may be added to any of them.", style="dim")


def withheld(counts: Mapping[str, int]) -> str:
    """What a cube could not show, in words."""
    told = [f"{counts['cells']:,} {_cells(counts['cells'])} of too few devices"] if counts["cells"] else []
    waiting = counts["waiting"]
    told += [f"late data of {waiting:,} {_cells(waiting)}, until more devices are in it"] if waiting else []
    return "; ".join(told) or "nothing"


def time_text(time: str | None) -> str:
    """A time of an answer, shorter: `2026-11-20 08:00`."""
    return NOTHING if time is None else time[:16].replace("T", " ")


def _facts(document: Mapping[str, Any]) -> dict[str, Any]:
    bucket = f", by {document['bucket']}" if document["bucket"] else ""
    filters = "; ".join(f"{name} is {' or '.join(values)}" for name, values in document["filters"].items())
    return {
        "range": f"{time_text(document['from'])} to {time_text(document['to'])} UTC{bucket}",
        "only": filters or None,
        "complete to": time_text(document["complete_to"]),
        "withheld": withheld(document["withheld"]),
    }


def _cells(count: int) -> str:
    return "cell" if count == 1 else "cells"


def _notes(document: Mapping[str, Any]) -> Iterator[str]:
    yield from document["notes"]
    if document["next"] is not None:
        yield f"There are more than these {len(document['rows']):,} rows: --limit shows more, --format csv has all."


def _table(described: Sequence[Mapping[str, Any]], rows: Sequence[Mapping[str, Any]]) -> Table:
    table = columns(*(_head(column) for column in described))
    for place, column in enumerate(described):
        table.columns[place].no_wrap = True
        if column["type"] in ("integer", "number"):
            table.columns[place].justify = "right"
    for row in rows:
        table.add_row(*(_cell(column["type"], row[column["name"]]) for column in described))
    return table


def _head(column: Mapping[str, Any]) -> str:
    """A column's name, and its unit where the name does not say it."""
    unit = column["unit"]
    return str(column["name"]) if unit in ("1", "none") or unit.startswith("{") else f"{column['name']} ({unit})"


def _cell(kind: str, value: Any) -> str:
    if value is None:
        return NOTHING
    if kind == "integer":
        return f"{value:,}"
    if kind == "number":
        return f"{value:,.2f}" if abs(value) >= LARGE else f"{value:,.{DECIMALS}f}"
    return time_text(value) if kind == "time" else str(value)


def _show_comparison(console: Console, document: Mapping[str, Any]) -> None:
    compared, described = document["compare"], {column["name"]: column for column in document["columns"]}
    value = {"name": compared["value"], "type": "number", "unit": compared["unit"]}
    moved = [{**value, "name": name} for name in ("before", "now", "change")]
    dimensions = [described[name] for name in described if compared["moved"] and name in compared["moved"][0]]
    span = f"{time_text(compared['from'])} to {time_text(compared['to'])}"
    console.print(f"Moved most in {_head(value)}, against {span}", style="bold")
    if compared["moved"]:
        _print(console, _table([*dimensions, *moved], compared["moved"]))
    else:
        console.print("nothing that is shown in both spans", style="dim")
    console.print(
        f"shown before only: {compared['only_before']:,}; now only: {compared['only_now']:,}; "
        f"withheld before: {withheld(compared['withheld'])}",
        style="dim",
    )
    console.print()
    console.print("Changed in the two spans, in order of time", style="bold")
    for change in document["changes"]:
        of = f" of {change['tier']}" if change["tier"] else ""
        console.print(
            f"  {time_text(change['time'])}  {change['what'].replace('_', ' ')}{of}, version {change['version']}"
        )
    if not document["changes"]:
        console.print("  nothing that is known here", style="dim")
    console.print()


def _print(console: Console, table: Table) -> None:
    """A terminal folds what is too wide; in a pipe each row stays on a line of its own."""
    width = console.width
    if not console.is_terminal:
        console.width = max(width, console.measure(table, options=console.options.update(width=10_000)).maximum)
    console.print(table)
    console.width = width
