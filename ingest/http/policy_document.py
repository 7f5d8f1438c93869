"""What `GET /v1/policy` publishes of a tier, so that a device can strip before it queues.

What a device has to do with a field is data (`action`, `coarsening`, `consent`, `refused_from`); `how` and `why` say
the same to people. The operator's own names are not published: neither those of the manifest, which `known` is held
against, nor regions and where their reports may be stored.
"""

from typing import Any

from ingest.body import MAX_BODY, MAX_RATIO, MAX_REPORTS
from ingest.pipeline import CUT
from schemas.catalogue import Catalogue
from schemas.matrix import NOT_PARAMETERS, plan_rows
from schemas.plan import Plan, PlannedField, planned_leaves
from schemas.report_schema import CONSENT_PURPOSES
from schemas.tier import KeepingRule, Tier

SHOWN = ("field", "privacy", "unit", "action", "how", "consent", "refused_from", "why")


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
        "consents": _consents(tier),
        "requires_consent": tier.requires_consent,
        "refuse_if_present": [entry.model_dump(mode="json") for entry in tier.refuse_if_present],
        "region_decides_residency": tier.residency.keys() != {"*"},
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


def _consents(tier: Tier) -> list[str]:
    """The purposes that anything in the tier rests on, in the order of the report's flags."""
    asked = {rule.consent for rule in tier.rules if isinstance(rule, KeepingRule)} | set(tier.requires_consent.values())
    return [purpose for purpose in CONSENT_PURPOSES if purpose in asked]


def _report(plan: Plan) -> dict[str, Any]:
    rows = zip(plan_rows(plan), planned_leaves(plan.fields), strict=True)
    return {
        "report": plan.schema.name,
        "version": plan.schema.version,
        "schema_fingerprint": plan.schema.fingerprint.hex(),
        "plan_fingerprint": plan.fingerprint.hex(),
        "fields": [_field(row.as_dict(), planned) for row, planned in rows],
    }


def _field(row: dict[str, Any], planned: PlannedField) -> dict[str, Any]:
    shown = {name: row[name] for name in SHOWN if name in row}
    kind = getattr(planned.rule, "by", None)
    if kind is not None:
        shown["coarsening"] = {"kind": kind, **planned.rule.model_dump(mode="json", exclude=NOT_PARAMETERS)}
    return shown
