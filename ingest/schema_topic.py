"""The schemas travel with the records: before a gate writes under a schema, the log holds it.

A policy that changes makes other output schemas, and what an earlier policy wrote must stay readable for as long as the
log keeps it, by anyone who has the log and nothing else. So `tidegate.schemas` holds every report schema, every output
schema and that of the outcomes as JSON, keyed by its fingerprint. Headers say in which topic it is written, and what a
schema registry calls it there: the log outlives registries, and a change of the setting.

An id that two entries give to two schemas belongs to the one that came first, for every reader.
"""

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import chain
from typing import Any, Protocol, runtime_checkable

from ingest.log import Log, LogReader
from ingest.records import CONTROL_TOPIC, ID_HEADER, SCHEMAS_TOPIC, TOPIC_HEADER, schema_entry
from ingest.report import Entry, Partition, StoredEntry
from ingest.telemetry.outcomes import OUTCOMES_FINGERPRINT, OUTCOMES_SCHEMA
from schemas.catalogue import Catalogue
from schemas.errors import ContractError, Finding
from schemas.framing import Reference, id_reference

BATCH = 100

Schemas = Mapping[Reference, dict[str, Any]]
"""Avro schema documents by what a value says of them: the fingerprint, or an id (`schemas.framing`)."""

Ids = Mapping[tuple[str, bytes], int]
"""What a schema registry calls the schemas of a catalogue, by topic and fingerprint."""

NO_IDS: Ids = {}

MENDED = (
    "a value names its schema by the id alone, so nothing is written. With schema_registry own, let one of the two "
    "policies keep another set of fields; where the registry is another one than before, give the schemas there the "
    "ids that they had; or leave schema_registry away, for single-object framing needs no ids"
)


@dataclass(frozen=True, slots=True)
class StoredSchema:
    """A schema as the log has it. `topic` is None for one that nothing is written under, and in older entries."""

    fingerprint: bytes
    document: dict[str, Any] = field(repr=False)
    topic: str | None = None
    schema_id: int | None = None

    @property
    def name(self) -> str:
        """How people call it: its full name, and where it is written."""
        full = f"{self.document.get('namespace')}.{self.document.get('name')}"
        return full if self.topic is None else f"{full} in {self.topic}"


def schemas_of(catalogue: Catalogue) -> Schemas:
    """Every schema that a gate of this catalogue reads or writes, by fingerprint."""
    return {schema.fingerprint: schema.document for schema in _schemas(catalogue)}


def written(catalogue: Catalogue) -> Sequence[StoredSchema]:
    """The schemas that values are written under, each with its topic; one that two topics have comes twice."""
    outcomes = StoredSchema(OUTCOMES_FINGERPRINT, OUTCOMES_SCHEMA, CONTROL_TOPIC)
    return [
        *(StoredSchema(plan.output_fingerprint, plan.output, plan.topic) for plan in catalogue.plans.values()),
        outcomes,
    ]


def _schemas(catalogue: Catalogue) -> Iterator[StoredSchema]:
    yield from (StoredSchema(schema.fingerprint, schema.document) for schema in catalogue.schemas)
    yield from written(catalogue)


@runtime_checkable
class FindsByTopic(Protocol):
    """A log that can look for the partitions of a topic without a look at all others, of which any may be away."""

    async def partitions_of(self, topic: str) -> Sequence[Partition]:
        """As `LogReader.partitions`, of `topic` alone."""
        ...


async def partitions_of(reader: LogReader, topic: str) -> Sequence[Partition]:
    """The partitions of `topic` that hold, or held, an entry; sorted. Raises `LogUnavailable`."""
    if isinstance(reader, FindsByTopic):
        return await reader.partitions_of(topic)
    return [partition for partition in await reader.partitions() if partition.topic == topic]


class SchemaTopic:
    """What a log holds of schemas, read on from where the last look ended."""

    def __init__(self, reader: LogReader) -> None:
        self._reader = reader
        self._found: dict[Partition, list[StoredEntry]] = {}

    async def read_on(self) -> bool:
        """Read what is new; returns whether anything is. Raises `LogUnavailable`."""
        before = sum(map(len, self._found.values()))
        for partition in await partitions_of(self._reader, SCHEMAS_TOPIC):
            await self._read(self._found.setdefault(partition, []), partition)
        return sum(map(len, self._found.values())) > before

    async def _read(self, found: list[StoredEntry], partition: Partition) -> None:
        while True:
            after = found[-1].offset if found else -1
            entries = await self._reader.read(partition, after=after, limit=BATCH)
            if not entries:
                return
            found.extend(entries)

    def schemas(self) -> Sequence[StoredSchema]:
        """Everything read so far, in the order in which the log got it; what is damaged is left out."""
        entries = chain.from_iterable(_timed(partition, entries) for partition, entries in self._found.items())
        return [schema for *_, entry in sorted(entries, key=lambda one: one[:3]) for schema in _schema(entry)]


def _timed(partition: Partition, entries: Sequence[StoredEntry]) -> Iterator[tuple[int, Partition, int, Entry]]:
    """Entries with what they are sorted by: partitions have no order between them but time, which may step back."""
    latest = 0
    for stored in entries:
        latest = max(latest, stored.entry.timestamp)
        yield latest, partition, stored.offset, stored.entry


def _schema(entry: Entry) -> Iterator[StoredSchema]:
    """The schema of an entry; none where it is damaged, so that the next gate writes it again."""
    headers = dict(entry.headers)
    try:
        document = json.loads(entry.value)
        topic = headers[TOPIC_HEADER].decode() if TOPIC_HEADER in headers else None
        schema_id = int(headers[ID_HEADER]) if ID_HEADER in headers else None
        if schema_id is not None:
            id_reference(schema_id)
    except (ValueError, RecursionError):  # it carries the bytes
        return
    if isinstance(document, dict):
        yield StoredSchema(entry.key, document, topic, schema_id)


async def stored_schemas(reader: LogReader) -> Schemas:
    """Every schema that the log holds, by fingerprint and by id; raises `LogUnavailable`."""
    topic = SchemaTopic(reader)
    await topic.read_on()
    found = topic.schemas()
    by_id = {id_reference(schema_id): one.document for schema_id, one in claims(found).items()}
    return {**by_id, **{schema.fingerprint: schema.document for schema in found}}


def claims(schemas: Sequence[StoredSchema]) -> dict[int, StoredSchema]:
    """Which schema an id belongs to: the first that has it."""
    first: dict[int, StoredSchema] = {}
    for schema in schemas:
        if schema.schema_id is not None:
            first.setdefault(schema.schema_id, schema)
    return first


async def publish_schemas(log: Log, catalogue: Catalogue, *, now: int, ids: Ids = NO_IDS) -> int:
    """Append what the log does not hold yet of the schemas of `catalogue`, and say how many; raises as `Log.append`.

    `now` is milliseconds since the epoch, UTC. One that the log holds without its id in `ids` is appended again with
    it. Two gates may both append one. Raises `ContractError` where an id of `ids` is another schema's, in `ids` or in
    the log: a value that names it could be read as something else than what was written.
    """
    wanted = [_with_id(schema, ids) for schema in _schemas(catalogue)]
    topic = SchemaTopic(log)
    await topic.read_on()
    _require_distinct(wanted, topic.schemas())
    missing = _missing(wanted, topic.schemas())
    entries = [
        schema_entry(one.fingerprint, one.document, now=now, topic=one.topic, schema_id=one.schema_id)
        for one in missing
    ]
    await log.append(entries)
    # Another gate may have appended at the same time, with another registry: whoever came second must not go on.
    if ids and missing:
        await topic.read_on()
        _require_distinct(wanted, topic.schemas())
    return len(entries)


def _with_id(schema: StoredSchema, ids: Ids) -> StoredSchema:
    schema_id = None if schema.topic is None else ids.get((schema.topic, schema.fingerprint))
    return StoredSchema(schema.fingerprint, schema.document, schema.topic, schema_id)


def _missing(wanted: Sequence[StoredSchema], stored: Sequence[StoredSchema]) -> Sequence[StoredSchema]:
    """Of `wanted` what the log lacks: the newest entry of a schema in a topic has to have its id, if there is one."""
    newest = {(schema.topic, schema.fingerprint): schema.schema_id for schema in stored}
    lacking = {}
    for schema in wanted:
        place = schema.topic, schema.fingerprint
        if place not in newest or schema.schema_id not in (None, newest[place]):
            lacking[place] = schema
    return list(lacking.values())


def _require_distinct(wanted: Sequence[StoredSchema], stored: Sequence[StoredSchema]) -> None:
    owners = claims([*stored, *wanted])
    findings = [
        Finding(SCHEMAS_TOPIC, 0, f"{schema.name} and {owner.name} both have the schema id {schema.schema_id}", MENDED)
        for schema in wanted
        if schema.schema_id is not None and (owner := owners[schema.schema_id]).fingerprint != schema.fingerprint
    ]
    if findings:
        raise ContractError(findings)
