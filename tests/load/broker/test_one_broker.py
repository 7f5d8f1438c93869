"""One broker: clients are served, what was stored outlives a kill, and nothing outlives whoever started it."""

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from confluent_kafka import KafkaError, Producer

from load.broker import Broker, BrokerFailedError, Cluster, cluster
from load.broker.node import listening
from tests.load.broker.clients import PATIENT, SECONDS, TOPIC, Writing, make_topic, read, topics, write
from tests.load.process_table import alive
from tests.running_gate import eventually

pytestmark = pytest.mark.kafka

LAST_TIME = 2**63 - 1

OWNER = """\
import sys, time
from pathlib import Path
from load.broker import cluster
with cluster(Path(sys.argv[1])) as kafka:
    if sys.argv[2] == "paused":
        kafka.brokers[0].pause()
    print(kafka.brokers[0].pid, kafka.brokers[0].port, flush=True)
    time.sleep(600)
"""


@pytest.fixture(scope="module")
def kafka(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    """A broker with TOPIC in it; every test leaves it running."""
    with cluster(tmp_path_factory.mktemp("one")) as running:
        make_topic(running.bootstrap)
        yield running


def test_serves_and_is_gone(tmp_path: Path) -> None:
    """A client writes and reads records of any time, and after the block there is neither a process nor its data."""
    with cluster(tmp_path) as kafka:
        broker = kafka.brokers[0]
        make_topic(kafka.bootstrap)
        write(kafka.bootstrap, b"first", timestamp=0)
        write(kafka.bootstrap, b"last", timestamp=LAST_TIME)
        assert read(kafka.bootstrap) == [b"first", b"last"]
        assert any(b"first" in file.read_bytes() for file in broker.log_dir.rglob("*.log"))
    assert not broker.running
    assert not listening(broker.port)
    assert [file.name for file in tmp_path.rglob("*") if file.is_file()] == ["output"]


def test_failure_within_the_block(tmp_path: Path) -> None:
    """A broker ends with a block that ends in an exception, a hung broker too."""
    started: list[Broker] = []

    def fail_beside_a_hung_broker() -> None:
        with cluster(tmp_path) as kafka:
            started.extend(kafka.brokers)
            kafka.brokers[0].pause()
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        fail_beside_a_hung_broker()
    assert not started[0].running
    assert not listening(started[0].port)


def test_makes_no_topic_by_itself(kafka: Cluster) -> None:
    """What a client writes to a topic that nobody made is refused, and the topic is not made."""
    # A topic that is not there may be on its way: the client waits so long for it.
    producer = Producer({"bootstrap.servers": kafka.bootstrap, **PATIENT, "topic.metadata.propagation.max.ms": 500})
    refused: list[KafkaError | None] = []
    producer.produce("misspelt", b"lost", on_delivery=lambda error, _: refused.append(error))
    producer.flush(SECONDS)
    assert [error and error.name() for error in refused] == ["UNKNOWN_TOPIC_OR_PART"]
    assert set(topics(kafka.bootstrap)) == {TOPIC}


@pytest.mark.parametrize("end", ["kill", "stop"])
@pytest.mark.faults
def test_keeps_what_it_stored(kafka: Cluster, end: str) -> None:
    """A broker that was killed or stopped has everything when it starts again, at the same address."""
    broker = kafka.brokers[0]
    write(kafka.bootstrap, b"before")
    first, address = broker.pid, kafka.bootstrap
    getattr(broker, end)()
    assert not broker.running
    with pytest.raises(BrokerFailedError, match="broker 1 is not running"):
        _ = broker.pid
    broker.start()
    assert (broker.pid != first, kafka.bootstrap) == (True, address)
    write(kafka.bootstrap, b"after")
    assert read(kafka.bootstrap)[-2:] == [b"before", b"after"]


@pytest.mark.faults
def test_hung(kafka: Cluster) -> None:
    """A paused broker answers nobody and loses nothing: what was sent meanwhile is stored when it goes on."""
    broker = kafka.brokers[0]
    broker.pause()
    writing = Writing(kafka.bootstrap, b"meanwhile")
    assert not writing.done(seconds=1)
    assert broker.running
    broker.resume()
    assert writing.done(SECONDS)
    assert b"meanwhile" in read(kafka.bootstrap)


def test_two_at_once_are_refused(kafka: Cluster) -> None:
    """A broker that runs is not started a second time over the same data."""
    with pytest.raises(BrokerFailedError, match="running already"):
        kafka.brokers[0].start()


def test_does_not_start(kafka: Cluster) -> None:
    """A broker that cannot start says what it printed last."""
    broker = kafka.brokers[0]
    broker.stop()
    good = broker.properties.read_text()
    broker.properties.write_text(f"{good}num.io.threads=none\n")
    with pytest.raises(BrokerFailedError, match=r"(?s)broker 1 ended while it started; it said:.*num\.io\.threads"):
        broker.start()
    broker.properties.write_text(good)
    broker.start()


@pytest.mark.parametrize(
    ("number", "state"),
    [
        pytest.param(signal.SIGKILL, "paused", id="killed, so that it can end nothing"),
        pytest.param(signal.SIGINT, "running", id="interrupted"),
    ],
)
@pytest.mark.faults
def test_ends_with_its_owner(tmp_path: Path, state: str, number: signal.Signals) -> None:
    """However the process that started a broker ends, the broker ends as well, hung or not."""
    command = [sys.executable, "-c", OWNER, str(tmp_path), state]
    with (
        (tmp_path / "stdout").open("w+") as said,
        subprocess.Popen(command, stdout=said, stderr=subprocess.DEVNULL) as owner,
    ):
        # Beyond what the owner itself waits for its broker.
        eventually(lambda: (tmp_path / "stdout").read_text().endswith("\n"), "the broker started", seconds=180)
        pid, port = map(int, (tmp_path / "stdout").read_text().split())
        assert Path(f"/proc/{pid}").exists()
        os.kill(owner.pid, number)
    eventually(lambda: not alive(pid), "the broker ended")
    eventually(lambda: not listening(port), "its port is free")
