"""Report schemas as loaded from their files, and what is refused as one."""

import json
from pathlib import Path
from typing import Any

import avro.schema
import pytest

from schemas.avro_types import MAX_DEPTH, Array, Enumeration, Map, Primitive, walk
from schemas.catalogue import load_catalogue
from schemas.errors import ContractError, Finding
from schemas.report_schema import CONSENT_PURPOSES, PREAMBLE, load_report_schema
from tests.made_up import made_up_document, made_up_schema
from tests.reference_strip import plain

CATALOGUE = load_catalogue()
SHIPPED = {schema.label: schema for schema in CATALOGUE.schemas}

NINE = (
    "capability_probe",
    "fallback_window",
    "health_window",
    "model_inventory",
    "path_probe",
    "route_window",
    "stability_window",
    "sync_window",
    "trace_window",
)


def test_all_nine_reports_are_there() -> None:
    """Every type of report that the measures need has a first version."""
    assert sorted(SHIPPED) == [f"{name}.v1" for name in NINE]


@pytest.mark.parametrize("label", sorted(SHIPPED))
def test_fingerprints_are_those_of_the_apache_library(label: str) -> None:
    """The Avro project's own package computes the fingerprint that the gate knows."""
    # Logical types are taken off first: avro 1.12's canonical form leaves `{"type": "long"}` of them where the
    # specification ("Transforming into Parsing Canonical Form", [PRIMITIVES]) says `"long"`, so over the file as it is
    # it computes another fingerprint than fastavro does.
    schema = SHIPPED[label]
    theirs = avro.schema.parse(json.dumps(plain(schema.document)))
    assert theirs.fingerprint("CRC-64-AVRO") == schema.fingerprint
    assert schema.message_prefix == b"\xc3\x01" + schema.fingerprint


def test_fingerprints_differ() -> None:
    """No two reports have one fingerprint."""
    assert len(CATALOGUE.by_fingerprint) == len(SHIPPED)


FINGERPRINTS = {
    "capability_probe.v1": "bdb7b658db5413e5",
    "fallback_window.v1": "1e1a08738257039d",
    "health_window.v1": "78c32150d8ec0244",
    "model_inventory.v1": "0d6c2048bfcf73d0",
    "path_probe.v1": "7e10cfa2f9a92243",
    "route_window.v1": "b96d64c51678a604",
    "stability_window.v1": "3b1005faa09949c3",
    "sync_window.v1": "b93b6c6e4459950f",
    "trace_window.v1": "cfb5cecf65d75194",
}


def test_released_schemas_do_not_change() -> None:
    """Devices send these fingerprints for years: a change is a new file with the next version."""
    assert {label: schema.fingerprint.hex() for label, schema in SHIPPED.items()} == FINGERPRINTS


@pytest.mark.parametrize("label", sorted(SHIPPED))
def test_every_report_begins_with_the_preamble(label: str) -> None:
    """What the gate reads first comes first, in the types that it reads."""
    fields = SHIPPED[label].root.fields[: len(PREAMBLE)]
    kinds = [(getattr(field.type, "name", "").rpartition(".")[2], field.nullable) for field in fields]
    numbers, flags = [("long", False)] * 2, [("boolean", False)] * len(CONSENT_PURPOSES)
    assert tuple(field.name for field in fields) == PREAMBLE
    assert kinds == [("ReportId", False), *numbers, *flags, ("string", True)]


@pytest.mark.parametrize("label", sorted(SHIPPED))
def test_field_ids_are_places_in_the_schema(label: str) -> None:
    """The ids that remarks use count the fields depth first from 1, each path once."""
    schema = SHIPPED[label]
    assert [field.id for field in walk(schema.root)] == list(range(1, len(schema.fields) + 1))
    assert list(schema.fields) == [field.path for field in walk(schema.root)]


@pytest.mark.parametrize("label", sorted(SHIPPED))
def test_what_may_be_left_out_has_its_usual_default(label: str) -> None:
    """Counts begin at 0, flags at false, containers empty, names at null; a dimension has to be said."""
    natural = {"none", "not_required", "default", "unknown", "not_revoked", "not_checked"}
    for field in walk(SHIPPED[label].root):
        if field.nullable:
            assert field.default is None, field.path
        elif isinstance(field.type, Enumeration):
            assert not field.has_default or field.default in natural, field.path
        elif isinstance(field.type, Array | Map):
            assert field.default in ([], {}), field.path
        elif field.path not in PREAMBLE:
            assert field.default in (0, False), field.path


def test_a_named_type_used_twice_makes_two_sets_of_fields() -> None:
    """A policy can tell the counts of one histogram from those of another."""
    fields = SHIPPED["route_window.v1"].fields
    assert fields["rows.latency.counts"].id != fields["rows.first_token.counts"].id
    assert fields["rows.latency.counts"].type == Array(Primitive("long"))


def finding_of(directory: Path, text: str | bytes, name: str = "made_up.v1.avsc") -> Finding:
    """The one thing that is wrong with a schema file."""
    file = directory / name
    file.write_bytes(text.encode() if isinstance(text, str) else text)
    with pytest.raises(ContractError) as error:
        load_report_schema(file)
    [finding] = error.value.findings
    assert finding.file == str(file)
    return finding


@pytest.mark.parametrize(
    "name", ["made_up.avsc", "made_up.v0.avsc", "Made.v1.avsc", "made_up.v1.json", "made_up.v01.avsc"]
)
def test_refuses_a_name_that_tells_no_version(tmp_path: Path, name: str) -> None:
    """Report and version are what the file is called."""
    finding = finding_of(tmp_path, json.dumps(made_up_document()), name)
    assert "the file's name is not <report>.v<n>.avsc" in finding.problem
    assert "route_window.v2.avsc" in finding.fix


FILES = [
    pytest.param('{"type":\n"record",\n}', 3, "not JSON", id="a comma too many, and its line"),
    pytest.param(b'{"doc": "\xff"}', 0, "not UTF-8", id="not UTF-8"),
    pytest.param('{"type": "recrod"}', 0, "not an Avro schema", id="a type that does not exist"),
    pytest.param('{"type": "record", "fields": []}', 0, "not an Avro schema", id="a record without a name"),
    pytest.param('"string"', 0, "must be a record", id="a primitive at the top"),
    pytest.param('["null", "string"]', 0, "only union allowed", id="a union at the top"),
    pytest.param("5", 0, "not an Avro schema", id="a number"),
]


@pytest.mark.parametrize(("text", "line", "problem"), FILES)
def test_refuses_a_file(tmp_path: Path, text: str | bytes, line: int, problem: str) -> None:
    """What is no record schema is refused, with the line where JSON has one."""
    finding = finding_of(tmp_path, text)
    assert problem in finding.problem
    assert finding.line == line
    assert finding.fix


NODE = {"type": "record", "name": "Node", "fields": [{"name": "next", "type": ["null", "Node"]}]}
EMPTY = {"type": "record", "name": "Empty", "fields": []}


def nested(depth: int) -> Any:
    """Records in records, `depth` of them."""
    inner: Any = "int"
    for number in range(depth):
        inner = {"type": "record", "name": f"Level{number}", "fields": [{"name": "inner", "type": inner}]}
    return inner


TYPES = [
    pytest.param("bytes", "type 'bytes' is not allowed", id="bytes"),
    pytest.param("float", "type 'float' is not allowed", id="float"),
    pytest.param("null", "type 'null' is not allowed", id="null alone"),
    pytest.param(["null", "int", "string"], "only union allowed", id="a union of three"),
    pytest.param(["string", "null"], "only union allowed", id="null second"),
    pytest.param(["int", "string"], "only union allowed", id="a union without null"),
    pytest.param({"type": "array", "items": ["null", "int"]}, "only union allowed", id="a union in an array"),
    pytest.param(
        {"type": "array", "items": {"type": "array", "items": "int"}}, "no arrays and no maps", id="arrays of arrays"
    ),
    pytest.param(
        {"type": "array", "items": {"type": "map", "values": "string"}}, "no arrays and no maps", id="maps in an array"
    ),
    pytest.param({"type": "map", "values": "int"}, "a map holds strings only", id="a map of numbers"),
    pytest.param(
        {"type": "map", "values": NODE | {"fields": [{"name": "a", "type": "int"}]}},
        "a map holds strings only",
        id="a map of records",
    ),
    pytest.param(
        ["null", {"type": "array", "items": "int"}], "absent when it is empty", id="an array that may be null"
    ),
    pytest.param(["null", {"type": "map", "values": "string"}], "absent when it is empty", id="a map that may be null"),
    pytest.param(NODE, "contains itself", id="a record that contains itself"),
    pytest.param({"type": "array", "items": EMPTY}, "takes no bytes", id="items without bytes"),
    pytest.param(EMPTY, "takes no bytes", id="a record without bytes"),
    pytest.param({"type": "fixed", "name": "Nothing", "size": 0}, "takes no bytes", id="a fixed without bytes"),
    pytest.param(nested(MAX_DEPTH), f"deeper than {MAX_DEPTH}", id="too deep"),
]


@pytest.mark.parametrize(("kind", "problem"), TYPES)
def test_refuses_a_type(tmp_path: Path, kind: Any, problem: str) -> None:
    """A type that has no bounded, unambiguous decoding is refused at its field."""
    finding = finding_of(tmp_path, json.dumps(made_up_document({"name": "odd", "type": kind})))
    assert problem in finding.problem
    assert finding.problem.startswith("odd") or "Avro" in finding.problem
    assert finding.fix


def test_takes_the_deepest_that_is_allowed() -> None:
    """Records nest as deep as the limit says, the report itself counted."""
    schema = made_up_schema({"name": "deep", "type": nested(MAX_DEPTH - 1)})
    assert "deep" + ".inner" * (MAX_DEPTH - 1) in schema.fields
