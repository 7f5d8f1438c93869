"""What spans cost a process that reports them: the standard library, and nothing of OpenTelemetry."""

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[3]
FOREIGN = ("opentelemetry", "google", "fastavro", "ssl", "sqlite3", "asyncio", "pydantic")

REPORTER = "import reporter"
PROCESSOR = """
from reporter.otel.processor import TidegateSpanProcessor
TidegateSpanProcessor(None)
"""
RECEIVER = """
from reporter.clock import SystemClock
from reporter.otel.receiver import Receiver
from reporter.otel.table import Table
Receiver(None, Table(), clock=SystemClock(), port=0).close()
"""


@pytest.mark.parametrize(
    ("program", "modules", "loaded"),
    [
        pytest.param(REPORTER, ("reporter.otel",), set(), id="who reports no spans loads nothing of this"),
        pytest.param(PROCESSOR, (*FOREIGN, "http"), set(), id="the processor needs no HTTP"),
        pytest.param(RECEIVER, FOREIGN, {"ssl"}, id="the receiver needs no library; http.server loads ssl itself"),
    ],
)
def test_only_what_is_needed_is_loaded(program: str, modules: tuple[str, ...], loaded: set[str]) -> None:
    """A fresh interpreter has none of these modules at the end of a program."""
    text = f"import sys\n{program}\nprint(*(name for name in {modules!r} if name in sys.modules))"
    run = subprocess.run([sys.executable, "-c", text], cwd=ROOT, capture_output=True, text=True, check=True, timeout=60)
    assert set(run.stdout.split()) == loaded
