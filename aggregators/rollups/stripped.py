"""A stored entry to what it says. Whatever cannot be read is told by a reason from a closed list, never by its bytes.

What a record is about comes from where it lies: the topic `tidegate.<tier>.<report>.v<n>` names tier, report and
version, and the schema named by the value has to be one of that report. fastavro decodes; what it does not check itself
(bytes left over, times that no calendar has) is checked here, so that one damaged record cannot spoil a batch.
"""

import re
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from enum import StrEnum
from functools import lru_cache
from io import BytesIO
from typing import Any, NamedTuple

import fastavro

from aggregators.rollups.writers import ReportFields, Writer, Writers
from ingest.coarsen import floor_hour
from ingest.records import CONTROL_TOPIC, SCHEMAS_TOPIC
from ingest.report import Entry, Partition, StoredEntry
from ingest.schema_topic import Schemas
from schemas.framing import NotFramed, Reference, split
from schemas.plan import UNKNOWN_FIELD

Batch = Sequence[tuple[Partition, Sequence[StoredEntry]]]
"""Entries of some partitions, each partition's in the order of their offsets."""

TOPIC = re.compile(r"tidegate\.(?P<tier>[^.]+)\.(?P<label>(?P<report>[a-z][a-z0-9_]*)\.v(?P<version>[1-9][0-9]{0,8}))")
LATEST = 1 << 42
"""2109-05-15 in milliseconds: a later time is damage, not a date."""


class WhyParked(StrEnum):
    """Why a record could not be read."""

    FOREIGN_TOPIC = "foreign_topic"
    """The topic is none of ours."""
    NOT_FRAMED = "not_framed"
    """The value begins neither as an Avro single-object message nor with the id of a schema registry."""
    UNKNOWN_SCHEMA = "unknown_schema"
    """The log has no schema of that fingerprint, or id, that this release can read."""
    WRONG_TOPIC = "wrong_topic"
    """The schema is that of another report than the topic's."""
    UNDECODABLE = "undecodable"
    """The value is not what its schema says."""
    TRAILING_BYTES = "trailing_bytes"
    """Bytes are left over behind the record."""
    KEY_DIFFERS = "key_differs"
    """The entry's key is not the id in the record."""
    BAD_TIME = "bad_time"
    """The time of the window or of the append is missing or beyond belief."""


class Unreadable(Exception):
    """The entry cannot be read."""

    def __init__(self, reason: WhyParked) -> None:
        super().__init__(reason.value)
        self.reason = reason


class Topic(NamedTuple):
    """What the name of a topic of stripped reports says."""

    tier: str
    report: str
    version: int
    label: str


@dataclass(frozen=True, slots=True)
class StrippedRecord:
    """One report as the log has it. `received` and `hour` (of the window) begin an hour, milliseconds since the epoch.

    `values` is the decoded record, remarks by path, with a flag `<array>_altered` for each array of rows: whether the
    gate altered a dimension of one of them, or may have.
    """

    topic: Topic
    received: int
    hour: int
    report_id: bytes
    values: dict[str, Any] = field(repr=False)


@dataclass(frozen=True, slots=True)
class OutcomesRecord:
    """One record of a gate's outcomes; `values` as in `schemas/control/outcomes.v1.avsc`, times in milliseconds."""

    received: int
    values: dict[str, Any] = field(repr=False)


class StrippedRecords:
    """Reads entries with the schemas that it was told.

    Whoever follows the log asks `unknown` before applying a batch and, if there are any, tells `learn` all that the log
    holds by then: the schema of a record was durable before the record was. A schema that is unknown even so is none
    that a gate wrote, and its records are parked.
    """

    def __init__(self) -> None:
        self._writers = Writers()

    def learn(self, schemas: Schemas) -> None:
        """Take the schemas of the log, as `ingest.schema_topic.stored_schemas` returns them; all of them at once."""
        self._writers.learn(schemas)

    def unknown(self, batch: Batch) -> frozenset[Reference]:
        """The fingerprints and ids in the batch that no schema is known for."""
        known = self._writers.by_reference
        return frozenset(named for named in _references(batch) if named not in known)

    def read(self, entry: Entry) -> StrippedRecord | OutcomesRecord:
        """What the entry says; raises `Unreadable`. Not for entries of the topic of schemas, which are no records."""
        if entry.topic == CONTROL_TOPIC:
            return self._outcomes(entry)
        topic = topic_of(entry.topic)
        if topic is None:
            raise Unreadable(WhyParked.FOREIGN_TOPIC)
        return self._report(entry, topic)

    def _outcomes(self, entry: Entry) -> OutcomesRecord:
        values = self._decoded(entry, label=None)
        if values["gate_id"].encode() != entry.key:
            raise Unreadable(WhyParked.KEY_DIFFERS)
        for time in (values["from_time"], values["to_time"]):
            _require_time(time)
        return OutcomesRecord(floor_hour(_require_time(entry.timestamp)), values)

    def _report(self, entry: Entry, topic: Topic) -> StrippedRecord:
        values = self._decoded(entry, label=topic.label)
        # A policy may drop the id as any field; the key is the same id then, and all there is.
        if values.get("report_id", entry.key) not in (None, entry.key):
            raise Unreadable(WhyParked.KEY_DIFFERS)
        _name_remarks(values, self._fields(values, topic))
        return StrippedRecord(
            topic=topic,
            received=floor_hour(_require_time(entry.timestamp)),
            hour=floor_hour(_require_time(values.get("window_start"))),
            report_id=entry.key,
            values=values,
        )

    def _decoded(self, entry: Entry, *, label: str | None) -> dict[str, Any]:
        try:
            reference, body_at = split(entry.value)
        except NotFramed:
            raise Unreadable(WhyParked.NOT_FRAMED) from None
        writer = self._writers.by_reference.get(reference)
        if writer is None:
            raise Unreadable(WhyParked.UNKNOWN_SCHEMA)
        if writer.label != label:
            raise Unreadable(WhyParked.WRONG_TOPIC)
        return _decoded(entry.value, body_at, writer)

    def _fields(self, values: dict[str, Any], topic: Topic) -> ReportFields:
        fields = self._writers.reports.get(values.get("schema_fingerprint", 0))
        if fields is None:
            raise Unreadable(WhyParked.UNKNOWN_SCHEMA)
        if fields.label != topic.label:
            raise Unreadable(WhyParked.WRONG_TOPIC)
        return fields


@lru_cache(maxsize=1024)
def topic_of(name: str) -> Topic | None:
    """What a topic's name says; None if it is no topic of stripped reports."""
    match = TOPIC.fullmatch(name)
    return None if match is None else Topic(match["tier"], match["report"], int(match["version"]), match["label"])


def _references(batch: Batch) -> Iterator[Reference]:
    for partition, entries in batch:
        if partition.topic != SCHEMAS_TOPIC:
            for stored in entries:
                with suppress(NotFramed):
                    yield split(stored.entry.value)[0]


def _decoded(value: bytes, body_at: int, writer: Writer) -> dict[str, Any]:
    stream = BytesIO(value)
    stream.seek(body_at)
    try:
        values: Any = fastavro.schemaless_reader(stream, writer.parsed, None)
    except Exception:  # noqa: BLE001  # whatever damaged bytes lead fastavro to raise, it may carry them
        raise Unreadable(WhyParked.UNDECODABLE) from None
    if stream.tell() != len(value):
        raise Unreadable(WhyParked.TRAILING_BYTES)
    return values  # type: ignore[no-any-return]  # both kinds of writer are records, which fastavro reads as dicts


def hour_of_receipt(entry: Entry) -> int:
    """The beginning of the hour in which the entry was appended, whatever its time says: within 0 and `LATEST`."""
    return floor_hour(min(max(entry.timestamp, 0), LATEST))


def _require_time(time: Any) -> int:
    if not isinstance(time, int) or not 0 <= time < LATEST:
        raise Unreadable(WhyParked.BAD_TIME)
    return time


def _name_remarks(values: dict[str, Any], fields: ReportFields) -> None:
    """Replace field ids by paths, and flag the arrays whose dimensions they touch.

    A name that no schema has may be a dimension of any array: an agent newer than the gate tells rows apart by it.
    """
    remarks = values.get("remarks") or ()
    touched = {remark.get("field") for remark in remarks}
    if not touched <= fields.paths.keys():
        raise Unreadable(WhyParked.UNDECODABLE)
    for remark in remarks:
        remark["field"] = fields.paths[remark["field"]]
    for array, dimensions in fields.dimensions.items():
        values[f"{array}_altered"] = UNKNOWN_FIELD in touched or not dimensions.isdisjoint(touched)
