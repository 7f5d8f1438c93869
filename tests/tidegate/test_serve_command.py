"""`tidegate serve` as a process: what it prints where, how it ends, and what it says when it cannot start."""

import json
import signal
import socket
import subprocess
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner

from tests.running_gate import PATIENCE_SECONDS, running_gate, tier_files
from tidegate.cli import main
from tidegate.settings import Settings, flag


def serve(*arguments: object, cwd: Path) -> subprocess.CompletedProcess[str]:
    """`tidegate serve`, run until it ends by itself."""
    command = [sys.executable, "-m", "tidegate", "serve", *map(str, arguments)]
    return subprocess.run(command, cwd=cwd, capture_output=True, text=True, timeout=PATIENCE_SECONDS, check=False)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_one_line_on_stdout_and_a_good_end(tmp_path: Path, number: signal.Signals) -> None:
    """Stdout holds one line of JSON with the URLs, stderr JSON lines only, and a signal ends the gate with 0."""
    with running_gate(tmp_path, tiers=tier_files(tmp_path / "tiers")) as gate:
        assert gate.get("/healthz").status == 200
        assert gate.stop(number) == 0
    [line] = gate.stdout.splitlines()
    ready = json.loads(line)
    assert ready["event"] == "ready"
    assert ready["tiers"] == {tier: f"{ready['url']}/t/{tier}" for tier in ("byod", "contractor", "managed")}
    events = [json.loads(line)["event"] for line in gate.stderr.splitlines()]
    assert events[-1] == "gate_stopped"


def test_port_that_is_in_use(tmp_path: Path) -> None:
    """A port that somebody listens on ends the command with 1 and advice."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        done = serve("--data", tmp_path / "data", "--port", port, cwd=tmp_path)
    assert (done.returncode, done.stdout) == (1, "")
    assert f"Error: cannot listen on 127.0.0.1, port {port}: Address already in use" in done.stderr
    assert "--port; 0 is any free one" in done.stderr


def test_data_directory_that_another_gate_writes_to(tmp_path: Path) -> None:
    """A second gate on one data directory ends with 1 and says who has it."""
    tiers = tier_files(tmp_path / "tiers")
    with running_gate(tmp_path, tiers=tiers) as gate:
        done = serve("--data", gate.data, "--port", 0, cwd=tmp_path)
        assert done.returncode == 1
        assert f"pid {gate.process.pid}" in done.stderr
        assert "Traceback" not in done.stderr


def test_data_directory_that_is_a_file(tmp_path: Path) -> None:
    """A file in the place of the data directory ends the command with 1, its name and no traceback."""
    (tmp_path / "data").write_text("", encoding="utf-8")
    done = serve("--data", tmp_path / "data", "--port", 0, cwd=tmp_path)
    assert done.returncode == 1
    assert str(tmp_path / "data") in done.stderr
    assert "Traceback" not in done.stderr


def test_certificate_that_is_none(tmp_path: Path) -> None:
    """Files that are no certificate and key end the command with 1 and their names."""
    (tmp_path / "a.pem").write_text("nothing", encoding="utf-8")
    done = serve("--data", "data", "--port", 0, "--tls-certificate", "a.pem", "--tls-key", "a.pem", cwd=tmp_path)
    assert done.returncode == 1
    assert "a.pem and a.pem are no certificate and key" in done.stderr


def test_broken_policies_are_told_by_file_and_line(tmp_path: Path) -> None:
    """A policy with an unknown key ends the command with 1, file, line and what mends it."""
    tiers = tier_files(tmp_path / "tiers")
    file = tiers / "byod.toml"
    text = file.read_text(encoding="utf-8")
    file.write_text(text.replace("min_tasks_per_row", "min_task_per_row"), encoding="utf-8")
    done = serve("--data", "data", "--port", 0, "--tiers", tiers, cwd=tmp_path)
    assert done.returncode == 1
    line = text.splitlines().index("min_tasks_per_row = 3") + 1
    assert f"{file}:{line}: min_task_per_row" in done.stderr
    assert "fix: remove it, or did you mean min_tasks_per_row?" in done.stderr


def test_wrong_settings_are_wrong_usage(tmp_path: Path) -> None:
    """A setting that is refused ends the command with 2."""
    result = CliRunner().invoke(main, ["serve", "--data", str(tmp_path), "--port", "http"])
    assert result.exit_code == 2
    assert "--port: Input should be a valid integer" in result.stderr


def test_config_by_flag_beats_config_by_variable(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """--config is read instead of the file that TIDEGATE_CONFIG names."""
    (tmp_path / "flag.toml").write_text('port = "by flag"\n', encoding="utf-8")
    (tmp_path / "variable.toml").write_text('port = "by variable"\n', encoding="utf-8")
    monkeypatch.setenv("TIDEGATE_CONFIG", str(tmp_path / "variable.toml"))
    by_variable = CliRunner().invoke(main, ["serve", "--data", str(tmp_path)])
    by_flag = CliRunner().invoke(main, ["serve", "--data", str(tmp_path), "--config", str(tmp_path / "flag.toml")])
    assert "variable.toml: port" in by_variable.stderr
    assert "flag.toml: port" in by_flag.stderr


def test_help_has_every_setting() -> None:
    """Each setting is an option with its description, its default and what a value looks like."""
    result = CliRunner().invoke(main, ["serve", "--help"])
    for name in Settings.model_fields:
        assert flag(name) in result.stdout
    for part in ("[embedded|memory|kafka]", "SECONDS", "DIRECTORY", "[default: 8080]", "[required]", "TIDEGATE_CONFIG"):
        assert part in result.stdout
