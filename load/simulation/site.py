"""Everything of one seed put together: gates, follower, log and network."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Protocol

from ingest.clock import Clock
from ingest.log import Log, LogReader
from ingest.log.kafka.log import KafkaConnection, KafkaLog
from ingest.report import Entry
from load.simulation.broker import Cluster
from load.simulation.broker_clients import SimulatedReader
from load.simulation.disk import Disk, DiskLog, DiskReader
from load.simulation.follower import FollowerServer
from load.simulation.gate import GateServer
from load.simulation.network import Network
from load.simulation.parts import Parts
from load.simulation.rollups import RollupsFile
from load.simulation.world import World

ON_A_DISK = 0.5
"""The share of seeds with the embedded log; the others have a cluster."""


class Storage(Protocol):
    """Where the log is kept: a disk, or brokers."""

    def open_log(self, clock: Clock) -> Log:
        """For a gate; raises `LogUnavailable`."""
        ...

    def open_reader(self) -> LogReader:
        """For a follower."""
        ...

    def entries(self) -> Iterator[Entry]:
        """Everything durable, for the check."""
        ...

    @property
    def may_repeat(self) -> bool:
        """Whether it was made to forget what keeps a batch from being appended twice."""
        ...


@dataclass
class DiskStorage:
    """The embedded log: one disk, one gate."""

    disk: Disk
    parts: Parts

    def open_log(self, clock: Clock) -> Log:
        """As `Storage.open_log`."""
        del clock
        log = DiskLog(self.disk, self.parts.writer(self.disk), limits=self.parts.limits)
        return self.parts.outermost(log)

    def open_reader(self) -> LogReader:
        """As `Storage.open_reader`."""
        return DiskReader(self.disk)

    def entries(self) -> Iterator[Entry]:
        """As `Storage.entries`."""
        return (stored.entry for entries in self.disk.synced.values() for stored in entries)

    @property
    def may_repeat(self) -> bool:
        """As `Storage.may_repeat`."""
        return False


@dataclass
class ClusterStorage:
    """The log in a Kafka cluster, which gates share."""

    cluster: Cluster
    parts: Parts

    def open_log(self, clock: Clock) -> Log:
        """As `Storage.open_log`."""
        log = KafkaLog(
            KafkaConnection("simulated:9092"),
            limits=self.parts.limits,
            clock=clock,
            new_producer=lambda: self.parts.producer(self.cluster),
            reader=self.open_reader(),
        )
        return self.parts.outermost(log)

    def open_reader(self) -> LogReader:
        """As `Storage.open_reader`."""
        return SimulatedReader(self.cluster)

    def entries(self) -> Iterator[Entry]:
        """As `Storage.entries`."""
        return (stored.entry for replicas in self.cluster.logs.values() for stored in replicas.entries)

    @property
    def may_repeat(self) -> bool:
        """As `Storage.may_repeat`."""
        return self.cluster.forgot


@dataclass
class Site:
    """What a seed runs on; `faults` is how many were drawn for it."""

    world: World
    storage: Storage
    gates: Sequence[GateServer]
    follower: FollowerServer
    rollups: RollupsFile
    network: Network
    faults: int = 0

    @property
    def servers(self) -> Sequence[GateServer | FollowerServer]:
        """Whatever has to be kept running."""
        return (*self.gates, self.follower)


def make_site(world: World, parts: Parts) -> Site:
    """A site of the seed's own making."""
    partitions = world.chance.randint(1, 3)
    storage: Storage
    if world.likely(ON_A_DISK):
        storage, names = DiskStorage(Disk(world, partitions=partitions), parts), ["gate"]
    else:
        storage = ClusterStorage(Cluster(world, partitions=partitions), parts)
        names = [f"gate-{number}" for number in range(world.chance.randint(1, 2))]
    gates = [GateServer(name, world, open_log=storage.open_log, parts=parts) for name in names]
    rollups = RollupsFile()
    follower = FollowerServer(
        world, open_reader=storage.open_reader, open_rollups=lambda: parts.rollups(rollups, world)
    )
    return Site(world, storage, gates, follower, rollups, Network(world, gates))
