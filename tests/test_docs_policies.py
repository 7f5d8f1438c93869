"""docs/policies.md against the code: its key tables are the models', its examples are loaded, linted and executed."""

import json
import re
import shutil
import tomllib
import types
from collections.abc import Iterator
from datetime import UTC, date, datetime
from ipaddress import IPv4Network
from pathlib import Path
from typing import Annotated, Any, Literal, Union, get_args, get_origin

import annotated_types as at
import pytest
from pydantic import BaseModel
from pydantic.fields import FieldInfo

from ingest.pipeline import JSON, Rules, Submission, judge, messages_of
from ingest.problems import Rejected
from schemas.avro_types import PRIVACY_CLASSES
from schemas.catalogue import TIERS_DIRECTORY, load_catalogue, load_plans
from schemas.errors import ContractError
from schemas.report_schema import CONSENT_PURPOSES
from schemas.tier import AdmissionPolicy, PseudonymPolicy, RecordPolicy, RefuseIfPresent, Rule, Tier, TopicPolicy
from tests.documents import bare, page

POLICIES = page("docs/policies.md")
EXAMPLES = POLICIES.blocks("toml")
WHOLE = EXAMPLES[0]
FRAGMENTS = EXAMPLES[1:]

KEY_COLUMNS = ("key", "type", "unit", "default", "meaning")
RULE_COLUMNS = ("key", "of", "type", "unit", "default", "meaning")
REFUSED_COLUMNS = ("rule", "what is said", "because")
EXAMPLE_COLUMNS = ("rule", "field", "sent", "stored")

NOW = int(datetime(2026, 11, 21, 10, 30, tzinfo=UTC).timestamp() * 1000)


def rule_models() -> dict[str, type[BaseModel]]:
    """The models of a rule by what they are chosen by: the action, or the way of coarsening."""
    models = [get_args(option)[0] for option in get_args(get_args(Rule)[0])]
    return {_symbol(model, "by" if "by" in model.model_fields else "action"): model for model in models}


def _symbol(model: type[BaseModel], key: str) -> str:
    """The only value that the model allows for a key."""
    (symbol,) = get_args(model.model_fields[key].annotation)
    return str(symbol)


def spoken(annotation: Any, metadata: list[Any]) -> str:
    """A type as the page writes it: `whole number, 1 to 60`, `list of text`."""
    if get_origin(annotation) is Annotated:
        annotation, *further = get_args(annotation)
        return spoken(annotation, further)
    if get_origin(annotation) in (Union, types.UnionType):
        branches = [branch for branch in get_args(annotation) if branch is not types.NoneType]
        return "networks" if IPv4Network in branches else spoken(branches[0], metadata)
    return _word(annotation) + _bounds(metadata)


def _word(annotation: Any) -> str:
    match get_origin(annotation), get_args(annotation):
        case origin, symbols if origin is Literal:
            return " or ".join(f"`{symbol}`" for symbol in symbols)
        case origin, (items, _) if origin is tuple:
            return f"list of {_several(spoken(items, []))}"
        case origin, (_, values) if origin is dict:
            return f"table of {_several(spoken(values, []))}"
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return "table"
    return {str: "text", int: "whole number", float: "number", date: "date"}[annotation]


def _several(word: str) -> str:
    first, _, rest = word.partition(" ")
    plurals = {"table": "tables", "list": "lists", "whole": "whole"}
    return f"{plurals.get(first, first)} {rest}".strip().replace("whole number", "whole numbers")


def _bounds(metadata: list[Any]) -> str:
    low = next((str(bound.ge) for bound in metadata if isinstance(bound, at.Ge)), None)
    high = next((str(bound.le) for bound in metadata if isinstance(bound, at.Le)), None)
    above = next((str(bound.gt) for bound in metadata if isinstance(bound, at.Gt)), None)
    if low is not None:
        return f", from {low}" if high is None else f", {low} to {high}"
    if above is not None:
        return f", above {above}"
    return ", not empty" if any(isinstance(bound, at.MinLen) for bound in metadata) else ""


def _type_of(info: FieldInfo) -> str:
    return spoken(info.annotation, info.metadata)


def _default(info: FieldInfo) -> str:
    if info.is_required():
        return "required"
    if isinstance(info.default, BaseModel):
        return "its defaults"
    return str(info.default) if info.default else "none"


def _without_rules(text: str) -> str:
    return text.partition("[[rule]]")[0]


def _policy(folder: Path, text: str) -> Path:
    file = folder / "lab.toml"
    file.write_text(text, encoding="utf-8")
    return file


def _with(fragment: str) -> str:
    """The whole example with a fragment of it replaced, or added: tables by their name, keys by theirs."""
    keys, *tables = re.split(r"^(?=\[)", WHOLE, flags=re.MULTILINE)
    replaced = {re.match(r"\[[^\]]*\]+", line)[0] for line in fragment.splitlines() if line.startswith("[")}  # type: ignore[index]  # a table's header
    named = {name for rule in tomllib.loads(fragment).get("rule", ()) for name in rule["fields"]}
    kept = [
        table
        for table in tables
        if table.partition("]")[0] + "]" not in replaced
        and not (table.startswith("[[rule]]") and named & set(tomllib.loads(table)["rule"][0]["fields"]))
    ]
    return keys + "".join(kept) + fragment


def _shipped_and(folder: Path, text: str) -> Path:
    for file in TIERS_DIRECTORY.glob("*.toml"):
        shutil.copy(file, folder)
    _policy(folder, text)
    return folder


@pytest.mark.parametrize(
    ("place", "model"),
    [
        pytest.param(0, Tier, id="top"),
        pytest.param(1, AdmissionPolicy, id="admission"),
        pytest.param(2, RecordPolicy, id="record"),
        pytest.param(3, PseudonymPolicy, id="pseudonym"),
        pytest.param(4, TopicPolicy, id="topic"),
        pytest.param(5, RefuseIfPresent, id="refuse_if_present"),
    ],
)
def test_key_table_is_the_model(place: int, model: type[BaseModel]) -> None:
    """The page lists exactly the keys of a table of a policy, in their order, with their types and defaults."""
    rows = POLICIES.tables(*KEY_COLUMNS)[place]
    written = [(bare(row["key"]), row["type"], row["default"]) for row in rows]
    rules = {"rule": "list of tables"}
    assert written == [
        (info.alias or name, rules.get(info.alias or "") or _type_of(info), _default(info))
        for name, info in model.model_fields.items()
    ]


def test_every_key_table_was_looked_at() -> None:
    """The page has no key table beyond the six that are held equal to the models."""
    assert len(POLICIES.tables(*KEY_COLUMNS)) == 6


def test_rule_keys_are_those_of_the_models() -> None:
    """The page lists exactly the keys that some rule may have, and which rules may have each."""
    models = rule_models()
    coarsenings = {name for name, model in models.items() if "by" in model.model_fields}
    said = {
        "every rule": set(models),
        "all but `drop`": set(models) - {"drop"},
        "`coarsen`": coarsenings,
        **{f"`{name}`": {name} for name in coarsenings},
    }
    written = {bare(row["key"]): said[row["of"]] for row in POLICIES.table(*RULE_COLUMNS)}
    fields = {key for model in models.values() for key in model.model_fields}
    assert written == {key: {name for name, model in models.items() if key in model.model_fields} for key in fields}


def test_rule_keys_have_the_models_types_and_defaults() -> None:
    """The page gives each key of a rule the type and the default that its models give it."""
    models = rule_models()
    symbols = {
        "action": " or ".join(dict.fromkeys(f"`{name if name in models else 'coarsen'}`" for name in _actions(models))),
        "by": " or ".join(f"`{name}`" for name, model in models.items() if "by" in model.model_fields),
    }
    for row in POLICIES.table(*RULE_COLUMNS):
        key = bare(row["key"])
        info = next(model.model_fields[key] for model in models.values() if key in model.model_fields)
        assert (key, row["type"], row["default"]) == (key, symbols.get(key) or _type_of(info), _default(info))


def _actions(models: dict[str, type[BaseModel]]) -> Iterator[str]:
    for model in models.values():
        yield _symbol(model, "action")


def test_whole_example_passes_the_lint_beside_the_shipped_tiers(tmp_path: Path) -> None:
    """The complete policy of the page loads and passes the whole lint together with the tiers that ship."""
    assert "lab" in load_catalogue(tiers=_shipped_and(tmp_path, WHOLE)).tiers


@pytest.mark.parametrize("fragment", FRAGMENTS)
def test_fragment_passes_the_lint_in_its_place(fragment: str, tmp_path: Path) -> None:
    """Every further TOML example of the page loads and passes the whole lint as a part of the complete one."""
    assert "lab" in load_catalogue(tiers=_shipped_and(tmp_path, _with(fragment))).tiers


def test_although_is_what_lets_its_example_through(tmp_path: Path) -> None:
    """The example of `although` is refused as soon as that line is taken out of it."""
    fragment = next(fragment for fragment in FRAGMENTS if "although" in fragment)
    silent = re.sub(r"^although.*\n", "", fragment, flags=re.MULTILINE)
    with pytest.raises(ContractError, match=r"kept here more than in the looser tier managed"):
        load_catalogue(tiers=_shipped_and(tmp_path, _with(silent)))


@pytest.mark.parametrize("row", POLICIES.table(*REFUSED_COLUMNS), ids=lambda row: row["what is said"])
def test_refused_rule_is_refused_as_the_page_says(row: dict[str, str], tmp_path: Path) -> None:
    """Every rule that the page calls refused is refused, and the lint says what the page says it says."""
    rule = f"[[rule]]\n{_lines(bare(row['rule']))}why = 'An example.'\n"
    with pytest.raises(ContractError, match=re.escape(row["what is said"])):
        load_plans(_policy(tmp_path, _without_rules(WHOLE) + rule))


def _lines(inline: str) -> str:
    """`a = 1, b = [2, 3]` with each key on a line of its own."""
    return re.sub(r", (?=\w+ = )", "\n", inline) + "\n"


@pytest.mark.parametrize("row", POLICIES.table(*EXAMPLE_COLUMNS), ids=lambda row: f"{row['rule']}: {row['sent']}")
def test_example_of_an_action_is_what_the_gate_does(row: dict[str, str], tmp_path: Path) -> None:
    """Every example of an action gives, through the gate's own code, what the page says is stored."""
    field, sent = bare(row["field"]), json.loads(bare(row["sent"]))
    (tmp_path / "tiers").mkdir()
    tiers = _policy(tmp_path / "tiers", _without_rules(WHOLE).replace('stricter_than = "managed"\n', "") + _rule(row))
    rules = Rules(
        catalogue=load_catalogue(tiers=tiers.parent),
        names={"region": frozenset({b"eu-north"})},
        location="local",
        key=lambda *_: bytes(32),
    )
    report = {
        "report_id": "00112233445566778899aabbccddeeff",
        "window_start": "2026-11-21T09:35:00Z",
        "window_end": "2026-11-21T09:40:00Z",
        "hardware_tier": "small",
        "network_context": "vpn",
        field: sent,
    }
    submission = Submission("lab", "health_window", JSON, "", json.dumps(report).encode())
    (verdict,) = (judge(message, submission, rules, now=NOW) for message in messages_of(submission, rules))
    assert not isinstance(verdict, Rejected), verdict
    stored = verdict.plan.readable(verdict.body).get(field)
    assert (None if row["stored"] == "nothing" else json.loads(bare(row["stored"]))) == stored


def _rule(row: dict[str, str]) -> str:
    """The rule of an example; one more where none is shown, for a policy without any rule takes nothing in."""
    does = bare(row["rule"])
    if does == "no rule":
        return "[[rule]]\nfields = ['os']\naction = 'drop'\nwhy = 'Another field.'\n"
    action = "" if does.startswith("action") else "action = 'coarsen'\n"
    return f"[[rule]]\nfields = ['{bare(row['field'])}']\n{action}{_lines(does)}why = 'An example.'\n"


def test_every_action_has_an_example() -> None:
    """The table of examples shows every action and every way of coarsening."""
    shown = " ".join(row["rule"] for row in POLICIES.table(*EXAMPLE_COLUMNS))
    assert [name for name in rule_models() if f'"{name}"' not in shown] == []


def test_classes_and_purposes_are_the_schemas() -> None:
    """The page lists exactly the privacy classes, and names every purpose that a report has a consent flag for."""
    rows = POLICIES.table("class", "meaning", "what a policy may do")
    assert tuple(bare(row["class"]) for row in rows) == PRIVACY_CLASSES
    assert [purpose for purpose in CONSENT_PURPOSES if f"`consent_{purpose}`" not in POLICIES.text] == []
