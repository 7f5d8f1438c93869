"""A log on Kafka that makes its topics when it needs them, for tests of what every log promises.

The product never does that: an operator makes topics (`tidegate topics apply`), and what is missing is refused.
"""

from collections.abc import Sequence

from ingest.log.kafka.log import AppendLimits, KafkaConnection, KafkaLog
from ingest.log.kafka.producer import AiokafkaProducer
from ingest.report import Entry, Position
from ingest.topics.wanted import PROBE_TOPIC
from tests.kafka_admin import MADE_ON_THE_MOCK, make_topics, on_the_mock_cluster


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
