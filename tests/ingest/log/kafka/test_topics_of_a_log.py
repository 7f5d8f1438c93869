"""Topics that change under a log, or are not as it needs them, on a real broker."""

import time
from collections.abc import AsyncIterator

import pytest
from confluent_kafka.admin import (  # type: ignore[attr-defined]  # it has them, and does not say that it exports them
    AlterConfigOpType,
    ConfigEntry,
    ConfigResource,
)
from confluent_kafka.cimpl import NewPartitions

from ingest.log import LogUnavailable
from ingest.log.kafka import append as kafka_append
from ingest.log.kafka.log import AppendLimits, KafkaConnection, KafkaLog
from tests.ingest.log.kafka.stream import RECOVERY_SECONDS, TOPIC, entry, keys
from tests.kafka_on_demand import admin_client, make_topics

pytestmark = pytest.mark.kafka

MANY = [b"%d" % number for number in range(30)]


@pytest.fixture
async def log(kafka_bootstrap: str, topic_prefix: str) -> AsyncIterator[KafkaLog]:
    """A log whose topic has one partition, which an entry was written to."""
    make_topics(kafka_bootstrap, [topic_prefix + TOPIC])
    log = KafkaLog(KafkaConnection(kafka_bootstrap), topic_prefix=topic_prefix, limits=AppendLimits(seconds=20))
    await log.append([entry(b"before")])
    yield log
    await log.close()


def grow(bootstrap: str, topic: str, *, partitions: int) -> None:
    """Give a topic more partitions, and return once the brokers say so."""
    admin = admin_client(bootstrap)
    admin.create_partitions([NewPartitions(topic, partitions)])[topic].result(RECOVERY_SECONDS)
    deadline = time.monotonic() + RECOVERY_SECONDS
    while len(admin.list_topics(timeout=RECOVERY_SECONDS).topics[topic].partitions) < partitions:
        assert time.monotonic() < deadline, "the brokers do not show the partitions"


async def partitions_used(log: KafkaLog) -> set[int]:
    """Where an append of many keys lands."""
    return {position.partition.number for position in await log.append([entry(key) for key in MANY])}


async def test_more_partitions_are_taken_on_when_asked(log: KafkaLog, kafka_bootstrap: str, topic_prefix: str) -> None:
    """A topic that was given partitions is written to as before until it is required, and then to all of them."""
    grow(kafka_bootstrap, topic_prefix + TOPIC, partitions=3)
    log._appender._look_again = float("inf")
    assert await partitions_used(log) == {0}
    await log.require([TOPIC])
    assert await partitions_used(log) == {0, 1, 2}
    assert await keys(log) == {b"before": 1} | dict.fromkeys(MANY, 2)


async def test_more_partitions_are_taken_on_by_themselves(
    log: KafkaLog, kafka_bootstrap: str, topic_prefix: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Once the metadata of the producer say so, which are renewed by themselves, all partitions are written to."""
    monkeypatch.setattr(kafka_append, "GROWTH_SECONDS", 0)
    grow(kafka_bootstrap, topic_prefix + TOPIC, partitions=3)
    await (await log._producers.running()).refresh()
    log._appender._look_again = 0
    assert await partitions_used(log) == {0, 1, 2}


async def test_a_topic_with_times_of_the_brokers_is_refused(
    log: KafkaLog, kafka_bootstrap: str, topic_prefix: str
) -> None:
    """A gate does not start on a topic whose brokers write their own times over ours, and is told what to do."""
    await log.require([TOPIC])
    entry_ = ConfigEntry("message.timestamp.type", "LogAppendTime", incremental_operation=AlterConfigOpType.SET)
    resource = ConfigResource(ConfigResource.Type.TOPIC, topic_prefix + TOPIC, incremental_configs=[entry_])
    admin_client(kafka_bootstrap).incremental_alter_configs([resource])[resource].result(RECOVERY_SECONDS)
    said = rf"topic {topic_prefix}{TOPIC} has another message\.timestamp\.type than CreateTime.*`tidegate topics plan`"
    with pytest.raises(LogUnavailable, match=said):
        await log.require([TOPIC])
