"""What holds for every command alike: help with examples and exit codes, and how wrong names are met."""

import subprocess
import sys
from collections.abc import Iterator

import click
import pytest
from click.testing import CliRunner

from tests.running_gate import PATIENCE_SECONDS
from tidegate.cli import main


def commands(group: click.Group, *path: str) -> Iterator[tuple[tuple[str, ...], click.Command]]:
    """Every command with the words that call it."""
    for name, command in group.commands.items():
        yield (*path, name), command
        if isinstance(command, click.Group):
            yield from commands(command, *path, name)


ALL = [pytest.param(path, command, id=" ".join(path)) for path, command in commands(main)]


def test_the_commands_of_this_release() -> None:
    """The commands are those that are documented, and no other."""
    assert {path for path, command in commands(main) if not isinstance(command, click.Group)} == {
        ("serve",),
        ("demo",),
        ("fleet",),
        ("ask",),
        ("agent",),
        ("rebuild",),
        ("gap",),
        ("strip",),
        ("log", "tail"),
        ("log", "stats"),
        ("topics", "plan"),
        ("topics", "apply"),
        ("topics", "acls"),
        ("token", "new"),
        ("token", "list"),
        ("token", "rotate"),
        ("token", "revoke"),
        ("manifest", "put"),
        ("manifest", "show"),
        ("manifest", "history"),
        ("manifest", "example"),
        ("prices", "put"),
        ("prices", "show"),
        ("prices", "history"),
        ("prices", "example"),
        ("key", "list"),
        ("key", "destroy"),
        ("schema", "lint"),
        ("schema", "show"),
        ("schema", "compatible"),
        ("policy", "show"),
        ("policy", "matrix"),
        ("policy", "explain"),
    }


@pytest.mark.parametrize(("path", "command"), ALL)
def test_help_is_worth_reading(path: tuple[str, ...], command: click.Command) -> None:
    """--help of each command has an example that calls it, and its group or itself says the exit codes."""
    shown = CliRunner().invoke(main, [*path, "--help"]).stdout
    group = CliRunner().invoke(main, [*path[:-1], "--help"]).stdout
    assert "Exit codes" in shown + group
    if not isinstance(command, click.Group):
        assert f"  tidegate {' '.join(path)}" in shown or f"tidegate {' '.join(path)} " in shown


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        pytest.param(["polcy"], "No such command 'polcy'", id="a command"),
        pytest.param(["serv"], "Did you mean 'serve'?", id="a command nearby"),
        pytest.param(["policy", "shw"], "Did you mean 'show'?", id="a command of a group"),
        pytest.param(["policy", "show", "byodd"], "did you mean byod", id="a tier"),
        pytest.param(["schema", "show", "route_windw"], "did you mean route_window", id="a report"),
        pytest.param(["schema", "show", "route_window.v9"], "did you mean route_window.v1", id="a version"),
        pytest.param(["policy", "explain", "byod", "user_mail"], "did you mean user_email", id="a field"),
        pytest.param(["policy", "explain", "byod", "model"], "did you mean rows.model?", id="the end of a path"),
        pytest.param(["policy", "matrix", "--report", "routewindow"], "did you mean route_window", id="an option's"),
    ],
)
def test_unknown_name_is_met_with_the_nearest(arguments: list[str], said: str) -> None:
    """A name that does not exist ends a command with 2 and the name that was perhaps meant."""
    result = CliRunner().invoke(main, arguments)
    assert result.exit_code == 2
    assert said in result.stderr


@pytest.mark.parametrize("form", ["table", "json", "csv", "markdown"])
def test_reader_that_goes_away(form: str) -> None:
    """A command whose output is not read to its end says nothing about it on stderr."""
    command = [sys.executable, "-m", "tidegate", "policy", "matrix", "--format", form]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        assert process.stdout.readline()
        process.stdout.close()
        assert process.stderr.read() == b""
        process.wait(PATIENCE_SECONDS)
