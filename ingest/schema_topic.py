"""The schemas travel with the records: before a gate writes under a schema, the log holds it, by its fingerprint.

A policy that changes makes other output schemas, and what an earlier policy wrote must stay readable for as long as the
log keeps it, by anyone who has the log and nothing else. So `tidegate.schemas` holds every report schema, every output
schema and that of the outcomes as JSON, keyed by the 8 bytes that a single-object message names its schema with.
"""

import json
from collections.abc import Mapping
from typing import Any

from ingest.log import Log, LogReader
from ingest.records import SCHEMAS_TOPIC, schema_entry
from ingest.report import Entry
from ingest.telemetry.outcomes import OUTCOMES_PREFIX, OUTCOMES_SCHEMA
from schemas.catalogue import Catalogue
from schemas.report_schema import SINGLE_OBJECT_MARKER

BATCH = 100

Schemas = Mapping[bytes, dict[str, Any]]
"""Avro schema documents by fingerprint (CRC-64-AVRO, little-endian)."""


def schemas_of(catalogue: Catalogue) -> Schemas:
    """Every schema that a gate of this catalogue reads or writes."""
    reports = {schema.fingerprint: schema.document for schema in catalogue.schemas}
    stripped = {plan.output_fingerprint: plan.output for plan in catalogue.plans.values()}
    return {**reports, **stripped, OUTCOMES_PREFIX[len(SINGLE_OBJECT_MARKER) :]: OUTCOMES_SCHEMA}


async def stored_schemas(reader: LogReader) -> Schemas:
    """Every schema that the log holds; raises `LogUnavailable`."""
    found: dict[bytes, dict[str, Any]] = {}
    for partition in await reader.partitions():
        after = -1
        while partition.topic == SCHEMAS_TOPIC:
            entries = await reader.read(partition, after=after, limit=BATCH)
            if not entries:
                break
            for stored in entries:
                found.update(_schema(stored.entry))
            after = entries[-1].offset
    return found


def _schema(entry: Entry) -> Schemas:
    """The schema of an entry; none where it is damaged, so that the next gate writes it again."""
    try:
        document = json.loads(entry.value)
    except ValueError:  # it carries the bytes
        return {}
    return {entry.key: document} if isinstance(document, dict) else {}


async def publish_schemas(log: Log, catalogue: Catalogue, *, now: int) -> int:
    """Append the schemas of `catalogue` that the log does not hold yet, and say how many; raises as `Log.append`.

    `now` is milliseconds since the epoch, UTC. Two gates may both append one: the same key has the same value.
    """
    known = await stored_schemas(log)
    missing = {key: document for key, document in schemas_of(catalogue).items() if key not in known}
    await log.append([schema_entry(key, document, now=now) for key, document in missing.items()])
    return len(missing)
