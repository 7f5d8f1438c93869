"""Whether data written under one schema may be read under another; where not, and why."""

import json
from collections.abc import Callable
from copy import deepcopy
from pathlib import Path
from typing import Any

import pytest
from avro.compatibility import ReaderWriterCompatibilityChecker, SchemaCompatibilityType
from avro.schema import parse

from schemas.catalogue import TIERS_DIRECTORY, load_catalogue, load_plans
from schemas.compatible import (
    DIRECTIONS,
    THE_RECORD,
    NotAvro,
    incompatibilities,
    output_pairs,
    policy_incompatibilities,
    tightening_findings,
)
from schemas.plan import Plan
from tests.schemas.contract_copies import Copy

NEW_READS_OLD, OLD_READS_NEW = DIRECTIONS
CATALOGUE = load_catalogue()

BASE: dict[str, Any] = {
    "type": "record",
    "name": "Report",
    "fields": [
        {"name": "tasks", "type": "int"},
        {"name": "region", "type": ["null", "string"], "default": None},
        {"name": "route", "type": {"type": "enum", "name": "Route", "symbols": ["a", "b"]}},
        {"name": "id", "type": {"type": "fixed", "name": "Id", "size": 4}},
        {"name": "labels", "type": {"type": "map", "values": "int"}},
        {
            "name": "rows",
            "type": {
                "type": "array",
                "items": {"type": "record", "name": "Row", "fields": [{"name": "count", "type": "int"}]},
            },
        },
    ],
}

Change = Callable[[list[Any]], object]


def changed(change: Change) -> dict[str, Any]:
    """The base schema after a change of its fields."""
    document = deepcopy(BASE)
    change(document["fields"])
    return document


def with_type(index: int, kind: Any) -> Change:
    """Give a field another type."""
    return lambda fields: fields[index].update(type=kind)


def told(old: dict[str, Any], new: dict[str, Any]) -> list[tuple[str, str, str]]:
    """Direction, place and kind of each incompatibility."""
    return [(found.direction, found.where, found.kind) for found in incompatibilities(old, new)]


COMPATIBLE = [
    pytest.param(lambda _: None, id="nothing changed"),
    pytest.param(lambda fields: fields.append({"name": "x", "type": "int", "default": 0}), id="a field with a default"),
    pytest.param(lambda fields: fields.pop(1), id="a field with a default is gone"),
    pytest.param(lambda fields: fields.reverse(), id="another order"),
    pytest.param(lambda fields: fields[0].update(doc="A sentence."), id="a doc"),
]


@pytest.mark.parametrize("change", COMPATIBLE)
def test_compatible_changes(change: Change) -> None:
    """A change that both sides can read is none to speak of."""
    assert told(BASE, changed(change)) == []


A, B = NEW_READS_OLD, OLD_READS_NEW
INCOMPATIBLE = [
    pytest.param(
        lambda fields: fields.append({"name": "x", "type": "int"}),
        [(A, "x", "reader_field_missing_default_value")],
        "has no default for it",
        id="a field without a default",
    ),
    pytest.param(
        lambda fields: fields.pop(0),
        [(B, "tasks", "reader_field_missing_default_value")],
        "the new one does not have this field",
        id="a field without a default is gone",
    ),
    pytest.param(
        with_type(0, "long"),
        [(B, "tasks", "type_mismatch")],
        "the new one may write a long, where the old schema has an int",
        id="a wider number",
    ),
    pytest.param(
        with_type(0, "string"),
        [(A, "tasks", "type_mismatch"), (B, "tasks", "type_mismatch")],
        "may write an int",
        id="another type",
    ),
    pytest.param(
        with_type(0, ["null", "int"]),
        [(B, "tasks", "type_mismatch")],
        "may write null",
        id="a number that may be null",
    ),
    pytest.param(
        with_type(1, "string"),
        [(A, "region", "type_mismatch")],
        "may write null",
        id="a name that may not be null",
    ),
    pytest.param(
        with_type(2, {"type": "enum", "name": "Route", "symbols": ["a", "b", "c"]}),
        [(B, "route", "missing_enum_symbols")],
        "does not have c",
        id="a new symbol",
    ),
    pytest.param(
        with_type(2, {"type": "enum", "name": "Path", "symbols": ["a", "b"]}),
        [(A, "route", "name_mismatch"), (B, "route", "name_mismatch")],
        "calls this enum",
        id="another name",
    ),
    pytest.param(
        with_type(3, {"type": "fixed", "name": "Id", "size": 8}),
        [(A, "id", "fixed_size_mismatch"), (B, "id", "fixed_size_mismatch")],
        "bytes",
        id="another size",
    ),
    pytest.param(
        with_type(4, {"type": "map", "values": "long"}),
        [(B, "labels{}", "type_mismatch")],
        "a long",
        id="in a map",
    ),
    pytest.param(
        lambda fields: fields[5]["type"]["items"]["fields"][0].update(type="long"),
        [(B, "rows[].count", "type_mismatch")],
        "a long",
        id="in a row",
    ),
    pytest.param(
        lambda fields: fields[5]["type"]["items"]["fields"].append({"name": "more", "type": "int"}),
        [(A, "rows[].more", "reader_field_missing_default_value")],
        "no default",
        id="a field of a row",
    ),
]


@pytest.mark.parametrize(("change", "expected", "why"), INCOMPATIBLE)
def test_incompatible_changes(change: Change, expected: list[tuple[str, str, str]], why: str) -> None:
    """A change that one side cannot read is told with its direction, its place and its reason."""
    assert told(BASE, changed(change)) == expected
    assert any(why in found.why for found in incompatibilities(BASE, changed(change)))


def test_several_places_are_told_at_once() -> None:
    """Each innermost place has an entry of its own."""

    def twice(fields: list[Any]) -> None:
        fields[0]["type"] = "string"
        fields[5]["type"]["items"]["fields"][0]["type"] = "string"

    assert {where for _, where, _ in told(BASE, changed(twice))} == {"tasks", "rows[].count"}


def test_a_record_of_another_name() -> None:
    """What is wrong with the outermost type has a place, too."""
    found = told(BASE, BASE | {"name": "Another"})
    assert found == [(A, THE_RECORD, "name_mismatch"), (B, THE_RECORD, "name_mismatch")]


def test_an_evolution_that_looks_harmless() -> None:
    """The usual mistake: v2 adds a required dimension to rows, so a new reader fails on all that is in the topic."""
    old = CATALOGUE.latest["capability_probe"].document
    new = deepcopy(old)
    rows = next(field for field in new["fields"] if field["name"] == "rows")
    rows["type"]["items"]["fields"].append({"name": "runtime", "type": "string"})
    assert told(old, new) == [(NEW_READS_OLD, "rows[].runtime", "reader_field_missing_default_value")]
    rows["type"]["items"]["fields"][-1] = {"name": "runtime", "type": ["null", "string"], "default": None}
    assert told(old, new) == []


@pytest.mark.parametrize(
    "document", [{"type": "recrod"}, {"type": "record", "name": "A", "fields": [{"name": "b", "type": "c"}]}]
)
def test_what_is_no_schema(document: dict[str, Any]) -> None:
    """A document that is no Avro schema is refused as such, on either side."""
    for old, new in ((document, BASE), (BASE, document)):
        with pytest.raises(NotAvro):
            list(incompatibilities(old, new))


PAIRS = list(output_pairs(CATALOGUE))


def test_every_pair_of_tiers_is_compared() -> None:
    """Each report that two tiers take is a pair: nine of managed and byod, and four with contractor each."""
    assert len(PAIRS) == 9 + 4 + 4


@pytest.mark.parametrize(("plan", "other"), PAIRS, ids=lambda plan: plan.topic)
def test_tightening_and_loosening_stay_readable(plan: Plan, other: Plan) -> None:
    """The records of any tier can be read as those of any other: a policy may be tightened or loosened at any time."""
    assert told(plan.output, other.output) == []
    checker = ReaderWriterCompatibilityChecker()
    for reader, writer in ((plan, other), (other, plan)):
        verdict = checker.get_compatibility(parse(json.dumps(reader.output)), parse(json.dumps(writer.output)))
        assert verdict.compatibility is SchemaCompatibilityType.compatible


def test_no_finding_where_all_is_readable() -> None:
    """The shipped tiers have nothing to mend."""
    assert list(tightening_findings(CATALOGUE, TIERS_DIRECTORY)) == []


def test_a_container_named_as_a_whole_in_one_tier_only(tmp_path: Path) -> None:
    """A histogram kept whole and one kept in parts cannot be read as each other, and the finding names the rule."""
    contracts = Copy(tmp_path)
    contracts.change("tiers/contractor.toml", '"rows.latency", "rows.first_token"', '"rows.latency.counts"')
    catalogue = load_catalogue(reports=contracts.reports, tiers=contracts.tiers)
    findings = list(tightening_findings(catalogue, contracts.tiers))
    assert findings
    assert all("route_window.v1, rows[].latency" in finding.problem for finding in findings)
    assert {Path(finding.file).name for finding in findings} == {"contractor.toml", "managed.toml"}
    assert all(finding.line > 0 for finding in findings)


def test_two_versions_of_a_policy(tmp_path: Path) -> None:
    """Dropping a field is compatible; beginning to look inside a container is not, and only its report is named."""
    contracts = Copy(tmp_path)
    file = contracts.tiers / "managed.toml"
    before = load_plans(file)
    contracts.change(
        "tiers/managed.toml",
        'fields = ["device_id"]\naction = "pseudonymise"',
        'fields = ["device_id"]\naction = "drop"',
    )
    assert [label for label, found in policy_incompatibilities(before, load_plans(file)) if found] == []
    contracts.change("tiers/managed.toml", '"rows.latency", "rows.first_token"', '"rows.latency.counts"')
    broken = {label: found for label, found in policy_incompatibilities(before, load_plans(file)) if found}
    assert list(broken) == ["route_window.v1"]
