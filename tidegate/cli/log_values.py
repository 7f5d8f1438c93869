"""The values of the log read back: by the output schemas of the policies, and by that of the gates' outcomes."""

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from io import BytesIO
from typing import Any

import fastavro

from ingest.schema_topic import Schemas
from ingest.telemetry.outcomes import OUTCOMES_PREFIX, OUTCOMES_SCHEMA
from schemas.catalogue import Catalogue
from schemas.plan import UNKNOWN_FIELD, Plan, read_stripped
from schemas.report_schema import SINGLE_OBJECT_MARKER, ReportSchema
from tidegate.cli.record_text import by_action, kept, remark_path

PREFIX_LENGTH = len(OUTCOMES_PREFIX)


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
        self._by_prefix: dict[bytes, Callable[[bytes], Decoded]] = {OUTCOMES_PREFIX: self._read_outcomes}
        for plan in catalogue.plans.values():
            self._by_prefix[plan.message_prefix] = partial(_stripped, plan)

    def learn(self, schemas: Schemas) -> None:
        """Know the schemas that the log holds as well: what earlier policies wrote stays readable."""
        for fingerprint, document in schemas.items():
            prefix = SINGLE_OBJECT_MARKER + fingerprint
            if prefix not in self._by_prefix:
                self._by_prefix[prefix] = partial(_stripped_before, document, self._reports)

    def decode(self, value: bytes) -> Decoded:
        """The value, or what little can be said of one that none of the schemas wrote."""
        if value.startswith(b"{"):
            return _schema(value)
        read = self._by_prefix.get(value[:PREFIX_LENGTH])
        return _unknown(value) if read is None else read(value[PREFIX_LENGTH:])

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


def _unknown(value: bytes) -> Decoded:
    if not value.startswith(SINGLE_OBJECT_MARKER):
        return Decoded("no Avro single-object message", {}, (), {"schema": None, "bytes": len(value)})
    fingerprint = value[len(SINGLE_OBJECT_MARKER) : PREFIX_LENGTH].hex()
    what = f"written under a schema that neither these policies nor the log has, fingerprint {fingerprint}; see --tiers"
    return Decoded(what, {}, (), {"schema": None, "fingerprint": fingerprint, "bytes": len(value)})
