"""Holds every answer of a running `tidegate serve` against what may be published of the truth."""

from collections.abc import Iterator

from load.fleet.asking import AUDITED, Api, Asked, NoGoodAnswer, parameters, place, rows_of
from load.fleet.audit_verdict import compare_receipts, compare_remarks
from load.fleet.expected_answers import expected_rows, of_all_tiers
from load.fleet.findings import Findings
from load.fleet.format_verdict import compare_formats
from load.fleet.reference_suppression import BANDED, Withheld
from load.fleet.truth_cells import CubeName

BASE_APART = CubeName("F1", ("planned_route", "actual_route"), "hour")
"""Its rates have their base in cells that may be withheld for one tier and not for another."""


def answers_mismatches(asked: Asked) -> list[str]:
    """How the answers differ from what is published of the truth. Raises OSError where nobody answers."""
    findings = Findings()
    measures = sorted({name.measure for name in asked.published.cells})
    api = Api(asked)
    try:
        for name in asked.published.cells:
            _compare_cube(api, asked, name, findings)
        for name in _first_cubes(asked):
            _compare_all_tiers(api, asked, name, findings)
        compare_formats(api, asked, findings)
        compare_remarks(api, asked, findings)
        compare_receipts(api, asked, findings)
    finally:
        api.close()
    return findings.mismatches([*measures, *sorted(AUDITED)])


def _compare_cube(api: Api, asked: Asked, name: CubeName, findings: Findings) -> None:
    """One cube, as it was published: with its tier, hour by hour or day by day."""
    where = f"[{', '.join(name.dims)}] {name.grain} over HTTP"
    by = ("tier", *name.dims)
    expected = expected_rows(name, asked.published.cells[name], k=asked.k, currency=asked.currency)
    try:
        pages = api.pages(name.measure, parameters(asked.windows, name.grain, by))
    except NoGoodAnswer as answer:
        findings.add(f"{name.measure} {where}: {answer}")
        return
    rows = rows_of(pages)
    got = {place(row, by): row for row in rows}
    findings.rows(name.measure, where, expected, got)
    if len(rows) != len(got):
        findings.add(f"{name.measure} {where}: a cell is there twice")
    told = Withheld(**pages[0]["withheld"])
    true = _withheld(asked, name)
    if told != true:
        findings.add(f"{name.measure} {where}: withheld and waiting are {tuple(told)}, expected {tuple(true)}")


def _withheld(asked: Asked, name: CubeName) -> Withheld:
    of_tiers = [counts for (cube, _), counts in asked.published.withheld.items() if cube == name]
    return Withheld(sum(one.cells for one in of_tiers), sum(one.waiting for one in of_tiers))


def _first_cubes(asked: Asked) -> Iterator[CubeName]:
    """One cube of each measure and `BASE_APART`, none of those that have bands, which cannot be added up."""
    found: set[str] = set()
    for name in asked.published.cells:
        if name.measure not in found and (name.measure, name.dims) not in BANDED:
            found.add(name.measure)
            yield name
        elif name == BASE_APART:
            yield name


def _compare_all_tiers(api: Api, asked: Asked, name: CubeName, findings: Findings) -> None:
    """A cube without its tier, so that the product adds up what was published of each."""
    where = f"[{', '.join(name.dims)}] {name.grain}, all tiers, over HTTP"
    added = of_all_tiers(name, asked.published.cells[name])
    expected = expected_rows(name, added, k=asked.k, currency=asked.currency)
    try:
        rows = rows_of(api.pages(name.measure, parameters(asked.windows, name.grain, name.dims)))
    except NoGoodAnswer as answer:
        findings.add(f"{name.measure} {where}: {answer}")
        return
    by = ("tier", *name.dims)
    findings.rows(name.measure, where, expected, {place({**row, "tier": "all"}, by): row for row in rows})
