"""The values of the log read back: by the output schemas of the policies, and by that of the gates' outcomes."""

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from io import BytesIO
from typing import Any

import fastavro

from ingest.schema_topic import Schemas
from ingest.telemetry.outcomes import OUTCOMES_FINGERPRINT, OUTCOMES_SCHEMA
from schemas.catalogue import Catalogue
from schemas.framing import FINGERPRINT_BYTES, NotFramed, Reference, split
from schemas.plan import UNKNOWN_FIELD, Plan, read_stripped
from schemas.report_schema import ReportSchema
from tidegate.cli.record_text import by_action, kept, remark_path

Read = Callable[[bytes], "Decoded"]
"""Reads the body of a value under one schema."""


@dataclass(frozen=True, slots=True)
class Decoded:
    """A value of the log: what it is, its values, what was not kept (a line an action), and the whole as JSON."""

    what: str
    values: Mapping[str, Any]
    taken_off: tuple[str, ...]
    document: Mapping[str, Any]


class Decoder:
    """Knows every schema that the gates of a catalogue write."""

    def __init__(self, catalogue: Catalogue) -> None:
        self._reports = catalogue.by_fingerprint
        self._outcomes = fastavro.parse_schema(OUTCOMES_SCHEMA)
        self._read: dict[Reference, Read] = {OUTCOMES_FINGERPRINT: self._read_outcomes}
        self._plans = tuple(catalogue.plans.values())
        for plan in self._plans:
            self._read[plan.output_fingerprint] = partial(_stripped, plan)

    def learn(self, schemas: Schemas) -> None:
        """Know the schemas that the log holds as well: what earlier policies wrote stays readable."""
        for reference, document in schemas.items():
            if reference not in self._read:
                self._read[reference] = self._under(document)

    def decode(self, value: bytes) -> Decoded:
        """The value, or what little can be said of one that none of the schemas wrote."""
        if value.startswith(b"{"):
            return _schema(value)
        try:
            reference, body_at = split(value)
        except NotFramed:
            return Decoded("neither an Avro single-object message nor one with a schema's id", {}, (), _bytes_of(value))
        read = self._read.get(reference)
        return _unknown(reference, value) if read is None else read(value[body_at:])

    def _under(self, document: Mapping[str, Any]) -> Read:
        """What reads values under a schema of the log: an id may lead to one that is in force."""
        if document == OUTCOMES_SCHEMA:
            return self._read_outcomes
        known = (partial(_stripped, plan) for plan in self._plans if plan.output == document)
        return next(known, partial(_stripped_before, document, self._reports))

    def _read_outcomes(self, body: bytes) -> Decoded:
        record: Any = fastavro.schemaless_reader(BytesIO(body), self._outcomes, None)
        record |= {name: record[name].isoformat(timespec="milliseconds") for name in ("from_time", "to_time")}
        counts: dict[str, list[str]] = {}
        for count in record["counts"]:
            counts.setdefault(count["tier"], []).append(f"{count['outcome']} {count['count']}")
        values = {
            "gate": record["gate_id"],
            "sequence": record["sequence"],
            "from": record["from_time"],
            "to": record["to_time"],
        } | ({tier: ", ".join(told) for tier, told in counts.items()} or {"counts": "nothing was counted"})
        final = ", the gate's last" if record["final"] else ""
        return Decoded(f"outcomes of a gate{final}", values, (), {"schema": "outcomes.v1", "value": record})


def _stripped(plan: Plan, body: bytes) -> Decoded:
    record = plan.readable(body)
    remarks = [(remark_path(plan, remark["field"]), remark["action"], remark["values"]) for remark in record["remarks"]]
    what = f"{plan.schema.label} under policy version {record['policy_version']}"
    document = {
        "schema": f"stripped.{plan.schema.label}",
        "policy_version": record["policy_version"],
        "value": kept(record),
        "remarks": [{"field": path, "action": action, "values": values} for path, action, values in remarks],
    }
    return Decoded(what, kept(record), tuple(by_action((path, action) for path, action, _ in remarks)), document)


def _stripped_before(document: Mapping[str, Any], reports: Mapping[bytes, ReportSchema], body: bytes) -> Decoded:
    """A record of a policy that is not in force any more, by the schema that the log holds of it."""
    record = read_stripped(body, fastavro.parse_schema(dict(document)))
    report = reports.get(record["schema_fingerprint"].to_bytes(8, "little", signed=True))
    paths = {} if report is None else {field.id: path for path, field in report.fields.items()}
    remarks = [
        {**remark, "field": "unknown" if remark["field"] == UNKNOWN_FIELD else paths.get(remark["field"], "?")}
        for remark in record["remarks"]
    ]
    label = str(document["namespace"]).removeprefix("tidegate.")
    what = f"{label.removeprefix('stripped.')} under policy version {record['policy_version']}, not in force here"
    shown = {"policy_version": record["policy_version"], "value": kept(record), "remarks": remarks}
    lines = by_action((remark["field"], remark["action"]) for remark in remarks)
    return Decoded(what, kept(record), tuple(lines), {"schema": label, **shown})


def _schema(value: bytes) -> Decoded:
    """A record of the topic of schemas."""
    document: Any = json.loads(value)
    name = f"{document['namespace']}.{document['name']}"
    return Decoded(f"schema {name}", {}, (), {"schema": "avro", "value": name})


def _unknown(reference: Reference, value: bytes) -> Decoded:
    if len(reference) == FINGERPRINT_BYTES:
        named: dict[str, Any] = {"fingerprint": reference.hex()}
    else:
        named = {"schema_id": int.from_bytes(reference, "big")}
    ((kind, said),) = named.items()
    what = f"written under a schema that neither these policies nor the log has, {kind} {said}; see --tiers"
    return Decoded(what, {}, (), _bytes_of(value) | named)


def _bytes_of(value: bytes) -> dict[str, Any]:
    return {"schema": None, "bytes": len(value)}
