"""The log in Kafka, as a world: three brokers, of which any may be lost, and a prefix of topics for each directory."""

import asyncio
from collections.abc import Mapping, Sequence
from pathlib import Path

from aiokafka import AIOKafkaProducer

from ingest.log import LogReader
from ingest.log.kafka.log import KafkaConnection, KafkaLogReader
from ingest.log.partitioning import partition_number
from ingest.report import Entry
from ingest.topics.cluster import Brokers, apply_topics
from load.broker import Cluster
from load.faults.world import World

FULL_AGAIN_SECONDS = 40.0
"""How long a cluster may take until every replica is in sync again; a broker that was killed takes some seconds."""


class KafkaWorld(World):
    """Topics are made as `tidegate topics apply` makes them, before the first gate starts."""

    name = "Kafka"
    readers_lag_seconds = 15.0
    """A broker that stood still believes for a moment that it leads, and answers as of then."""

    def __init__(self, folder: Path, cluster: Cluster, *, prefix: str, registry: str | None = None) -> None:
        """`registry` as in the settings: None for Avro's own framing, `own` for that of Confluent's clients."""
        super().__init__(folder)
        self._registry = registry
        self.cluster = cluster
        self._prefix = prefix
        self._connection = KafkaConnection(cluster.bootstrap)

    async def make_topics(self) -> None:
        """Before anything else."""
        await apply_topics(self._connection, self.catalogue, topic_prefix=self._prefix, brokers=Brokers.ANY)

    def log_settings(self) -> Sequence[str]:
        return (*self._cluster_settings(), *(("--schema-registry", self._registry) if self._registry else ()))

    def _cluster_settings(self) -> Sequence[str]:
        return (
            *("--log", "kafka", "--kafka-bootstrap", self.cluster.bootstrap),
            *("--kafka-topic-prefix", self._prefix),
        )

    def rebuild_settings(self) -> Sequence[str]:
        return (*super().rebuild_settings(), *self._cluster_settings())

    def reader(self) -> LogReader:
        return KafkaLogReader(self._connection, topic_prefix=self._prefix)

    def disks(self) -> Mapping[str, Path]:
        """The brokers' disks, and what they printed, as well."""
        brokers = {f"broker {broker.node_id}": broker.directory for broker in self.cluster.brokers}
        return {**super().disks(), **brokers}

    async def write_by_hand(self, entries: Sequence[Entry]) -> None:
        producer = AIOKafkaProducer(bootstrap_servers=self.cluster.bootstrap, acks="all")
        await producer.start()
        try:
            for entry in entries:
                topic = self._prefix + entry.topic
                number = partition_number(entry.key, len(await producer.partitions_for(topic)))
                await producer.send_and_wait(
                    topic,
                    entry.value,
                    key=entry.key,
                    partition=number,
                    timestamp_ms=entry.timestamp,
                    headers=list(entry.headers),
                )
        finally:
            await producer.stop()

    async def repair(self) -> None:
        """Every broker runs, and leads or follows as before."""
        brokers = self.cluster.brokers
        for broker in brokers:
            if broker.running:
                broker.resume()
        gone = [broker for broker in brokers if not broker.running]
        for broker in gone:
            broker.launch()
        for broker in gone:
            await asyncio.to_thread(broker.wait_until_started)
