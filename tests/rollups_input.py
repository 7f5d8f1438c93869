"""Entries as a gate appends them, from reports that a test says: through the real decode, strip and record.

The manifest of these tests knows the names in `KNOWN`; any other name becomes `other` on its way.
"""

from collections.abc import Iterable, Sequence
from random import Random
from typing import Any

from aggregators.rollups.stripped import Batch, StrippedRecords
from ingest.json_reports import Message
from ingest.log.partitioning import partition_number
from ingest.pipeline import AVRO, Rules, Submission, strip_message
from ingest.records import outcomes_entry, to_entry
from ingest.report import Entry, Partition, StoredEntry
from ingest.schema_topic import schemas_of
from ingest.telemetry.account import OutcomeCount
from ingest.telemetry.outcomes import Outcomes, encode_outcomes
from load.reports import MS_PER_HOUR, WINDOW_MS, encode, make_report
from schemas.avro_types import Enumeration
from schemas.catalogue import load_catalogue

NOW = 1_795_266_000_000
"""2026-11-21T13:00:00Z, milliseconds."""

HOUR = NOW - MS_PER_HOUR
"""The hour that windows lie in where a test does not say otherwise."""

CATALOGUE = load_catalogue()

KNOWN = {
    "region": ("eu-west", "us-east"),
    "site": ("plant-1",),
    "model": ("small-chat", "large-chat"),
    "model_version": ("2.0", "1.4"),
    "digest": ("sha256:" + "1" * 64,),
    "mirror": ("mirror-1",),
}

RULES = Rules(
    catalogue=CATALOGUE,
    names={kind: frozenset(name.encode() for name in names) for kind, names in KNOWN.items()},  # type: ignore[misc]  # the kinds are those of KnownNames
    location="here",
    key=lambda tier, days, start: f"{tier} {start // (days * 86_400_000)}".encode().ljust(32),
)


def stripped_records() -> StrippedRecords:
    """Records that can be read with all schemas of the catalogue."""
    records = StrippedRecords()
    records.learn(schemas_of(CATALOGUE))
    return records


def entry_of(report: str, values: dict[str, Any], *, tier: str = "managed", now: int = NOW) -> Entry:
    """The entry of a report with these values, of an ordinary device where they say nothing, and else by default."""
    schema = CATALOGUE.latest[report]
    said = {
        "report_id": Random(repr(values)).randbytes(16),
        "window_start": HOUR,
        "window_end": values.get("window_start", HOUR) + WINDOW_MS,
        "consent_fallback_reports": True,
        "hardware_tier": "small",
        "network_context": "office",
    }
    message = encode(schema, said | values)
    return stripped_entry(message, report, tier=tier, now=now)


def row_of(report: str, array: str, **values: Any) -> dict[str, Any]:
    """A row of an array of a report with these values; dimensions that are not said have their first symbol."""
    items = CATALOGUE.latest[report].fields[array].record
    assert items is not None
    symbols = {field.name: field.type.symbols[0] for field in items.fields if isinstance(field.type, Enumeration)}
    return symbols | values


def stripped_entry(message: bytes, report: str, *, tier: str = "managed", now: int = NOW) -> Entry:
    """The entry of a message that a device sent; raises `Rejected`."""
    submission = Submission(tier, report, AVRO, "", message)
    return to_entry(strip_message(Message(message), submission, RULES, now=now), now=now)


def seeded_report(report: str, random: Random, *, tier: str, now: int = NOW, report_id: bytes | None = None) -> Entry:
    """A report with anything in it that its type allows, of the hour before `now`."""
    values = make_report(CATALOGUE.latest[report], random, now=now)
    values |= {"report_id": report_id or values["report_id"], "consent_diagnostics": True, "consent_location": True}
    if tier == "contractor":
        values |= {"user_email": None, "serial": None}  # this tier refuses a report that has them
    return stripped_entry(encode(CATALOGUE.latest[report], values), report, tier=tier, now=now)


def outcomes_of(gate_id: str, sequence: int, *counts: OutcomeCount, now: int = NOW) -> Entry:
    """What a gate says that it did in the second before `now`."""
    outcomes = Outcomes(
        gate_id=gate_id, sequence=sequence, from_time=now - 1000, to_time=now, final=False, counts=counts
    )
    return outcomes_entry(encode_outcomes(outcomes), gate_id=gate_id, now=now)


def placed(entries: Iterable[Entry], *, partitions: int = 1) -> dict[Partition, list[StoredEntry]]:
    """The entries where a log would put them, from offset 0."""
    stored: dict[Partition, list[StoredEntry]] = {}
    for entry in entries:
        kept = stored.setdefault(Partition(entry.topic, partition_number(entry.key, partitions)), [])
        kept.append(StoredEntry(len(kept), entry))
    return stored


def one_batch(entries: Sequence[Entry]) -> Batch:
    """All entries in one batch, from offset 0 of each partition."""
    return list(placed(entries).items())
