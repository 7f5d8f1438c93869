"""`tidegate token` and `tidegate key`: what they print where, what they refuse, and with which exit code."""

import json
import os
from pathlib import Path

import click
import pytest
from click.testing import CliRunner, Result

from ingest.access.token_view import TokenView
from ingest.access.tokens import FILE_NAME, TokenStore
from ingest.clock import ManualClock, SystemClock
from ingest.keys import DIRECTORY_NAME, MS_PER_DAY, Epoch, Keyring
from ingest.problems import Rejected
from tidegate.cli.key import key_group
from tidegate.cli.token import token_group

NEW = ("new", "--tier", "managed", "--label", "laptops-2026")
PAST_MS = 1_790_000_000_000


@pytest.fixture(autouse=True)
def no_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """No TIDEGATE_ variable of the machine reaches a command."""
    for name in [name for name in os.environ if name.startswith("TIDEGATE_")]:
        monkeypatch.delenv(name)


def token(data: Path, *arguments: str) -> Result:
    """Run `tidegate token`."""
    return run(token_group, data, *arguments)


def key(data: Path, *arguments: str, typed: str | None = None) -> Result:
    """Run `tidegate key`, with `typed` on its stdin."""
    return run(key_group, data, *arguments, typed=typed)


def run(group: click.Group, data: Path, *arguments: str, typed: str | None = None) -> Result:
    """Run a command of a group on a data directory."""
    command, *rest = arguments
    return CliRunner().invoke(group, [command, "--data", str(data), *rest], input=typed)


def made(data: Path, *arguments: str) -> str:
    """A new token, whole."""
    result = token(data, *NEW, *arguments)
    assert result.exit_code == 0, result.stderr
    return result.stdout.strip()


def answer(data: Path, text: str) -> str:
    """What a gate that starts now makes of a token."""
    view = TokenView(data / FILE_NAME, SystemClock())
    try:
        return view.check(text.encode(), SystemClock().now_ms()).id
    except Rejected as refusal:
        return refusal.reason.value
    finally:
        view.close()


def test_new_prints_the_token_alone(tmp_path: Path) -> None:
    """The token is the only line on stdout, the explanation is on stderr without the secret, and a gate takes it."""
    result = token(tmp_path / "data", *NEW)
    text = result.stdout.strip()
    assert result.exit_code == 0
    assert result.stdout == f"{text}\n"
    assert answer(tmp_path / "data", text) == text.split("_")[1]
    assert "shown this once" in result.stderr
    assert text.split("_")[2] not in result.stderr


def test_new_as_json(tmp_path: Path) -> None:
    """With --json stdout is one document that holds the token and what it was made for."""
    document = json.loads(token(tmp_path, *NEW, "--kind", "class", "--json").stdout)
    assert document["token"].split("_")[1] == document["id"]
    assert {name: document[name] for name in ("tier", "kind", "label", "state", "revoked", "replaced_by")} == {
        "tier": "managed",
        "kind": "class",
        "label": "laptops-2026",
        "state": "live",
        "revoked": None,
        "replaced_by": None,
    }


def test_new_for_a_reader(tmp_path: Path) -> None:
    """A token with a role has no tier, says how to ask with it, and stands in the list of all and of no tier."""
    result = token(tmp_path, "new", "--role", "analyst", "--label", "monday report")
    text = result.stdout.strip()
    assert (result.exit_code, answer(tmp_path, text)) == (0, text.split("_")[1])
    assert "role analyst" in result.stderr
    assert "tidegate ask --token-file FILE" in result.stderr
    [document] = json.loads(token(tmp_path, "list", "--json").stdout)
    assert (document["tier"], document["kind"]) == ("*", "analyst")
    assert json.loads(token(tmp_path, "list", "--json", "--tier", "managed").stdout) == []


def test_list_shows_every_token_and_no_secret(tmp_path: Path) -> None:
    """A list has a line for each token with its id, tier, state and label, whatever the label holds, and no secret."""
    texts = [made(tmp_path), made(tmp_path, "--label", "[red]new[/red]")]
    result = token(tmp_path, "list")
    assert result.exit_code == 0
    for text, label in zip(texts, ("laptops-2026", "[red]new[/red]"), strict=True):
        [line] = [line for line in result.stdout.splitlines() if text.split("_")[1] in line]
        assert "managed" in line
        assert "live" in line
        assert label in line
        assert text.split("_")[2] not in result.output


def test_list_as_json_by_tier(tmp_path: Path) -> None:
    """The list can be had as JSON and for one tier."""
    first = made(tmp_path)
    made(tmp_path, "--tier", "byod")
    documents = json.loads(token(tmp_path, "list", "--json", "--tier", "managed").stdout)
    assert [document["id"] for document in documents] == [first.split("_")[1]]
    assert json.loads(token(tmp_path, "list", "--json", "--tier", "contractor").stdout) == []


def test_empty_lists_are_told_in_words(tmp_path: Path) -> None:
    """A list without a token or a key says so on stderr, and what makes one, instead of an empty table."""
    TokenStore(tmp_path / FILE_NAME, SystemClock()).close()
    Keyring(tmp_path / DIRECTORY_NAME, SystemClock()).close()
    for result, told in (
        (token(tmp_path, "list"), "no token was made yet; `tidegate token new` makes one\n"),
        (token(tmp_path, "list", "--tier", "byod"), "no token was made for byod yet; `tidegate token new` makes one\n"),
        (key(tmp_path, "list"), "no key was made yet; the gate makes one when a report first needs a pseudonym\n"),
    ):
        assert (result.exit_code, result.stdout, result.stderr) == (0, "", told)


def test_rotate_leaves_both_good(tmp_path: Path) -> None:
    """After a rotation stdout has the new token alone, and a gate takes both."""
    old = made(tmp_path)
    result = token(tmp_path, "rotate", old.split("_")[1], "--overlap", "2d")
    new = result.stdout.strip()
    assert (result.exit_code, result.stdout) == (0, f"{new}\n")
    assert f"The old token {old.split('_')[1]} is good until" in result.stderr
    assert [answer(tmp_path, text) for text in (old, new)] == [text.split("_")[1] for text in (old, new)]


def test_revoke_ends_a_token(tmp_path: Path) -> None:
    """A revoked token is refused by a gate, and the list says so."""
    text = made(tmp_path)
    result = token(tmp_path, "revoke", text.split("_")[1])
    assert (result.exit_code, answer(tmp_path, text)) == (0, "token_revoked")
    assert json.loads(token(tmp_path, "list", "--json").stdout)[0]["state"] == "revoked"


def test_revoke_takes_a_whole_token_and_repeats_no_secret(tmp_path: Path) -> None:
    """A leaked token can be revoked as it was found, without its secret being printed again."""
    text = made(tmp_path)
    result = token(tmp_path, "revoke", text)
    assert (result.exit_code, answer(tmp_path, text)) == (0, "token_revoked")
    assert text.split("_")[1] in result.output
    assert text.split("_")[2] not in result.output


def test_revoke_names_a_successor(tmp_path: Path) -> None:
    """Revoking a rotated token leaves its successor good and says so."""
    old = made(tmp_path)
    new = token(tmp_path, "rotate", old.split("_")[1]).stdout.strip()
    result = token(tmp_path, "revoke", old.split("_")[1])
    assert f"successor {new.split('_')[1]}" in result.stderr
    assert answer(tmp_path, new) == new.split("_")[1]


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        pytest.param(("new", "--tier", "manged", "--label", "x"), 2, "did you mean managed?", id="a misspelt tier"),
        pytest.param((*NEW, "--lifetime", "3 months"), 2, "30m, 12h, 90d or 26w", id="no duration"),
        pytest.param((*NEW, "--lifetime", "0d"), 2, "outside 1s to 3650d", id="no time at all"),
        pytest.param((*NEW, "--lifetime", "999999999w"), 2, "outside 1s to 3650d", id="longer than any calendar"),
        pytest.param((*NEW, "--role", "analyst"), 2, "without --tier and --kind", id="a tier and a role"),
        pytest.param(
            ("new", "--role", "auditor", "--kind", "class", "--label", "x"),
            2,
            "without --tier and --kind",
            id="a kind and a role",
        ),
        pytest.param(("new", "--role", "admin", "--label", "x"), 2, "'analyst', 'operator', 'auditor'", id="no role"),
        pytest.param(("new", "--label", "x"), 2, "give --tier", id="neither a tier nor a role"),
        pytest.param((*NEW, "--kind", "person"), 2, "'device', 'class'", id="an unknown kind"),
        pytest.param((*NEW, "--label", "two\nlines"), 2, "one printable line", id="a label that breaks lists"),
        pytest.param((*NEW, "--label", " "), 2, "one printable line", id="an empty label"),
        pytest.param(("new", "--tier", "managed"), 2, "Missing option '--label'", id="no label"),
        pytest.param(("list", "--tier", "bjod"), 2, "did you mean byod?", id="a list of a misspelt tier"),
        pytest.param(("revoke", "aaaaaaaaaaaa"), 1, "`tidegate token list` shows", id="an id unlike any"),
        pytest.param(("revoke", "not/an id"), 1, "that is no token id", id="not an id, and not repeated"),
        pytest.param(("rotate", "aaaaaaaaaaaa"), 1, "no token has the id aaaaaaaaaaaa", id="rotating an unknown id"),
    ],
)
def test_refusals_say_what_to_do(tmp_path: Path, arguments: tuple[str, ...], code: int, words: str) -> None:
    """A refused command exits with its code, says on stderr what to do, and prints nothing on stdout."""
    made(tmp_path)
    result = token(tmp_path, *arguments)
    assert (result.exit_code, result.stdout) == (code, "")
    assert words in " ".join(result.stderr.split())


@pytest.mark.parametrize("command", ["revoke", "rotate"])
def test_a_misspelt_id_gets_the_nearest(tmp_path: Path, command: str) -> None:
    """An id with one wrong character is answered with the right one."""
    right = made(tmp_path).split("_")[1]
    result = token(tmp_path, command, ("a" if right[0] != "a" else "b") + right[1:])
    assert result.exit_code == 1
    assert f"did you mean {right}?" in result.stderr


def test_a_revoked_token_is_not_rotated(tmp_path: Path) -> None:
    """Rotating a revoked token is refused with what to do instead."""
    public = made(tmp_path).split("_")[1]
    token(tmp_path, "revoke", public)
    result = token(tmp_path, "rotate", public)
    assert (result.exit_code, result.stdout) == (1, "")
    assert "`tidegate token new`" in result.stderr


@pytest.mark.parametrize("arguments", [("list",), ("revoke", "aaaaaaaaaaaa"), ("rotate", "aaaaaaaaaaaa")])
def test_a_mistyped_directory_is_not_made(tmp_path: Path, arguments: tuple[str, ...]) -> None:
    """Only `new` makes a store: elsewhere a directory without one is an error, and stays as it was."""
    result = token(tmp_path / "mistyped", *arguments)
    assert result.exit_code == 1
    assert "check --data" in result.stderr
    assert not (tmp_path / "mistyped").exists()


def test_a_damaged_store_is_said_to_be_one(tmp_path: Path) -> None:
    """A file that is no database is reported as such, without a traceback."""
    (tmp_path / FILE_NAME).write_bytes(b"not a database" * 1000)
    result = token(tmp_path, "list")
    assert result.exit_code == 1
    assert "restore it from a backup" in result.stderr


def test_the_data_directory_can_come_from_the_environment(tmp_path: Path) -> None:
    """TIDEGATE_DATA stands in for --data."""
    result = CliRunner().invoke(token_group, list(NEW), env={"TIDEGATE_DATA": str(tmp_path)})
    assert result.exit_code == 0
    assert (tmp_path / FILE_NAME).exists()


COMMANDS = [(group, name) for group in (token_group, key_group) for name in sorted(group.commands)]


@pytest.mark.parametrize(("group", "name"), COMMANDS, ids=[f"{group.name} {name}" for group, name in COMMANDS])
def test_help_has_an_example(group: click.Group, name: str) -> None:
    """Each command's help shows an example that names the command itself."""
    result = CliRunner().invoke(group, [name, "--help"])
    assert result.exit_code == 0
    assert f"  tidegate {group.name} {name} --data " in result.stdout


@pytest.fixture
def past_epoch(tmp_path: Path) -> Epoch:
    """An epoch that ended long ago, with a key, and beside it one that still runs."""
    keyring = Keyring(tmp_path / DIRECTORY_NAME, ManualClock(PAST_MS))
    keyring.key("managed", 30, PAST_MS - 90 * MS_PER_DAY)
    keyring.key("managed", 366, SystemClock().now_ms())
    keyring.close()
    return Epoch(30, (PAST_MS - 90 * MS_PER_DAY) // (30 * MS_PER_DAY))


def key_states(data: Path) -> dict[str, str]:
    """State by epoch, as `tidegate key list --json` tells it."""
    return {record["epoch"]: record["state"] for record in json.loads(key(data, "list", "--json").stdout)}


def test_key_list(tmp_path: Path, past_epoch: Epoch) -> None:
    """The table has a line per epoch with its state."""
    result = key(tmp_path, "list")
    [line] = [line for line in result.stdout.splitlines() if str(past_epoch) in line]
    assert (result.exit_code, "managed" in line, "usable" in line) == (0, True, True)


@pytest.mark.parametrize(
    ("typed", "code", "state"),
    [
        pytest.param("y\n", 0, "destroyed", id="confirmed"),
        pytest.param("n\n", 1, "usable", id="declined"),
        pytest.param("", 1, "usable", id="no answer is no"),
    ],
)
def test_destroy_asks(tmp_path: Path, past_epoch: Epoch, typed: str, code: int, state: str) -> None:
    """Destroying says what becomes unlinkable and happens only when confirmed."""
    result = key(tmp_path, "destroy", "managed", str(past_epoch), typed=typed)
    assert result.exit_code == code
    assert "nobody can tell any more whose they are" in result.stderr
    assert "THE EPOCH STILL RUNS" not in result.stderr
    assert key_states(tmp_path)[str(past_epoch)] == state


def test_destroy_without_asking_is_repeatable(tmp_path: Path, past_epoch: Epoch) -> None:
    """With --yes nothing is asked, and a second time is no error."""
    results = [key(tmp_path, "destroy", "managed", str(past_epoch), "--yes") for _ in range(2)]
    assert [result.exit_code for result in results] == [0, 0]
    assert results[0].stdout == results[1].stdout
    assert key_states(tmp_path)[str(past_epoch)] == "destroyed"


def test_destroying_a_running_epoch_is_warned_of(tmp_path: Path, past_epoch: Epoch) -> None:
    """Whoever destroys the key of an epoch that still runs is told that the tier's reports will be refused."""
    [running] = set(key_states(tmp_path)) - {str(past_epoch)}
    result = key(tmp_path, "destroy", "managed", running, typed="n\n")
    assert "THE EPOCH STILL RUNS" in result.stderr


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        pytest.param(("manged", "2026-01-01.30d"), "did you mean managed?", id="a misspelt tier"),
        pytest.param(("managed", "2026-01-01.30d"), ".30d", id="an epoch that never was gets the nearest"),
    ],
)
def test_destroy_refuses_what_never_was(
    tmp_path: Path, past_epoch: Epoch, arguments: tuple[str, ...], words: str
) -> None:
    """A tier or epoch without a key is refused with the nearest names, and nothing is destroyed."""
    result = key(tmp_path, "destroy", *arguments, "--yes")
    assert (result.exit_code, result.stdout) == (1, "")
    assert words in result.stderr.replace("2026-01-01.30d", "")
    assert key_states(tmp_path)[str(past_epoch)] == "usable"


def test_key_commands_make_no_directory(tmp_path: Path) -> None:
    """A mistyped directory is an error, and stays as it was."""
    assert key(tmp_path / "mistyped", "list").exit_code == 1
    assert not (tmp_path / "mistyped").exists()
