"""`tidegate manifest` and `tidegate prices`: what they show before they record, what they refuse, and how they end."""

import json
from pathlib import Path

import click
import pytest
from click.testing import CliRunner, Result

from ingest.clock import SystemClock, iso_utc
from ingest.operator_documents import FILE_NAME, OperatorDocuments
from schemas.manifest import load_manifest
from schemas.prices import load_prices
from tidegate.cli.manifest import manifest_group
from tidegate.cli.prices import prices_group

LONG_AGO, NEXT_CENTURY = "2020-01-01T00:00:00Z", "2100-01-01T00:00:00Z"

GROUPS = [pytest.param(manifest_group, id="manifest"), pytest.param(prices_group, id="prices")]


def run(group: click.Group, *arguments: str | Path) -> Result:
    """Run a command of a group."""
    return CliRunner().invoke(group, [str(argument) for argument in arguments])


def text_of(group: click.Group) -> str:
    """The file that the group prints to begin with."""
    return run(group, "example").stdout


def put(group: click.Group, folder: Path, text: str, *arguments: str) -> Result:
    """Put a text in force in the data directory below a folder."""
    file = folder / "document.toml"
    file.write_text(text, encoding="utf-8")
    return run(group, "put", file, "--data", folder / "data", *arguments)


def changed(group: click.Group) -> str:
    """The example with another amount, or another name in the place of one of its names."""
    return text_of(group).replace('"2.50"', '"2.75"').replace('"plant-2"', '"plant-3"')


@pytest.mark.parametrize("group", GROUPS)
def test_the_example_can_be_put_and_shown(group: click.Group, tmp_path: Path) -> None:
    """What `example` prints is taken as it stands, and what `show` prints is the same again."""
    assert put(group, tmp_path, text_of(group)).exit_code == 0
    shown = run(group, "show", "--data", tmp_path / "data")
    assert shown.exit_code == 0
    again = put(group, tmp_path, shown.stdout)
    assert (again.exit_code, "says the same. Nothing was recorded." in again.stdout) == (0, True)
    load = load_manifest if group is manifest_group else load_prices
    (tmp_path / "example.toml").write_text(text_of(group), encoding="utf-8")
    assert load(tmp_path / "document.toml") == load(tmp_path / "example.toml")


def test_put_shows_what_changes_before_it_says_done(tmp_path: Path) -> None:
    """New, gone and changed names stand before the line that says what was recorded, each with its sign."""
    put(manifest_group, tmp_path, text_of(manifest_group))
    text = changed(manifest_group).replace("share = 0.9", "share = 0.8")
    lines = put(manifest_group, tmp_path, text).stdout.splitlines()
    assert lines[0].startswith("Against manifest 1 in force at ")
    assert lines[1:4] == [
        "  + site plant-3",
        "  - site plant-2",
        "  ~ wanted assistant-small 2.1 eu-west: 0.9 -> 0.8",
    ]
    assert lines[4].startswith("Recorded as manifest 2, in force from ")
    assert "within about a second" in lines[-1]


@pytest.mark.parametrize(
    ("since", "said"),
    [
        pytest.param("2020-01-01T00:00:01Z", "Answers go by it from 2020-01-01T01:00:00Z on", id="within an hour"),
        pytest.param("2020-01-01T01:00:00Z", None, id="as an hour begins"),
    ],
)
def test_put_says_from_which_hour_on_answers_go_by_it(tmp_path: Path, since: str, said: str | None) -> None:
    """An answer about an hour goes by what was in force when it began, which is said where it is not plain."""
    told = put(manifest_group, tmp_path, text_of(manifest_group), "--from", since).stdout
    assert ("Answers go by it" in told) == (said is not None)
    assert said is None or said in told


def test_a_long_list_of_changes_is_told_in_part(tmp_path: Path) -> None:
    """Of very many changes the first are shown, and how many more there are."""
    text = f"sites = {[f'site-{number}' for number in range(100)]}"
    lines = put(manifest_group, tmp_path, text).stdout.splitlines()
    assert lines[60:62] == ["  + site site-59", "  and 40 more"]


@pytest.mark.parametrize("group", GROUPS)
def test_a_dry_run_leaves_nothing(group: click.Group, tmp_path: Path) -> None:
    """A dry run shows the same changes and records nothing, not even a data directory."""
    result = put(group, tmp_path, text_of(group), "--dry-run")
    assert result.exit_code == 0
    assert result.stdout.startswith(f"Against no {group.name} in force at ")
    assert result.stdout.endswith("Nothing was recorded.\n")
    assert not (tmp_path / "data").exists()
    put(group, tmp_path, text_of(group))
    assert "Nothing was recorded" in put(group, tmp_path, changed(group), "--dry-run").stdout
    assert len(json.loads(run(group, "history", "--data", tmp_path / "data", "--json").stdout)) == 1


@pytest.mark.parametrize("group", GROUPS)
def test_a_time_that_has_passed_is_said(group: click.Group, tmp_path: Path) -> None:
    """A document for the past is recorded, with what that does not mend and what is in force since."""
    put(group, tmp_path, text_of(group))
    result = put(group, tmp_path, changed(group), "--from", LONG_AGO)
    assert result.exit_code == 0
    assert f"Recorded as {group.name} 2, in force from {LONG_AGO}." in result.stdout
    assert f"on {group.name} 1 is in force instead." in result.stdout
    assert "That time has passed:" in result.stdout
    assert "answers that were published stay as they were published" in result.stdout
    assert "takes notice" not in result.stdout


@pytest.mark.parametrize("group", GROUPS)
def test_a_time_to_come(group: click.Group, tmp_path: Path) -> None:
    """A document for later is recorded, not shown as in force before, and shown at its time."""
    put(group, tmp_path, text_of(group))
    result = put(group, tmp_path, changed(group), "--from", NEXT_CENTURY)
    assert result.exit_code == 0
    assert "That time has passed" not in result.stdout
    data = ("--data", tmp_path / "data", "--format", "json")
    assert json.loads(run(group, "show", *data).stdout)["number"] == 1
    assert json.loads(run(group, "show", *data, "--at", NEXT_CENTURY).stdout)["number"] == 2


@pytest.mark.parametrize("group", GROUPS)
def test_history_tells_every_version(group: click.Group, tmp_path: Path) -> None:
    """The history has every version with its state, its times and what it changed, whatever became of it."""
    put(group, tmp_path, text_of(group), "--from", LONG_AGO)
    put(group, tmp_path, changed(group), "--from", LONG_AGO)
    put(group, tmp_path, text_of(group))
    put(group, tmp_path, changed(group), "--from", NEXT_CENTURY)
    entries = json.loads(run(group, "history", "--data", tmp_path / "data", "--json").stdout)
    assert [(entry["number"], entry["state"]) for entry in entries] == [
        (1, "replaced"),
        (2, "past"),
        (3, "in force"),
        (4, "to come"),
    ]
    assert [entry["until"] for entry in entries] == [*(entry["in_force"] for entry in entries[1:]), None]
    assert entries[1]["changes"] != []
    table = run(group, "history", "--data", tmp_path / "data").stdout
    for entry in entries:
        assert any(entry["state"] in line and entry["recorded"] in line for line in table.splitlines())


def test_show_says_which_one_it_is(tmp_path: Path) -> None:
    """The TOML begins with a comment that has the number and the times."""
    put(manifest_group, tmp_path, text_of(manifest_group), "--from", LONG_AGO)
    put(manifest_group, tmp_path, changed(manifest_group), "--from", NEXT_CENTURY)
    first = run(manifest_group, "show", "--data", tmp_path / "data").stdout.splitlines()[0]
    assert first.startswith(f"# manifest 1, in force from {LONG_AGO} until {NEXT_CENTURY}, recorded 20")


@pytest.mark.parametrize("group", GROUPS)
def test_what_is_not_there_is_told(group: click.Group, tmp_path: Path) -> None:
    """A mistyped directory, a time before the first, and a kind that was never put end with a way on."""
    nowhere = run(group, "show", "--data", tmp_path / "nowhere")
    assert (nowhere.exit_code, "check --data" in nowhere.stderr) == (1, True)
    assert not (tmp_path / "nowhere").exists()
    other = prices_group if group is manifest_group else manifest_group
    put(other, tmp_path, text_of(other))
    empty = run(group, "history", "--data", tmp_path / "data")
    assert (empty.exit_code, empty.stdout) == (0, "")
    assert f"`tidegate {group.name} put FILE` posts one" in empty.stderr
    early = run(group, "show", "--data", tmp_path / "data", "--at", LONG_AGO)
    assert early.exit_code == 1
    assert f"no {group.name} was in force at {LONG_AGO}" in early.stderr


def test_a_wrong_file_is_refused_with_its_lines(tmp_path: Path) -> None:
    """A file that is wrong ends the command with 1, each mistake with file, line and fix, and records nothing."""
    text = text_of(manifest_group).replace('region = "eu-west"', 'region = "eu-wst"')
    result = put(manifest_group, tmp_path, text)
    assert result.exit_code == 1
    assert result.stderr.count("there is no region eu-wst\n  fix: name it in regions; did you mean eu-west") == 2
    line = text.splitlines().index('region = "eu-wst"') + 1
    assert f"document.toml:{line}: " in result.stderr
    assert not (tmp_path / "data").exists()


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        pytest.param(["put", "nowhere.toml", "--data", "data"], "does not exist", id="no such file"),
        pytest.param(["put", __file__, "--data", "data", "--from", "tomorrow"], "is no time", id="no time"),
        pytest.param(["show", "--data", "data", "--at", "2026-11-21T09:00"], "which clock", id="no time zone"),
        pytest.param(["show", "--data", "data", "--format", "yaml"], "is not one of", id="no such format"),
        pytest.param(["show"], "Missing option '--data'", id="no data directory"),
    ],
)
def test_wrong_usage(arguments: list[str], said: str) -> None:
    """A command line that cannot be meant ends with 2 and says why."""
    result = run(manifest_group, *arguments)
    assert result.exit_code == 2
    assert said in result.stderr


def test_a_price_of_a_model_without_a_name_is_doubted(tmp_path: Path) -> None:
    """A price of a model that the manifest of that time does not name is taken, with a word about it."""
    text = text_of(prices_group).replace("assistant-large", "assistant-lage")
    assert "Note" not in put(prices_group, tmp_path, text, "--from", LONG_AGO).stderr
    put(manifest_group, tmp_path, text_of(manifest_group))
    assert "Note" not in put(prices_group, tmp_path, text_of(prices_group)).stderr
    result = put(prices_group, tmp_path, text)
    assert result.exit_code == 0
    assert "has no model assistant-lage; did you mean assistant-large" in result.stderr
    assert "Recorded as prices 3" in result.stdout


@pytest.mark.parametrize("command", ["put", "show", "history"])
def test_a_damaged_store_is_told(command: str, tmp_path: Path) -> None:
    """A store that is no database ends every command with 1 and what to do, and stays as it is."""
    data = tmp_path / "data"
    data.mkdir()
    (data / FILE_NAME).write_bytes(b"not a database at all" * 400)
    file = tmp_path / "manifest.toml"
    file.write_text(text_of(manifest_group), encoding="utf-8")
    result = run(manifest_group, command, *([file] if command == "put" else []), "--data", data)
    assert result.exit_code == 1
    assert "restore it from a backup" in result.stderr
    assert (data / FILE_NAME).read_bytes() == b"not a database at all" * 400


def test_a_document_of_a_newer_program_is_told(tmp_path: Path) -> None:
    """A manifest that this program does not understand is said to be so, and JSON still shows it."""
    documents = OperatorDocuments(tmp_path / "data" / FILE_NAME, SystemClock())
    made = documents.put("manifest", {"planets": ["earth"]}, SystemClock().now_ms())
    documents.close()
    result = run(manifest_group, "show", "--data", tmp_path / "data")
    assert (result.exit_code, "another version of tidegate" in result.stderr) == (1, True)
    shown = json.loads(run(manifest_group, "show", "--data", tmp_path / "data", "--format", "json").stdout)
    assert (shown["document"], shown["recorded"]) == ({"planets": ["earth"]}, iso_utc(made.recorded))
