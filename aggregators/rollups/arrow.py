"""Decoded records as Arrow tables: the columns that the statements of `sql/load/` read, and no others.

A record comes as the dict that fastavro makes of it, with what `aggregators.rollups.stripped` adds. What a record does
not have is null, so records of all tiers and of several versions of a report share one table. Every whole number is 64
bits wide, because fastavro lets an `int` hold more than Avro does, and one such number must not spoil a batch.
"""

from collections.abc import Iterable, Mapping
from itertools import islice
from typing import Any

import pyarrow as pa

from aggregators.rollups.dimensions import DIMENSIONS
from schemas.avro_types import Array, AvroType, Enumeration, Primitive, Record

TEXT = pa.string()
NUMBER = pa.int64()
FLAG = pa.bool_()
UNSIGNED = pa.uint64()
TIME = pa.timestamp("ms")

SCALARS = {"int": NUMBER, "long": NUMBER, "boolean": FLAG, "string": TEXT}

Columns = Mapping[str, pa.DataType]
Row = Mapping[str, Any]


def _texts(*names: str) -> Columns:
    return dict.fromkeys(names, TEXT)


def _numbers(*names: str) -> Columns:
    return dict.fromkeys(names, NUMBER)


def _flags(*names: str) -> Columns:
    return dict.fromkeys(names, FLAG)


def list_of(columns: Columns) -> pa.DataType:
    """The type of an array of such rows."""
    return pa.list_(pa.struct(list(columns.items())))


ROWS_AT_ONCE = 64
"""Reports that one call of Arrow turns: it lets no other thread run meanwhile, 30 µs a report, and a gate may share the
process. Larger pieces are no faster."""

HISTOGRAM = pa.struct(
    [*_numbers("zero_count", "underflow", "overflow", "offset").items(), ("counts", pa.list_(NUMBER))]
)

FIRSTS = _flags("first_of_hour", "first_of_day")

REMARKS: Columns = {
    **_texts("agent_version"),
    **FIRSTS,
    "policy_version": NUMBER,
    "remarks": list_of({"field": TEXT, "action": TEXT, "values": NUMBER}),
}
"""What is read of a stripped record of any report. `field` is a path by now."""

ROWS: Mapping[str, Mapping[str, Columns]] = {
    "route_window": {
        "rows": {
            **_texts(*DIMENSIONS["route_window"]["rows"]),
            **FIRSTS,
            **_numbers("tasks", "attempts", "succeeded", "refused", "degraded", "offline", "cold_starts"),
            **_numbers("contract_checked", "contract_valid", "citations_expected", "citations_present"),
            **_numbers("tokens_in", "tokens_out", "bytes_sent"),
            "latency": HISTOGRAM,
            "first_token": HISTOGRAM,
        },
        "violations": {**_texts("rule"), **FIRSTS, **_numbers("tasks")},
    },
    "fallback_window": {
        "rows": {
            **_texts(*DIMENSIONS["fallback_window"]["rows"]),
            **FIRSTS,
            **_numbers("tasks", "succeeded", "degraded", "bytes_moved"),
            **_numbers("seconds_in_fallback", "returns", "canary_returns"),
            "return_time": HISTOGRAM,
        },
        "planned": {**_texts("planned_route"), **FIRSTS, **_numbers("tasks")},
    },
    "model_inventory": {
        "rows": {
            **_texts(*DIMENSIONS["model_inventory"]["rows"], "state", "removal", "wanted_version"),
            **FIRSTS,
            **_flags("serving"),
            **_numbers("tasks", "fallbacks", "crashes", "downloads", "signature_failures", "checksum_failures"),
            **_numbers("bytes_downloaded", "bytes_wasted"),
        },
    },
}
"""What is read of the arrays of the reports that have tables of rows: report -> array -> fields of a row."""

HEADERS: Mapping[str, Columns] = {
    "route_window": _texts("region", "hardware_tier", "device_id"),
    "fallback_window": _texts("region", "hardware_tier", "device_id"),
    "model_inventory": _texts("region", "hardware_tier", "device_id", "manifest_age"),
}
"""What is read beside the arrays, other than what `REMARKS` has."""


def columns_of(report: str) -> Columns:
    """The columns of a table of `report` records, without those of `REMARKS`; only for reports with tables of rows."""
    arrays = ROWS[report]
    return {
        "ordinal": NUMBER,
        "tier": TEXT,
        "hour": TIME,
        **FIRSTS,
        **HEADERS[report],
        **{array: list_of(fields) for array, fields in arrays.items()},
        **_flags(*(f"{array}_altered" for array in arrays)),
    }


def table(columns: Columns, rows: Iterable[Row]) -> pa.Table:
    """The rows as Arrow; a key that is missing in a row is null, one that is no column is passed over."""
    kind = pa.struct(list(columns.items()))
    rest = iter(rows)
    pieces = iter(lambda: list(islice(rest, ROWS_AT_ONCE)), [])
    try:
        batches = [pa.RecordBatch.from_struct_array(pa.array(piece, type=kind)) for piece in pieces]
        return pa.Table.from_batches(batches, schema=pa.schema(kind))
    except (pa.ArrowException, OverflowError):  # their messages quote the value
        raise TypeError("a row does not fit the columns that are read of it") from None


def readable(root: Record, report: str) -> bool:
    """Whether records of the schema `root` fit the columns that are read of `report`, wherever they have them."""
    columns = {**REMARKS, **(columns_of(report) if report in ROWS else {})}
    return _fits(root, pa.struct([(name, _wire(name, kind)) for name, kind in columns.items()]))


def _wire(name: str, kind: pa.DataType) -> pa.DataType:
    # On the wire a remark names its field by number; its path is filled in as it is read.
    return list_of({"field": NUMBER, "action": TEXT, "values": NUMBER}) if name == "remarks" else kind


def _fits(node: AvroType, kind: pa.DataType) -> bool:
    match node:
        case Record(_, fields):
            return pa.types.is_struct(kind) and all(
                _fits(field.type, kind.field(field.name).type)
                for field in fields
                if kind.get_field_index(field.name) >= 0
            )
        case Array(items):
            return pa.types.is_list(kind) and _fits(items, kind.value_type)
        case Primitive(name):
            return bool(SCALARS.get(name) == kind)
        case Enumeration():
            return bool(kind == TEXT)
    return False
