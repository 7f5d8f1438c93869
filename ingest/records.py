"""StrippedReport -> Entry: what accompanies a stripped record into the log, and nothing that its tier does not list.

Keys, headers and timestamps are data as well. The header names and their meaning are those of CloudEvents 1.0, Kafka
protocol binding, binary content mode. With `ingest.log`, which reads back what it stored, the only maker of entries.
"""

import json
from datetime import UTC, datetime
from functools import lru_cache
from typing import Any

from ingest.coarsen import floor_hour
from ingest.report import Entry, StrippedReport
from ingest.telemetry.outcomes import OUTCOMES_FINGERPRINT
from schemas.framing import SINGLE_OBJECT, Framing
from schemas.plan import Plan
from schemas.tier import RecordPolicy

CONTROL_TOPIC = "tidegate.control"
"""What the gates say about themselves: outcomes, every second."""

SCHEMAS_TOPIC = "tidegate.schemas"
"""The schema of every record in the log, by fingerprint (`ingest.schema_topic`)."""

TOPIC_HEADER = "topic"
ID_HEADER = "registry_id"
"""Headers of an entry in the topic of schemas."""

GATES_OWN = frozenset({CONTROL_TOPIC, SCHEMAS_TOPIC})
"""Topics that the gates write by themselves; every other one holds what a device sent, stripped."""


def to_entry(stripped: StrippedReport, *, now: int, framing: Framing = SINGLE_OBJECT) -> Entry:
    """The entry of a stripped report that is appended at `now`, milliseconds since the epoch, UTC."""
    plan = stripped.plan
    timestamp = record_time(plan.tier.record, now)
    return Entry(
        topic=plan.topic,
        key=stripped.report_id,
        value=framing.prefix(plan.topic, plan.output_fingerprint) + stripped.body,
        timestamp=timestamp,
        headers=tuple((name, _header(name, stripped, timestamp)) for name in plan.tier.record.headers),
    )


def record_time(policy: RecordPolicy, now: int) -> int:
    """`now` as precisely as the tier lets a record tell it."""
    return floor_hour(now) if policy.timestamp == "hour" else now


def _header(name: str, stripped: StrippedReport, timestamp: int) -> bytes:
    match name:
        case "ce_id":
            return stripped.report_id.hex().encode()
        case "ce_time":
            return datetime.fromtimestamp(timestamp / 1000, UTC).isoformat(timespec="milliseconds").encode()
    return _constant_headers(stripped.plan)[name]


@lru_cache(maxsize=1024)
def _constant_headers(plan: Plan) -> dict[str, bytes]:
    return {
        "ce_specversion": b"1.0",
        "ce_source": f"/t/{plan.tier.name}".encode(),
        "ce_type": f"tidegate.{plan.schema.label}".encode(),
        "content-type": b"application/avro",
    }


def schema_entry(
    fingerprint: bytes,
    document: dict[str, Any],
    *,
    now: int,
    topic: str | None = None,
    schema_id: int | None = None,
) -> Entry:
    """The entry of an Avro schema, keyed by its fingerprint (8 bytes).

    `topic` is where values under it go, `schema_id` what a schema registry calls it there. Both stand in headers, so
    that whoever has the log alone can read values that name the id.
    """
    value = json.dumps(document, separators=(",", ":")).encode()
    headers = [] if topic is None else [(TOPIC_HEADER, topic.encode())]
    if schema_id is not None:
        headers.append((ID_HEADER, str(schema_id).encode()))
    return Entry(topic=SCHEMAS_TOPIC, key=fingerprint, value=value, timestamp=now, headers=tuple(headers))


def outcomes_entry(body: bytes, *, gate_id: str, now: int, framing: Framing = SINGLE_OBJECT) -> Entry:
    """The entry of a gate's outcomes (`ingest.telemetry.outcomes`), keyed so that one gate's records stay in order."""
    value = framing.prefix(CONTROL_TOPIC, OUTCOMES_FINGERPRINT) + body
    return Entry(topic=CONTROL_TOPIC, key=gate_id.encode(), value=value, timestamp=now)


def probe_entry(topic: str, *, now: int) -> Entry:
    """A record of nothing, by which a gate proves that it could append; nobody reads it."""
    return Entry(topic=topic, key=b"", value=b"", timestamp=now)
