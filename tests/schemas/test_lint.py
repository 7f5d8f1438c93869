"""Each rule of the lint, shown on a copy of the shipped files that breaks it once."""

from pathlib import Path

import pytest

from schemas.catalogue import load_catalogue
from schemas.plan import planned_leaves
from tests.schemas.contract_copies import Copy

ROUTE = "reports/route_window.v1.avsc"
BYOD, CONTRACTOR, MANAGED = "tiers/byod.toml", "tiers/contractor.toml", "tiers/managed.toml"


@pytest.fixture
def contracts(tmp_path: Path) -> Copy:
    """A copy of the shipped files."""
    return Copy(tmp_path)


def test_the_shipped_files_are_clean(contracts: Copy) -> None:
    """Nothing is wrong with what ships."""
    assert contracts.findings() == ()


RULES = [
    pytest.param(
        ROUTE,
        '"privacy": "sensitive", "unit": "none",\n       "doc": "Class',
        '"unit": "none",\n       "doc": "Class',
        "rows.data_class: no privacy class",
        "one of identifier, quasi_identifier",
        "",
        id="a field without a class",
    ),
    pytest.param(
        ROUTE,
        '"privacy": "sensitive"',
        '"privacy": "secret"',
        "rows.data_class: no privacy class",
        "one of identifier",
        "",
        id="a class that does not exist",
    ),
    pytest.param(
        ROUTE,
        '"unit": "{task}", "doc": "Tasks in this row',
        '"doc": "Tasks in this row',
        "rows.tasks: no unit",
        '"none" for names',
        "",
        id="a field without a unit",
    ),
    pytest.param(
        ROUTE,
        '"doc": "Class of the data that the tasks touched."',
        '"doc": ""',
        "rows.data_class: no doc",
        "a sentence",
        "",
        id="a field without a doc",
    ),
    pytest.param(
        ROUTE,
        '{"name": "violations"',
        '{"name": "remarks"',
        "remarks: the stripped record uses this name",
        "another name",
        "",
        id="a reserved name",
    ),
    pytest.param(
        ROUTE,
        '"doc": "Region of the manifest that the device belongs to."',
        '"doc": "Another sentence."',
        "the header differs from that of capability_probe.v1.avsc",
        "make them the same",
        "",
        id="another header",
    ),
    pytest.param(
        ROUTE,
        '{"name": "attributes"',
        '{"name": "extras"',
        "does not begin with the header",
        "report_id, window_start",
        "",
        id="a header that does not end",
    ),
    pytest.param(
        BYOD,
        'tier = "byod"',
        'tier = "bring-your-own"',
        "the file of tier bring-your-own has another name",
        "rename the file to bring-your-own.toml",
        "tier =",
        id="a tier in another file",
    ),
    pytest.param(
        BYOD,
        '"route_window", "fallback_window", "model_inventory"',
        '"route_windows", "fallback_window", "model_inventory"',
        "there is no report route_windows",
        "did you mean route_window",
        "reports = [",
        id="a report that is none",
    ),
    pytest.param(
        BYOD,
        'fallback_window = "fallback_reports"',
        'fallback_windows = "fallback_reports"',
        "there is no report fallback_windows",
        "did you mean fallback_window",
        "fallback_windows =",
        id="a consent for a report that is none",
    ),
    pytest.param(
        BYOD,
        'reports = ["stability_window"]',
        'reports = ["stability"]',
        "there is no report stability",
        "did you mean stability_window",
        "@",
        id="a rule for a report that is none",
    ),
    pytest.param(
        BYOD,
        'fields = ["hardware_tier"]',
        'fields = ["hardware_teir"]',
        "no report has a field hardware_teir",
        "did you mean hardware_tier",
        "@",
        id="a field that is none",
    ),
    pytest.param(
        BYOD,
        'field = "user_email"',
        'field = "user_mail"',
        "no report has a field user_mail",
        "user_email",
        "[[refuse_if_present]]",
        id="a refusal of a field that is none",
    ),
    pytest.param(
        BYOD,
        '"rows.probes", "rows.reached_intended"',
        '"rows.probes", "rows.tokens_in"',
        "path_probe.v1, rows.tokens_in: there is no such field",
        "did you mean",
        "@",
        id="a field of another report",
    ),
    pytest.param(
        BYOD,
        'field = "user_email"',
        'field = "hardware_tier"',
        "hardware_tier: always present, so every report would be refused",
        "null or empty",
        "[[refuse_if_present]]",
        id="a refusal of what is always there",
    ),
    pytest.param(
        BYOD,
        'field = "user_email"',
        'field = "rows.latency.counts"',
        "a rule names rows.latency as a whole, so it would not be refused",
        "refuse rows.latency, or",
        "[[refuse_if_present]]",
        id="a refusal inside what is kept whole",
    ),
    pytest.param(
        BYOD,
        'fields = ["device_id"]\naction = "drop"',
        'fields = ["device_id"]\naction = "keep"',
        "device_id: an identifier is never plain keep",
        "choose another action",
        "@",
        id="an identifier kept",
    ),
    pytest.param(
        BYOD,
        'fields = ["hardware_model"]\naction = "drop"',
        'fields = ["hardware_model"]\naction = "keep"',
        "hardware_model: a string is never plain keep",
        "choose another action",
        "@",
        id="a string kept",
    ),
    pytest.param(
        BYOD,
        'fields = ["attributes"]\naction = "drop"',
        'fields = ["attributes"]\naction = "keep"',
        "attributes: an identifier is never plain keep",
        "choose another action",
        "@",
        id="a map kept",
    ),
    pytest.param(
        BYOD,
        'fields = ["hardware_tier"]\naction = "keep"',
        'fields = ["hardware_tier"]\naction = "coarsen"\nby = "version"\nparts = 1',
        "hardware_tier: this works on string only",
        "choose another action",
        "@",
        id="a version of a symbol",
    ),
    pytest.param(
        BYOD,
        'fields = ["agent_version"]',
        'fields = ["agent_version", "hardware_tier"]',
        "names it too",
        "keep one of the two",
        "@",
        id="a field named twice",
    ),
    pytest.param(
        BYOD,
        '"rows.latency", "rows.first_token"',
        '"rows.latency", "rows.first_token", "rows.latency.counts"',
        "rows.latency is named too",
        "the container or what is in it",
        "@",
        id="a container and what is in it",
    ),
    pytest.param(
        BYOD,
        '"byod.tidegate.localhost"',
        '"Managed.Tidegate.Localhost"',
        "hostname managed.tidegate.localhost belongs to tier byod already",
        "hostnames of its own",
        "",
        id="one hostname for two tiers",
    ),
    pytest.param(
        BYOD,
        'stricter_than = "managed"',
        'stricter_than = "mangaed"',
        "stricter_than: no tier mangaed",
        "did you mean managed",
        "",
        id="stricter than nobody",
    ),
    pytest.param(
        CONTRACTOR,
        'fields = ["site"]\naction = "drop"',
        'fields = ["site"]\naction = "coarsen"\nby = "known"\nof = "site"',
        "site: kept here more than in the looser tier byod",
        "although",
        "",
        id="a stricter tier that keeps more",
    ),
]


@pytest.mark.parametrize(("file", "old", "new", "problem", "fix", "mark"), RULES)
def test_a_broken_copy(  # noqa: PLR0917  # the columns of the table
    contracts: Copy, file: str, old: str, new: str, problem: str, fix: str, mark: str
) -> None:
    """A finding says which file and, where it is known, which line is wrong, what is, and what mends it."""
    contracts.change(file, old, new)
    findings = contracts.findings()
    found = [finding for finding in findings if problem in finding.problem and fix in finding.fix]
    assert found, [str(finding) for finding in findings]
    # Both files of a pair may be named where they contradict each other.
    told = {Path(finding.file).name for finding in found}
    assert Path(file).name in told or "hostname" in problem
    if mark:
        # "@" is the rule that was changed: its line is that of its header, above the change.
        expected = contracts.line(file, mark) if mark != "@" else rule_line(contracts, file, new)
        assert {finding.line for finding in found} == {expected}
    else:
        assert {finding.line for finding in found} == {0}


def rule_line(contracts: Copy, file: str, new: str) -> int:
    """The line of the `[[rule]]` above the text that a test has put in."""
    text = (contracts.directory / file).read_text(encoding="utf-8")
    return text[: text.rindex("[[rule]]", 0, text.index(new))].count("\n") + 1


def test_everything_wrong_is_told_at_once(contracts: Copy) -> None:
    """Nobody mends a file ten times for ten mistakes: findings of several files come together."""
    contracts.change(ROUTE, '"privacy": "sensitive"', '"privacy": "secret"')
    contracts.change(BYOD, 'fields = ["hardware_tier"]', 'fields = ["hardware_teir"]')
    contracts.change(CONTRACTOR, "k = 20", "k = 1")
    assert {Path(finding.file).name for finding in contracts.findings()} == {
        "route_window.v1.avsc",
        "byod.toml",
        "contractor.toml",
    }


def test_a_contractor_keeps_no_identifier_and_no_pseudonym() -> None:
    """In the strictest tier every identifier is dropped, and no rule makes a pseudonym."""
    plans = [plan for plan in load_catalogue().plans.values() if plan.tier.name == "contractor"]
    leaves = [planned for plan in plans for planned in planned_leaves(plan.fields)]
    assert len(leaves) > 100
    kept = {planned.field.path for planned in leaves if planned.field.privacy == "identifier" and planned.survives}
    assert kept == set()
    assert {planned.action.value for planned in leaves} == {"keep", "drop", "coarsen"}
