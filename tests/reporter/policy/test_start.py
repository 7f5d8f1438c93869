"""What the policy side of the reporter costs a host application that has not made a report yet: nothing to speak of."""

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[3]
LATE = ("fastavro", "ssl", "http", "sqlite3", "asyncio", "pydantic", "schemas")

IMPORT = "import sys; from reporter import messages, policy, strip"
SEEN = f"print(*(name for name in {LATE!r} if name in sys.modules))"

STRIP = """
values = {"report_id": bytes(16), "window_start": 0, "window_end": 1, "hardware_tier": "small"}
stripped = strip.strip(values, "health_window", policy.LEAST, frozenset())
"""
ENCODE = "message = messages.encode('health_window', stripped.values)"


def loaded_after(*program: str) -> set[str]:
    """Which of the late modules a fresh interpreter has at the end of a program."""
    text = "\n".join((IMPORT, *program, SEEN))
    run = subprocess.run([sys.executable, "-c", text], cwd=ROOT, capture_output=True, text=True, check=True, timeout=60)
    return set(run.stdout.split())


@pytest.mark.parametrize(
    ("program", "loaded"),
    [
        pytest.param((), set(), id="imported"),
        pytest.param(("policy.LEAST.takes('health_window')",), set(), id="asked about a report"),
        pytest.param((STRIP,), {"schemas"}, id="the schema is read for the first report"),
        pytest.param((STRIP, ENCODE), {"schemas", "fastavro"}, id="Avro is needed for the first message"),
    ],
)
def test_modules_are_loaded_when_they_are_needed(program: tuple[str, ...], loaded: set[str]) -> None:
    """Nothing but the standard library is there before the first report, and never anything of HTTP or TLS."""
    assert loaded_after(*program) == loaded
