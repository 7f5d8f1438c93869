"""A gate whose log is a Kafka cluster: from a post to a record, while the broker hangs, and when it cannot start."""

import asyncio
import json
import signal
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from random import Random
from typing import Any

import pytest
from click.testing import CliRunner, Result

from ingest.clock import SystemClock
from ingest.topics.cluster import Brokers, apply_topics
from load.broker import Cluster, cluster
from load.reports import encode, make_report
from schemas.catalogue import load_catalogue
from tests.running_gate import STOP_SECONDS, RunningGate, eventually, refused_start, running_gate, tier_files
from tidegate.cli import main

pytestmark = pytest.mark.kafka

CATALOGUE = load_catalogue()
TOPIC = "tidegate.managed.health_window.v1"


@pytest.fixture(scope="module")
def broker(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    """A broker that is alone; a test that hangs it wakes it again."""
    with cluster(tmp_path_factory.mktemp("broker")) as kafka:
        yield kafka


@pytest.fixture
def settings(broker: Cluster, topic_prefix: str) -> dict[str, Any]:
    """What `tidegate serve` is told of a log whose topics are there."""
    asyncio.run(apply_topics(broker.connection(), CATALOGUE, topic_prefix=topic_prefix, brokers=Brokers.ONE))
    return {"log": "kafka", "kafka_bootstrap": broker.bootstrap, "kafka_topic_prefix": topic_prefix}


def report(seed: int) -> bytes:
    """A seeded report that every managed gate accepts."""
    schema = CATALOGUE.latest["health_window"]
    return encode(schema, make_report(schema, Random(seed), now=SystemClock().now_ms()) | {"user_email": None})


def log_command(settings: dict[str, Any], command: str, *arguments: str) -> Result:
    """`tidegate log` on the same log."""
    flags = [part for name, value in settings.items() for part in (f"--{name.replace('_', '-')}", str(value))]
    return CliRunner().invoke(main, ["log", command, *flags, *arguments])


def tail(settings: dict[str, Any]) -> list[dict[str, Any]]:
    """Every stored report."""
    result = log_command(settings, "tail", "--topic", TOPIC, "--limit", "1000", "--json")
    assert result.exit_code == 0, result.output
    return [json.loads(line) for line in result.stdout.splitlines()]


def test_from_a_post_to_an_answer(tmp_path: Path, settings: dict[str, Any]) -> None:
    """What was posted is in the topic, is shown by `tidegate log`, is published, and makes the same rollups again."""
    tiers = tier_files(tmp_path / "tiers")
    with running_gate(tmp_path, tiers=tiers, only=None, **settings) as gate:
        assert [gate.post("managed", "health_window", report(seed)).status for seed in range(5)] == [202] * 5
        assert gate.publish().status == 200
        assert gate.stop() == 0
    assert len({one["key"] for one in tail(settings)}) == 5
    stats = log_command(settings, "stats", "--json")
    assert sum(one["entries"] for one in json.loads(stats.stdout) if one["topic"] == TOPIC) == 5
    flags = [part for name, value in settings.items() for part in (f"--{name.replace('_', '-')}", str(value))]
    rebuilt = CliRunner().invoke(main, ["rebuild", "--data", str(gate.data), "--from-log", "--json", *flags])
    assert rebuilt.exit_code == 0, rebuilt.output
    assert json.loads(rebuilt.stdout)["reports"] == 5
    assert not (gate.data / "log").exists()


@pytest.mark.faults
def test_while_the_broker_hangs(tmp_path: Path, settings: dict[str, Any], broker: Cluster) -> None:
    """While the broker hangs reports get 503 and the gate is not ready; afterwards the retry is stored, once."""
    with running_gate(tmp_path, tiers=tier_files(tmp_path / "tiers"), **settings) as gate:
        assert gate.post("managed", "health_window", report(1)).status == 202
        broker.brokers[0].pause()
        try:
            answer = gate.post("managed", "health_window", report(2))
            assert (answer.status, answer.document["reason"]) == (503, "in_doubt")
            eventually(lambda: gate.get("/readyz").status == 503, "the gate is not ready")
        finally:
            broker.brokers[0].resume()
        eventually(lambda: gate.post("managed", "health_window", report(2)).status == 202, "the retry was stored")
        eventually(lambda: gate.get("/readyz").status == 200, "the gate is ready again")
    assert len({one["key"] for one in tail(settings)}) == 2


@pytest.mark.faults
def test_stopped_while_the_broker_hangs(tmp_path: Path, settings: dict[str, Any], broker: Cluster) -> None:
    """SIGTERM ends a gate within 10 seconds though its broker hangs, and who waits is answered before."""
    with running_gate(tmp_path, tiers=tier_files(tmp_path / "tiers"), **settings) as gate:
        assert gate.post("managed", "health_window", report(1)).status == 202
        broker.brokers[0].pause()
        try:
            with ThreadPoolExecutor(1) as posting:
                waiting = posting.submit(gate.post, "managed", "health_window", report(2))
                _under_way(gate)
                gate.stop(signal.SIGTERM)
                assert not gate.events("stop_given_up")
                assert gate.seconds_to_stop() < STOP_SECONDS
                assert waiting.result().status == 503
        finally:
            broker.brokers[0].resume()


def _under_way(gate: RunningGate) -> None:
    eventually(
        lambda: any("active_requests" in name and value for name, value in gate.metrics().items()),
        "the gate has a request under way",
    )


def test_a_gate_without_a_broker(tmp_path: Path) -> None:
    """A gate whose brokers cannot be reached ends with 1 and says which it tried."""
    bootstrap = "127.0.0.1:1"
    code, said = refused_start(tmp_path, tiers=tier_files(tmp_path / "tiers"), log="kafka", kafka_bootstrap=bootstrap)
    assert code == 1
    assert "Error: no broker could be used (127.0.0.1:1: nobody listens there); check the kafka settings" in said


@pytest.mark.faults
def test_a_gate_whose_broker_hangs_at_the_start(tmp_path: Path, settings: dict[str, Any], broker: Cluster) -> None:
    """A gate whose broker does not answer ends with 1 in bounded time."""
    broker.brokers[0].pause()
    try:
        code, said = refused_start(tmp_path, tiers=tier_files(tmp_path / "tiers"), **settings)
    finally:
        broker.brokers[0].resume()
    assert code == 1
    assert "no answer in time" in said


def test_a_gate_without_topics(tmp_path: Path, broker: Cluster) -> None:
    """A gate whose topics are missing ends with 1, names some of them, and the command that makes them."""
    settings = {"log": "kafka", "kafka_bootstrap": broker.bootstrap, "kafka_topic_prefix": "missing."}
    code, said = refused_start(tmp_path, tiers=tier_files(tmp_path / "tiers"), **settings)
    assert code == 1
    assert "topics missing.tidegate.byod." in said
    assert "make topics with `tidegate topics apply`" in said
    assert "event_loop_error" not in said
