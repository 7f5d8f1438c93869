"""A report typed by hand, to try the gate with."""

from typing import Any

from ingest.clock import iso_utc
from load.fleet.nouns import Fleet

MINUTE_MS = 60_000


def typed_report(fleet: Fleet) -> dict[str, Any]:
    """A trace_window as JSON, of the last five minutes of the fleet's time, identifiers included."""
    return {
        "report_id": f"{fleet.seed & 0xFFFF:032x}",
        "window_start": iso_utc(fleet.end_ms - 5 * MINUTE_MS),
        "window_end": iso_utc(fleet.end_ms),
        "device_id": "laptop-0042",
        "user_email": "person@example.org",
        "hostname": "persons-laptop",
        "ip_address": "192.0.2.17",
        "os": "linux",
        "os_version": "6.12.1",
        "hardware_tier": "medium",
        "agent_version": "2.3.1",
        "network_context": "home",
        "traces_expected": 12,
        "traces_complete": 11,
        "attributes": {"build": "nightly"},
    }
