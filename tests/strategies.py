"""Hypothesis strategies made from a report schema: valid reports, and every encoding that Avro allows of one.

A report is a dict as fastavro takes it, times as milliseconds. Numbers lean towards the borders of their encodings,
names towards those that a policy or the manifest lets through, so that each branch of a walk is taken often.
"""

import io
from random import Random
from typing import Any

import fastavro
from hypothesis import strategies as st

from ingest.coarsen import Names
from schemas.avro_types import Array, AvroType, Enumeration, Field, Fixed, Map, Primitive, Record
from schemas.report_schema import ReportSchema
from tests.any_encoding import encode_anyhow

NOW = 1_795_266_000_000
"""2026-11-21T13:00:00Z, milliseconds: the time of every test of the pure core that does not name its own."""

HOUR = 3_600_000

MANIFEST: Names = {
    "region": frozenset({b"eu-west", b"us-east"}),
    "site": frozenset({b"plant-1"}),
    "model": frozenset({b"small-chat"}),
    "model_version": frozenset({b"2026.10", b"2026.10 (rc)"}),
    "digest": frozenset({b"sha256:" + b"ab" * 32}),
    "mirror": frozenset({b"mirror-1"}),
}
"""What the operator knows in these tests."""

NAMES = sorted(name.decode() for names in MANIFEST.values() for name in names)
NAMES += ["windows", "MacBook Pro", "other", "1", "1.2", "1.2.3-beta", "12.6.1 (x)", "1234567.1", "", "größe", "é\0😀"]

BORDERS = [0, 1, -1, 63, 64, -64, -65, 8191, 8192, 2**31 - 1, -(2**31)]
LONG_BORDERS = [*BORDERS, 2**31, 2**62, 2**63 - 1, -(2**63), 3_599_999, 3_600_000]


def reports(schema: ReportSchema) -> st.SearchStrategy[dict[str, Any]]:
    """Valid reports of one hour before `NOW`: any value in any field, but a window that the gate takes."""
    return st.builds(_in_time, values(schema.root), st.integers(0, 11), st.integers(1, 12))


def _in_time(report: dict[str, Any], start: int, length: int) -> dict[str, Any]:
    window_start = NOW - HOUR + start * (HOUR // 12)
    return report | {"window_start": window_start, "window_end": min(window_start + length * (HOUR // 12), NOW)}


def values(node: AvroType) -> st.SearchStrategy[Any]:  # noqa: C901, PLR0911  # one line for each Avro type
    """Any value of a type."""
    match node:
        case Primitive("boolean"):
            return st.booleans()
        case Primitive("int"):
            return st.integers(0, 63) | st.sampled_from(BORDERS) | st.integers(-(2**31), 2**31 - 1)
        case Primitive("long"):
            return st.integers(0, 63) | st.sampled_from(LONG_BORDERS) | st.integers(-(2**63), 2**63 - 1)
        case Primitive("double"):
            return st.floats(allow_nan=False, allow_infinity=False)
        case Primitive():
            return texts()
        case Enumeration(_, symbols):
            return st.sampled_from(symbols)
        case Fixed(_, size):
            return st.binary(min_size=size, max_size=size)
        case Array(items):
            return st.lists(values(items), max_size=3)
        case Map(held):
            return st.dictionaries(texts(), values(held), max_size=3)
        case Record(_, fields):
            return st.fixed_dictionaries({field.name: _field(field) for field in fields})


def texts() -> st.SearchStrategy[str]:
    """Names that something may let through, and any other text that UTF-8 can hold."""
    return st.sampled_from(NAMES) | st.text(st.characters(exclude_categories=["Cs"]), max_size=8)


def _field(field: Field) -> st.SearchStrategy[Any]:
    return st.none() | values(field.type) if field.nullable else values(field.type)


def encode(schema: ReportSchema, report: dict[str, Any]) -> bytes:
    """The message of a report as fastavro writes it, which is the canonical encoding."""
    out = io.BytesIO()
    fastavro.schemaless_writer(out, schema.parsed, report)
    return schema.message_prefix + out.getvalue()


def any_encoding(schema: ReportSchema, report: dict[str, Any], seed: int) -> bytes:
    """A message that says the same with blocks, sizes and varints drawn from `seed`."""
    return schema.message_prefix + encode_anyhow(schema.root, report, Random(seed))
