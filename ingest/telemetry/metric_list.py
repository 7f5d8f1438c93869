"""Every metric there is: name, kind, unit, labels and meaning; docs/metrics.md lists the same (held by a test).

Every label comes from a closed set: tiers, reports and fields from the catalogue, outcomes from `Reason`, states and
results from the enumerations of whoever counts them.
"""

from dataclasses import dataclass
from enum import Enum


class Instrument(Enum):
    """What kind of OpenTelemetry instrument a metric is."""

    COUNTER = "counter"
    UP_DOWN_COUNTER = "up-down counter"
    GAUGE = "gauge"
    HISTOGRAM = "histogram"


@dataclass(frozen=True, slots=True)
class Metric:
    """One metric; the unit is UCUM as OpenTelemetry uses it."""

    name: str
    instrument: Instrument
    unit: str
    labels: tuple[str, ...]
    description: str


RECEIVED_REPORTS = Metric(
    "tidegate.gate.received",
    Instrument.COUNTER,
    "{report}",
    ("tier",),
    "Reports counted at the door, before any of them was looked at.",
)
REPORTS = Metric(
    "tidegate.gate.reports",
    Instrument.COUNTER,
    "{report}",
    ("tier", "outcome"),
    "Reports whose outcome was decided: accepted, or the reason why not.",
)
CHECKED = Metric(
    "tidegate.gate.checked",
    Instrument.COUNTER,
    "{report}",
    ("tier",),
    "Reports posted with ?check=1; they are in neither of the two counts above.",
)
REMARKS = Metric(
    "tidegate.gate.remarks",
    Instrument.COUNTER,
    "{value}",
    ("tier", "report", "field", "action"),
    "Values of a schema field that were dropped, coarsened or pseudonymised.",
)
REQUEST_DURATION = Metric(
    "tidegate.gate.request.duration",
    Instrument.HISTOGRAM,
    "s",
    ("tier", "status_class"),
    "Time from the head of a request to the end of its answer.",
)
REQUEST_BODY_SIZE = Metric(
    "tidegate.gate.request.body.size",
    Instrument.HISTOGRAM,
    "By",
    ("tier", "status_class"),
    "Body of a request as it came over the wire, before decompression.",
)
ACTIVE_REQUESTS = Metric(
    "tidegate.gate.active_requests",
    Instrument.UP_DOWN_COUNTER,
    "{request}",
    ("tier",),
    "Requests under way.",
)
LOG_ENTRIES = Metric(
    "tidegate.gate.log.entries",
    Instrument.COUNTER,
    "{entry}",
    (),
    "Entries that the log made durable.",
)
LOG_COMMITS = Metric(
    "tidegate.gate.log.commits",
    Instrument.COUNTER,
    "{commit}",
    (),
    "Commits of the log; entries divided by commits is how well requests share one.",
)
READY = Metric(
    "tidegate.gate.ready",
    Instrument.GAUGE,
    "1",
    (),
    "1 while /readyz says ready, else 0.",
)
POLICY_VERSION = Metric(
    "tidegate.gate.policy.version",
    Instrument.GAUGE,
    "1",
    ("tier",),
    "Version of the tier's policy in force.",
)
POLICY_RELOADS = Metric(
    "tidegate.gate.policy.reloads",
    Instrument.COUNTER,
    "{reload}",
    ("result",),
    "Attempts to reload the policies: applied, or refused with the old ones still in force.",
)

GATE_METRICS: tuple[Metric, ...] = (
    RECEIVED_REPORTS,
    REPORTS,
    CHECKED,
    REMARKS,
    REQUEST_DURATION,
    REQUEST_BODY_SIZE,
    ACTIVE_REQUESTS,
    LOG_ENTRIES,
    LOG_COMMITS,
    READY,
    POLICY_VERSION,
    POLICY_RELOADS,
)

FOLLOWER_LAG = Metric(
    "tidegate.follower.lag",
    Instrument.GAUGE,
    "{entry}",
    (),
    "Entries of the log that the follower has seen and not applied yet.",
)
FOLLOWER_REPORTS = Metric(
    "tidegate.follower.reports",
    Instrument.COUNTER,
    "{report}",
    ("result",),
    "Reports that the follower read: applied, found to be a duplicate, or parked because they cannot be read.",
)
FOLLOWER_STATE = Metric(
    "tidegate.follower.state",
    Instrument.GAUGE,
    "1",
    ("state",),
    "1 for the state that the follower is in, 0 for the others.",
)
FOLLOWER_WHY = Metric(
    "tidegate.follower.why",
    Instrument.GAUGE,
    "1",
    ("why",),
    "1 for the reason why the follower waits or has stopped, 0 for the others; all are 0 while it goes on.",
)
PUBLICATION_AGE = Metric(
    "tidegate.publication.age",
    Instrument.GAUGE,
    "s",
    (),
    "Time since the newest publication; absent while there is none.",
)

ANSWERS_METRICS: tuple[Metric, ...] = (FOLLOWER_LAG, FOLLOWER_REPORTS, FOLLOWER_STATE, FOLLOWER_WHY, PUBLICATION_AGE)

CPU_TIME = Metric(
    "process.cpu.time",
    Instrument.COUNTER,
    "s",
    (),
    "CPU time of the process, user and system together.",
)
MEMORY_USAGE = Metric(
    "process.memory.usage",
    Instrument.UP_DOWN_COUNTER,
    "By",
    (),
    "Physical memory that the process holds; absent where the system has no /proc.",
)
UPTIME = Metric(
    "process.uptime",
    Instrument.GAUGE,
    "s",
    (),
    "Time since the process began to measure itself, which is its start.",
)

PROCESS_METRICS: tuple[Metric, ...] = (CPU_TIME, MEMORY_USAGE, UPTIME)

METRICS: tuple[Metric, ...] = GATE_METRICS + ANSWERS_METRICS + PROCESS_METRICS
