"""Made-up tiers: any decision that a policy file may take over any field, so that no shipped policy limits a test."""

from collections.abc import Iterator
from typing import Any

from hypothesis import strategies as st
from pydantic import TypeAdapter

from ingest.http.policy_document import policy_document
from reporter.policy import Policy
from schemas.avro_types import Field, Record
from schemas.catalogue import Catalogue, load_catalogue
from schemas.permissible import rule_problem
from schemas.plan import Plan, compile_plan
from schemas.report_schema import CONSENT_PURPOSES, ReportSchema
from schemas.tier import Rule, Tier

RULES: TypeAdapter[Rule] = TypeAdapter(Rule)

WAYS: tuple[dict[str, Any], ...] = (
    {"action": "drop"},
    {"action": "keep"},
    {"action": "keep"},
    {"action": "pseudonymise"},
    {"action": "coarsen", "by": "floor_hour"},
    {"action": "coarsen", "by": "ceil_hour"},
    {"action": "coarsen", "by": "bucket", "bounds": [-100, 0, 60, 1000, 3_600_000]},
    {"action": "coarsen", "by": "bucket", "bounds": [7]},
    {"action": "coarsen", "by": "version", "parts": 1},
    {"action": "coarsen", "by": "version", "parts": 3},
    {"action": "coarsen", "by": "address", "ipv4": 16, "ipv6": 32},
    {"action": "coarsen", "by": "allowed", "allowed": ["windows", "MacBook Pro", "größe"]},
    {"action": "coarsen", "by": "known", "of": "model"},
    {"action": "coarsen", "by": "known", "of": "region"},
)
"""What a rule may do, but for its consent; those that a field may not meet are left out for it."""


def tier_of(reports: list[str], rules: list[dict[str, Any]], **more: Any) -> Tier:
    """A tier with these rules; `more` replaces or adds what is not about fields."""
    facts = {
        "tier": "made-up",
        "version": 3,
        "why": "A test.",
        "reports": reports,
        "k": 5,
        "min_tasks_per_row": 2,
        "window_minutes": 5,
        "horizon_days": 45,
        "retention_days": 90,
        "clock_ahead_seconds": 300,
        "admission": {
            "requests_per_second": 1,
            "burst": 1,
            "concurrency": 1,
            "trusted_networks": [],
            "inside": [],
            "outside": [],
        },
        "record": {"timestamp": "hour", "headers": []},
        "pseudonym": {"epoch_days": 30},
        "residency": {"*": ["*"]},
        "rule": [{"why": "A test.", **rule} for rule in rules],
    }
    return Tier.model_validate(facts | more)


def compiled(schema: ReportSchema, tier: Tier) -> tuple[Plan, Policy]:
    """The plan of the gate, and the policy that a device reads of it."""
    plan = compile_plan(schema, tier)
    catalogue = Catalogue(schemas=(schema,), tiers={tier.name: tier}, plans={(tier.name, schema.fingerprint): plan})
    return plan, Policy.from_document(policy_document(catalogue, tier))


def shipped(catalogue: Catalogue | None = None) -> dict[str, Policy]:
    """What a device reads of each tier that ships, by name."""
    found = catalogue or load_catalogue()
    return {name: Policy.from_document(policy_document(found, tier)) for name, tier in found.tiers.items()}


@st.composite
def tiers(draw: st.DrawFn, schema: ReportSchema) -> Tier:
    """Any tier that takes this report."""
    rules = [rule for field in schema.root.fields for rule in _rules(draw, field)]
    required = {schema.name: draw(st.sampled_from(CONSENT_PURPOSES))} if draw(st.integers(0, 3)) == 0 else {}
    return tier_of([schema.name], rules, requires_consent=required)


def _rules(draw: st.DrawFn, field: Field) -> Iterator[dict[str, Any]]:
    """A rule for the field, none, or rules for what is in it."""
    if field.record is not None and draw(st.integers(0, 2)) > 0:
        yield from _inside(draw, field.record)
    elif draw(st.integers(0, 7)) > 0:
        way = draw(st.sampled_from([way for way in WAYS if _may(way, field)]))
        purpose = draw(st.sampled_from([None, None, None, *CONSENT_PURPOSES])) if way["action"] != "drop" else None
        yield {"fields": [field.path], **way, **({"consent": purpose} if purpose else {})}


def _inside(draw: st.DrawFn, record: Record) -> Iterator[dict[str, Any]]:
    for field in record.fields:
        yield from _rules(draw, field)


def _may(way: dict[str, Any], field: Field) -> bool:
    rule = RULES.validate_python({"fields": [field.path], "why": "A test.", **way})
    return rule_problem(rule, field) is None
