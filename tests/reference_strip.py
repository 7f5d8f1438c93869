"""What stripping means, said a second time and the plain way: fastavro decodes, Python projects, fastavro encodes.

The oracle of `tests/contract/test_strip.py`. It takes from the product the schemas and the parsed policy only, and is
written to be read: what each rule does stands here in the words of the policy file.
"""

import hmac
import io
import re
from collections import Counter
from collections.abc import Mapping
from copy import deepcopy
from ipaddress import ip_address, ip_network
from typing import Any, NamedTuple

import fastavro

from ingest.coarsen import Names
from schemas.avro_types import Array, Field, Map
from schemas.plan import Plan, PlannedField
from schemas.report_schema import ReportSchema

HOUR = 3_600_000
MARKER_AND_FINGERPRINT = 10

Remarks = dict[tuple[int, str], int]
"""(field id, action) -> values."""


class Refused(NamedTuple):
    """The report carries the refused field `path`."""

    path: str


class _RefusedField(Exception):
    """Ends a projection at the path that is the argument."""


class Stripped(NamedTuple):
    """`body` under the plan's output schema, `record` the same as a dict, and the remarks it ends with."""

    body: bytes
    record: dict[str, Any]
    remarks: Remarks


def plain(document: Mapping[str, Any]) -> Any:
    """The schema for fastavro, logical types taken off: times stay numbers, whatever their size."""
    return fastavro.parse_schema(_without_logical_types(deepcopy(dict(document))))


def _without_logical_types(node: Any) -> Any:
    if isinstance(node, dict):
        node.pop("logicalType", None)
        for inner in node.values():
            _without_logical_types(inner)
    elif isinstance(node, list):
        for inner in node:
            _without_logical_types(inner)
    return node


_PARSED: dict[bytes, Any] = {}


def _once(fingerprint: bytes, document: Mapping[str, Any]) -> Any:
    """`plain` of a document, made once for its fingerprint."""
    if fingerprint not in _PARSED:
        _PARSED[fingerprint] = plain(document)
    return _PARSED[fingerprint]


def decode(schema: ReportSchema, message: bytes) -> tuple[dict[str, Any], int]:
    """The report in a message as fastavro sees it, and how many bytes it left over."""
    body = io.BytesIO(message[MARKER_AND_FINGERPRINT:])
    parsed = _once(schema.fingerprint, schema.document)
    record: dict[str, Any] = fastavro.schemaless_reader(body, parsed, None)  # type: ignore[assignment]
    return record, len(body.read())


def decode_output(plan: Plan, body: bytes) -> dict[str, Any]:
    """A stripped body as a dict; the whole of it must be used."""
    stream = io.BytesIO(body)
    parsed = _once(plan.output_fingerprint, plan.output)
    record: dict[str, Any] = fastavro.schemaless_reader(stream, parsed, None)  # type: ignore[assignment]
    if stream.read():
        raise AssertionError("bytes are left over after the output record")
    return record


class _Projection:
    """One report on its way through one plan."""

    def __init__(self, plan: Plan, report: dict[str, Any], *, names: Names, key: bytes, now: int) -> None:
        self.plan = plan
        self.names = names
        self.key = key
        self.now = now
        self.consents = {
            name.removeprefix("consent_") for name in report if name.startswith("consent_") and report[name]
        }
        self.remarks: Counter[tuple[int, str]] = Counter()

    def record(self, fields: tuple[PlannedField, ...], values: dict[str, Any]) -> dict[str, Any]:
        kept = {planned.field.name: self.field(planned, values[planned.field.name]) for planned in fields}
        return {planned.field.name: kept[planned.field.name] for planned in fields if planned.survives}

    def field(self, planned: PlannedField, value: Any) -> Any:
        field = planned.field
        since = {entry.field: entry.since_ms for entry in self.plan.tier.refuse_if_present}.get(field.path)
        if since is not None and self.now >= since and present(field, value):
            raise _RefusedField(field.path)
        if not present(field, value) and (planned.children is not None or planned.rule.action == "drop"):
            return None if field.nullable else value
        if planned.children is not None:
            if isinstance(field.type, Array):
                return [self.record(planned.children, item) for item in value]
            return self.record(planned.children, value)
        return self.leaf(planned, value)

    def leaf(self, planned: PlannedField, value: Any) -> Any:
        field, rule = planned.field, planned.rule
        consent = getattr(rule, "consent", None)
        if rule.action == "drop" or (consent is not None and consent not in self.consents):
            self.dropped(field, value)
            return None
        if rule.action == "keep" or value is None:
            return value
        changed = self.changed(planned, value)
        if changed != value:
            self.remarks[field.id, rule.action] += 1
        return changed

    def dropped(self, field: Field, value: Any) -> None:
        if present(field, value):
            self.remarks[field.id, "drop"] += 1
            if isinstance(field.type, Map):
                self.remarks[0, "drop"] += len(value)

    def changed(self, planned: PlannedField, value: Any) -> Any:  # noqa: C901, PLR0911  # one line for each way
        rule = planned.rule
        if rule.action == "pseudonymise":
            text = planned.field.path.encode() + b"\0" + value.encode()
            return hmac.new(self.key, text, "sha256").hexdigest()[:32]
        match getattr(rule, "by", None):
            case "floor_hour":
                return value // HOUR * HOUR
            case "ceil_hour":
                return -(-value // HOUR) * HOUR
            case "bucket":
                return max((bound for bound in rule.bounds if bound <= value), default=rule.bounds[0])  # type: ignore[union-attr]
            case "version":
                return leading_numbers(value, rule.parts)  # type: ignore[union-attr]
            case "address":
                return network_of(value, ipv4=rule.ipv4, ipv6=rule.ipv6)  # type: ignore[union-attr]
            case "allowed":
                return value if value in rule.allowed else "other"  # type: ignore[union-attr]
            case "known":
                return value if value.encode() in self.names.get(rule.of, ()) else "other"  # type: ignore[union-attr]
        raise AssertionError(f"{planned.field.path}: the reference knows no such rule")


def present(field: Field, value: Any) -> bool:
    """Whether there was something to take off: null says nothing, nor does an empty array or map."""
    if isinstance(field.type, Array | Map):
        return bool(value)
    return not field.nullable or value is not None


def leading_numbers(text: str, parts: int) -> str:
    """The first `parts` numbers of a dotted version of numbers, a suffix after `-`, `+` or a blank put aside."""
    numbers = re.split("[-+ ]", text, maxsplit=1)[0].split(".")
    if not all(number.isascii() and number.isdigit() and len(number) <= 6 for number in numbers):
        return "other"
    return ".".join(numbers[:parts])


def network_of(text: str, *, ipv4: int, ipv6: int) -> str:
    """The address of the network that an IP address lies in."""
    try:
        parsed = ip_address(text.partition("%")[0] if ":" in text else text)
        ip_address(text)
    except ValueError:
        return "other"
    bits = ipv4 if parsed.version == 4 else ipv6
    return str(ip_network(f"{parsed}/{bits}", strict=False).network_address)


def reference_strip(
    message: bytes, plan: Plan, *, names: Names, key: bytes, now: int, unknown: int = 0
) -> Stripped | Refused:
    """What becomes of a valid message."""
    values, left_over = decode(plan.schema, message)
    if left_over:
        raise AssertionError("the message is not a valid one")
    projection = _Projection(plan, values, names=names, key=key, now=now)
    if unknown:
        projection.remarks[0, "drop"] += unknown
    try:
        kept = projection.record(plan.fields, values)
    except _RefusedField as refused:
        return Refused(refused.args[0])
    remarks = dict(sorted(projection.remarks.items(), key=lambda item: (item[0][0], ORDER.index(item[0][1]))))
    record = {
        "schema_fingerprint": signed(plan.schema.fingerprint),
        "policy_version": plan.tier.version,
        "plan_fingerprint": signed(plan.fingerprint),
        **kept,
        "remarks": [{"field": field, "action": action, "values": n} for (field, action), n in remarks.items()],
    }
    out = io.BytesIO()
    fastavro.schemaless_writer(out, _once(plan.output_fingerprint, plan.output), record, strict=True)
    return Stripped(out.getvalue(), record, remarks)


ORDER = ("keep", "drop", "coarsen", "pseudonymise")


def signed(fingerprint: bytes) -> int:
    """Eight bytes as the little-endian signed number that a stripped record tells."""
    return int.from_bytes(fingerprint, "little", signed=True)
