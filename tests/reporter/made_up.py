"""Reports as a device would queue them, made by the real strip and the real encoder; queues to put them in."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from ingest.clock import ManualClock
from reporter.messages import encode
from reporter.policy import LEAST, Policy
from reporter.queue.nouns import Limits, Queued, Waiting
from reporter.queue.queue import Queue
from reporter.reports import PURPOSES
from reporter.strip import strip
from tests.reporter.policy.any_tier import shipped

HOUR_MS = 3_600_000
MINUTE_MS = 60_000
NOW_MS = 1_795_266_000_000
"""A full hour."""

TIERS = shipped()
MANAGED, BYOD, CONTRACTOR = TIERS["managed"], TIERS["byod"], TIERS["contractor"]
EVERY_CONSENT = frozenset(PURPOSES)

_numbers = iter(range(1, 1 << 30))


def report(
    name: str = "health_window",
    *,
    policy: Policy = MANAGED,
    start: int = NOW_MS - HOUR_MS,
    minutes: int = 5,
    consents: frozenset[str] = EVERY_CONSENT,
    **values: Any,
) -> Queued:
    """A report with an id of its own, stripped under a policy."""
    facts = {"hardware_tier": "small", "network_context": "office", "manifest_age": "unknown"}
    window = {"window_start": start, "window_end": start + minutes * MINUTE_MS}
    report_id = next(_numbers).to_bytes(16)
    stripped = strip({"report_id": report_id, **window, **facts, **values}, name, policy, consents)
    end = stripped.values["window_end"]
    return Queued(
        report_id=report_id,
        report=name,
        tier=None if policy is LEAST else policy.tier,
        policy_version=None if policy is LEAST else policy.version,
        purposes=stripped.purposes,
        window_start=stripped.values["window_start"],
        window_end=end,
        not_before_ms=end - policy.clock_ahead_seconds * 1000,
        message=encode(name, stripped.values),
        taken_off=stripped.taken_off,
    )


def queue(folder: Path, clock: ManualClock | None = None, limits: Limits | None = None) -> Queue:
    """The queue in a folder, which may be there already."""
    return Queue(folder / "queue.db", clock=clock or ManualClock(NOW_MS), limits=limits)


def put(into: Queue, *reports: Queued, window: str = "a window") -> None:
    """Close a window that gave these reports."""
    with into.closing(window) as closing:
        for one in reports:
            closing.put(one)


def due(of: Queue, tier: str | None = "managed", consents: frozenset[str] = EVERY_CONSENT) -> list[Waiting]:
    """All that is due."""
    return list(of.due(tier, consents, limit_bytes=1 << 30, limit_reports=1 << 20))


def ids(waiting: Sequence[Waiting]) -> list[bytes]:
    """The ids of the reports, in order."""
    return [one.queued.report_id for one in waiting]
