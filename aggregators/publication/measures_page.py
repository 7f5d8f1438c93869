"""docs/measures.md, made from the headers of the measures' files.

`python -m aggregators.publication.measures_page > docs/measures.md` writes it. A test holds the page equal to the
files, so that the page is never written by hand.
"""

import sys
from collections.abc import Iterator

from aggregators.publication.measure import Cube, Measure, Quantity
from aggregators.publication.measures import load_measures

HEAD = """\
# What may be asked

Generated from the headers of `aggregators/sql/measures/`; after a change there run

    .venv/bin/python -m aggregators.publication.measures_page > docs/measures.md

Every number is published in cells: for an hour or a day (UTC), a tier and one of the combinations of dimensions listed
with each measure. A question names exactly one combination, what it asks by and what it filters by taken together; the
tier may always be added. What is not listed is not published. docs/adr/0013-publication.md says why, and when a cell
appears.

- **By window or by receipt.** A measure goes by the hour of the window that a device reports, or by the hour in which
  the gate took the report in.
- **Suppressed below k.** A cell appears once at least as many devices are in it as the tier's policy says (`k`),
  counted from below. Late data change it when as many devices wait. An answer counts what it withheld.
- **Shares and rates** are made of published cells. What is withheld is missing in the base of a share.
- **Percentiles** are nearest rank, from histograms of a fixed scale: at most 4.5 % above and 4.3 % below the value that
  they stand for. Up to 1/8 of the unit they read 1/8; past 2^24 they are empty, and the column `beyond` says so.
- **Absent** dimensions read `none`.

| measure | title | asked by | by | suppressed below k |
| --- | --- | --- | --- | --- |
"""


def page() -> str:
    """The whole page as Markdown."""
    measures = load_measures().values()
    return HEAD + "".join(map(_line, measures)) + "".join(map(_section, measures))


def _line(measure: Measure) -> str:
    anchor = f"#{measure.name.lower()}"
    suppressed = "no" if measure.unsuppressed_because else "yes"
    asked_by = ", ".join(sorted(measure.asked_by))
    return f"| [{measure.name}]({anchor}) | {measure.title} | {asked_by} | {_BASIS[measure.basis]} | {suppressed} |\n"


_BASIS = {"window": "window", "received": "receipt"}


def _section(measure: Measure) -> str:
    return "\n" + "\n".join(_lines(measure)) + "\n"


def _lines(measure: Measure) -> Iterator[str]:
    yield f"## {measure.name}"
    yield f"\n**{measure.title}.** {measure.question}\n"
    yield f"- Shows: {', '.join(map(_quantity, measure.columns))}. A comparison goes by `{measure.primary}`."
    if measure.unsuppressed_because:
        yield f"- Not suppressed, because {measure.unsuppressed_because}."
    yield "- Published by:"
    yield from (f"  - {_cube(cube)}" for cube in measure.cubes)


def _quantity(column: Quantity) -> str:
    return f"`{column.name}`" if column.unit == "none" else f"`{column.name}` ({column.unit})"


def _cube(cube: Cube) -> str:
    by = ", ".join(f"`{name}`" for name in cube.dimensions) or "the tier alone"
    notes = [
        *(["by day only"] if cube.day_only else []),
        *(["below k it says so in place of its values"] if cube.banded else []),
    ]
    return by + (f" ({', '.join(notes)})" if notes else "")


if __name__ == "__main__":
    sys.stdout.write(page())
