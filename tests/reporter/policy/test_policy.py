"""The policy as a device reads it: what is taken from the document, what is refused, and what holds without one."""

import json
import traceback
from copy import deepcopy
from typing import Any

import pytest

from ingest.http.policy_document import policy_document
from reporter.policy import LEAST, BadPolicy, Policy
from reporter.reports import FINGERPRINTS, PURPOSES, schema
from schemas.catalogue import load_catalogue
from tests.reporter.policy.any_tier import shipped, tier_of

CATALOGUE = load_catalogue()
POLICIES = shipped(CATALOGUE)
PLANTED = "tango-foxtrot"


def document(tier: str = "contractor") -> dict[str, Any]:
    """What a gate publishes of a tier, to be changed at will."""
    copy: dict[str, Any] = deepcopy(policy_document(CATALOGUE, CATALOGUE.tiers[tier]))
    return copy


@pytest.mark.parametrize("name", sorted(POLICIES))
def test_what_is_read_is_what_the_tier_says(name: str) -> None:
    """Numbers, consents and reports of a shipped tier arrive on the device, as bytes or parsed."""
    tier = CATALOGUE.tiers[name]
    raw = json.dumps(policy_document(CATALOGUE, tier)).encode()
    policy = Policy.from_document(raw, etag='"e"')
    assert (policy.tier, policy.version, policy.etag) == (tier.name, tier.version, '"e"')
    assert (policy.window_minutes, policy.min_tasks_per_row) == (tier.window_minutes, tier.min_tasks_per_row)
    assert (policy.horizon_days, policy.clock_ahead_seconds) == (tier.horizon_days, tier.clock_ahead_seconds)
    assert (policy.requires_consent, policy.region_decides) == (tier.requires_consent, False)
    assert {report for report in FINGERPRINTS if policy.takes(report)} == set(tier.reports)
    assert policy.asks_for == set(policy_document(CATALOGUE, tier)["consents"])


ALLOWS = [
    pytest.param("managed", "fallback_window", set(), True, id="a tier that asks nobody"),
    pytest.param("byod", "fallback_window", set(), False, id="consent that was not given"),
    pytest.param("byod", "fallback_window", {"diagnostics", "location"}, False, id="another consent"),
    pytest.param("byod", "fallback_window", {"fallback_reports"}, True, id="the consent"),
    pytest.param("contractor", "health_window", set(PURPOSES), False, id="a report that the tier does not take"),
    pytest.param("contractor", "route_window", set(), True, id="a report that needs no consent"),
]


@pytest.mark.parametrize(("tier", "report", "consents", "allowed"), ALLOWS)
def test_reports_that_may_be_made(tier: str, report: str, consents: set[str], *, allowed: bool) -> None:
    """A report may be made where the tier takes it and the consent that it needs was given."""
    assert POLICIES[tier].allows(report, frozenset(consents)) is allowed


@pytest.mark.parametrize(
    ("report", "purposes"),
    [
        pytest.param("route_window", {"location"}, id="for some fields"),
        pytest.param("fallback_window", {"fallback_reports", "location"}, id="for the report, and for some fields"),
        pytest.param("path_probe", {"diagnostics", "location"}, id="for the report and all of its fields"),
    ],
)
def test_purposes_of_a_report(report: str, purposes: set[str]) -> None:
    """The consents that decide over a report are those of its fields and the one that it needs as a whole."""
    assert POLICIES["byod"].rests_on(report) == purposes


def test_a_region_may_decide() -> None:
    """A tier that stores regions in different places says so, without saying which."""
    tier = tier_of(["health_window"], [], residency={PLANTED: ["here"], "*": ["there"]})
    published = policy_document(CATALOGUE, tier)
    assert Policy.from_document(published).region_decides
    assert PLANTED not in json.dumps(published)


def rows(changed: dict[str, Any], field: str) -> list[dict[str, Any]]:
    """What a document says of a field, in every report that has it."""
    return [row for report in changed["reports"] for row in report["fields"] if row["field"] == field]


def test_what_is_not_understood_is_dropped() -> None:
    """An action and a coarsening of tomorrow drop their field, and the rest of the policy holds."""
    changed = document()
    for row in rows(changed, "agent_version"):
        row["coarsening"] = {"kind": "round"}
    for row in rows(changed, "hardware_tier"):
        row["action"] = "encrypt"
    decisions = Policy.from_document(changed).reports["route_window"]
    assert [decisions[name].action for name in ("agent_version", "hardware_tier", "rows.tasks")] == [
        "drop", "drop", "keep",
    ]  # fmt: skip


@pytest.mark.parametrize(
    "change",
    [
        pytest.param({"version": 2}, id="a version that this agent does not write"),
        pytest.param({"schema_fingerprint": "00" * 8}, id="another schema under its name"),
        pytest.param({"report": "route_window_of_tomorrow"}, id="another report"),
    ],
)
def test_reports_of_another_schema_are_not_taken(change: dict[str, Any]) -> None:
    """A tier that takes a report in another version only does not take the one that this agent writes."""
    changed = document()
    for entry in changed["reports"]:
        if entry["report"] == "route_window":
            entry.update(change)
    assert not Policy.from_document(changed).takes("route_window")


def test_refused_fields_are_dropped_whatever_their_rule() -> None:
    """A field that is refused from some day on is dropped now, by the list as by the row that tells the day."""
    by_list, by_row = document("managed"), document("managed")
    by_list["refuse_if_present"].append({"field": "violations", "since": "2030-01-01", "why": ""})
    for row in rows(by_row, "violations"):
        row["refused_from"] = "2030-01-01"
    for changed in (by_list, by_row):
        assert Policy.from_document(changed).reports["route_window"]["violations"].action == "drop"
    assert POLICIES["managed"].reports["route_window"]["violations"].action == "keep"


def without(name: str) -> dict[str, Any]:
    """A document that lacks a key."""
    changed = document()
    del changed[name]
    return changed


def with_row(**change: Any) -> dict[str, Any]:
    """A document one of whose rows is changed."""
    changed = document()
    rows(changed, "agent_version")[0].update(change)
    return changed


BAD = [
    pytest.param(b"", id="nothing"),
    pytest.param(b"<html>tango-foxtrot</html>", id="a page of some proxy"),
    pytest.param(b"\xff\xfe tango-foxtrot", id="no text"),
    pytest.param(b"[" * 200_000, id="deeper than a parser goes"),
    pytest.param(b"9" * 10_000, id="a number longer than Python reads"),
    pytest.param(b'["tango-foxtrot"]', id="a list"),
    pytest.param(b"{}", id="an empty object"),
    *(
        pytest.param(without(name), id=f"without {name}")
        for name in (
            "tier", "policy_version", "window_minutes", "min_tasks_per_row", "horizon_days", "clock_ahead_seconds",
            "requires_consent", "refuse_if_present", "region_decides_residency", "reports",
        )
    ),
    pytest.param(document() | {"window_minutes": 0}, id="windows of no length"),
    pytest.param(document() | {"window_minutes": 61}, id="windows longer than an hour"),
    pytest.param(document() | {"window_minutes": True}, id="a flag for a number"),
    pytest.param(document() | {"min_tasks_per_row": PLANTED}, id="a text for a number"),
    pytest.param(document() | {"horizon_days": 1e3}, id="a fraction for a number"),
    pytest.param(document() | {"tier": 7}, id="a number for a text"),
    pytest.param(document() | {"region_decides_residency": PLANTED}, id="a text for a flag"),
    pytest.param(document() | {"requires_consent": {"fallback_window": 7}}, id="a number for a purpose"),
    pytest.param(document() | {"requires_consent": [PLANTED]}, id="a list for an object"),
    pytest.param(document() | {"refuse_if_present": [PLANTED]}, id="a text for an entry"),
    pytest.param(document() | {"refuse_if_present": [{}]}, id="an entry without a field"),
    pytest.param(document() | {"reports": {PLANTED: 1}}, id="an object for a list"),
    pytest.param(document() | {"reports": [{"report": PLANTED}, 7]}, id="a number for a report"),
    pytest.param(with_row(field=None), id="a row of no field"),
    pytest.param(with_row(action=["keep"]), id="a list for an action"),
    pytest.param(with_row(consent=7), id="a number for a consent"),
    pytest.param(with_row(coarsening=None), id="a coarsening that is not told"),
    pytest.param(with_row(coarsening={"kind": "version", "parts": PLANTED}), id="a coarsening with a broken number"),
]  # fmt: skip


@pytest.mark.parametrize("broken", BAD)
def test_a_broken_document_is_no_policy(broken: bytes | dict[str, Any]) -> None:
    """What is not a whole policy is refused, and nothing of it is told."""
    with pytest.raises(BadPolicy) as refusal:
        Policy.from_document(broken)
    assert PLANTED not in "".join(traceback.format_exception(refusal.value))
    assert refusal.value.__context__ is None or refusal.value.__suppress_context__, (
        "an error of json holds the document"
    )


def test_least_is_operational() -> None:
    """While no policy is known nothing is kept but what is classed as operational, and of names only a version."""
    for report in FINGERPRINTS:
        decisions = LEAST.reports[report]
        for path, field in schema(report).by_path.items():
            if path not in decisions or decisions[path].action == "drop":
                continue
            assert field.privacy == "operational" or path in ("window_start", "window_end"), path
            assert field.kind != "string" or decisions[path].by == "version", path
        assert (decisions["window_start"].by, decisions["window_end"].by) == ("floor_hour", "ceil_hour")
        assert decisions["region"].action == "drop"


def test_least_asks_for_as_much_as_any_tier() -> None:
    """While no policy is known windows, rows and consents are those of the strictest tier that ships."""
    tiers = CATALOGUE.tiers.values()
    assert LEAST.window_minutes == max(tier.window_minutes for tier in tiers)
    assert LEAST.min_tasks_per_row == max(tier.min_tasks_per_row for tier in tiers)
    assert LEAST.horizon_days == min(tier.horizon_days for tier in tiers)
    asked = {report: purpose for tier in tiers for report, purpose in tier.requires_consent.items()}
    assert LEAST.requires_consent == asked
    assert not LEAST.allows("fallback_window", frozenset())
    assert LEAST.allows("fallback_window", frozenset({"fallback_reports"}))
    assert (LEAST.tier, LEAST.version, LEAST.etag) == ("", 0, None)


def test_least_knows_its_reports() -> None:
    """Every report is taken while no policy is known, and no other name is."""
    assert set(LEAST.reports) == set(FINGERPRINTS)
    assert not LEAST.takes(PLANTED)
    with pytest.raises(KeyError):
        LEAST.reports[PLANTED]
