"""The metrics of a process that answers, with a gate beside it or alone."""

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
