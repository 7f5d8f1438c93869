"""`tidegate fleet`: what it posts, what it says of it, and with which exit code."""

import json
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from ingest.access.tokens import FILE_NAME, TokenStore
from ingest.clock import SystemClock
from load.fleet.models import manifest_document, prices_document
from schemas.manifest import load_manifest
from schemas.prices import load_prices
from tests.running_gate import eventually, running_gate, tier_files
from tidegate.cli.fleet import fleet_command

TIERS = ("managed", "byod", "contractor")
NOBODY = "http://127.0.0.1:9"


def fleet(*arguments: str) -> Result:
    """Run `tidegate fleet`."""
    return CliRunner().invoke(fleet_command, [*arguments])


def token_options(folder: Path, tokens: dict[str, str]) -> list[str]:
    """A file for each token, and the options that name them."""
    for tier, text in tokens.items():
        (folder / f"{tier}.token").write_text(f"{text}\n", encoding="ascii")
    return [part for tier in tokens for part in ("--token", f"{tier}={folder / tier}.token")]


def test_documents_are_written(tmp_path: Path) -> None:
    """The fleet's manifest and prices are written as files that can be posted, without any gate."""
    manifest, prices = tmp_path / "manifest.toml", tmp_path / "prices.toml"
    result = fleet("--write-manifest", str(manifest), "--write-prices", str(prices))
    assert result.exit_code == 0, result.stderr
    assert load_manifest(manifest) == type(load_manifest(manifest)).model_validate(manifest_document())
    assert load_prices(prices) == type(load_prices(prices)).model_validate(prices_document())
    assert "manifest put" in result.stderr


def test_fleet_is_posted(tmp_path: Path) -> None:
    """With the gate's data directory a small fleet is posted whole, and the tokens made for it are revoked after it."""
    with running_gate(tmp_path, tiers=tier_files(tmp_path / "tiers")) as gate:
        common = ["--url", gate.url, "--devices", "12", "--days", "1", "--json"]
        first = fleet(*common, "--data", str(gate.data))
        second = fleet(*common, *token_options(tmp_path, gate.tokens))
    assert first.exit_code == second.exit_code == 0, first.stderr + second.stderr
    account = json.loads(first.stdout)
    assert account["left"] == 0
    assert account["reports"] > 50
    assert account["in_doubt"] == account["unsent"] == 0
    store = TokenStore(gate.data / FILE_NAME, SystemClock())
    made = [token for token in store.tokens() if token.label == "tidegate fleet"]
    store.close()
    assert {token.tier for token in made} == set(TIERS)
    assert all(token.state(SystemClock().now_ms()) == "revoked" for token in made)


def test_account_is_told_in_words(tmp_path: Path) -> None:
    """Without --json the account is lines of text on stdout."""
    with running_gate(tmp_path, tiers=tier_files(tmp_path / "tiers")) as gate:
        result = fleet("--url", gate.url, "--devices", "3", "--days", "1", *token_options(tmp_path, gate.tokens))
    assert result.exit_code == 0
    assert "reports accepted" in result.stdout
    assert "0 in doubt" in result.stdout


WRONG = [
    pytest.param([], 2, "--url", id="nothing to do"),
    pytest.param(["--url", "gate.example"], 2, "http://host:port", id="no URL"),
    pytest.param(["--url", NOBODY], 2, "--data", id="no tokens"),
    pytest.param(["--url", NOBODY, "--token", "managed"], 2, "TIER=FILE", id="token without its file"),
    pytest.param(["--url", NOBODY, "--token", "managed={folder}/none"], 1, "cannot be read", id="no such file"),
    pytest.param(
        ["--url", NOBODY, "--token", "managed={folder}/broken.csv"], 1, "token alone", id="file of something else"
    ),
    pytest.param(["--url", NOBODY, "--data", "{folder}"], 1, "tokens.sqlite3 is not there", id="no data directory"),
    pytest.param(["--url", NOBODY, "{tokens}", "--trace", "{folder}/broken.csv"], 1, "line 1", id="broken trace"),
    pytest.param(["--url", NOBODY, "{tokens}", "--devices", "1"], 1, "nobody answers", id="no gate"),
    pytest.param(["--write-prices", "{folder}/none/prices.toml"], 1, "cannot be written", id="no place to write"),
]


@pytest.mark.parametrize(("arguments", "code", "said"), WRONG)
def test_wrong_use_is_told(arguments: list[str], code: int, said: str, tmp_path: Path) -> None:
    """What cannot be done is refused in words that say what to do, without a trace of Python."""
    (tmp_path / "broken.csv").write_text("no header\n", encoding="utf-8")
    tokens = token_options(tmp_path, dict.fromkeys(TIERS, "tg_made_up"))
    given = [
        part
        for argument in arguments
        for part in (tokens if argument == "{tokens}" else [argument.format(folder=tmp_path)])
    ]
    result = fleet(*given)
    assert result.exit_code == code, result.output
    assert said in result.output.replace("\n", " ")
    assert isinstance(result.exception, SystemExit)


def test_interrupted_run_says_what_was_done(tmp_path: Path) -> None:
    """Ctrl-C ends a run with the account of what was done so far, exit code 1, and the tokens revoked."""
    with running_gate(tmp_path, tiers=tier_files(tmp_path / "tiers")) as gate:
        command = [sys.executable, "-m", "tidegate", "fleet", "--url", gate.url, "--data", str(gate.data), "--json"]
        process = subprocess.Popen(
            [*command, "--devices", "400", "--connections", "1"],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        eventually(lambda: sum_of(gate.metrics(), "tidegate_gate_reports_total") > 100, "the fleet had begun")
        process.send_signal(signal.SIGINT)
        stdout, stderr = process.communicate(timeout=30)
    assert process.returncode == 1, stderr
    account = json.loads(stdout)
    assert account["left"] > 0
    assert account["reports"] >= 50
    assert "Traceback" not in stderr


def sum_of(samples: dict[str, float], name: str) -> float:
    """The sum of a metric over its labels."""
    return sum(value for sample, value in samples.items() if sample.startswith(name))
