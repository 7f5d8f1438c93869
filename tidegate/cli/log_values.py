"""The values of the log read back: by the output schemas of the policies, and by that of the gates' outcomes."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from io import BytesIO
from typing import Any

import fastavro

from ingest.telemetry.outcomes import OUTCOMES_PREFIX, OUTCOMES_SCHEMA
from schemas.catalogue import Catalogue
from schemas.plan import Plan
from schemas.report_schema import SINGLE_OBJECT_MARKER
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
        self._outcomes = fastavro.parse_schema(OUTCOMES_SCHEMA)
        self._by_prefix: dict[bytes, Callable[[bytes], Decoded]] = {OUTCOMES_PREFIX: self._read_outcomes}
        for plan in catalogue.plans.values():
            self._by_prefix[plan.message_prefix] = partial(_stripped, plan)

    def decode(self, value: bytes) -> Decoded:
        """The value, or what little can be said of one that none of the schemas wrote."""
        read = self._by_prefix.get(value[:PREFIX_LENGTH])
        return _unknown(value) if read is None else read(value[PREFIX_LENGTH:])

    def _read_outcomes(self, body: bytes) -> Decoded:
        record: Any = fastavro.schemaless_reader(BytesIO(body), self._outcomes, None)
        record |= {name: record[name].isoformat(timespec="milliseconds") for name in ("from_time", "to_time")}
        counts = ", ".join(f"{count['tier']} {count['outcome']} {count['count']}" for count in record["counts"])
        values = {
            "gate": record["gate_id"],
            "sequence": record["sequence"],
            "from": record["from_time"],
            "to": record["to_time"],
            "counts": counts or "none",
        }
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


def _unknown(value: bytes) -> Decoded:
    if not value.startswith(SINGLE_OBJECT_MARKER):
        return Decoded("no Avro single-object message", {}, (), {"schema": None, "bytes": len(value)})
    fingerprint = value[len(SINGLE_OBJECT_MARKER) : PREFIX_LENGTH].hex()
    what = f"written under a schema that these policies do not make, fingerprint {fingerprint}"
    return Decoded(what, {}, (), {"schema": None, "fingerprint": fingerprint, "bytes": len(value)})
