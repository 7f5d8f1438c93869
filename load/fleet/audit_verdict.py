"""Holds A1 and A3 over HTTP against what was posted.

Which report a gate took in which hour is its own affair, so answers are added up over all hours of receipt. Days that
were not over at the publication have no cells, so that days may then tell less than everything.
"""

from collections import Counter
from collections.abc import Iterable, Mapping

from load.fleet.asking import DAY_MS, Api, Asked, NoGoodAnswer, parameters, place, rows_of
from load.fleet.findings import AtMost, Findings, Row
from load.fleet.truth_cells import GRAINS, Grain

A1_CUBES = (
    ("report", "field", "action"),
    ("field", "action"),
    ("field", "action", "agent_version"),
    ("report", "field", "action", "schema_version", "policy_version"),
)

NOTHING = {"cells": 0, "waiting": 0}

Sums = dict[tuple[str, ...], Counter[str]]


def compare_remarks(api: Api, asked: Asked, findings: Findings) -> None:
    """A1 of each tier is the truth where nothing is withheld; elsewhere it is never more than the truth."""
    for dims in A1_CUBES:
        for grain in GRAINS:
            for tier in asked.receipts:
                where = f"[{', '.join(dims)}] {grain} of {tier} over HTTP"
                question = {**parameters(asked.received, grain, dims), "tier": tier}
                try:
                    pages = api.pages("A1", question)
                except NoGoodAnswer as answer:
                    findings.add(f"A1 {where}: {answer}")
                    continue
                rows = rows_of(pages)
                _none_is_open(asked, f"A1 {where}", grain, rows, findings)
                got = _added(rows, ("tier", *dims), ("values", "reports"))
                whole = _has_all(asked, grain) and pages[0]["withheld"] == NOTHING
                findings.rows("A1", where, _expected(asked, dims, tier, None if whole else got), got)


def _expected(asked: Asked, dims: tuple[str, ...], tier: str, partial: Sums | None) -> Mapping[tuple[str, ...], Row]:
    """The truth; of an answer with cells withheld, that its rows do not exceed the truth."""
    true = {key: row for key, row in asked.remarks.by(dims).items() if key[0] == tier}
    return true if partial is None else _at_most(true, partial)


def _at_most(true: Mapping[tuple[str, ...], Row], partial: Sums) -> Mapping[tuple[str, ...], Row]:
    return {key: {name: AtMost(value) for name, value in row.items()} for key, row in true.items() if key in partial}


def _over_to(asked: Asked) -> int:
    """Up to when days were over at the newest publication."""
    return asked.complete_to // DAY_MS * DAY_MS


def _has_all(asked: Asked, grain: Grain) -> bool:
    """Whether the published spans of this grain take in all that was received."""
    return grain == "hour" or asked.received[1] <= _over_to(asked)


def _none_is_open(asked: Asked, where: str, grain: Grain, rows: Iterable[Row], findings: Findings) -> None:
    if grain == "day" and any(int(place(row, ())[0]) >= _over_to(asked) for row in rows):
        findings.add(f"{where}: a day that was not over is there")


def compare_receipts(api: Api, asked: Asked, findings: Findings) -> None:
    """A3 of each tier: what was stored, what was posted twice, and that nothing else is left unexplained."""
    for grain in GRAINS:
        where = f"{grain} over HTTP"
        try:
            rows = rows_of(api.pages("A3", parameters(asked.received, grain, ("tier",))))
            outcomes = rows_of(api.pages("A3", parameters(asked.received, grain, ("tier", "outcome"))))
        except NoGoodAnswer as answer:
            findings.add(f"A3 {where}: {answer}")
            continue
        _none_is_open(asked, f"A3 {where}", grain, [*rows, *outcomes], findings)
        got = _added(rows, ("tier",), ("accepted", "duplicate", "unaccounted"))
        got_outcomes = _added(outcomes, ("tier", "outcome"), ("reports",))
        true: Mapping[tuple[str, ...], Row] = _totals(asked)
        true_outcomes: Mapping[tuple[str, ...], Row] = _outcomes(asked)
        if not _has_all(asked, grain):
            true, true_outcomes = _at_most(true, got), _at_most(true_outcomes, got_outcomes)
        findings.rows("A3", where, *_of_known(true, got))
        findings.rows("A3", f"[outcome] {where}", *_of_known(true_outcomes, got_outcomes))
        unknown = sum(row["unknown_spans"] for row in rows)
        if unknown:  # no gate is killed in a trial, and one that is stopped tells of its end
            findings.add(f"A3 {where}: {unknown} spans of a gate are unknown")


def _totals(asked: Asked) -> dict[tuple[str, ...], Row]:
    return {
        (tier,): {"accepted": one.stored, "duplicate": one.duplicates, "unaccounted": 0}
        for tier, one in asked.receipts.items()
    }


def _outcomes(asked: Asked) -> dict[tuple[str, ...], Row]:
    """The outcomes of which the truth knows; none is listed with nothing."""
    told = {
        (tier, outcome): {"reports": number}
        for tier, one in asked.receipts.items()
        for outcome, number in (("stored", one.stored), ("duplicate", one.duplicates))
    }
    return {key: row for key, row in told.items() if row["reports"]}


def _of_known(
    expected: Mapping[tuple[str, ...], Row], got: Sums
) -> tuple[Mapping[tuple[str, ...], Row], Mapping[tuple[str, ...], Row]]:
    """Both, without the rows of `got` that the truth says nothing about: other outcomes, and the gate as a whole."""
    return expected, {key: row for key, row in got.items() if key in expected}


def _added(rows: Iterable[Row], names: tuple[str, ...], values: tuple[str, ...]) -> Sums:
    sums: Sums = {}
    for row in rows:
        of_key = sums.setdefault(tuple(row[name] for name in names), Counter())
        for value in values:
            of_key[value] += row[value]
    return sums
