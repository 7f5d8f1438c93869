"""docs/http.md and docs/problems.md are true: every example is run against a gate, every list is the code's own."""

import doctest
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from ingest.body import MAX_BODY, MAX_RATIO, MAX_REPORTS
from ingest.pipeline import CUT
from ingest.problems_page import page
from tests.running_gate import RunningGate, running_gate, tier_files
from tidegate.settings import Settings

ROOT = Path(__file__).resolve().parents[2]
HTTP = (ROOT / "docs" / "http.md").read_text(encoding="utf-8")

BLOCK = re.compile(r"^```(?P<kind>\w+)\n(?P<text>.*?)^```$", re.MULTILINE | re.DOTALL)
EXPECTED = {"json", "http"}
"""The kinds of block that show what the commands before them print; three dots stand for anything."""


@pytest.fixture(scope="module")
def gate(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningGate]:
    """A gate under the policies that ship."""
    folder = tmp_path_factory.mktemp("gate")
    with running_gate(folder, tiers=tier_files(folder / "tiers")) as running:
        yield running


def run(kind: str, text: str, *, folder: Path, gate: RunningGate) -> str:
    """What a block of commands prints, in `folder`."""
    environment = os.environ | {"GATE": gate.url, "TOKEN": gate.tokens["managed"]}
    program = [sys.executable, "-W", "ignore", "-c"] if kind == "python" else ["/bin/sh", "-euc"]
    done = subprocess.run(
        [*program, text], cwd=folder, env=environment, capture_output=True, text=True, check=False, timeout=60
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.replace("\r\n", "\n")


def test_every_example_is_true(gate: RunningGate, tmp_path: Path) -> None:
    """Every command of docs/http.md, run in the order of the page, prints what the page says."""
    if shutil.which("curl") is None:
        pytest.skip("there is no curl on this machine")
    (tmp_path / "schemas").symlink_to(ROOT / "schemas")
    printed, compared = "", 0
    for block in BLOCK.finditer(HTTP):
        kind, text = block["kind"], block["text"]
        if kind not in EXPECTED:
            printed = run(kind, text, folder=tmp_path, gate=gate)
            continue
        compared += 1
        flags = doctest.ELLIPSIS | doctest.NORMALIZE_WHITESPACE
        assert doctest.OutputChecker().check_output(text, printed + "\n", flags), f"not {text}but {printed}"
    assert compared == 5


def test_the_page_has_every_media_type_and_limit() -> None:
    """Media types, limits and the default of the body's timeout stand on the page as they are in the code."""
    for media_type in CUT:
        assert f"| `{media_type}` |" in HTTP
    assert f"| {MAX_BODY >> 20} MiB |" in HTTP
    assert f"| {MAX_RATIO} to 1 |" in HTTP
    assert f"| {MAX_REPORTS:,} |" in HTTP
    assert f"| {Settings.model_fields['body_timeout_seconds'].default:.0f} s (`--body-timeout-seconds`) |" in HTTP


def test_the_page_has_every_path(gate: RunningGate) -> None:
    """Every path that the gate describes to machines is on the page for people."""
    for path in gate.get("/openapi.json").document["paths"]:
        assert re.sub(r"\{name\}", "<reason>", path) in HTTP


def test_the_problems_are_those_of_the_code() -> None:
    """docs/problems.md is what `python -m ingest.problems_page` prints."""
    assert (ROOT / "docs" / "problems.md").read_text(encoding="utf-8") == page()
