"""The metrics of a process that answers, with a gate beside it or alone."""

import time
from pathlib import Path

import pytest

from ingest.telemetry import process_numbers
from ingest.telemetry.metrics import Metrics
from tests.ingest.follower_numbers import answers_sources

GATE = "00112233445566778899aabbccddeeff"


def samples(metrics: Metrics) -> dict[str, float]:
    """Every sample of the Prometheus text by its name and labels, as they are printed."""
    lines = (line.rpartition(" ") for line in metrics.prometheus_text().decode().splitlines() if line[:1] != "#")
    return {name: float(value) for name, _, value in lines}


def test_follower_and_publications_are_shown() -> None:
    """What the follower read, how far behind it is, its state and the age of the newest publication are shown."""
    metrics = Metrics(answers_sources(), gate_id=GATE)
    found = samples(metrics)
    assert found["tidegate_follower_lag"] == 11
    assert found['tidegate_follower_reports_total{result="duplicate"}'] == 2
    assert found['tidegate_follower_state{state="following"}'] == 1
    assert found['tidegate_follower_state{state="stopped"}'] == 0
    assert found['tidegate_follower_why{why="no_space"}'] == 1
    assert found['tidegate_follower_why{why="fault"}'] == 0
    assert found["tidegate_publication_age_seconds"] == 12.5
    metrics.shutdown()


def test_nothing_published_has_no_age() -> None:
    """Without a publication its age is absent, which no number could say; a process without a gate has no gate's."""
    metrics = Metrics(answers_sources(age=None), gate_id=GATE)
    names = {name.partition("{")[0] for name in samples(metrics)}
    assert "tidegate_publication_age_seconds" not in names
    assert {"tidegate_follower_lag", "tidegate_gate_policy_reloads_total"} <= names
    assert "tidegate_gate_ready" not in names
    metrics.shutdown()


def test_the_process_says_what_it_uses() -> None:
    """CPU, memory and age of the process are shown; what was used in between is in the next scrape."""
    metrics = Metrics(gate_id=GATE)
    before, spent = samples(metrics), time.process_time() + 0.05
    held = bytearray(b"x" * 50_000_000)
    while time.process_time() < spent:
        pass
    after = samples(metrics)
    assert after["process_cpu_time_seconds_total"] >= before["process_cpu_time_seconds_total"] + 0.05
    assert after["process_memory_usage_bytes"] >= before["process_memory_usage_bytes"] + len(held) / 2
    assert after["process_uptime_seconds"] > before["process_uptime_seconds"] >= 0
    metrics.shutdown()


def test_memory_is_absent_where_nobody_knows_it(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Where the system has no /proc the memory is left out, and the rest is shown."""
    monkeypatch.setattr(process_numbers, "STATM", tmp_path / "statm")
    metrics = Metrics(gate_id=GATE)
    found = samples(metrics)
    assert "process_memory_usage_bytes" not in found
    assert "process_cpu_time_seconds_total" in found
    metrics.shutdown()
