"""Reports and requests full of planted values: in every text of every report, in every place a request has for one.

Each value is unique, so that a leak tells where it came from. `Plants.values` knows them all by name.
"""

from collections.abc import Iterator
from random import Random
from typing import Any

from load.reports import make_report
from schemas.avro_types import Array, AvroType, Map, Primitive, Record
from schemas.report_schema import ReportSchema
from tests.end_to_end.avro_by_hand import message, text
from tests.end_to_end.reports import now_ms

KEPT_VERSION = "907.513.221"
"""A value of `agent_version` that the managed tier keeps as it is: what the scanner has to find in the log."""

SEED = 20261121

ROWS = 2
"""More rows hold the same fields again."""


class Plants:
    """Makes planted values and remembers them."""

    def __init__(self) -> None:
        self._random = Random(SEED)
        self.values: dict[str, str | bytes] = {}

    def text(self, name: str) -> str:
        """A value of its own for `name`: letters of both cases and characters that encodings escape."""
        value = f"{self._random.randbytes(6).hex()}.Person/{name[-12:]}@{self._random.randbytes(4).hex()}"
        return str(self.values.setdefault(f"{name} #{len(self.values)}", value))

    def digits(self, name: str, count: int) -> str:
        """Lower-case hexadecimal digits, as tracing identifiers have them."""
        value = self._random.randbytes(count // 2).hex()
        return str(self.values.setdefault(f"{name} #{len(self.values)}", value))

    def raw(self, name: str) -> bytes:
        """Bytes that are no text, for a body that is broken."""
        value = b"\xff\xfe" + self._random.randbytes(14).replace(b"\n", b"-")
        self.values[f"{name} #{len(self.values)}"] = value
        return value

    def word(self, name: str) -> str:
        """A value that may stand in a path, a header's name or a token."""
        value = f"Person{self._random.randbytes(12).hex()}"
        return str(self.values.setdefault(f"{name} #{len(self.values)}", value))


def planted_report(schema: ReportSchema, plants: Plants, *, tier: str) -> dict[str, Any]:
    """A report with a planted value in each of its texts, but for those that would refuse it under `tier`.

    `agent_version` is the positive control: it may pass.
    """
    report = make_report(schema, Random(SEED), now=now_ms())
    if "rows" in report:
        report["rows"] = report["rows"][:ROWS]
    planted: dict[str, Any] = _plant(schema.root, report, plants, f"{tier}/{schema.name}")
    consents = {"consent_fallback_reports": True, "consent_diagnostics": True, "consent_location": True}
    report_id = Random(f"{tier}/{schema.name}").randbytes(16)
    refused = {"user_email": None, "serial": None} if tier == "contractor" else {}
    return planted | consents | refused | {"report_id": report_id, "agent_version": KEPT_VERSION}


def _plant(node: AvroType, value: Any, plants: Plants, name: str) -> Any:
    if value is None and not isinstance(node, Primitive):
        return None
    match node:
        case Record(_, fields):
            return {
                field.name: _plant(field.type, value[field.name], plants, f"{name}.{field.name}") for field in fields
            }
        case Array(items):
            return [_plant(items, item, plants, name) for item in value]
        case Map():
            return {plants.text(f"{name} key"): plants.text(f"{name} value") for _ in range(3)}
        case Primitive("string"):
            return plants.text(name)
    return value


def planted_json(schema: ReportSchema, plants: Plants, *, tier: str) -> dict[str, Any]:
    """The same as JSON, with names at the top and in every row that no schema has."""
    report = planted_report(schema, plants, tier=tier)
    unknown = {plants.text("unknown JSON key"): plants.text("unknown JSON value")}
    rows = [row | {plants.text("unknown JSON key of a row"): {"x": [plants.text("unknown nested value")]}}
            for row in report.get("rows", [])]  # fmt: skip
    report_id = Random(f"{tier}/{schema.name}/json").randbytes(16).hex()
    return report | ({"rows": rows} if rows else {}) | unknown | {"report_id": report_id}


def broken_bodies(schema: ReportSchema, plants: Plants, *, tier: str) -> Iterator[bytes]:
    """Bodies that end in every kind of error, planted values before, at and behind the fault."""
    report = planted_report(schema, plants, tier=tier)
    whole = message(schema, report)
    yield plants.text("not Avro").encode() * 20
    yield plants.raw("not Avro, not text")
    yield b"\xc3\x01" + plants.raw("unknown fingerprint")[:8] + whole[10:]
    yield whole[:-1]
    yield whole[: len(whole) // 2]
    yield whole + plants.text("trailing bytes").encode()
    yield message(schema, report, {"user_id": b"\x02" + text(plants.raw("invalid UTF-8"))})
    yield message(schema, report, {"region": b"\x02" + text(plants.raw("invalid UTF-8 in the preamble"))})
    pair = text(plants.text("duplicate key").encode()) + text(plants.text("value of a duplicate key").encode())
    yield message(schema, report, {"attributes": b"\x04" + pair + pair + b"\x00"})
    yield message(schema, report, {"network_context": b"\x7f"})
    yield message(schema, report | {"window_end": report["window_start"] - 1})
    yield message(schema, report | {"window_start": 0, "window_end": 1})
    yield message(schema, report | {"user_email": plants.text("refused field")})


def broken_json(plants: Plants) -> Iterator[bytes]:
    """JSON that every check of ours and of the parser refuses, with planted values around the fault."""
    mail = plants.text("broken JSON")
    yield f'{{"user_email": "{mail}", "{mail}'.encode()
    yield f'{{"{mail}": 1, "{mail}": 2}}'.encode()
    yield f'{{"user_email": "{mail}", "x": NaN}}'.encode()
    yield f'"{mail}"'.encode()
    yield f'{{"report_id": "{mail}"}}'.encode()
    yield f'{{"report_id": "{"0" * 32}", "window_start": "{mail}"}}'.encode()
    yield f'{{"report_id": "{"0" * 32}", "window_start": 1, "window_end": 2, "hardware_tier": "{mail}"}}'.encode()
    yield b'{"user_email": "' + plants.raw("JSON that is no UTF-8") + b'"}'
    yield f'[{{"device_id": "{mail}"}}, "{plants.text("a text among reports")}"]'.encode()
