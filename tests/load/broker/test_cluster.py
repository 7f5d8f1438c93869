"""Three brokers: one may be lost, hung or restarted, and clients go on; with two lost nothing is acknowledged."""

import pytest

from load.broker import Broker, Cluster
from tests.load.broker.clients import SECONDS, TOPIC, Writing, make_topic, read, topics, write
from tests.running_gate import eventually

pytestmark = [pytest.mark.kafka, pytest.mark.faults]


@pytest.fixture(scope="module", autouse=True)
def _topic(kafka_cluster: Cluster) -> None:
    make_topic(kafka_cluster.bootstrap, copies=3)


def test_leader_is_killed(kafka_cluster: Cluster) -> None:
    """The other two brokers take writes and have everything, and the one that was killed comes back."""
    broker = leader(kafka_cluster)
    write(kafka_cluster.bootstrap, b"before")
    broker.kill()
    try:
        write(kafka_cluster.bootstrap, b"without")
        assert {b"before", b"without"} <= set(read(kafka_cluster.bootstrap))
    finally:
        broker.start()


def test_leader_hangs(kafka_cluster: Cluster) -> None:
    """The other two take writes once the session of the one that hangs is over, and it learns of them later."""
    broker = leader(kafka_cluster)
    broker.pause()
    try:
        write(kafka_cluster.bootstrap, b"beside")
    finally:
        broker.resume()
    # It wakes up in the belief that it leads, and answers readers as of then until it is told.
    eventually(lambda: b"beside" in read(kafka_cluster.bootstrap), "all know what was written")


def test_rolling_restart(kafka_cluster: Cluster) -> None:
    """Each broker in turn is stopped and started, and a client writes all the while."""
    for broker in kafka_cluster.brokers:
        broker.stop()
        write(kafka_cluster.bootstrap, b"stopped")
        broker.start()
    assert read(kafka_cluster.bootstrap).count(b"stopped") == 3


def test_two_are_lost(kafka_cluster: Cluster) -> None:
    """With one broker of three nothing is acknowledged; with all of them again it is."""
    lost = kafka_cluster.brokers[:2]
    for broker in lost:
        broker.kill()
    writing = Writing(kafka_cluster.bootstrap, b"meanwhile")
    assert not writing.done(seconds=3)
    for broker in lost:
        broker.launch()
    assert writing.done(SECONDS)
    for broker in lost:
        broker.wait_until_started()
    assert b"meanwhile" in read(kafka_cluster.bootstrap)


def leader(kafka: Cluster) -> Broker:
    """The broker that takes the writes of TOPIC."""
    node_id = topics(kafka.bootstrap)[TOPIC].partitions[0].leader
    return next(broker for broker in kafka.brokers if broker.node_id == node_id)
