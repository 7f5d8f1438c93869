"""A log on Kafka that makes its topics when it needs them, for tests of what every log promises.

The product never does that: an operator makes topics (`tidegate topics apply`), and what is missing is refused.
"""

import time
from collections.abc import Iterable, Sequence
from functools import cache

from confluent_kafka import KafkaError, KafkaException, Producer
from confluent_kafka.admin import AdminClient
from confluent_kafka.cimpl import NewTopic

from ingest.log.kafka.log import AppendLimits, KafkaConnection, KafkaLog
from ingest.log.kafka.producer import AiokafkaProducer
from ingest.report import Entry, Position
from ingest.topics.wanted import PROBE_TOPIC
from tests.real_kafka import missing, own_cluster

ANY_TIME = {"message.timestamp.after.max.ms": str(2**63 - 1), "retention.ms": "-1"}
"""Unless its topic is told otherwise a broker refuses what is an hour ahead of its clock, and deletes what is old."""

SECONDS = 30

PARTITIONS_OF_THE_MOCK = 4
"""librdkafka's mock cluster makes what a client asks for, with so many partitions, and in no other way."""

MADE_ON_THE_MOCK: dict[str, int] = {}
"""How many of them a log is to use."""


def on_the_mock_cluster() -> bool:
    """Whether there is no real broker."""
    return own_cluster() is None and missing() is not None


@cache
def admin_client(bootstrap: str) -> AdminClient:
    """A client of this cluster; the first answer costs 0.2 s."""
    return AdminClient({"bootstrap.servers": bootstrap, "log_level": 0})


def make_topics(bootstrap: str, names: Iterable[str], *, partitions: int = 1, copies: int = 1) -> None:
    """Make topics, unless they are there, and return once the brokers say so."""
    if on_the_mock_cluster():
        for name in names:
            MADE_ON_THE_MOCK.setdefault(name, min(partitions, PARTITIONS_OF_THE_MOCK))
            Producer({"bootstrap.servers": bootstrap, "log_level": 0}).list_topics(name, timeout=SECONDS)
        return
    admin = admin_client(bootstrap)
    wanted = [NewTopic(name, partitions, copies, config=ANY_TIME) for name in names]
    for made in admin.create_topics(wanted).values():
        try:
            made.result(SECONDS)
        except KafkaException as error:
            if error.args[0].code() != KafkaError.TOPIC_ALREADY_EXISTS:
                raise
    deadline = time.monotonic() + SECONDS
    while not {topic.topic for topic in wanted} <= admin.list_topics(timeout=SECONDS).topics.keys():
        assert time.monotonic() < deadline, "the brokers do not show the topics"


class ProducerOnTheMock(AiokafkaProducer):
    """A producer that knows as many partitions of a topic as it was meant to be made with."""

    def partitions(self, topic: str) -> int | None:
        found = super().partitions(topic)
        return found and MADE_ON_THE_MOCK.get(topic, found)


class KafkaLogOnDemand(KafkaLog):
    """A `KafkaLog` whose new topics get `partitions` partitions."""

    def __init__(self, bootstrap: str, *, topic_prefix: str, partitions: int) -> None:
        connection = KafkaConnection(bootstrap)
        super().__init__(
            connection,
            topic_prefix=topic_prefix,
            limits=AppendLimits(seconds=20),
            new_producer=(lambda: ProducerOnTheMock(connection)) if on_the_mock_cluster() else None,
        )
        self._bootstrap = bootstrap
        self._topic_prefix = topic_prefix
        self._partitions = partitions
        self._made: set[str] = set()

    async def append(self, entries: Sequence[Entry]) -> Sequence[Position]:
        new = {entry.topic for entry in entries} - self._made
        if new:
            names = [self._topic_prefix + topic for topic in new]
            make_topics(self._bootstrap, names, partitions=1 if PROBE_TOPIC in new else self._partitions)
            self._made |= new
        return await super().append(entries)
