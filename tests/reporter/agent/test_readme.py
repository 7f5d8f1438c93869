"""The README's device section, typed as it stands, ends in a report that can be seen."""

import os
import subprocess
import sys
from pathlib import Path

from reporter.directory import VARIABLE
from tests.documents import ROOT, page
from tests.running_gate import running_gate, tier_files

SECTION = "## A device in five minutes"
SERVE = "tidegate serve "


def test_a_device_in_five_minutes(tmp_path: Path) -> None:
    """A token, `init` and ten lines of Python make reports which the device counts as accepted and the gate shows."""
    text = page("README.md").text.partition(SECTION)[2].partition("\n## ")[0]
    assert text
    (application,) = [block.partition("```")[0] for block in text.split("```python\n")[1:]]
    (tmp_path / "app.py").write_text(application, encoding="utf-8")
    commands = [line.removeprefix("$ ") for line in text.splitlines() if line.startswith("$ ")]
    environment = {
        **os.environ,
        VARIABLE: str(tmp_path / "device"),
        "PYTHONPATH": str(ROOT),
        "PATH": os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]]),
    }
    with running_gate(tmp_path, tiers=tier_files(tmp_path / "tiers")) as gate:
        said = {
            command.partition("#")[0].strip(): subprocess.run(  # noqa: S602  # as a person types it
                command.replace("http://127.0.0.1:8080", gate.url).replace("./data", str(gate.data)),
                shell=True,
                cwd=tmp_path,
                env=environment,
                capture_output=True,
                text=True,
                timeout=60,
                check=True,
            ).stdout
            for command in commands
            if not command.startswith(SERVE)
        }
    assert sum(command.startswith(SERVE) for command in commands) == 1
    assert "would take a report" in next(out for command, out in said.items() if " init " in command)
    assert "4 reports of 4" in said["tidegate agent status"]
    tail = next(out for command, out in said.items() if "log tail" in command)
    assert '"planned_route": "on_device"' in tail
    assert '"tokens_in": 120' in tail
    assert "would store it" in said["tidegate agent show --sample --check"]
    assert "No: none of 1 task" in said["tidegate agent routes --all"]
