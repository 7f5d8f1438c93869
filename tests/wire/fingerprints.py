"""CRC-64-AVRO as the specification gives it, and the forms of a schema over which libraries compute it.

The only logical type of the reports is that of a time, so the forms differ in how they write the type of a time.
"""

from fastavro.schema import to_parsing_canonical_form

from schemas.report_schema import ReportSchema

EMPTY = 0xC15D213AA4D7A795
"""Avro 1.11 specification, "Schema Fingerprints"."""

TIME = '"long"'
"""The type of a time in the canonical form of the specification."""

TIME_IN_PYTHON = '{"type":"long"}'
"""In Apache's Python package `avro`."""

TIME_IN_GO = '{"type":"long","logicalType":"timestamp-millis"}'
"""In hamba/avro."""

TIMES = ("window_start", "window_end")


def _table() -> list[int]:
    table = []
    for byte in range(256):
        entry = byte
        for _ in range(8):
            entry = (entry >> 1) ^ (EMPTY & -(entry & 1))
        table.append(entry)
    return table


TABLE = _table()


def crc_64_avro(form: str) -> bytes:
    """The fingerprint of a schema in some form, as it stands in a message: little-endian."""
    found = EMPTY
    for byte in form.encode():
        found = (found >> 8) ^ TABLE[(found ^ byte) & 0xFF]
    return found.to_bytes(8, "little")


def canonical(schema: ReportSchema, *, time: str = TIME) -> str:
    """The canonical form of a schema; `time` is how its times are written."""
    form = to_parsing_canonical_form(schema.document)
    for name in TIMES:
        field = f'{{"name":"{name}","type":%s}}'
        form = form.replace(field % TIME, field % time)
    return form
