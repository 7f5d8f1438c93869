"""The nouns of the made-up fleet: a device, and a task that one of its applications asked for.

Everything else is derived from these twice over: the windows that devices post (`load.fleet.windows`), and the truth
that the product's answers are held against (`load.fleet.truth`). The two share these types and no code.
"""

from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True, slots=True)
class Identifiers:
    """What this device's agent sends although nobody asked for it; planted so that the leak scanner can look for it.

    None where the agent does not send the field. Every report of the device carries the rest, with one exception: what
    the tier refuses by the end of the fleet's time (`refuse_if_present`; a contractor's serial, today) goes with its
    first post only. The agent is told by the refusal, leaves the field out, and posts the same report again.
    """

    device_id: str
    user_id: str | None
    user_email: str | None
    hostname: str | None
    serial: str | None
    ip_address: str | None
    attributes: tuple[tuple[str, str], ...]


@dataclass(frozen=True, slots=True)
class Device:
    """One machine. `index` is its place in the fleet; names are those of the manifest that goes with the fleet."""

    index: int
    tier: str
    region: str
    site: str
    kind: str
    """laptop or workstation."""
    hardware_tier: str
    hardware_model: str
    os: str
    os_version: str
    agent_version: str
    network_context: str
    consent_fallback_reports: bool
    consent_diagnostics: bool
    consent_location: bool
    identifiers: Identifiers = field(repr=False)


@dataclass(frozen=True, slots=True)
class Task:
    """One request that an AI feature handled. Times in milliseconds since the epoch, UTC; symbols as in the schemas.

    A fallback is a task whose `actual_route` is not its `planned_route`; `fallback_reason` is `none` otherwise.
    """

    device: int
    time: int
    data_class: str
    task_kind: str
    input_size: str
    authority: str
    device_approved: str
    planned_route: str
    actual_route: str
    decision_reason: str
    precision: str
    served_region: str | None
    model: str | None
    model_version: str | None
    policy_version: str
    attempts: int
    succeeded: bool
    refused: bool
    degraded: bool
    offline: bool
    cold_start: bool
    contract_checked: bool
    contract_valid: bool
    citations_expected: int
    citations_present: int
    tokens_in: int
    tokens_out: int
    bytes_sent: int
    disclosures: frozenset[str]
    latency_ms: int | None
    first_token_ms: int | None
    violations: frozenset[str]
    fallback_reason: str = "none"
    consent: str = "not_required"
    disclosed: str = "disclosed"
    """disclosed or undisclosed; means something for a fallback only."""
    bytes_moved: int = 0
    seconds_in_fallback: int = 0
    returned_after_s: int | None = None
    """Seconds until the device was back on the planned route, where this task found the way back."""
    returned_by_canary: bool = False


@dataclass(frozen=True, slots=True)
class Installation:
    """One model file on a device over an hour (`hour` is its beginning), for model_inventory.

    Those of one device and hour go into one report, whose window is the whole hour in every tier.
    """

    device: int
    hour: int
    manifest_age: str
    model: str
    version: str
    digest: str
    precision: str
    runtime: str
    state: str
    removal: str
    wanted_version: str | None
    serving: bool
    tasks: int
    fallbacks: int
    crashes: int
    downloads: int
    signature_failures: int
    checksum_failures: int
    bytes_downloaded: int
    bytes_wasted: int
    wanted_mirror: str | None = None
    used_mirror: str | None = None


@dataclass(frozen=True, slots=True)
class Pulse:
    """A device sent a report without rows about an hour: `report` is health_window or trace_window."""

    device: int
    hour: int
    report: str


@dataclass(frozen=True, slots=True)
class Fleet:
    """A fleet over a span of whole hours, `start_ms` to `end_ms`; tasks, installations and pulses in order of time.

    `manifest` and `prices` are the documents that the operator of this fleet posts before its first report arrives.
    """

    seed: int
    start_ms: int
    end_ms: int
    devices: tuple[Device, ...]
    tasks: tuple[Task, ...]
    installations: tuple[Installation, ...]
    pulses: tuple[Pulse, ...]
    manifest: dict[str, Any]
    prices: dict[str, Any]
