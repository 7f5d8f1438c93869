"""Golden files: submission and tier -> stripped record, remarks and status. See `tests/golden/case.py`."""

import pytest

from schemas.catalogue import load_catalogue
from schemas.plan import Action
from tests.golden.case import Case, cases

CATALOGUE = load_catalogue()
ALL = list(cases())


@pytest.mark.parametrize("case", ALL, ids=lambda case: case.name)
def test_golden(case: Case) -> None:
    """A submission becomes what its golden file says (to compare: python -m tests.golden.regenerate)."""
    assert case.outcome(CATALOGUE) == case.content["expected"], case.content["why"]


@pytest.mark.parametrize("case", ALL, ids=lambda case: case.name)
def test_each_says_why_it_exists(case: Case) -> None:
    """A golden file without a reason is one that nobody dares to change."""
    assert len(case.content["why"].split()) > 5
    assert case.content["why"].endswith(".")


def test_the_files_cover_the_contracts() -> None:
    """Every report is taken somewhere, every tier takes some, and every action and coarsening changes a value."""
    taken = [case for case in ALL if case.content["expected"]["status"] == 202]
    assert {case.content["report"] for case in taken} == set(CATALOGUE.latest)
    assert {case.content["tier"] for case in taken} == set(CATALOGUE.tiers)
    actions, ways = set(), set()
    for case in taken:
        plan = CATALOGUE.plans[case.content["tier"], CATALOGUE.latest[case.content["report"]].fingerprint]
        rules = {
            path: rule
            for rule in plan.tier.rules
            for path in rule.fields
            if not rule.reports or plan.schema.name in rule.reports
        }
        for path, action, _ in case.content["expected"]["remarks"]:
            actions.add(action)
            ways |= {getattr(rules[path], "by", None)} if action == "coarsen" else set()
    assert actions == {action.value for action in Action} - {"keep"}, "keep leaves no remark"
    assert ways == {"floor_hour", "ceil_hour", "bucket", "version", "allowed", "known"}, "no shipped tier uses address"
