"""`tidegate schema`: the lint's findings, what is shown, and the places and reasons of an incompatibility."""

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from schemas.catalogue import REPORTS_DIRECTORY, TIERS_DIRECTORY, load_catalogue
from schemas.compatible import incompatibilities
from tidegate.cli import main


def schema(*arguments: object) -> Result:
    """Run `tidegate schema`."""
    return CliRunner().invoke(main, ["schema", *map(str, arguments)])


@pytest.fixture
def tiers(tmp_path: Path) -> Path:
    """A copy of the policies that ship, to be spoilt."""
    return shutil.copytree(TIERS_DIRECTORY, tmp_path / "tiers")


def replace(file: Path, old: str, new: str) -> int:
    """Replace `old` in a file and return the line of its first occurrence."""
    text = file.read_text(encoding="utf-8")
    assert old in text
    file.write_text(text.replace(old, new), encoding="utf-8")
    return text[: text.index(old)].count("\n") + 1


def test_lint_counts_what_it_checked() -> None:
    """The contracts that ship pass, and the one line of success says how much that was."""
    catalogue = load_catalogue()
    result = schema("lint")
    assert result.exit_code == 0
    [line] = result.stdout.splitlines()
    assert line.startswith(f"Nothing wrong: {len(catalogue.schemas)} report schemas with ")
    assert f"{len(catalogue.tiers)} tiers with " in line
    assert f"{len(catalogue.plans)} plans" in line


def test_lint_tells_every_finding_with_file_line_and_fix(tiers: Path) -> None:
    """Two spoilt policies make two findings, each with its file, line, problem and fix, and exit code 1."""
    k = replace(tiers / "byod.toml", "k = 10\n", "k = 1\n")
    version = replace(tiers / "managed.toml", "version = 1\n", "verson = 1\n")
    result = schema("lint", "--tiers", tiers)
    assert result.exit_code == 1
    assert f"{tiers / 'byod.toml'}:{k}: k: " in result.stdout
    assert f"{tiers / 'managed.toml'}:{version}: verson: " in result.stdout
    assert "fix: remove it, or did you mean version?" in result.stdout


def test_lint_finds_outputs_that_could_not_be_read_as_each_others(tiers: Path) -> None:
    """A container kept whole by one tier and in part by another is found, at the rule that names it."""
    for name in ("byod", "contractor"):
        replace(tiers / f"{name}.toml", '"rows.latency", ', '"rows.latency.counts", ')
    text = (tiers / "managed.toml").read_text(encoding="utf-8")
    line = text[: text.index('"rows.latency"')].count("\n") + 1
    result = schema("lint", "--tiers", tiers)
    assert result.exit_code == 1
    assert "route_window.v1, rows[].latency: stripped records of byod and managed cannot be read" in result.stdout
    named = int(result.stdout.partition("managed.toml:")[2].partition(":")[0])
    assert line - 4 <= named <= line


def test_show_lists_the_reports_with_their_fingerprints() -> None:
    """Without a name every report is listed with the fingerprint that its messages carry."""
    result = schema("show")
    for report in load_catalogue().schemas:
        [line] = [line for line in result.stdout.splitlines() if f" {report.label} " in line]
        assert report.fingerprint.hex() in line


@pytest.mark.parametrize("width", ["60", "80", "132", "240"])
def test_show_has_every_field_whole(monkeypatch: pytest.MonkeyPatch, width: str) -> None:
    """On a page of any width a report's fields are shown with path, class and doc, none of them cut off."""
    monkeypatch.setenv("COLUMNS", width)
    report = load_catalogue().latest["route_window"]
    result = schema("show", "route_window")
    words = set(result.stdout.split())
    for field in report.fields.values():
        assert field.path in words
        assert set((field.doc or "").split()) <= words
    assert max(map(len, result.stdout.splitlines())) <= int(width)


def test_show_as_json_is_the_avro_schema() -> None:
    """--json prints the document of the report's file."""
    file = REPORTS_DIRECTORY / "route_window.v1.avsc"
    assert json.loads(schema("show", "route_window.v1", "--json").stdout) == json.loads(file.read_text("utf-8"))


def test_show_output_is_the_plans_schema() -> None:
    """--output prints the schema of what a tier's policy leaves, which has no place for a dropped field."""
    document = json.loads(schema("show", "route_window", "--output", "--tier", "contractor").stdout)
    catalogue = load_catalogue()
    assert document == catalogue.plans["contractor", catalogue.latest["route_window"].fingerprint].output
    assert "device_id" not in {field["name"] for field in document["fields"]}


@pytest.mark.parametrize(
    "arguments",
    [
        pytest.param(["route_window", "--output"], id="no tier"),
        pytest.param(["route_window", "--tier", "byod"], id="a tier without --output"),
        pytest.param(["--output", "--tier", "byod"], id="no report"),
        pytest.param(["health_window", "--output", "--tier", "contractor"], id="a report that the tier does not take"),
    ],
)
def test_show_output_needs_a_plan(arguments: list[str]) -> None:
    """--output without a report and a tier that takes it is wrong usage."""
    assert schema("show", *arguments).exit_code == 2


def record(*fields: dict[str, Any], name: str = "R") -> dict[str, Any]:
    """An Avro record."""
    return {"type": "record", "name": name, "fields": list(fields)}


def field(kind: Any, name: str = "a", **more: Any) -> dict[str, Any]:
    """A field of an Avro record."""
    return {"name": name, "type": kind, **more}


def enum(*symbols: str, **more: Any) -> dict[str, Any]:
    """An Avro enum called E."""
    return {"type": "enum", "name": "E", "symbols": list(symbols), **more}


INNER_OLD, INNER_NEW = record(field("int", "n"), name="I"), record(field("string", "n"), name="I")

INCOMPATIBLE = [
    pytest.param(record(), record(field("int")), [("new reads old", "a", "no default")], id="new field"),
    pytest.param(record(field("int")), record(), [("old reads new", "a", "no default")], id="field gone"),
    pytest.param(
        record(field("int")), record(field("long")), [("old reads new", "a", "may write a long")], id="widened number"
    ),
    pytest.param(
        record(field("long")),
        record(field(["null", "long"])),
        [("old reads new", "a", "may write null, where the old schema has a long")],
        id="made nullable",
    ),
    pytest.param(
        record(field(["null", "long"])),
        record(field(["null", "int"])),
        [("new reads old", "a", "may write a long, where the new schema has null or int")],
        id="another branch",
    ),
    pytest.param(
        record(field(enum("X", "Y"))),
        record(field(enum("X", "Z"))),
        [("new reads old", "a", "does not have Y"), ("old reads new", "a", "does not have Z")],
        id="symbols both ways",
    ),
    pytest.param(
        record(field({"type": "fixed", "name": "F", "size": 8})),
        record(field({"type": "fixed", "name": "F", "size": 16})),
        [("new reads old", "a", "writes 8 bytes"), ("old reads new", "a", "writes 16 bytes")],
        id="size of a fixed",
    ),
    pytest.param(
        record(field(["null", {"type": "array", "items": INNER_OLD}])),
        record(field(["null", {"type": "array", "items": INNER_NEW}])),
        [("new reads old", "a[].n", "may write an int"), ("old reads new", "a[].n", "may write a string")],
        id="inside a nullable array",
    ),
    pytest.param(
        record(field({"type": "map", "values": "int"})),
        record(field({"type": "map", "values": "string"})),
        [("new reads old", "a{}", "may write an int"), ("old reads new", "a{}", "may write a string")],
        id="values of a map",
    ),
    pytest.param(
        record(name="R"),
        record(name="S"),
        [("new reads old", "the record itself", "calls it S"), ("old reads new", "the record itself", "calls it R")],
        id="another name",
    ),
    pytest.param(
        record(field("int"), field("int", "b")),
        record(field("string"), field("string", "b")),
        [
            ("new reads old", "a", "may write an int"),
            ("new reads old", "b", "may write an int"),
            ("old reads new", "a", "may write a string"),
            ("old reads new", "b", "may write a string"),
        ],
        id="each place has its own reason",
    ),
]

COMPATIBLE = [
    pytest.param(record(field("int")), record(field("int")), id="the same"),
    pytest.param(
        record(), record(field(["null", "int"], default=None)), id="a nullable field with a default comes and goes"
    ),
    pytest.param(
        record(field(enum("X", default="X"))), record(field(enum("X", "Y", default="X"))), id="a symbol with a default"
    ),
    pytest.param(
        record(field(["null", {"type": "array", "items": "R"}], default=None)),
        record(field(["null", {"type": "array", "items": "R"}], default=None)),
        id="a record that holds itself",
    ),
]


@pytest.mark.parametrize(("old", "new", "expected"), INCOMPATIBLE)
def test_each_place_is_told_with_its_own_reason(
    old: dict[str, Any], new: dict[str, Any], expected: list[tuple[str, str, str]]
) -> None:
    """Every innermost place where a direction fails is told once, with the reason that belongs to it."""
    found = list(incompatibilities(old, new))
    assert [(one.direction, one.where) for one in found] == [(direction, where) for direction, where, _ in expected]
    for one, (_, _, reason) in zip(found, expected, strict=True):
        assert reason in one.why


@pytest.mark.parametrize(("old", "new"), COMPATIBLE)
def test_nothing_is_told_of_compatible_schemas(old: dict[str, Any], new: dict[str, Any]) -> None:
    """Of two schemas that read each other's data nothing is told."""
    assert list(incompatibilities(old, new)) == []


def write(file: Path, document: Any) -> Path:
    """A JSON file."""
    file.write_text(json.dumps(document), encoding="utf-8")
    return file


def test_compatible_files(tmp_path: Path) -> None:
    """Two Avro files that read each other's records end the command with 0 and a sentence."""
    old = write(tmp_path / "old.avsc", record())
    new = write(tmp_path / "new.avsc", record(field(["null", "int"], default=None)))
    result = schema("compatible", old, new)
    assert result.exit_code == 0
    assert "Fully compatible" in result.stdout


def test_incompatible_files(tmp_path: Path) -> None:
    """Two Avro files that do not are told both ways, as text and as JSON, with exit code 1."""
    old, new = write(tmp_path / "old.avsc", record(field("int"))), write(tmp_path / "new.avsc", record(field("string")))
    result = schema("compatible", old, new)
    assert result.exit_code == 1
    assert "NEW cannot read what was written under OLD" in result.stdout
    assert "OLD cannot read what is written under NEW" in result.stdout
    as_json = schema("compatible", old, new, "--json")
    assert as_json.exit_code == 1
    found = json.loads(as_json.stdout)["incompatibilities"]
    assert [(one["direction"], one["where"]) for one in found] == [("new reads old", "a"), ("old reads new", "a")]


def test_compatible_policies(tmp_path: Path) -> None:
    """Dropping a field more leaves old and new stripped records readable both ways, whatever the file is called."""
    new = tmp_path / "tightened.toml"
    shutil.copyfile(TIERS_DIRECTORY / "managed.toml", new)
    text = new.read_text(encoding="utf-8")
    start = text.index('fields = ["device_id"]')
    rule = text[start : text.index("why", start)]
    new.write_text(text.replace(rule, 'fields = ["device_id"]\naction = "drop"\n'), encoding="utf-8")
    result = schema("compatible", TIERS_DIRECTORY / "managed.toml", new)
    assert result.exit_code == 0, result.output
    assert "in all of capability_probe.v1" in result.stdout


def test_incompatible_policies(tmp_path: Path) -> None:
    """A container kept in part instead of whole is told with the report and the path where readers would fail."""
    new = tmp_path / "new.toml"
    shutil.copyfile(TIERS_DIRECTORY / "byod.toml", new)
    replace(new, '"rows.latency", ', '"rows.latency.counts", ')
    result = schema("compatible", TIERS_DIRECTORY / "byod.toml", new)
    assert result.exit_code == 1
    assert "route_window.v1: not fully compatible" in result.stdout
    assert "rows[].latency  (name_mismatch)" in result.stdout


def test_reports_are_compared_by_name() -> None:
    """Reports are named with or without a version; another report is another record."""
    assert schema("compatible", "route_window", "route_window.v1").exit_code == 0
    assert schema("compatible", "route_window.v1", "health_window.v1").exit_code == 1


@pytest.mark.parametrize(
    ("old", "new"),
    [
        pytest.param("a.avsc", "b.toml", id="two kinds"),
        pytest.param("nowhere.avsc", "nowhere.avsc", id="no such file"),
        pytest.param("broken.avsc", "broken.avsc", id="not JSON"),
        pytest.param("list.avsc", "list.avsc", id="no record"),
        pytest.param("unknown.avsc", "unknown.avsc", id="not Avro"),
        pytest.param("empty.toml", "empty.toml", id="no policy"),
    ],
)
def test_what_cannot_be_compared(tmp_path: Path, old: str, new: str) -> None:
    """Files that cannot be compared are wrong usage, so that 1 always means not compatible."""
    (tmp_path / "broken.avsc").write_text("{", encoding="utf-8")
    write(tmp_path / "list.avsc", ["null"])
    write(tmp_path / "unknown.avsc", record(field("nothing")))
    (tmp_path / "empty.toml").write_text("", encoding="utf-8")
    result = schema("compatible", tmp_path / old, tmp_path / new)
    assert result.exit_code == 2
    assert "Traceback" not in result.output
    assert result.stderr.startswith("Usage:")


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        pytest.param(["--example"], "--example needs a REPORT", id="of no report"),
        pytest.param(
            ["route_window", "--example", "--output", "--tier", "byod"], "choose one", id="and what is stored"
        ),
    ],
)
def test_example_that_cannot_be_shown(arguments: list[str], said: str) -> None:
    """An example of nothing, or of two things at once, is wrong usage."""
    result = schema("show", *arguments)
    assert result.exit_code == 2
    assert said in " ".join(result.stderr.split())
