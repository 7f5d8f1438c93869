"""What librdkafka's mock cluster, on which some tests go on where there is no Java, has to do with a real broker."""

import uuid

from confluent_kafka import Producer

from ingest.log.kafka.log import AppendLimits, KafkaConnection, KafkaLog
from ingest.log.kafka.reader import KafkaLogReader
from ingest.report import Entry
from tests.load.broker.clients import SECONDS
from tests.real_kafka import mock_cluster


async def test_log_on_the_mock() -> None:
    """What is appended to the mock cluster is read from it, once a client has asked for its topic."""
    entry = Entry(topic="tidegate.said", key=uuid.uuid4().bytes, value=b"said", timestamp=5)
    with mock_cluster() as bootstrap:
        Producer({"bootstrap.servers": bootstrap, "log_level": 0}).list_topics(entry.topic, timeout=SECONDS)
        log = KafkaLog(KafkaConnection(bootstrap), limits=AppendLimits(seconds=SECONDS))
        reader = KafkaLogReader(KafkaConnection(bootstrap))
        try:
            (position,) = await log.append([entry])
            (stored,) = await reader.read(position.partition, after=-1, limit=10)
            assert (stored.offset, stored.entry) == (position.offset, entry)
        finally:
            await log.close()
            await reader.close()
