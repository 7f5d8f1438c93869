"""The schemas in the log: there before the records under them, once, and readable by whoever has the log alone."""

import dataclasses
import json

import avro.schema

from ingest.log.memory import MemoryLog
from ingest.records import SCHEMAS_TOPIC, schema_entry
from ingest.schema_topic import publish_schemas, schemas_of, stored_schemas
from schemas.catalogue import load_catalogue
from schemas.report_schema import crc_64_avro

NOW = 1_795_000_000_000
CATALOGUE = load_catalogue()


async def test_every_schema_is_published_once() -> None:
    """A log gets each schema of a catalogue once, however often a gate starts on it."""
    log = MemoryLog(partitions=3)
    assert await publish_schemas(log, CATALOGUE, now=NOW) == len(schemas_of(CATALOGUE))
    assert await publish_schemas(log, CATALOGUE, now=NOW) == 0
    assert await stored_schemas(log) == schemas_of(CATALOGUE)
    assert {partition.topic for partition in await log.partitions()} == {SCHEMAS_TOPIC}


def test_a_schema_is_found_by_what_a_message_names() -> None:
    """The key of a schema is the fingerprint of its document, and each document is one that Apache Avro reads."""
    for key, document in schemas_of(CATALOGUE).items():
        assert crc_64_avro(document) == key
        avro.schema.parse(json.dumps(document))


async def test_what_an_earlier_policy_wrote_stays() -> None:
    """The schemas of an earlier catalogue stay beside those of a later one."""
    log = MemoryLog()
    await publish_schemas(log, CATALOGUE, now=NOW)
    later = load_catalogue()
    plan = next(iter(later.plans.values()))
    plan.output["fields"] = plan.output["fields"][:4]
    assert await publish_schemas(log, later, now=NOW) == 1
    assert schemas_of(CATALOGUE).items() <= (await stored_schemas(log)).items()


async def test_a_damaged_schema_is_written_again() -> None:
    """A value of the topic that is no schema is passed over, and the next gate appends the schema once more."""
    log = MemoryLog()
    key, document = next(iter(schemas_of(CATALOGUE).items()))
    await log.append([dataclasses.replace(schema_entry(key, document, now=NOW), value=b"\xff no schema")])
    assert await stored_schemas(log) == {}
    assert await publish_schemas(log, CATALOGUE, now=NOW) == len(schemas_of(CATALOGUE))
