"""A made-up fleet's reports where a gate would have put them: a data directory with a log, and what its operator put.

Every report goes through the gate's own strip under the policies that ship, with the names of the fleet's manifest.
What is left out is everything around that: no HTTP, no repeats, nothing that comes days late.
"""

import asyncio
from collections.abc import Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass
from hashlib import blake2b
from pathlib import Path
from random import Random

from ingest.clock import SystemClock
from ingest.json_reports import Message
from ingest.log.embedded import EmbeddedLog, EmbeddedLogReader
from ingest.log.kafka.connection import KafkaConnection
from ingest.log.kafka.log import KafkaLog
from ingest.operator_documents import FILE_NAME as OPERATOR_FILE
from ingest.operator_documents import OperatorDocuments
from ingest.pipeline import AVRO, Rules, Submission, strip_message
from ingest.records import to_entry
from ingest.report import Entry
from ingest.schema_topic import publish_schemas
from load.fleet.batches import DISORDER_MS
from load.fleet.nouns import Fleet
from load.fleet.scenario import make_fleet
from load.fleet.windows import DeviceReport, reports
from load.processes import DAY_MS
from load.reports import encode
from schemas.catalogue import Catalogue, load_catalogue
from schemas.manifest import Manifest

LOG_NAME = "log"
ROLLUPS_NAME = "rollups"
APPENDED_AT_ONCE = 500


@dataclass(frozen=True, slots=True)
class StoredFleet:
    """What is in a log: so many reports of so many devices, and the days that they are about (milliseconds, UTC)."""

    devices: int
    seed: int
    reports: int
    value_bytes: int
    start_ms: int
    end_ms: int


def store_fleet(data: Path, *, devices: int, seed: int) -> StoredFleet:
    """Three days of a fleet, up to this day's beginning (UTC), into `data`, which is made. Takes 5 s for 500."""
    now = SystemClock().now_ms()
    fleet = make_fleet(devices=devices, seed=seed, now_ms=now - now % DAY_MS)
    catalogue = load_catalogue()
    entries = list(_entries(fleet, catalogue))
    asyncio.run(_append(data / LOG_NAME, entries, catalogue))
    with closing(OperatorDocuments(data / OPERATOR_FILE, SystemClock())) as documents:
        documents.put("manifest", dict(fleet.manifest), fleet.start_ms)
        documents.put("prices", dict(fleet.prices), fleet.start_ms)
    return StoredFleet(
        devices=devices,
        seed=seed,
        reports=len(entries),
        value_bytes=sum(len(entry.value) for entry in entries),
        start_ms=fleet.start_ms,
        end_ms=fleet.end_ms,
    )


def _entries(fleet: Fleet, catalogue: Catalogue) -> Iterator[Entry]:
    rules = Rules(catalogue=catalogue, names=Manifest.model_validate(fleet.manifest).names(), location="here", key=_key)
    for at, report in _in_order_of_arrival(fleet):
        message = encode(catalogue.latest[report.report], report.values)
        submission = Submission(report.tier, report.report, AVRO, "", message)
        yield to_entry(strip_message(Message(message), submission, rules, now=at), now=at)


def _key(tier: str, days: int, start: int) -> bytes:
    """A key for pseudonyms that is the same in every run, which no real one may be."""
    return blake2b(f"{tier} {start // (days * DAY_MS)}".encode(), digest_size=32).digest()


def _in_order_of_arrival(fleet: Fleet) -> Sequence[tuple[int, DeviceReport]]:
    """Each report with the time at which it comes: up to two hours after its window, as those do that a fleet posts."""
    random = Random(f"{fleet.seed}/arrival")
    posted = [(report.end + random.randrange(DISORDER_MS), report) for report in reports(fleet)]
    return sorted(posted, key=lambda one: one[0])


async def _append(directory: Path, entries: Sequence[Entry], catalogue: Catalogue) -> None:
    log = EmbeddedLog(directory)
    try:
        await publish_schemas(log, catalogue, now=SystemClock().now_ms())
        for at in range(0, len(entries), APPENDED_AT_ONCE):
            await log.append(entries[at : at + APPENDED_AT_ONCE])
    finally:
        await log.close()


async def copy_to_kafka(data: Path, connection: KafkaConnection, *, topic_prefix: str) -> None:
    """Append every entry of the log in `data` to topics that are there already; raises `LogUnavailable`, `InDoubt`."""
    source, target = EmbeddedLogReader(data / LOG_NAME), KafkaLog(connection, topic_prefix=topic_prefix)
    try:
        for partition in await source.partitions():
            after = -1
            while found := await source.read(partition, after=after, limit=APPENDED_AT_ONCE):
                await target.append([stored.entry for stored in found])
                after = found[-1].offset
    finally:
        await target.close()
        await source.close()
