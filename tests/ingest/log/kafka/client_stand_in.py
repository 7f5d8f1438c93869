"""A client whose brokers say what a test has them say, for what `KafkaLogReader` believes of it.

Only what the reader asks of a client is here: requests are answered from `shows`. Metadata are about the topics that
the client was told of, `named`.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import Any

import pytest
from aiokafka import TopicPartition
from aiokafka.client import ConnectionGroup
from aiokafka.errors import KafkaError, LeaderNotAvailableError, NoError, OffsetOutOfRangeError
from aiokafka.protocol.fetch import FetchRequest
from aiokafka.protocol.metadata import MetadataRequest
from aiokafka.protocol.offset import OffsetRequest
from aiokafka.record.default_records import DefaultRecordBatchBuilder

from ingest.log.kafka import reader as kafka_reader
from ingest.log.kafka.log import KafkaConnection, KafkaLogReader
from ingest.log.kafka.requests import Edge
from ingest.log.kafka.topic_names import TopicNamesRequest


@dataclass(slots=True)
class Shown:
    """What the leader of a partition says of it: a fetch goes by `high_watermark`, a look for the end by `end`."""

    end: int
    high_watermark: int | None = None
    node: int = 1

    @property
    def fetched_end(self) -> int:
        return self.end if self.high_watermark is None else self.high_watermark


@dataclass(eq=False)
class StandInClient:
    """Its own metadata: it knows the partitions that are in `shows`."""

    shows: dict[TopicPartition, Shown]
    then: Callable[[], object] = lambda: None
    asked: list[str] = field(default_factory=list)
    ended: bool = False
    trouble: KafkaError | None = None
    named: set[str] = field(default_factory=set)
    _md_update_fut: Any = None

    def __post_init__(self) -> None:
        self._conns: dict[Any, object] = {}
        self.reconnect()
        self.cluster = self._cluster(lambda topic: topic in self.named)

    def _cluster(self, known: Callable[[str], bool]) -> Any:
        def shows() -> dict[TopicPartition, Shown]:
            return {there: shown for there, shown in self.shows.items() if known(there.topic)}

        return SimpleNamespace(
            topics=lambda: {there.topic for there in shows()},
            partitions_for_topic=lambda topic: {there.partition for there in shows() if there.topic == topic},
            leader_for_partition=lambda there: shows()[there].node if there in shows() else None,
            brokers=lambda: [SimpleNamespace(nodeId=1)],
        )

    def add_topic(self, topic: str) -> None:
        self.named.add(topic)

    def reconnect(self) -> None:
        """Other connections from now on."""
        self._conns = {(node, ConnectionGroup.DEFAULT): object() for node in (1, 2)}

    async def force_metadata_update(self) -> bool:
        self.asked.append("metadata")
        self.then()
        return True

    def get_random_node(self) -> int:
        return 1

    async def send(self, _: int, request: Any) -> Any:
        if self.trouble is not None:
            raise self.trouble
        if isinstance(request, TopicNamesRequest):
            self.asked.append("topics")
            self.then()
            return SimpleNamespace(topics=[(NoError.errno, topic, False, None) for topic, _ in self.shows])
        if isinstance(request, MetadataRequest):
            (topic,) = request._topics or [""]
            known = [number for there, number in zip(self.shows, range(99), strict=False) if there.topic == topic]
            return SimpleNamespace(topics=[(NoError.errno if known else 3, topic, False, known)])
        if isinstance(request, OffsetRequest):
            self.asked.append("offsets")
            return SimpleNamespace(
                topics=[(topic, [self._edge(topic, *one) for one in asked]) for topic, asked in request._topics]
            )
        assert isinstance(request, FetchRequest)
        self.asked.append("fetch")
        ((topic, ((number, begin, _),)),) = request.topics
        return SimpleNamespace(topics=[(topic, [self._fetched(topic, number, begin)])])

    def _edge(self, topic: str, number: int, edge: int) -> tuple[int, int, int, int]:
        shown = self.shows[TopicPartition(topic, number)]
        if shown.end < 0:
            return number, LeaderNotAvailableError.errno, -1, -1
        return number, NoError.errno, -1, 0 if edge == Edge.EARLIEST else shown.end

    def _fetched(self, topic: str, number: int, begin: int) -> tuple[Any, ...]:
        end = self.shows[TopicPartition(topic, number)].fetched_end
        if begin > end:
            return number, OffsetOutOfRangeError.errno, -1, -1, [], b""
        return number, NoError.errno, end, end, [], bytes(_batch(begin, end)) if begin < end else b""


def _batch(begin: int, end: int) -> bytearray:
    builder = DefaultRecordBatchBuilder(2, 0, 0, -1, -1, begin, 1_000_000)
    for offset in range(end - begin):
        builder.append(offset, 0, b"%d" % (begin + offset), b"value", [])
    built: bytearray = builder.build()
    # The builder has every batch begin at 0; the offset of the first record is not part of what its CRC is of.
    built[:8] = begin.to_bytes(8)
    return built


def reader_of(monkeypatch: pytest.MonkeyPatch, *clients: StandInClient, prefix: str = "") -> KafkaLogReader:
    """A reader that connects to these, one after the other, and does not wait before it asks again."""
    following = iter(clients)

    async def connected(_: KafkaConnection) -> StandInClient:
        return next(following)

    async def end(client: StandInClient) -> None:
        client.ended = True

    monkeypatch.setattr(kafka_reader, "connected_client", connected)
    monkeypatch.setattr(kafka_reader, "end_client", end)
    monkeypatch.setattr(kafka_reader, "BACKOFF_SECONDS", 0)
    return KafkaLogReader(KafkaConnection("nowhere.invalid:9092"), topic_prefix=prefix)
