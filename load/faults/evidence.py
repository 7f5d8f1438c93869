"""What the product has of the reports: in its log, in its rollups, in its gates' own records. Read, never asked for.

The log is read as any consumer would, with the schemas that it holds; of the rollups a copy is read which was made
while the process stood still: what a power cut would have left. `verdict.py` holds it against what clients were told.
"""

import io
import json
import shutil
from collections import Counter
from collections.abc import Callable, Mapping
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

import duckdb
import fastavro

from ingest.log import LogReader
from ingest.records import CONTROL_TOPIC, ID_HEADER, SCHEMAS_TOPIC
from ingest.report import Entry, Partition
from load.faults.gate import GateProcess

STEP = 2_000
MARKER = b"\xc3\x01"
ID_BYTES = 4
PREFIX_BYTES = {MARKER[:1]: 10, b"\0": 1 + ID_BYTES}
"""Where the body begins: behind Avro's marker and a fingerprint, or behind a zero and an id as Confluent's clients have
it. Written here anew, as any consumer would."""

DATABASE = "rollups.duckdb"

TASKS = "SELECT epoch_ms(hour), tier, actual_route, sum(tasks)::BIGINT FROM route_rows GROUP BY ALL"
RECEIPTS = "SELECT tier, sum(accepted)::BIGINT, sum(duplicates)::BIGINT FROM receipts GROUP BY ALL"
IDS = "SELECT count(*) FROM (SELECT DISTINCT hour, id FROM seen)"
PARKED = "SELECT count(*) FROM parked"

Cell = tuple[int, str, str]
"""Hour of the window in milliseconds, tier, route taken."""


class Span(NamedTuple):
    """What a gate says that it did: a record of its series; `counts` by (tier, outcome)."""

    gate: str
    sequence: int
    to_time: int
    final: bool
    counts: Mapping[tuple[str, str], int]


@dataclass(slots=True)
class InLog:
    """All that the log holds. `tasks` are those of each report as it is written there, by the route taken."""

    stored: Counter[bytes] = field(default_factory=Counter)
    tiers: dict[bytes, str] = field(default_factory=dict)
    tasks: dict[bytes, Mapping[str, int]] = field(default_factory=dict)
    spans: list[Span] = field(default_factory=list)
    unreadable: int = 0
    differing: int = 0
    """Entries of one report that do not say the same."""


@dataclass(frozen=True, slots=True)
class InRollups:
    """All that was counted: tasks by cell, reports and duplicates by tier, ids seen, records parked."""

    tasks: Mapping[Cell, int]
    accepted: Mapping[str, int]
    duplicates: Mapping[str, int]
    ids: int
    parked: int


class LogScan:
    """Reads a log on from where it was, and keeps all that it found; `fresh` is what came last, as bytes."""

    def __init__(self) -> None:
        self.found = InLog()
        self.fresh: list[bytes] = []
        self._after: dict[Partition, int] = {}
        self._schemas: dict[bytes, Any] = {}

    async def read(self, reader: LogReader) -> None:
        """Take what is new; schemas first, whatever the order of partitions."""
        self.fresh = []
        partitions = sorted(await reader.partitions(), key=lambda partition: partition.topic != SCHEMAS_TOPIC)
        for partition in partitions:
            end = (await reader.extent(partition)).end
            while self._after.get(partition, -1) + 1 < end:
                # Nothing may come although there is more: then the log is asked again.
                for offset, entry in await reader.read(partition, after=self._after.get(partition, -1), limit=STEP):
                    self._after[partition] = offset
                    self._take(entry)

    def _take(self, entry: Entry) -> None:
        self.fresh += (
            entry.key,
            entry.value,
            *(part for name, value in entry.headers for part in (name.encode(), value)),
        )
        if entry.topic == SCHEMAS_TOPIC:
            self._learn(entry)
            return
        values = self._decoded(entry.value)
        if values is None:
            self.found.unreadable += 1
        elif entry.topic == CONTROL_TOPIC:
            self.found.spans.append(_span(values))
        else:
            self._report(entry, values)

    def _learn(self, entry: Entry) -> None:
        """Take a schema by its fingerprint, and by its id in a registry where it has one."""
        schema = fastavro.parse_schema(_plain(json.loads(entry.value)))
        self._schemas[entry.key] = schema
        if schema_id := dict(entry.headers).get(ID_HEADER):
            self._schemas[int(schema_id).to_bytes(ID_BYTES, "big")] = schema

    def _report(self, entry: Entry, values: Mapping[str, Any]) -> None:
        tasks: Counter[str] = Counter()
        for row in values["rows"]:
            tasks[row["actual_route"]] += row["tasks"]
        before = self.found.tasks.setdefault(entry.key, dict(tasks))
        self.found.differing += before != dict(tasks)
        self.found.stored[entry.key] += 1
        self.found.tiers[entry.key] = entry.topic.split(".")[1]

    def _decoded(self, value: bytes) -> dict[str, Any] | None:
        """The record, or None where no reader could say what it is."""
        at = PREFIX_BYTES.get(value[:1], 0)
        schema = self._schemas.get(value[len(MARKER) if value.startswith(MARKER) else 1 : at])
        if schema is None:
            return None
        body = io.BytesIO(value[at:])
        try:
            decoded = fastavro.schemaless_reader(body, schema, None)
        except Exception:  # noqa: BLE001  # whatever fastavro makes of bytes that are no record
            return None
        return decoded if isinstance(decoded, dict) and not body.read() else None


def _span(values: Mapping[str, Any]) -> Span:
    counts: Counter[tuple[str, str]] = Counter()
    for one in values["counts"]:
        counts[one["tier"], one["outcome"]] += one["count"]
    return Span(values["gate_id"], values["sequence"], values["to_time"], values["final"], dict(counts))


def _plain(document: Any) -> Any:
    """A schema without its docs and logical types: times stay numbers."""
    if isinstance(document, dict):
        return {name: _plain(part) for name, part in document.items() if name not in ("doc", "logicalType")}
    return [_plain(part) for part in document] if isinstance(document, list) else document


def copied_rollups(gate: GateProcess | None, directory: Path, kept: Path) -> Path:
    """A copy of the DuckDB file as a power cut would have left it; the process is stopped while it is made."""
    shutil.rmtree(kept, ignore_errors=True)
    kept.mkdir(parents=True)

    def copy() -> None:
        for file in directory.glob(f"{DATABASE}*"):
            if file.is_file():
                shutil.copy2(file, kept / file.name)

    if gate is None:
        copy()
    else:
        with gate.paused():
            copy()
    return kept / DATABASE


def in_rollups(file: Path) -> InRollups:
    """What the rollups in a DuckDB file have counted; nobody else may have it open."""

    def rows(connection: duckdb.DuckDBPyConnection) -> Callable[[str], list[Any]]:
        return lambda sql: connection.execute(sql).fetchall()

    with closing(duckdb.connect(str(file))) as connection:
        ask = rows(connection)
        receipts = ask(RECEIPTS)
        return InRollups(
            tasks={(hour, tier, route): tasks for hour, tier, route, tasks in ask(TASKS)},
            accepted={tier: accepted for tier, accepted, _ in receipts},
            duplicates={tier: duplicates for tier, _, duplicates in receipts},
            ids=ask(IDS)[0][0],
            parked=ask(PARKED)[0][0],
        )
