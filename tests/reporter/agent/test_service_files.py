"""The files with which a system starts the agent."""

import os
import plistlib
import shutil
import subprocess
from configparser import RawConfigParser
from pathlib import Path, PurePosixPath

import pytest

from reporter.agent.command import parser
from reporter.agent.running import END_SECONDS

FOLDER = Path(__file__).resolve().parents[3] / "deploy" / "agent"
UNIT = FOLDER / "tidegate-agent.service"
PROGRAM = "tidegate-agent"


def unit() -> RawConfigParser:
    """The unit by its sections."""
    found = RawConfigParser(strict=True, delimiters=("=",))
    found.optionxform = str  # type: ignore[assignment,method-assign]  # names of systemd keep their case
    found.read(UNIT, encoding="utf-8")
    return found


def plist() -> dict[str, object]:
    """The plist by its keys."""
    found: dict[str, object] = plistlib.loads((FOLDER / "org.tidegate.agent.plist").read_bytes())
    return found


def test_the_unit_runs_the_agent() -> None:
    """The unit starts what the command line knows, reloads with SIGHUP, and waits until the agent has ended."""
    service = unit()["Service"]
    program, *words = service["ExecStart"].split()
    assert (PurePosixPath(program).name, parser(PROGRAM).parse_args(words).command) == (PROGRAM, "run")
    assert service["ExecReload"].split()[1] == "-HUP"
    assert float(service["TimeoutStopSec"]) > END_SECONDS
    assert service["UMask"] == "0077"


def test_the_plist_runs_the_agent() -> None:
    """The plist starts what the command line knows, and waits until the agent has ended."""
    found = plist()
    arguments = found["ProgramArguments"]
    assert isinstance(arguments, list)
    assert (PurePosixPath(arguments[0]).name, parser(PROGRAM).parse_args(arguments[1:]).command) == (PROGRAM, "run")
    assert found["Umask"] == 0o077
    assert isinstance(found["ExitTimeOut"], int)
    assert found["ExitTimeOut"] > END_SECONDS


@pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="systemd-analyze is not on this machine")
def test_systemd_understands_the_unit(tmp_path: Path) -> None:
    """The system that reads the unit finds nothing wrong with it."""
    program = tmp_path / ".local" / "bin" / PROGRAM
    program.parent.mkdir(parents=True)
    program.write_text("#!/bin/sh\n", encoding="ascii")
    program.chmod(0o755)
    environment = {**os.environ, "HOME": str(tmp_path), "XDG_RUNTIME_DIR": str(tmp_path)}
    command = ["systemd-analyze", "--user", "verify", str(UNIT)]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=60, check=False)
    assert (done.returncode, done.stderr) == (0, "")
