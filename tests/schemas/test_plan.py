"""Compiled plans: what their output schema has a place for, and when two plans are told apart."""

import json
from collections.abc import Iterator
from datetime import UTC, date, datetime
from io import BytesIO
from typing import Any

import fastavro
import pytest

from schemas.avro_types import Field, walk
from schemas.catalogue import load_catalogue
from schemas.output_schema import REMARK_ACTIONS
from schemas.plan import NOT_NAMED, Action, Plan, compile_plan, planned_leaves
from tests.made_up import made_up_plan, made_up_schema, made_up_tier

CATALOGUE = load_catalogue()
over_plans = pytest.mark.parametrize("plan", CATALOGUE.plans.values(), ids=lambda plan: plan.topic)

STAMPS = ("schema_fingerprint", "policy_version", "plan_fingerprint")


def places(node: Any, path: str = "") -> Iterator[tuple[str, Any]]:
    """Dotted path and schema of every field of a schema document, named types followed."""
    named: dict[str, Any] = {}

    def below(spec: Any, prefix: str) -> Iterator[tuple[str, Any]]:
        match spec:
            case list():
                for branch in spec:
                    yield from below(branch, prefix)
            case str() if spec in named:
                yield from below(named[spec], prefix)
            case {"type": "array", "items": items}:
                yield from below(items, prefix)
            case {"type": "record", "name": name, "fields": fields}:
                named[name] = named[f"{node.get('namespace')}.{name}"] = spec
                for field in fields:
                    yield f"{prefix}{field['name']}", field
                    yield from below(field["type"], f"{prefix}{field['name']}.")

    yield from below(node, path)


def dropped_paths(plan: Plan) -> set[str]:
    """The paths that a plan drops, containers without a survivor and what is in them included."""
    leaves = {planned.field.path: planned for planned in planned_leaves(plan.fields)}

    def survives(field: Field) -> bool:
        path = field.path
        return any(
            planned.survives and (f"{path}.".startswith(f"{leaf}.") or leaf.startswith(f"{path}."))
            for leaf, planned in leaves.items()
        )

    return {field.path for field in walk(plan.schema.root) if not survives(field)}


@over_plans
def test_the_output_has_no_place_for_a_dropped_field(plan: Plan) -> None:
    """A stripped record cannot hold what is dropped, whatever the code does: its schema has no such field."""
    there = {path for path, _ in places(plan.output)}
    dropped = dropped_paths(plan)
    assert {"user_email", "hostname", "serial", "ip_address", "attributes"} <= dropped
    assert there & dropped == set()
    kept = {field.path for field in walk(plan.schema.root)} - dropped
    own = {*STAMPS, "remarks", "remarks.field", "remarks.action", "remarks.values"}
    assert there - own == kept, "what is kept has its place under its own name"


@over_plans
def test_every_field_a_policy_can_name_may_be_null(plan: Plan) -> None:
    """Tightening and loosening stay readable both ways: fields are null by default, but for those inside what is kept
    whole.
    """
    whole = {planned.field.path for planned in planned_leaves(plan.fields) if planned.field.record is not None}
    for path, field in places(plan.output):
        if path.startswith("remarks.") or any(path.startswith(f"{container}.") for container in whole):
            continue
        assert field["type"][0] == "null", path
        assert len(field["type"]) == 2, path
        assert field["default"] is None, path


@over_plans
def test_the_output_is_documented_as_the_report_is(plan: Plan) -> None:
    """Anyone who reads a topic with its schema alone finds class, unit and sentence of every field."""
    fields = plan.schema.fields
    for path, field in places(plan.output):
        assert {"doc", "privacy", "unit"} <= set(field), path
        if path in fields:
            assert (field["doc"], field["privacy"], field["unit"]) == (
                fields[path].doc,
                fields[path].privacy,
                fields[path].unit,
            )


@over_plans
def test_the_output_begins_with_what_made_it_and_ends_with_remarks(plan: Plan) -> None:
    """The stamps come first, the remarks last, and the symbols of an action are those of the code, in its order."""
    names = [field["name"] for field in plan.output["fields"]]
    assert (tuple(names[:3]), names[-1]) == (STAMPS, "remarks")
    action = plan.output["fields"][-1]["type"][1]["items"]["fields"][1]["type"]
    assert action["symbols"] == list(REMARK_ACTIONS)
    assert [Action(symbol).index for symbol in REMARK_ACTIONS] == [0, 1, 2, 3]


def test_fingerprints_tell_plans_apart() -> None:
    """No two plans share a fingerprint, an output schema or a topic."""
    plans = list(CATALOGUE.plans.values())
    assert len({plan.fingerprint for plan in plans}) == len(plans)
    assert len({plan.topic for plan in plans}) == len(plans)
    assert {len(plan.fingerprint) for plan in plans} == {8}


FIELDS: list[dict[str, Any]] = [
    {"name": "name", "type": ["null", "string"], "default": None},
    {"name": "number", "type": "int"},
    {"name": "counts", "type": {"type": "array", "items": "int"}, "default": []},
    {
        "name": "rows",
        "type": {
            "type": "array",
            "items": {
                "type": "record",
                "name": "Row",
                "fields": [{"name": "a", "type": "int"}, {"name": "b", "type": "int"}],
            },
        },
        "default": [],
    },
]
ALLOWED = {"fields": ["name"], "action": "coarsen", "by": "allowed", "allowed": ["x", "y"]}
NUMBER = {"fields": ["number"], "action": "keep"}
RULES: list[dict[str, Any]] = [ALLOWED, NUMBER]
WHY = {"why": "Another sentence.", "although": "And another."}

SAME = [
    pytest.param(RULES, {}, id="nothing changed"),
    pytest.param([NUMBER, ALLOWED], {}, id="the rules in another order"),
    pytest.param([ALLOWED | WHY, NUMBER | WHY], {}, id="another reason"),
    pytest.param([ALLOWED, NUMBER | {"reports": ["made_up"]}], {}, id="the report named"),
    pytest.param([*RULES, {"fields": ["counts"], "action": "drop"}], {}, id="a drop that is written down"),
    pytest.param(RULES, {"version": 9}, id="another version"),
    pytest.param(RULES, {"k": 50, "horizon_days": 3, "why": "Else."}, id="numbers that do not strip"),
    pytest.param(RULES, {"pseudonym": {"epoch_days": 7}}, id="an epoch, and nothing pseudonymised"),
]
ENTRY = {"since": date(2030, 1, 1), "why": "A test."}
OTHER = [
    pytest.param([ALLOWED], {}, id="one field less"),
    pytest.param([*RULES, {"fields": ["counts"], "action": "keep"}], {}, id="one field more"),
    pytest.param([ALLOWED | {"allowed": ["x"]}, NUMBER], {}, id="one name less"),
    pytest.param([{"fields": ["name"], "action": "pseudonymise"}, NUMBER], {}, id="another action"),
    pytest.param(
        [{"fields": ["name"], "action": "coarsen", "by": "known", "of": "model"}, NUMBER], {}, id="another way"
    ),
    pytest.param([ALLOWED, NUMBER | {"consent": "location"}], {}, id="a consent"),
    pytest.param([ALLOWED, NUMBER, {"fields": ["rows"], "action": "keep"}], {}, id="a container"),
    pytest.param(RULES, {"tier": "another"}, id="another tier, whose keys are others"),
    pytest.param(RULES, {"refuse_if_present": [ENTRY | {"field": "name"}]}, id="a refusal"),
    pytest.param(RULES, {"refuse_if_present": [ENTRY | {"field": "rows"}]}, id="a refusal of a container"),
]


@pytest.mark.parametrize(("rules", "changes"), SAME)
def test_the_fingerprint_stays(rules: list[dict[str, Any]], changes: dict[str, Any]) -> None:
    """A plan that strips as before has the fingerprint that it had."""
    assert made_up_plan(FIELDS, rules, **changes).fingerprint == made_up_plan(FIELDS, RULES).fingerprint


@pytest.mark.parametrize(("rules", "changes"), OTHER)
def test_the_fingerprint_changes(rules: list[dict[str, Any]], changes: dict[str, Any]) -> None:
    """A plan that strips otherwise has another fingerprint."""
    assert made_up_plan(FIELDS, rules, **changes).fingerprint != made_up_plan(FIELDS, RULES).fingerprint


def test_the_fingerprint_tells_epochs_and_days_apart() -> None:
    """Another epoch makes other pseudonyms, and another day refuses other reports."""
    pseudonym = [{"fields": ["name"], "action": "pseudonymise"}]
    epochs = [made_up_plan(FIELDS, pseudonym, pseudonym={"epoch_days": days}).fingerprint for days in (7, 30)]
    days = [
        made_up_plan(
            FIELDS, RULES, refuse_if_present=[ENTRY | {"field": "name", "since": date(2030, 1, day)}]
        ).fingerprint
        for day in (1, 2)
    ]
    assert len({*epochs, *days}) == 4


def test_what_no_rule_names_is_dropped() -> None:
    """A field without a rule is dropped, and the plan can say so."""
    leaves = {planned.field.path: planned for planned in planned_leaves(made_up_plan(FIELDS, RULES).fields)}
    assert (leaves["counts"].action, leaves["counts"].rule.why) == (Action.DROP, NOT_NAMED)
    assert (leaves["rows.a"].action, leaves["rows.b"].survives) == (Action.DROP, False)
    assert leaves["number"].survives


@pytest.mark.parametrize(
    ("rule", "expected"),
    [
        pytest.param([], None, id="nothing of it survives, so it has no place"),
        pytest.param([{"fields": ["rows.b"], "action": "keep"}], {"b"}, id="one field of it"),
        pytest.param([{"fields": ["rows"], "action": "keep"}], {"a", "b"}, id="the whole of it"),
        pytest.param([{"fields": ["rows"], "action": "drop"}], None, id="dropped as a whole"),
        pytest.param(
            [{"fields": ["rows"], "action": "keep", "reports": ["other"]}], None, id="a rule for another report"
        ),
    ],
)
def test_containers(rule: list[dict[str, Any]], expected: set[str] | None) -> None:
    """A container has a place if something in it has, and holds no more than that."""
    inner = {
        path.partition(".")[2] for path, _ in places(made_up_plan(FIELDS, rule).output) if path.startswith("rows.")
    }
    assert inner == (expected or set())
    assert ("rows" in dict(places(made_up_plan(FIELDS, rule).output))) is (expected is not None)


def test_two_uses_of_one_type_may_keep_different_fields() -> None:
    """Each use of a named type has a type of its own in the output, for a policy may tell them apart."""
    histogram = {
        "type": "record",
        "name": "Histogram",
        "fields": [{"name": "a", "type": "int"}, {"name": "b", "type": "int"}],
    }
    fields: list[dict[str, Any]] = [{"name": "first", "type": histogram}, {"name": "second", "type": "Histogram"}]
    rules = [{"fields": ["first.a", "second.b"], "action": "keep"}]
    plan = made_up_plan(fields, rules)
    assert {path for path, _ in places(plan.output)} >= {"first.a", "second.b"}
    assert not {path for path, _ in places(plan.output)} & {"first.b", "second.a"}
    assert fastavro.parse_schema(plan.output)
    whole = made_up_plan(fields, [{"fields": ["first", "second"], "action": "keep"}])
    assert {path for path, _ in places(whole.output)} >= {"first.a", "first.b", "second.a", "second.b"}


def test_paths_and_days() -> None:
    """A plan names the field of an id and the day from which one is refused."""
    entry = ENTRY | {"field": "name"}
    schema = made_up_schema(*FIELDS)
    plan = compile_plan(schema, made_up_tier(refuse_if_present=[entry]))
    assert [plan.path_of(field.id) for field in walk(schema.root)] == list(schema.fields)
    with pytest.raises(KeyError):
        plan.path_of(0)
    assert (plan.refused_from("name"), plan.refused_from("number")) == (date(2030, 1, 1), None)


def test_readable() -> None:
    """A stripped body is shown with times, hexadecimal bytes and nothing that was not kept."""
    plan = made_up_plan(FIELDS, [{"fields": ["report_id", "window_start", "counts", "rows.a"], "action": "keep"}])
    moment = datetime(2026, 11, 21, 10, tzinfo=UTC)
    record = {"report_id": bytes(16), "window_start": moment, "counts": [1], "rows": [{"a": 5}], "policy_version": 3}
    out = BytesIO()
    fastavro.schemaless_writer(out, plan.output_parsed, record)
    assert plan.readable(out.getvalue()) == {
        "policy_version": 3,
        "report_id": "0" * 32,
        "window_start": "2026-11-21T10:00:00.000+00:00",
        "counts": [1],
        "rows": [{"a": 5}],
    }
    json.dumps(plan.readable(out.getvalue()))
