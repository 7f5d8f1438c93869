"""The bench of the gate end to end, small: every figure is there. How large a figure is, is not asked."""

import os
import signal
import subprocess
from pathlib import Path
from typing import Any

import pytest

from load.comparison import raise_limits
from load.rounds import at_quantile
from schemas.catalogue import TIERS_DIRECTORY, load_catalogue
from tests.load.running_bench import PATIENCE_SECONDS, SEED, bench, children, measured, until

pytestmark = pytest.mark.bench

CASES = {
    "bare",
    "memory",
    "embedded",
    "naive",
    "naive_unvalidated",
    "embedded_alone",
    *(f"{log}_batch_{batch}" for log in ("memory", "embedded") for batch in (1, 10, 100)),
}


@pytest.fixture(scope="module")
def document(tmp_path_factory: pytest.TempPathFactory) -> Any:
    """What a small run prints as JSON."""
    return measured("gate", folder=tmp_path_factory.mktemp("bench"))


def test_every_case_has_its_figures(document: Any) -> None:
    """Every case has CPU and answer times, each with the lowest and highest round around the median."""
    assert set(document["gate"]["cases"]) == CASES
    for case in document["gate"]["cases"].values():
        for spread in (case["cpu_us_a_report"], case["answer_ms"]["p50"], case["answer_ms"]["p99"]):
            assert 0 < spread["lowest"] <= spread["median"] <= spread["highest"]


def test_batches_are_what_they_are_called(document: Any) -> None:
    """A case's name says how many reports a request carries."""
    found = {name: case["reports_a_request"] for name, case in document["gate"]["cases"].items()}
    assert found["memory"] == found["naive"] == found["memory_batch_1"] == 1
    assert found["embedded_batch_10"] == 10
    assert found["memory_batch_100"] == 100


def test_run_is_described(document: Any) -> None:
    """Seed, number of different contents, raised limits, machine and versions stand beside the figures."""
    run = document["gate"]["run"]
    assert run["seed"] == SEED
    assert run["different_bodies"] == run["rounds"] * run["reports_a_round"]
    assert set(run["raised_limits"]) == {"requests_per_second", "burst"}
    assert set(document["machine"]) >= {"processor", "cores", "python", "libraries"}


def test_memory_is_looked_at_before_and_at_three_steps(document: Any) -> None:
    """Memory is given at the start and after 1, 2 and 4 times the reports."""
    reports = [step["reports"] for step in document["gate"]["memory"]]
    assert reports == [0, reports[1], 2 * reports[1], 4 * reports[1]]
    assert all(step["mib"] > 0 for step in document["gate"]["memory"])


def test_only_what_was_chosen_is_measured(document: Any) -> None:
    """A run of one part has no figures of the others."""
    assert set(document) == {"machine", "gate"}


def test_small_run_judges_nothing(document: Any) -> None:
    """A small run names the targets and what it found, and no verdict."""
    assert [target["verdict"] for target in document["gate"]["targets"]] == ["not judged"] * 2
    assert {"validated", "unvalidated"} == set(document["gate"]["part_of_naive"])


@pytest.mark.parametrize(
    ("part", "number", "when"),
    [
        pytest.param("gate", signal.SIGINT, b"starting the servers", id="Ctrl-C while servers start"),
        pytest.param("gate", signal.SIGINT, b"warming up", id="Ctrl-C under way"),
        pytest.param("gate", signal.SIGTERM, b"warming up", id="told to end"),
        pytest.param("follower", signal.SIGINT, b"making three days", id="Ctrl-C while the follower is measured"),
        pytest.param("answers", signal.SIGTERM, b"publishing", id="told to end while a publication is made"),
    ],
)
def test_interrupted_run_ends_its_processes(part: str, number: signal.Signals, when: bytes, tmp_path: Path) -> None:
    """A run that is interrupted ends with 130, and neither a process nor a file of its own is left."""
    with (tmp_path / "stderr").open("wb") as stderr:
        process = subprocess.Popen(
            bench("--only", part, folder=tmp_path), stdout=subprocess.DEVNULL, stderr=stderr, start_new_session=True
        )
    try:
        until(lambda: when in (tmp_path / "stderr").read_bytes())
        until(lambda: children(process.pid))
        started = children(process.pid)
        os.killpg(process.pid, number)  # as a terminal does: the whole group at once
        assert process.wait(PATIENCE_SECONDS) == 130
    finally:
        process.kill()
        process.wait()
    assert [pid for pid in started if Path(f"/proc/{pid}").exists()] == []
    assert [file.name for file in tmp_path.iterdir()] == ["stderr"]


def test_only_the_rate_is_raised(tmp_path: Path) -> None:
    """The bench's policies are those that ship, one tier's rate and burst apart."""
    shipped, raised = load_catalogue(), load_catalogue(tiers=raise_limits(tmp_path / "tiers"))
    changed = {
        file.name: [
            new
            for old, new in zip(file.read_text().splitlines(), other.read_text().splitlines(), strict=True)
            if old != new
        ]
        for file in TIERS_DIRECTORY.glob("*.toml")
        if (other := tmp_path / "tiers" / file.name).read_text() != file.read_text()
    }
    assert {name: [line.split()[0] for line in lines] for name, lines in changed.items()} == {
        "managed.toml": ["requests_per_second", "burst"]
    }
    assert {key: plan.fingerprint for key, plan in raised.plans.items()} == {
        key: plan.fingerprint for key, plan in shipped.plans.items()
    }


@pytest.mark.parametrize(
    ("values", "quantile", "expected"),
    [
        pytest.param([3.0, 1.0, 2.0], 0.5, 2.0, id="the middle one"),
        pytest.param([float(n) for n in range(1, 101)], 0.99, 100.0, id="one in a hundred is above"),
        pytest.param([5.0], 0.99, 5.0, id="only one"),
    ],
)
def test_quantile(values: list[float], quantile: float, expected: float) -> None:
    """A quantile is one of the values, whatever their order."""
    assert at_quantile(values, quantile) == expected
