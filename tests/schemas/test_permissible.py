"""Which rule may be applied to which field."""

from typing import Any

import pytest
from pydantic import TypeAdapter

from schemas.permissible import keep_problem, rule_findings, rule_problem
from schemas.tier import Rule
from tests.made_up import made_up_schema, made_up_tier

RULES: TypeAdapter[Rule] = TypeAdapter(Rule)

HISTOGRAM = {"type": "record", "name": "Histogram", "fields": [{"name": "count", "type": "long"}]}
NAMED = {
    "type": "record",
    "name": "Named",
    "fields": [{"name": "count", "type": "int"}, {"name": "name", "type": ["null", "string"], "default": None}],
}
SCHEMA = made_up_schema(
    {"name": "flag", "type": "boolean"},
    {"name": "small", "type": "int"},
    {"name": "large", "type": "long"},
    {"name": "ratio", "type": "double"},
    {"name": "text", "type": "string"},
    {"name": "person", "type": ["null", "string"], "default": None, "privacy": "identifier"},
    {"name": "account", "type": "int", "privacy": "identifier"},
    {"name": "kind", "type": {"type": "enum", "name": "Kind", "symbols": ["a"]}},
    {"name": "mark", "type": {"type": "fixed", "name": "Mark", "size": 4}},
    {"name": "labels", "type": {"type": "map", "values": "string"}},
    {"name": "words", "type": {"type": "array", "items": "string"}},
    {"name": "counts", "type": {"type": "array", "items": "long"}},
    {"name": "histogram", "type": ["null", HISTOGRAM], "default": None},
    {"name": "rows", "type": {"type": "array", "items": NAMED}},
    {
        "name": "tagged",
        "type": {
            "type": "record",
            "name": "Tagged",
            "fields": [{"name": "id", "type": "int", "privacy": "identifier"}],
        },
    },
)

KEEP = [
    pytest.param("flag", None, id="a flag"),
    pytest.param("large", None, id="a number"),
    pytest.param("kind", None, id="a symbol"),
    pytest.param("mark", None, id="a fixed"),
    pytest.param("counts", None, id="an array of numbers"),
    pytest.param("histogram", None, id="a record of numbers"),
    pytest.param("text", "a string is never plain keep", id="a string"),
    pytest.param("labels", "a string is never plain keep", id="a map"),
    pytest.param("words", "a string is never plain keep", id="an array of strings"),
    pytest.param("rows", "it holds rows.name, and a string", id="rows with a string in them"),
    pytest.param("person", "an identifier is never plain keep", id="an identifier"),
    pytest.param("account", "an identifier is never plain keep", id="an identifier that is a number"),
    pytest.param("tagged", "it holds tagged.id, and an identifier", id="a record with an identifier in it"),
]


@pytest.mark.parametrize(("path", "problem"), KEEP)
def test_keep(path: str, problem: str | None) -> None:
    """Plain keep is for what can carry nothing but itself; a container is as good as what is in it."""
    found = keep_problem(SCHEMA.fields[path])
    assert found is None if problem is None else problem in str(found)


ACTIONS: dict[str, dict[str, Any]] = {
    "drop": {"action": "drop"},
    "pseudonymise": {"action": "pseudonymise"},
    "floor_hour": {"action": "coarsen", "by": "floor_hour"},
    "ceil_hour": {"action": "coarsen", "by": "ceil_hour"},
    "bucket": {"action": "coarsen", "by": "bucket", "bounds": [0, 10]},
    "version": {"action": "coarsen", "by": "version", "parts": 2},
    "address": {"action": "coarsen", "by": "address", "ipv4": 24, "ipv6": 48},
    "allowed": {"action": "coarsen", "by": "allowed", "allowed": ["x"]},
    "known": {"action": "coarsen", "by": "known", "of": "region"},
}
TEXTS, LONGS, NUMBERS = {"text", "person"}, {"large"}, {"small", "large", "account"}
OPERANDS = {
    "drop": set(SCHEMA.fields),
    "pseudonymise": TEXTS,
    "floor_hour": LONGS,
    "ceil_hour": LONGS,
    "bucket": NUMBERS,
    "version": TEXTS,
    "address": TEXTS,
    "allowed": TEXTS,
    "known": TEXTS,
}
NOT_TRIED = {"window_start", "window_end", "region", "rows.name", "rows.count", "histogram.count", "tagged.id"}
"""Fields of the preamble and inside containers; the others stand for their types."""


@pytest.mark.parametrize("action", ACTIONS)
def test_each_action_has_its_operands(action: str) -> None:
    """What works on numbers is not applied to names, nor the other way round, nor either to a container."""
    rule = RULES.validate_python({"fields": ["f"], "why": "A test."} | ACTIONS[action])
    own = {path: field for path, field in SCHEMA.fields.items() if path not in NOT_TRIED}
    allowed = {path for path, field in own.items() if rule_problem(rule, field) is None}
    assert allowed == OPERANDS[action] & set(own)


@pytest.mark.parametrize(
    ("path", "bounds", "problem"),
    [
        ("small", [0, 2**31 - 1], None),
        ("small", [0, 2**31], "does not fit 32 bits"),
        ("small", [-(2**31) - 1, 0], "does not fit 32 bits"),
        ("large", [0, 2**31], None),
    ],
)
def test_bounds_fit_their_field(path: str, bounds: list[int], problem: str | None) -> None:
    """A number cannot be coarsened to a bound that its type does not hold."""
    rule = RULES.validate_python({"fields": [path], "why": "A test."} | ACTIONS["bucket"] | {"bounds": bounds})
    found = rule_problem(rule, SCHEMA.fields[path])
    assert found is None if problem is None else problem in str(found)


FINDINGS = [
    pytest.param([{"fields": ["flag"], "action": "keep"}], [], id="nothing wrong"),
    pytest.param([{"fields": ["nothing"], "action": "keep"}], [], id="a header rule may name what others have"),
    pytest.param(
        [{"fields": ["flgs"], "action": "keep", "reports": ["made_up"]}],
        ["10 made_up.v1, flgs: there is no such field"],
        id="a rule for this report may not",
    ),
    pytest.param(
        [{"fields": ["flag"], "action": "keep"}, {"fields": ["flag"], "action": "drop"}],
        ["20 made_up.v1, flag: rule 1 names it too"],
        id="two rules",
    ),
    pytest.param(
        [{"fields": ["flag", "flag"], "action": "keep"}],
        ["10 made_up.v1, flag: rule 1 names it too"],
        id="twice in one rule",
    ),
    pytest.param(
        [{"fields": ["histogram"], "action": "keep"}, {"fields": ["histogram.count"], "action": "drop"}],
        ["20 made_up.v1, histogram.count: histogram is named too"],
        id="what is in a container after it",
    ),
    pytest.param(
        [{"fields": ["histogram.count"], "action": "keep"}, {"fields": ["histogram"], "action": "drop"}],
        ["20 made_up.v1, histogram: histogram.count is named too"],
        id="the container after what is in it",
    ),
    pytest.param(
        [{"fields": ["text"], "action": "keep"}, {"fields": ["large"], "action": "pseudonymise"}],
        ["10 made_up.v1, text: a string is never", "20 made_up.v1, large: this works on string only"],
        id="two mistakes",
    ),
    pytest.param([{"fields": ["text"], "action": "keep", "reports": ["other"]}], [], id="a rule for another report"),
]


@pytest.mark.parametrize(("rules", "expected"), FINDINGS)
def test_findings(rules: list[dict[str, Any]], expected: list[str]) -> None:
    """Every rule that cannot be applied is found, at its line, and what is fine is left alone."""
    tier = made_up_tier(*rules)
    found = list(rule_findings(SCHEMA, tier, file="made-up.toml", line=lambda index: 10 * (index + 1)))
    told = [f"{finding.line} {finding.problem}" for finding in found]
    assert len(told) == len(expected)
    assert all(text.startswith(start) for text, start in zip(told, expected, strict=True))
    assert all(finding.file == "made-up.toml" and finding.fix for finding in found)
