"""Seeded reports of every type, shaped like those of real agents: eight rows, small counts, identifiers too.

They are valid under their schema and say nothing true about any fleet: a row may have more successes than tasks. They
are for benchmarks and tests that need many different valid bodies.
"""

import io
from collections.abc import Iterator
from random import Random
from typing import Any

import fastavro

from schemas.avro_types import Array, AvroType, Enumeration, Field, Fixed, Map, Primitive, Record
from schemas.report_schema import ReportSchema

MS_PER_HOUR = 3_600_000
WINDOW_MS = 300_000
ROWS = 8

REGIONS = ("eu-west", "eu-north", "us-east", "us-west", "ap-south")
MIRRORS = ("mirror-1", "mirror-2", "origin")
DIGESTS = tuple(f"sha256:{digit * 64}" for digit in "123")
NAMES = {
    "region": REGIONS,
    "served_region": REGIONS,
    "region_asked": REGIONS,
    "region_answered": REGIONS,
    "wanted_mirror": MIRRORS,
    "used_mirror": MIRRORS,
    "digest": DIGESTS,
    "site": ("plant-1", "plant-2", "campus-3"),
    "model": ("small-chat", "large-chat", "summary", "retrieval"),
    "os": ("windows", "macos", "linux"),
    "hardware_model": ("latitude-7440", "thinkpad-x1", "precision-3680"),
}
"""Names that the operator's manifest or the policies may know, by the last part of a field's path."""

VERSIONS = ("1.4.2", "2.0", "12.6.1")
"""What every other string is."""

ID_START, ID_END = 10, 26
"""Where the report id is in a message: after the marker (2 bytes) and the fingerprint (8)."""

LARGE_UNITS = {"By": 200_000, "{token}": 4_000, "ms": 60_000, "s": 300}
"""Upper ends of what a window adds up, by unit; everything else is a small count."""


def make_report(schema: ReportSchema, random: Random, *, now: int) -> dict[str, Any]:
    """A report of a window in the hour before `now` (milliseconds since the epoch), as fastavro takes it."""
    report: dict[str, Any] = _value(schema.root, "", random)
    hour = now - now % MS_PER_HOUR - MS_PER_HOUR
    start = hour + random.randrange(MS_PER_HOUR // WINDOW_MS) * WINDOW_MS
    return report | {
        "report_id": random.randbytes(16),
        "window_start": start,
        "window_end": start + WINDOW_MS,
        "consent_fallback_reports": True,
        "device_id": f"device-{random.randrange(2_000)}",
        "user_email": f"person{random.randrange(2_000)}@example.org",
        "hostname": f"host-{random.randrange(2_000)}",
        "attributes": {"build": "nightly"},
    }


def encode(schema: ReportSchema, report: dict[str, Any]) -> bytes:
    """The single-object message of a report, as fastavro's writer makes it."""
    out = io.BytesIO()
    fastavro.schemaless_writer(out, schema.parsed, report)
    return schema.message_prefix + out.getvalue()


def messages(schema: ReportSchema, *, count: int, seed: int, now: int) -> Iterator[bytes]:
    """`count` different messages; the same for the same seed and time."""
    random = Random(seed)
    for _ in range(count):
        yield encode(schema, make_report(schema, random, now=now))


def content(message: bytes) -> bytes:
    """What a message says, its report id left out: two reports that differ in nothing else have the same content."""
    return message[ID_END:]


def renewed(message: bytes, random: Random) -> bytes:
    """The same report under another report id, which every schema has first."""
    return message[:ID_START] + random.randbytes(ID_END - ID_START) + message[ID_END:]


def _value(node: AvroType, path: str, random: Random, unit: str | None = None) -> Any:  # noqa: C901, PLR0911  # one line for each Avro type
    match node:
        case Primitive("boolean"):
            return random.random() < 0.3
        case Primitive("int" | "long"):
            return _count(random, unit)
        case Primitive("double"):
            return random.random()
        case Primitive():
            return random.choice(NAMES.get(path.rpartition(".")[2], VERSIONS))
        case Enumeration(_, symbols):
            return random.choice(symbols)
        case Fixed(_, size):
            return random.randbytes(size)
        case Array(Record() as record):
            return [_value(record, path, random) for _ in range(ROWS if path == "rows" else random.randrange(3))]
        case Array(items):
            return [_value(items, path, random) for _ in range(random.randrange(2, 7))]
        case Map():
            return {}
        case Record(_, fields):
            return {field.name: _field(field, random) for field in fields}


def _field(field: Field, random: Random) -> Any:
    if field.privacy == "identifier" or (field.nullable and random.random() < 0.2):
        return field.default
    return _value(field.type, field.path, random, field.unit)


def _count(random: Random, unit: str | None) -> int:
    if unit in LARGE_UNITS:
        return random.randrange(LARGE_UNITS[unit])
    return min(int(random.expovariate(0.25)), 60)
