"""What `GET /v1/policy` publishes of a tier, so that a device can strip before it queues."""

from typing import Any

from ingest.body import MAX_BODY, MAX_RATIO, MAX_REPORTS
from ingest.pipeline import CUT
from schemas.catalogue import Catalogue
from schemas.matrix import plan_rows
from schemas.plan import Plan
from schemas.tier import Tier


def policy_document(catalogue: Catalogue, tier: Tier) -> dict[str, Any]:
    """The tier's field list, limits and version as a JSON object; every number has its unit in its name."""
    plans = [plan for plan in catalogue.plans.values() if plan.tier.name == tier.name]
    return {
        "tier": tier.name,
        "policy_version": tier.version,
        "why": tier.why,
        "window_minutes": tier.window_minutes,
        "min_tasks_per_row": tier.min_tasks_per_row,
        "k": tier.k,
        "horizon_days": tier.horizon_days,
        "clock_ahead_seconds": tier.clock_ahead_seconds,
        "requires_consent": tier.requires_consent,
        "limits": {
            "body_bytes": MAX_BODY,
            "expansion_ratio": MAX_RATIO,
            "reports_per_batch": MAX_REPORTS,
            "requests_per_second": tier.admission.requests_per_second,
        },
        "media_types": sorted(CUT),
        "content_codings": ["gzip", "zstd"],
        "reports": [_report(plan) for plan in sorted(plans, key=lambda plan: plan.schema.label)],
    }


def _report(plan: Plan) -> dict[str, Any]:
    shown = ("field", "privacy", "unit", "action", "how", "consent", "refused_from", "why")
    rows = [row.as_dict() for row in plan_rows(plan)]
    return {
        "report": plan.schema.name,
        "version": plan.schema.version,
        "schema_fingerprint": plan.schema.fingerprint.hex(),
        "plan_fingerprint": plan.fingerprint.hex(),
        "fields": [{name: row[name] for name in shown if name in row} for row in rows],
    }
