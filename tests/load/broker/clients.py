"""A client for a test of brokers, by librdkafka: makes a topic, writes to it, reads it whole.

It is patient, and waits for a broker that is gone: every call takes longer than a broker to start on a busy machine
before it fails.
"""

from collections.abc import Sequence
from typing import Any

from confluent_kafka import Consumer, KafkaError, KafkaException, Message, Producer, TopicPartition
from confluent_kafka.admin import AdminClient
from confluent_kafka.cimpl import NewTopic

from tests.running_gate import eventually

SECONDS = 90.0
TOPIC = "said"

PATIENT = {
    "socket.timeout.ms": 3_000,
    "reconnect.backoff.max.ms": 500,
    "topic.metadata.refresh.interval.ms": 1_000,
    # What it would write on stderr about every broker that a test stops.
    "log_level": 0,
}


def make_topic(bootstrap: str, *, copies: int = 1) -> None:
    """TOPIC, with one partition; returns once each of the brokers knows it, whichever a client asks first."""
    wanted = NewTopic(TOPIC, num_partitions=1, replication_factor=copies)
    admin = AdminClient({"bootstrap.servers": bootstrap, **PATIENT})
    admin.create_topics([wanted])[TOPIC].result(SECONDS)
    addresses = bootstrap.split(",")
    eventually(lambda: all(TOPIC in topics(one) for one in addresses), "every broker knows the topic", seconds=SECONDS)


def topics(bootstrap: str) -> dict[str, Any]:
    """What the cluster says of each of its topics."""
    return dict(AdminClient({"bootstrap.servers": bootstrap, **PATIENT}).list_topics(timeout=SECONDS).topics)


class Writing:
    """A value on its way into TOPIC; all copies in sync must have it before it is done."""

    def __init__(self, bootstrap: str, value: bytes, timestamp: int = 0) -> None:
        self.errors: list[KafkaError | None] = []
        self._producer = Producer(
            {"bootstrap.servers": bootstrap, "enable.idempotence": True, "linger.ms": 0, **PATIENT}
        )
        self._producer.produce(TOPIC, value, partition=0, timestamp=timestamp, on_delivery=self._delivered)

    def _delivered(self, error: KafkaError | None, _message: Message) -> None:
        self.errors.append(error)

    def done(self, seconds: float) -> bool:
        """Whether it is stored, waiting at most so long; raises `KafkaException` where it never will be."""
        self._producer.flush(seconds)
        if any(self.errors):
            raise KafkaException(self.errors[0])
        return bool(self.errors)


def write(bootstrap: str, value: bytes, timestamp: int = 0) -> None:
    """Append to TOPIC and return when it is there."""
    assert Writing(bootstrap, value, timestamp).done(SECONDS), "not stored in time"


def _extent(consumer: Consumer) -> tuple[int, int] | None:
    """Where TOPIC begins and ends; None where the broker that was asked is none any more, or does not lead."""
    try:
        return consumer.get_watermark_offsets(TopicPartition(TOPIC, 0), timeout=SECONDS)
    except KafkaException:
        return None


def read(bootstrap: str) -> Sequence[bytes]:
    """Every value of TOPIC."""
    consumer = Consumer({"bootstrap.servers": bootstrap, "group.id": "nobody", "enable.auto.commit": False, **PATIENT})
    try:
        extent = eventually(lambda: _extent(consumer), "a broker said where the log ends", seconds=SECONDS)
        end = extent[1] if extent else 0
        consumer.assign([TopicPartition(TOPIC, 0, 0)])
        return [message.value() or b"" for message in consumer.consume(end, timeout=SECONDS)] if end else []
    finally:
        consumer.close()
