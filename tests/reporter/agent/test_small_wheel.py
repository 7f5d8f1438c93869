"""The distribution for devices: built here, installed where nothing is but fastavro, and used as its page says."""

import json
import os
import re
import subprocess
import sys
import sysconfig
import tomllib
import venv
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass
from importlib.metadata import Distribution
from pathlib import Path

import pytest

from reporter.directory import VARIABLE
from tests.running_gate import RunningGate, running_gate, tier_files

ROOT = Path(__file__).resolve().parents[3]
PROJECT = tomllib.loads((ROOT / "deploy/agent/pyproject.toml").read_text(encoding="utf-8"))["project"]
WHOLE = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]

APPLICATION = """
import json, sys, reporter
with reporter.task(data_class="internal", planned="on_device") as task:
    task.ran_on("on_device", model="pocket-chat", version="2.1")
sent = reporter.flush(20)
ours = {name.partition(".")[0] for name in sys.modules}
print(json.dumps({"sent": sent, "file": reporter.__file__, "modules": sorted(ours - sys.stdlib_module_names)}))
"""


@dataclass(frozen=True, slots=True)
class Installed:
    """An environment of its own, and a folder with nothing in it."""

    bin: Path
    site: Path
    cwd: Path

    def run(self, program: str, *arguments: str, stdin: str = "") -> str:
        """What the program prints; a status other than 0 fails the test."""
        done = subprocess.run(
            [self.bin / program, *arguments],
            cwd=self.cwd,
            env={"PATH": os.defpath, VARIABLE: str(self.cwd / "device")},
            input=stdin,
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
        assert done.returncode == 0, done.stderr
        return done.stdout


def _python(*arguments: str | Path) -> None:
    environment = {name: value for name, value in os.environ.items() if not name.startswith("PYTHON")}
    subprocess.run([sys.executable, *arguments], env=environment, stdout=subprocess.DEVNULL, timeout=120, check=True)


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The wheel of this checkout, built with the tools that are installed already."""
    folder = tmp_path_factory.mktemp("dist")
    _python("-m", "build", "--wheel", "--no-isolation", "--outdir", folder, ROOT / "deploy" / "agent")
    (built,) = folder.glob("*.whl")
    return built


@pytest.fixture(scope="module")
def installed(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Installed:
    """The wheel in a new environment, to which fastavro alone is lent by the one that runs the tests."""
    home = tmp_path_factory.mktemp("installed")
    venv.create(home, with_pip=False, symlinks=True)
    site = Path(sysconfig.get_path("purelib", "venv", {"base": str(home), "platbase": str(home)}))
    fastavro = Distribution.from_name("fastavro")
    for top in {Path(str(file)).parts[0] for file in fastavro.files or () if ".." not in str(file)}:
        (site / top).symlink_to(Path(str(fastavro.locate_file(top))))
    _python("-m", "pip", "--python", home / "bin" / "python", "install", "--quiet", "--no-index", wheel)
    return Installed(bin=home / "bin", site=site, cwd=tmp_path_factory.mktemp("elsewhere"))


@pytest.fixture(scope="module")
def gate(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningGate]:
    """A gate that was installed whole."""
    folder = tmp_path_factory.mktemp("gate")
    with running_gate(folder, tiers=tier_files(folder / "tiers")) as running:
        yield running


def test_it_is_the_same_release() -> None:
    """Both distributions have one version, one Python and one fastavro."""
    assert PROJECT["version"] == WHOLE["version"]
    assert PROJECT["requires-python"] == WHOLE["requires-python"]
    assert set(PROJECT["dependencies"]) <= set(WHOLE["dependencies"])


def test_it_holds_the_reporter_and_the_schemas(wheel: Path) -> None:
    """Every file of `reporter` and every report schema is in the wheel, and nothing of the gate."""
    expected = {
        file.relative_to(ROOT).as_posix()
        for place in ("reporter", "schemas/reports")
        for file in (ROOT / place).rglob("*")
        if file.is_file() and "__pycache__" not in file.parts
    }
    names = {name for name in zipfile.ZipFile(wheel).namelist() if ".dist-info/" not in name}
    assert names == expected | {"schemas/__init__.py"}


def test_a_device_reports_with_it(installed: Installed, gate: RunningGate) -> None:
    """With this wheel and fastavro alone a device is set up, an application reports, and the gate has its report."""
    before = len([entry for entry in gate.entries() if ".route_window." in entry.topic])
    endpoint = f"{gate.url}/t/managed"
    said = installed.run("tidegate-agent", "init", endpoint, stdin=gate.tokens["managed"])
    assert "would take a report" in said
    assert "Next: `tidegate-agent run`" in said
    told = json.loads(installed.run("python", "-c", APPLICATION))
    assert told["sent"]
    assert told["file"] == str(installed.site / "reporter" / "__init__.py")
    assert "fastavro" in told["modules"]
    assert not {"click", "pydantic", "ingest", "tidegate"} & set(told["modules"])
    stored = [gate.decoded(entry) for entry in gate.entries() if ".route_window." in entry.topic][before:]
    assert [row["tasks"] for one in stored for row in one["rows"]] == [1]
    assert stored[0]["agent_version"] == PROJECT["version"]
    assert "No: none of 1 task" in installed.run("tidegate-agent", "routes")
    assert re.search(r"accepted +(\d) reports of \1\n", installed.run("tidegate-agent", "status"))
