"""A report schema as loaded from its file: immutable, fingerprinted, with every field findable by its path.

A file `schemas/reports/<report>.v<n>.avsc` never changes once released: devices send its fingerprint, and the log
refers to it. A change is a new file with the next version.
"""

import json
import re
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import fastavro
from fastavro.schema import fingerprint, to_parsing_canonical_form

from schemas.avro_types import Field, Record, TreeBuilder, UnsupportedSchema, walk
from schemas.errors import refuse
from schemas.framing import single_object

FILE_NAME = re.compile(r"(?P<report>[a-z][a-z0-9_]*)\.v(?P<version>[1-9][0-9]*)\.avsc")

PREAMBLE = (
    "report_id",
    "window_start",
    "window_end",
    "consent_fallback_reports",
    "consent_diagnostics",
    "consent_location",
    "region",
)
"""The first fields of every report, in this order: the gate reads them before anything else, because the window decides
the key epoch, the consents decide which fields may stay, and the region decides where the report may be stored."""

CONSENT_PREFIX = "consent_"
CONSENT_PURPOSES = tuple(name.removeprefix(CONSENT_PREFIX) for name in PREAMBLE if name.startswith(CONSENT_PREFIX))


def crc_64_avro(document: dict[str, Any]) -> bytes:
    """The 8 bytes that follow the single-object marker: the schema's CRC-64-AVRO fingerprint, little-endian."""
    return bytes.fromhex(fingerprint(to_parsing_canonical_form(document), "CRC-64-AVRO"))


@dataclass(frozen=True)
class ReportSchema:
    """One version of one report type; `document` is the parsed JSON of its file."""

    name: str
    version: int
    document: dict[str, Any]
    root: Record
    fingerprint: bytes

    @property
    def label(self) -> str:
        """How people and topics call it: `route_window.v1`."""
        return f"{self.name}.v{self.version}"

    @property
    def message_prefix(self) -> bytes:
        """What every message of a device under this schema begins with."""
        return single_object(self.fingerprint)

    @cached_property
    def fields(self) -> dict[str, Field]:
        """Every field by its path, depth first."""
        return {field.path: field for field in walk(self.root)}

    @cached_property
    def parsed(self) -> Any:
        """The schema in the form that fastavro's readers and writers take."""
        return fastavro.parse_schema(self.document)


def load_report_schema(file: Path) -> ReportSchema:
    """The report schema in `file`; raises `ContractError` if it is not one."""
    match = FILE_NAME.fullmatch(file.name)
    if match is None:
        raise refuse(
            file, "the file's name is not <report>.v<n>.avsc", fix="rename it, for instance route_window.v2.avsc"
        )
    try:
        document = json.loads(file.read_text(encoding="utf-8"))
        fastavro.parse_schema(document)
        root = TreeBuilder().build(document)
    except UnicodeDecodeError:
        raise refuse(file, "not UTF-8", fix="save the file as UTF-8") from None
    except json.JSONDecodeError as error:
        raise refuse(file, f"not JSON: {error.msg}", fix="correct the JSON there", line=error.lineno) from None
    except UnsupportedSchema as error:
        raise refuse(file, str(error), fix="see the list of allowed types in schemas/avro_types.py") from None
    except (fastavro.schema.SchemaParseException, fastavro.schema.UnknownType, KeyError, TypeError) as error:
        raise refuse(
            file, f"not an Avro schema: {error!r}", fix="see the Avro specification, Schema Declaration"
        ) from None
    return ReportSchema(
        name=match["report"],
        version=int(match["version"]),
        document=document,
        root=root,
        fingerprint=crc_64_avro(document),
    )
