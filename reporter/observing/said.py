"""What an application may say of a task when it asks for one, and of other things that it notes: names and types.

All of it may be left out. Words that the schemas do not have are counted as `other`, so that none of it is an error.
"""

from typing import TypedDict


class TaskSaid(TypedDict, total=False):
    """What is known of a task before it runs. `planned` is a route; `approved` whether the device is for such data.

    `policy` is the version of the routing policy that decided, and `reason` why it did.
    """

    data_class: str
    task_kind: str
    planned: str
    input_size: str
    authority: str
    reason: str
    approved: bool
    policy: str
    offline: bool


class SyncSaid(TypedDict, total=False):
    """What happened between a device and one store."""

    store: str
    memory_route: str
    syncs: int
    conflicts: int
    duplicates_prevented: int
    duplicate_attempts: int
    reads: int
    stale_reads: int
    latency_ms: float


class QueueSaid(TypedDict, total=False):
    """What happened to tasks that wait for a network: `depth` is how many wait now."""

    depth: int
    left_after_s: float
    expired: int
    replays_asked: int
    replays_unasked: int


class PathSaid(TypedDict, total=False):
    """One probe of the path to a service; `reached` is intended or fallback, `dnssec` validated, bogus or absent."""

    service_role: str
    network_context: str
    region_asked: str
    region_answered: str
    reached: str
    dns_failures: int
    dnssec: str
    http_status: int
    certificate_days_left: int
    downloads_ok: int
    downloads_failed: int
    dns_ms: float
    connect_ms: float
    first_byte_ms: float


class CapabilitySaid(TypedDict, total=False):
    """Probes of one capability, and tasks that were routed by the tier that the device declares for it."""

    capability: str
    declared_tier: str
    probed_tier: str
    probes: int
    failures: int
    tasks: int
    mismatched: int


class FileSaid(TypedDict, total=False):
    """One model file, or something that happened to it."""

    model: str
    version: str
    digest: str
    precision: str
    runtime: str
    state: str
    removal: float | str
    wanted_version: str
    wanted_mirror: str
    used_mirror: str
    serving: bool
    tasks: int
    fallbacks: int
    crashes: int
    downloads: int
    signature_failures: int
    checksum_failures: int
    bytes_downloaded: int
    bytes_wasted: int


class HealthSaid(TypedDict, total=False):
    """One look at the device: per cent, tasks that wait, or the schema's word."""

    battery: float | str
    memory: float | str
    accelerator: float | str
    queue_depth: int | str
    update_status: str
    crashes: int
    cold_starts: int
