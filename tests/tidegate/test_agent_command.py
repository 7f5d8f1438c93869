"""`tidegate agent` is the agent's own command line."""

import pytest
from click.testing import CliRunner

from tidegate.cli import main


@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        pytest.param(["--help"], 0, "usage: tidegate agent", id="help"),
        pytest.param(["show", "--help"], 0, "--check", id="help of a command"),
        pytest.param([], 2, "COMMAND", id="nothing"),
        pytest.param(["--help"], 0, "tidegate agent routes --since 7d", id="an example"),
        pytest.param(["stats"], 2, "did you mean status?", id="a command nearby"),
        pytest.param(["status", "--colour"], 2, "--colour", id="an option that does not exist"),
        pytest.param(["status", "--directory", "/nowhere/at/all"], 1, "`tidegate agent init`", id="a refusal"),
    ],
)
def test_arguments_go_on(words: list[str], code: int, said: str) -> None:
    """What is typed behind `tidegate agent` reaches the agent as it is, and its exit code comes back."""
    result = CliRunner().invoke(main, ["agent", *words])
    assert (result.exit_code, said in result.output) == (code, True)
