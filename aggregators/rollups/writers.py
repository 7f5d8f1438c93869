"""The schemas that records in the log were written with, made ready for reading, by what each value says of its own.

What a gate wrote under an earlier policy is read with that policy's schema, which the log holds beside the records
(`ingest.schema_topic`). A schema that is not what its fingerprint says, that goes beyond what a report may use, or
whose fields do not have the types that the rollups read, is not taken: its records are parked.
"""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import fastavro

from aggregators.rollups.arrow import readable
from aggregators.rollups.dimensions import dimension_fields
from ingest.schema_topic import Schemas
from ingest.telemetry.account import UNKNOWN_FIELD_LABEL
from ingest.telemetry.outcomes import OUTCOMES_FINGERPRINT, OUTCOMES_SCHEMA
from schemas.avro_types import Record, TreeBuilder
from schemas.framing import FINGERPRINT_BYTES, Reference
from schemas.plan import UNKNOWN_FIELD
from schemas.report_schema import ReportSchema, crc_64_avro

REPORT = re.compile(r"tidegate\.(?P<report>[a-z][a-z0-9_]*)\.v(?P<version>[1-9][0-9]*)")
STRIPPED = re.compile(r"tidegate\.stripped\.(?P<label>[a-z][a-z0-9_]*\.v[1-9][0-9]*)")
"""Namespaces of report schemas (`schemas/reports/`) and of stripped records (`schemas.output_schema`)."""

Label = str
"""`route_window.v1`."""


@dataclass(frozen=True, slots=True)
class ReportFields:
    """What remarks speak of: the fields of one version of a report, by their id."""

    label: Label
    paths: Mapping[int, str]
    dimensions: Mapping[str, frozenset[int]]


@dataclass(frozen=True, slots=True)
class Writer:
    """A schema that values are written with, parsed by fastavro; `label` is None for the outcomes of a gate."""

    label: Label | None
    parsed: Any


class Writers:
    """Every schema learnt so far. Reports are found by their fingerprint as the signed number that a record holds."""

    def __init__(self) -> None:
        # The schema of the outcomes is part of the program, as their reader is.
        outcomes = Writer(None, fastavro.parse_schema(_plain(OUTCOMES_SCHEMA)))
        self.by_reference: dict[Reference, Writer] = {OUTCOMES_FINGERPRINT: outcomes}
        self.reports: dict[int, ReportFields] = {}

    def learn(self, schemas: Schemas) -> None:
        """Take what can be taken of `schemas`; a stripped record's schema needs that of its report beside it."""
        new = {key: document for key, document in schemas.items() if key not in self.by_reference}
        named = {key: document for key, document in new.items() if len(key) == FINGERPRINT_BYTES}
        for schema in _report_schemas(named):
            self.reports[int.from_bytes(schema.fingerprint, "little", signed=True)] = _fields_of(schema)
        labels = {report.label for report in self.reports.values()}
        for key, document in named.items():
            writer = _writer(key, document, labels)
            if writer is not None:
                self.by_reference[key] = writer
        for key in new.keys() - named.keys():
            self._learn_id(key, new[key])

    def _learn_id(self, key: Reference, document: dict[str, Any]) -> None:
        """An id leads to the schema that was taken under its fingerprint, or nowhere."""
        writer = self.by_reference.get(_fingerprint(document) or key)
        if writer is not None:
            self.by_reference[key] = writer


def _report_schemas(schemas: Schemas) -> Iterable[ReportSchema]:
    for key, document in schemas.items():
        match = REPORT.fullmatch(_namespace(document))
        if match is not None and _is_sound(key, document):
            yield ReportSchema(match["report"], int(match["version"]), document, _tree(document), key)


def _fields_of(schema: ReportSchema) -> ReportFields:
    paths = {field.id: path for path, field in schema.fields.items()}
    return ReportFields(schema.label, {**paths, UNKNOWN_FIELD: UNKNOWN_FIELD_LABEL}, dimension_fields(schema))


def _writer(key: bytes, document: dict[str, Any], labels: set[Label]) -> Writer | None:
    match = STRIPPED.fullmatch(_namespace(document))
    if match is None or match["label"] not in labels or not _is_sound(key, document):
        return None
    if not readable(_tree(document), match["label"].partition(".")[0]):
        return None
    return Writer(match["label"], fastavro.parse_schema(_plain(document)))


def _namespace(document: Mapping[str, Any]) -> str:
    return str(document.get("namespace", ""))


def _is_sound(key: bytes, document: dict[str, Any]) -> bool:
    """Whether the schema is the one that `key` names, and decodes within bounds."""
    return _fingerprint(document) == key


def _fingerprint(document: dict[str, Any]) -> bytes | None:
    """The fingerprint of a schema that decodes within bounds; None of any other."""
    try:
        _tree(document)
        return crc_64_avro(document)
    except Exception:  # noqa: BLE001  # what stands in the log may be anything, and so may what is raised about it
        return None


def _tree(document: dict[str, Any]) -> Record:
    return TreeBuilder().build(_without_absent_arrays(document))


def _without_absent_arrays(node: Any) -> Any:
    """The schema with arrays and maps that cannot be null, as a report has them: a policy may drop any field."""
    match node:
        case ["null", {"type": "array" | "map"} as inner]:
            return _without_absent_arrays(inner)
        case dict():
            return {name: _without_absent_arrays(inner) for name, inner in node.items()}
        case list():
            return [_without_absent_arrays(inner) for inner in node]
    return node


def _plain(node: Any) -> Any:
    """The schema without logical types: times stay numbers, whatever their size."""
    match node:
        case dict():
            return {name: _plain(inner) for name, inner in node.items() if name != "logicalType"}
        case list():
            return [_plain(inner) for inner in node]
    return node
