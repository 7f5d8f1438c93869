"""The bench on Kafka end to end, small: each figure stands beside the same on the embedded log."""

from typing import Any

import pytest

from load.kafka_part import CONNECTIONS, LOGS, named
from tests.load.running_bench import SEED, measured

pytestmark = [pytest.mark.bench, pytest.mark.kafka]


@pytest.fixture(scope="module")
def document(tmp_path_factory: pytest.TempPathFactory) -> Any:
    """What a small run prints as JSON; the gate's part comes first, as it does where everything is measured."""
    return measured("gate", "kafka", folder=tmp_path_factory.mktemp("bench"))["kafka"]


def test_gates_stand_side_by_side(document: Any) -> None:
    """Each log has CPU, rate and times to an answer, over few connections and over many."""
    assert set(document["gates"]) == {named(log, connections) for log in LOGS for connections in CONNECTIONS}
    for one in document["gates"].values():
        assert one["cpu_us_a_report"]["lowest"] > 0
        assert one["reports_a_second"]["lowest"] > 0
        assert 0 < one["answer_ms"]["p50"]["median"] <= one["answer_ms"]["p99"]["median"]


def test_followers_read_the_same_reports(document: Any) -> None:
    """The follower from Kafka counted what the one from the embedded log did, and reading cost it something."""
    embedded, kafka = (document["followers"][log] for log in LOGS)
    assert embedded["reports"] == kafka["reports"]
    for one in (embedded, kafka):
        assert 0 < one["reading_us_a_report"]["lowest"] < one["cpu_us_a_report"]["highest"]
    assert document["seed"] == SEED
