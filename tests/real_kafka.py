"""What Kafka the tests of this run are held against, and the word about those that were not run on a real broker.

In this order: the cluster named by KAFKA_BOOTSTRAP (host:port, plain text); a broker started by `load.broker`; where
neither can be had, librdkafka's mock cluster, for tests marked `kafka("mock")`. A test marked `kafka` alone needs a
real broker, and is skipped without. Under REQUIRE_KAFKA=1 both fail instead.
"""

import os
import uuid
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from functools import cache

import pytest
from confluent_kafka import Producer
from confluent_kafka.admin import AdminClient

from load.broker import NoBroker, jars
from load.broker.distribution import java

BOOTSTRAP_VARIABLE = "KAFKA_BOOTSTRAP"
REQUIRE_VARIABLE = "REQUIRE_KAFKA"

NOT_ON_KAFKA = "not on a real broker"
"""A property of a test's report: what became of it instead."""

MOCK_BROKERS = 3
SECONDS = 30.0

OURS = f"test-{uuid.uuid4().hex[:8]}-"
"""What the topics of this process begin with."""


def own_cluster() -> str | None:
    """The cluster that KAFKA_BOOTSTRAP names, if any."""
    return os.environ.get(BOOTSTRAP_VARIABLE) or None


@cache
def missing() -> str | None:
    """Why no broker can be started here; None where one can."""
    try:
        java()
        jars()
    except NoBroker as nothing:
        return str(nothing)
    return None


def prepare(item: pytest.Item) -> None:
    """Skip or fail a test that needs a broker which is not there; a test that the mock cluster will do for goes on."""
    marker = item.get_closest_marker("kafka")
    if marker is None or (own_cluster() and "kafka_bootstrap" in getattr(item, "fixturenames", ())):
        return
    if not (why := missing()):
        return
    if os.environ.get(REQUIRE_VARIABLE) == "1":
        pytest.fail(f"{REQUIRE_VARIABLE}=1, and there is no real broker: {why}", pytrace=False)
    mock_will_do = "mock" in marker.args
    item.user_properties.append((NOT_ON_KAFKA, "on the mock cluster only" if mock_will_do else "not run"))
    if not mock_will_do:
        pytest.skip(f"no Kafka broker: {why}")


@contextmanager
def mock_cluster() -> Iterator[str]:
    """The bootstrap servers of librdkafka's mock cluster, which lives in this process as long as the block."""
    producer = Producer({"bootstrap.servers": "mock", "test.mock.num.brokers": MOCK_BROKERS, "log_level": 0})
    brokers = producer.list_topics(timeout=10).brokers.values()
    yield ",".join(f"{broker.host}:{broker.port}" for broker in brokers)
    producer.flush(1)


@contextmanager
def left_clean(bootstrap: str) -> Iterator[str]:
    """Somebody's cluster, from which the topics of this process are gone after the block."""
    yield bootstrap
    admin = AdminClient({"bootstrap.servers": bootstrap})
    if ours := [name for name in admin.list_topics(timeout=SECONDS).topics if name.startswith(OURS)]:
        for gone in admin.delete_topics(ours).values():
            gone.result(SECONDS)


def summary(reports: Iterable[pytest.TestReport]) -> list[str]:
    """What to say of the tests that were not run on a real broker: a line for each kind, with their names behind it."""
    found: dict[str, list[str]] = {}
    for report in reports:
        for name, value in report.user_properties:
            if name == NOT_ON_KAFKA:
                found.setdefault(str(value), []).append(report.nodeid)
    return [line for kind, names in sorted(found.items()) for line in (f"{kind}: {len(names)}", *sorted(names))]
