"""A device that strips before it queues changes no record: gate(device(x)) is gate(x), for any policy and any report.

`reporter` shares no code with the gate, so each is the other's oracle. Failures are told by path and by yes or no,
never by value.
"""

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ingest.decode import decode
from ingest.pipeline import require_consent, require_window
from ingest.problems import Rejected
from ingest.report import StrippedReport
from ingest.strip import strip as gate_strip
from reporter import strip as device
from reporter.messages import Message, encode, with_identifiers
from reporter.policy import LEAST, Policy
from reporter.reports import IDENTIFIERS, PREAMBLE
from schemas.avro_types import Array, Map
from schemas.catalogue import load_catalogue
from schemas.plan import Action, Plan, planned_leaves
from schemas.tier import CoarsenKnown
from tests import reference_strip
from tests.reporter.policy.any_tier import compiled, shipped, tiers
from tests.strategies import HOUR, MANIFEST, NOW, reports
from tests.strategies import encode as gate_encode

CATALOGUE = load_catalogue()
REPORTS = sorted(CATALOGUE.latest)
POLICIES = shipped(CATALOGUE)
KEY = bytes(range(32))

BEFORE, AFTER = 1_767_225_600_000, 1_830_297_600_000
"""1 January 2026 and 2028: before and after every day from which a shipped policy refuses a field."""

over_reports = pytest.mark.parametrize("report", REPORTS)


def at_the_gate(message: bytes, plan: Plan, *, now: int = BEFORE) -> StrippedReport:
    """The stripped report of a message; raises `Rejected`."""
    report = decode(message, {plan.schema.fingerprint: plan.schema})
    return gate_strip(report, plan, names=MANIFEST, key=lambda: KEY, now=now)


def consents_of(values: dict[str, Any]) -> frozenset[str]:
    """The purposes whose flag is set."""
    return frozenset(name.removeprefix("consent_") for name in values if name.startswith("consent_") and values[name])


def queued(values: dict[str, Any], report: str, policy: Policy) -> tuple[device.Stripped, Message]:
    """What a device puts into its queue of a report."""
    stripped = device.strip(values, report, policy, consents_of(values))
    return stripped, encode(report, stripped.values)


def sent(message: Message, values: dict[str, Any], report: str, policy: Policy) -> bytes:
    """What a device sends of a queued message, its identifiers being those of `values`."""
    given_ones = {name: values[name] for name in IDENTIFIERS if values[name] is not None}
    carried = device.identifiers(given_ones, report=report, policy=policy, consents=consents_of(values))
    return with_identifiers(message, carried)


def records(plan: Plan, stripped: StrippedReport) -> dict[str, Any]:
    """What is stored, but for the remarks."""
    found = reference_strip.decode_output(plan, stripped.body)
    del found["remarks"]
    return found


def hold_against(plan: Plan, policy: Policy, values: dict[str, Any]) -> None:
    """One report, stripped by the gate alone, and by the device before."""
    report = plan.schema.name
    if not policy.allows(report, consents_of(values)):
        with pytest.raises(device.Withheld):
            queued(values, report, policy)
        with pytest.raises(Rejected):
            require_consent(decode(gate_encode(plan.schema, values), CATALOGUE.by_fingerprint), plan.tier)
        return
    try:
        alone = at_the_gate(gate_encode(plan.schema, values), plan)
    except Rejected as refusal:
        with pytest.raises(device.Unfit, match=f"^{refusal.path}$"):
            queued(values, report, policy)
        return
    stripped, message = queued(values, report, policy)
    content = sent(message, values, report, policy)
    after = at_the_gate(content, plan)
    kept, expected = records(plan, after), records(plan, alone)
    assert {name for name in expected if kept[name] != expected[name]} == set()
    decoded = decode(content, CATALOGUE.by_fingerprint)
    require_window(decoded, plan.tier, NOW + HOUR)
    require_consent(decoded, plan.tier)
    hold_remarks(plan, policy, stripped, after)
    hold_taken_off(plan, stripped, alone)


def hold_remarks(plan: Plan, policy: Policy, stripped: device.Stripped, after: StrippedReport) -> None:
    """What the gate still takes off says nothing: it is blank, or had to be sent, or only the gate could tell."""
    planned = {one.field.path: one for one in planned_leaves(plan.fields)}
    for remark in after.remarks:
        path = plan.path_of(remark.field)
        if path in PREAMBLE:
            assert path != "region" or policy.region_decides or planned[path].action is not Action.DROP
        elif remark.action is Action.DROP:
            assert always_carried(plan, path), path
            assert all(blank(plan, path, value) for value in values_at(stripped.values, path.split("."))), path
        elif remark.action is Action.COARSEN:
            assert isinstance(planned[path].rule, CoarsenKnown), path
        else:
            assert remark.action is Action.PSEUDONYMISE


def always_carried(plan: Plan, path: str) -> bool:
    """Whether a report cannot leave the field out."""
    field = plan.schema.fields[path]
    return not field.nullable and not isinstance(field.type, Array | Map)


def blank(plan: Plan, path: str, value: Any) -> bool:
    """Whether a value is one that every report without the field has."""
    field = plan.schema.fields[path]
    if field.has_default:
        return bool(value == field.default)
    return value in ("other", "", False, 0) or value == getattr(field.type, "symbols", (None,))[0]


def values_at(value: Any, path: list[str]) -> list[Any]:
    """Every value of a field, over all rows."""
    if isinstance(value, list):
        return [found for item in value for found in values_at(item, path)]
    if value is None:
        return []
    return values_at(value[path[0]], path[1:]) if path else [value]


def hold_taken_off(plan: Plan, stripped: device.Stripped, alone: StrippedReport) -> None:
    """Where the device says that it coarsened, the gate would have, and as many values; more names, which it knows."""
    known = {one.field.path for one in planned_leaves(plan.fields) if isinstance(one.rule, CoarsenKnown)}
    would = {
        (plan.path_of(remark.field), remark.action.value): remark.values for remark in alone.remarks if remark.field
    }
    for path, action, number in stripped.taken_off:
        if action == "coarsen" and not path.startswith("window_"):
            assert number == would[path, action] or (path in known and number < would[path, action]), path


@over_reports
@settings(max_examples=25)
@given(st.data())
def test_shipped_tiers_store_the_same(report: str, data: st.DataObject) -> None:
    """For every tier that ships, a report that was stripped on the device gives the record that it gives by itself."""
    schema = CATALOGUE.latest[report]
    plan = data.draw(st.sampled_from([plan for plan in CATALOGUE.plans.values() if plan.schema is schema]))
    hold_against(plan, POLICIES[plan.tier.name], data.draw(reports(schema)))


@over_reports
@settings(max_examples=25)
@given(st.data())
def test_any_tier_stores_the_same(report: str, data: st.DataObject) -> None:
    """For any policy that the lint would let through, the record is the same."""
    schema = CATALOGUE.latest[report]
    plan, policy = compiled(schema, data.draw(tiers(schema)))
    hold_against(plan, policy, data.draw(reports(schema)))


@over_reports
@settings(max_examples=10)
@given(st.data())
def test_stripped_twice_is_stripped_once(report: str, data: st.DataObject) -> None:
    """A device's own second pass over a report finds nothing to take off."""
    schema = CATALOGUE.latest[report]
    _, policy = compiled(schema, data.draw(tiers(schema)))
    values = data.draw(reports(schema))
    if not policy.allows(report, consents_of(values)):
        return
    try:
        first = device.strip(values, report, policy, consents_of(values))
    except device.Unfit:  # the gate refuses it as well: test_any_tier_stores_the_same
        return
    second = device.strip(first.values, report, policy, consents_of(values))
    assert {name for name in first.values if first.values[name] != second.values[name]} == set()
    assert [entry.field for entry in second.taken_off if not entry.field.startswith("consent_")] == []


@over_reports
@settings(max_examples=10)
@given(st.data())
def test_no_refused_field_is_sent(report: str, data: st.DataObject) -> None:
    """From the day on which a tier refuses a field, it still takes what its devices send."""
    schema = CATALOGUE.latest[report]
    plan = data.draw(st.sampled_from([plan for plan in CATALOGUE.plans.values() if plan.schema is schema]))
    policy, values = POLICIES[plan.tier.name], data.draw(reports(schema))
    if not policy.allows(report, consents_of(values)):
        return
    _, message = queued(values, report, policy)
    at_the_gate(sent(message, values, report, policy), plan, now=AFTER)


@over_reports
@settings(max_examples=10)
@given(st.data())
def test_least_is_taken_by_every_tier(report: str, data: st.DataObject) -> None:
    """What was stripped while no policy was known holds nothing that is not operational, and any tier can store it."""
    schema = CATALOGUE.latest[report]
    values = data.draw(reports(schema)) | {"consent_fallback_reports": True, "consent_diagnostics": True}
    stripped, message = queued(values, report, LEAST)
    for plan in (plan for plan in CATALOGUE.plans.values() if plan.schema is schema):
        at_the_gate(with_identifiers(message, {}), plan, now=AFTER)
        require_window(decode(message.content, CATALOGUE.by_fingerprint), plan.tier, NOW + HOUR)
    for path, field in schema.fields.items():
        if field.privacy != "operational" and path not in ("window_start", "window_end"):
            assert set(map(repr, values_at(stripped.values, path.split(".")))) <= BLANKS, path


BLANKS = {"'other'", "'unknown'", "None", "[]", "{}"}


def test_the_comparison_can_fail() -> None:
    """A device that keeps to the policy of another tier is found out."""
    plan = CATALOGUE.plans["managed", CATALOGUE.latest["health_window"].fingerprint]
    values = {
        **device.strip(SAID, "health_window", POLICIES["managed"], frozenset()).values,
        **dict.fromkeys(IDENTIFIERS),
    }
    hold_against(plan, POLICIES["managed"], values)
    with pytest.raises(AssertionError):
        hold_against(plan, POLICIES["byod"], values)


SAID = {
    "report_id": bytes(16),
    "window_start": NOW - HOUR,
    "window_end": NOW,
    "hardware_tier": "small",
    "network_context": "home",
    "os_version": "12.6.1",
}
"""A report with the least that has to be said, and something that two tiers treat differently."""
