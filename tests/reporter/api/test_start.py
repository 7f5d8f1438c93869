"""What the library costs an application that has not reported anything yet."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[3]
LATE = ("fastavro", "ssl", "http.client", "sqlite3", "asyncio", "socket", "subprocess", "schemas")
UNNEEDED = {"zipfile", "tempfile", "shutil", "importlib.resources", "encodings.idna"}
SEEN = f"import sys; print(*(name for name in {LATE!r} if name in sys.modules))"
CONFIGURED = 'reporter.configure("https://gate.example/t/managed", "token")'
OBSERVED = "task = reporter.task(planned='edge')"


@pytest.mark.parametrize(
    "program",
    [
        pytest.param("", id="imported"),
        pytest.param(CONFIGURED, id="configured"),
        pytest.param(f"{CONFIGURED}; {OBSERVED}", id="a task has begun"),
    ],
)
def test_modules_are_loaded_when_they_are_needed(tmp_path: Path, program: str) -> None:
    """Neither Avro nor SQLite nor anything of the network is there before the first task has ended."""
    environment = {**os.environ, "TIDEGATE_REPORTER_DIR": str(tmp_path)}
    text = f"import reporter\n{program}\n{SEEN}"
    run = subprocess.run(
        [sys.executable, "-c", text], cwd=ROOT, env=environment, capture_output=True, text=True, check=True, timeout=60
    )
    assert run.stdout.split() == []


def test_modules_that_are_never_needed(tmp_path: Path) -> None:
    """A process that has encoded, queued and tried to send holds nothing for archives or other scripts."""
    text = f"""
import sys, reporter
reporter.configure("https://localhost:9/t/managed", "token", directory={os.fspath(tmp_path)!r})
with reporter.task(planned="edge"):
    pass
reporter.flush(30)
print("fastavro" in sys.modules, "ssl" in sys.modules)
print(*{UNNEEDED!r} & sys.modules.keys())
"""
    run = subprocess.run([sys.executable, "-c", text], cwd=ROOT, capture_output=True, text=True, check=True, timeout=60)
    assert run.stdout == "True True\n\n"
