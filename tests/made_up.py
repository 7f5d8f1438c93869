"""Small schemas and policies made up for a test, where the shipped ones do not have what it is about.

A made-up report begins with the preamble of every report and then has the fields that a test names. Nothing here is
linted: a test may hold the code to more than the lint lets through.
"""

from typing import Any

from schemas.avro_types import TreeBuilder
from schemas.plan import Plan, compile_plan
from schemas.report_schema import ReportSchema, crc_64_avro
from schemas.tier import Tier

NAMESPACE = "tidegate.made_up.v1"

PREAMBLE_FIELDS: tuple[dict[str, Any], ...] = (
    {"name": "report_id", "type": {"type": "fixed", "name": "ReportId", "size": 16}},
    {"name": "window_start", "type": {"type": "long", "logicalType": "timestamp-millis"}},
    {"name": "window_end", "type": {"type": "long", "logicalType": "timestamp-millis"}},
    {"name": "consent_fallback_reports", "type": "boolean", "default": False},
    {"name": "consent_diagnostics", "type": "boolean", "default": False},
    {"name": "consent_location", "type": "boolean", "default": False},
    {"name": "region", "type": ["null", "string"], "default": None},
)

PREAMBLE_BYTES = bytes(16) + b"\0\2\0\0\0\0"
"""A report id of zeros, the window from 0 to 1 ms, no consent, no region."""

POLICY: dict[str, Any] = {
    "tier": "made-up",
    "version": 3,
    "why": "A test needs it.",
    "reports": ["made_up"],
    "k": 5,
    "min_tasks_per_row": 1,
    "window_minutes": 5,
    "horizon_days": 45,
    "retention_days": 400,
    "clock_ahead_seconds": 300,
    "admission": {
        "requests_per_second": 1.0,
        "burst": 1,
        "concurrency": 1,
        "trusted_networks": [],
        "inside": ["device"],
        "outside": ["device"],
    },
    "record": {"timestamp": "hour", "headers": []},
    "pseudonym": {"epoch_days": 30},
    "residency": {"*": ["*"]},
}


def made_up_document(*fields: dict[str, Any]) -> dict[str, Any]:
    """The schema document of a report with these fields after the preamble, each of them classified."""
    described = {"doc": "A field.", "privacy": "operational", "unit": "none"}
    return {
        "type": "record",
        "name": "MadeUp",
        "namespace": NAMESPACE,
        "fields": [described | field for field in (*PREAMBLE_FIELDS, *fields)],
    }


def made_up_schema(*fields: dict[str, Any]) -> ReportSchema:
    """A report `made_up.v1` with these fields after the preamble."""
    document = made_up_document(*fields)
    return ReportSchema("made_up", 1, document, TreeBuilder().build(document), crc_64_avro(document))


def made_up_tier(*rules: dict[str, Any], **changes: Any) -> Tier:
    """A tier with these rules, each of which gets a reason; `changes` are top keys of the policy file."""
    return Tier.model_validate(POLICY | {"rule": [{"why": "A test needs it."} | rule for rule in rules]} | changes)


def made_up_plan(fields: list[dict[str, Any]], rules: list[dict[str, Any]], **changes: Any) -> Plan:
    """The plan of `made_up_tier` for `made_up_schema`."""
    return compile_plan(made_up_schema(*fields), made_up_tier(*rules, **changes))
