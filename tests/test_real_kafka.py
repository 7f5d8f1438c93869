"""A run of tests without a real broker says so, and fails where one is required."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

A_FILE_ON_KAFKA = "tests/load/broker/test_cluster.py"


@pytest.mark.parametrize("workers", ["0", "2"])
def test_said_in_the_summary(tmp_path: Path, workers: str) -> None:
    """Without Java the tests that need a broker are skipped, and the summary names each of them."""
    code, said = run(tmp_path, workers, required="")
    assert code == 0, said
    _, _, summary = said.partition("tests of Kafka that were not run on a real broker")
    assert "not run: 4" in summary
    assert f"{A_FILE_ON_KAFKA}::test_rolling_restart" in summary
    assert "there is no java on PATH" in summary


def test_required(tmp_path: Path) -> None:
    """Under REQUIRE_KAFKA=1 the same tests fail, and say what is missing."""
    code, said = run(tmp_path, "0", required="1")
    assert code == 1
    assert "4 errors" in said
    assert "REQUIRE_KAFKA=1, and there is no real broker: there is no java on PATH" in said


def run(empty: Path, workers: str, *, required: str) -> tuple[int, str]:
    """Exit code and output of pytest over one file, where no program is on PATH."""
    surroundings = {"PATH": str(empty), "JAVA_HOME": "", "KAFKA_BOOTSTRAP": "", "REQUIRE_KAFKA": required}
    done = subprocess.run(
        [sys.executable, "-m", "pytest", A_FILE_ON_KAFKA, "-n", workers, "-p", "no:cacheprovider"],
        env={**os.environ, **surroundings},
        cwd=Path(__file__).parent.parent,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    return done.returncode, done.stdout
