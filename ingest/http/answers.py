"""What a device is told: JSON made of counts, reasons and the names of *schema* fields, never of what it sent."""

import json
from collections.abc import Iterable, Sequence
from functools import lru_cache
from typing import Any

from ingest.pipeline import Verdict
from ingest.problems import Rejected
from ingest.report import StrippedReport
from schemas.output_schema import RESERVED_NAMES
from schemas.plan import UNKNOWN_FIELD, Action, Plan


def accepted(verdicts: Sequence[Verdict], *, of_any_report: bool = False, minimal: bool = False) -> dict[str, Any]:
    """The answer to a batch, or to one accepted report: what was taken, what was not, and what was taken off.

    In a batch `of_any_report` the last is named with its report; a `minimal` answer (RFC 7240, 4.2) is without it.
    """
    stripped = [verdict for verdict in verdicts if isinstance(verdict, StrippedReport)]
    answer: dict[str, Any] = {
        "accepted": len(stripped),
        "rejected": [
            rejected(index, verdict) for index, verdict in enumerate(verdicts) if isinstance(verdict, Rejected)
        ],
    }
    if stripped:
        answer["policy_version"] = stripped[0].plan.tier.version
        if not minimal:
            answer |= taken_off(stripped, of_any_report=of_any_report)
    return answer


def rejected(index: int, refusal: Rejected) -> dict[str, Any]:
    """One record of a batch that was not accepted; `index` is its place in the batch, from 0."""
    problem = {"index": index, "outcome": "rejected", "reason": refusal.reason.value}
    if refusal.path is not None:
        problem["path"] = refusal.path
    return {**problem, "action": refusal.reason.problem.action}


def taken_off(stripped: Iterable[StrippedReport], *, of_any_report: bool = False) -> dict[str, Any]:
    """The schema fields that were not kept as they were, so that an engineer learns what to stop sending."""
    fields: dict[tuple[Plan, int, Action], None] = {}
    unknown = 0
    for report in stripped:
        for remark in report.remarks:
            if remark.field == UNKNOWN_FIELD:
                unknown += remark.values
            else:
                fields[report.plan, remark.field, remark.action] = None
    told = _told_with_report if of_any_report else _told
    return {"taken_off": [told(*field) for field in fields], "unknown_names": unknown}


@lru_cache(maxsize=4096)
def _told(plan: Plan, field: int, action: Action) -> dict[str, str]:
    path = plan.path_of(field)
    told = {"field": path, "action": action.value}
    refused_from = plan.refused_from(path)
    return told if refused_from is None else {**told, "refused_from": refused_from.isoformat()}


def _told_with_report(plan: Plan, field: int, action: Action) -> dict[str, str]:
    return {"report": plan.schema.name, **_told(plan, field, action)}


def checked(verdicts: Sequence[Verdict]) -> dict[str, Any]:
    """The answer to `?check=1`: what would be stored, shown to its sender and to nobody else."""
    return {"checked": [_shown(index, verdict) for index, verdict in enumerate(verdicts)]}


def _shown(index: int, verdict: Verdict) -> dict[str, Any]:
    if isinstance(verdict, Rejected):
        return rejected(index, verdict)
    shown = {"index": index, "outcome": "accepted", "policy_version": verdict.plan.tier.version}
    return {
        **shown,
        "topic": verdict.plan.topic,
        **taken_off([verdict]),
        "stripped": {
            name: value for name, value in verdict.plan.readable(verdict.body).items() if name not in RESERVED_NAMES
        },
    }


def encode(document: Any) -> bytes:
    """A document as compact JSON."""
    return ENCODER.encode(document).encode()


ENCODER = json.JSONEncoder(separators=(",", ":"), allow_nan=False)
