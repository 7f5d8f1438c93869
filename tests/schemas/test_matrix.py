"""The policies as a table."""

import pytest

from schemas.catalogue import load_catalogue
from schemas.matrix import COLUMNS, MatrixRow, matrix, plan_rows, rows_about, sections
from schemas.plan import NOT_NAMED, planned_leaves
from tests.made_up import made_up_plan

CATALOGUE = load_catalogue()
ROWS = list(matrix(CATALOGUE))


def row(tier: str, report: str, field: str) -> MatrixRow:
    """The one row about a field."""
    [found] = [row for row in ROWS if (row.tier, row.report, row.field) == (tier, f"{report}.v1", field)]
    return found


def test_every_field_of_every_plan_has_its_row() -> None:
    """The table leaves nothing out and says nothing twice."""
    expected = [
        (plan.tier.name, plan.schema.label, planned.field.path)
        for plan in CATALOGUE.plans.values()
        for planned in planned_leaves(plan.fields)
    ]
    told = [(row.tier, row.report, row.field) for row in ROWS]
    assert sorted(told) == sorted(expected)
    assert len(set(told)) == len(told)


SAID = [
    pytest.param("managed", "route_window", "device_id", "pseudonymise", None, None, None, id="a pseudonym"),
    pytest.param("byod", "route_window", "device_id", "drop", None, None, None, id="dropped"),
    pytest.param("byod", "route_window", "os_version", "coarsen", "version (parts 1)", None, None, id="coarsened"),
    pytest.param("byod", "route_window", "network_context", "keep", None, "location", None, id="under a consent"),
    pytest.param("byod", "route_window", "window_start", "coarsen", "floor_hour", None, None, id="to the hour"),
    pytest.param("contractor", "route_window", "user_email", "drop", None, None, "2026-07-01", id="refused"),
    pytest.param("byod", "route_window", "site", "coarsen", "known (of site)", "location", None, id="known"),
    pytest.param(
        "contractor",
        "fallback_window",
        "rows.seconds_in_fallback",
        "coarsen",
        "bucket (bounds 0 60 300 900 1800 3600)",
        "fallback_reports",
        None,
        id="in steps",
    ),
]


@pytest.mark.parametrize(("tier", "report", "field", "action", "how", "consent", "refused_from"), SAID)
def test_a_row_says_what_the_policy_says(  # noqa: PLR0917  # the columns of the table
    tier: str, report: str, field: str, action: str, how: str | None, consent: str | None, refused_from: str | None
) -> None:
    """Action, its parameters in words, consent and the day of a refusal are those of the file."""
    found = row(tier, report, field)
    assert (found.action, found.how, found.consent, found.refused_from) == (action, how, consent, refused_from)
    assert found.why.endswith(".")
    assert (found.privacy, found.unit) != ("", "")


def test_every_row_has_a_reason() -> None:
    """An auditor never meets a field that nobody thought about: every shipped field is named by a rule of its own."""
    assert [row.field for row in ROWS if row.why == NOT_NAMED] == []


def test_what_does_not_apply_is_left_out() -> None:
    """A row as a JSON object has no empty keys."""
    shown = row("byod", "route_window", "device_id").as_dict()
    assert set(COLUMNS) - set(shown) == {"how", "consent", "refused_from"}


def test_rows_about_a_field() -> None:
    """A question about a field is answered by its rule, by that of what holds it, or by those of what it holds."""
    plan = made_up_plan(
        [
            {"name": "box", "type": {"type": "record", "name": "Box", "fields": [{"name": "a", "type": "int"}]}},
            {"name": "bo", "type": "int"},
            {"name": "whole", "type": {"type": "record", "name": "Whole", "fields": [{"name": "b", "type": "int"}]}},
        ],
        [{"fields": ["whole"], "action": "keep"}],
    )
    assert [found.field for found in rows_about(plan, "box")] == ["box.a"]
    assert [found.field for found in rows_about(plan, "box.a")] == ["box.a"]
    assert [found.field for found in rows_about(plan, "whole.b")] == ["whole"]
    assert [found.field for found in rows_about(plan, "bo")] == ["bo"]
    assert list(rows_about(plan, "nothing")) == []


def test_sections_say_once_what_all_reports_share() -> None:
    """Told by section, the table holds every decision of every report, and shared ones once a tier."""
    found = list(sections(ROWS))
    told = {
        (section.tier, label, row.field, row.decision)
        for section in found
        for label in section.reports
        for row in section.rows
    }
    assert told == {(row.tier, row.report, row.field, row.decision) for row in ROWS}
    assert sum(len(section.rows) for section in found) < len(ROWS)
    shared = [section for section in found if len(section.reports) > 1]
    assert sorted(section.tier for section in shared) == sorted(CATALOGUE.tiers)
    assert {"device_id", "attributes"} <= {row.field for row in shared[0].rows}
    for section in found:
        assert sum(len(group) for group in section.groups) == len(section.rows)
        assert all(len({row.decision for row in group}) == 1 for group in section.groups)


def test_one_report_alone_is_one_section() -> None:
    """With nothing to share there is nothing to tell apart."""
    [section] = sections(plan_rows(made_up_plan([{"name": "a", "type": "int"}], [])))
    assert (section.reports, [row.field for row in section.rows][-1]) == (("made_up.v1",), "a")
