"""The simulated disk and brokers: what is durable, what may be lost, and what is refused."""

import asyncio
from collections.abc import Coroutine, Iterator
from typing import Any, TypeVar

import pytest

from ingest.log import InDoubt, LogUnavailable, StorageFull
from ingest.report import Entry, Partition
from load.simulation.broker import Cluster, OutOfOrder, Refused, Replicas, TryAgain
from load.simulation.broker_clients import SimulatedProducer, SimulatedReader
from load.simulation.disk import Disk, Writer
from load.simulation.world import World

T = TypeVar("T")
TOPIC = "tidegate.managed.trace_window.v1"
HERE = Partition(TOPIC, 0)


def entries(*keys: str) -> list[Entry]:
    """Entries with these keys."""
    return [Entry(TOPIC, key.encode(), b"value", 0) for key in keys]


@pytest.fixture
def world() -> Iterator[World]:
    """A world without anything in it."""
    world = World(1)
    yield world
    world.end()


def keys(disk: Disk) -> list[bytes]:
    """What is on the disk."""
    return [stored.entry.key for stored in disk.synced.get(HERE, [])]


def test_what_was_confirmed_is_synced(world: World) -> None:
    """A commit that was confirmed is on the disk, at the positions that were told."""
    disk = Disk(world, partitions=1)
    ((first, second),) = Writer(disk).write([entries("a", "b")])
    assert (first.offset, second.offset, keys(disk)) == (0, 1, [b"a", b"b"])


@pytest.mark.parametrize(
    ("trouble", "error"),
    [
        pytest.param({"full": True}, StorageFull, id="a full disk"),
        pytest.param({"failing": True}, LogUnavailable, id="a disk that refuses"),
        pytest.param({"sync_fails": True}, InDoubt, id="a disk that does not confirm"),
    ],
)
def test_trouble_of_the_disk(world: World, trouble: dict[str, bool], error: type[Exception]) -> None:
    """What ails the disk is told as the real log tells it, and nothing is served meanwhile."""
    disk = Disk(world, partitions=1)
    writer = Writer(disk)
    writer.write([entries("a")])
    for name, value in trouble.items():
        setattr(disk, name, value)
    with pytest.raises(error):
        writer.write([entries("b")])
    assert keys(disk) == [b"a"]


def test_what_was_not_synced_is_kept_or_gone() -> None:
    """A commit in doubt is there or not when the file is opened again, and the next one follows what is there."""
    outcomes = set()
    for seed in range(20):
        world = World(seed)
        disk = Disk(world, partitions=1)
        writer = Writer(disk)
        writer.open()
        disk.sync_fails = True
        with pytest.raises(InDoubt):
            writer.write([entries("doubtful")])
        disk.sync_fails = False
        ((position,),) = writer.write([entries("next")])
        assert keys(disk)[position.offset] == b"next"
        outcomes.add(len(keys(disk)))
        world.end()
    assert outcomes == {1, 2}


def run(world: World, work: Coroutine[Any, Any, T]) -> T:
    """What `work` returns in this world."""
    return world.loop.run_until_complete(work)


def test_a_batch_that_is_sent_again_is_stored_once(world: World) -> None:
    """The same sequence number again gives the same offset, and one that is ahead is refused."""
    cluster = Cluster(world, partitions=1)

    async def story() -> None:
        assert await cluster.produce(HERE, 1, 0, entries("a", "b")) == 0
        assert await cluster.produce(HERE, 1, 0, entries("a", "b")) == 0
        assert await cluster.produce(HERE, 1, 2, entries("c")) == 2
        with pytest.raises(OutOfOrder):
            await cluster.produce(HERE, 1, 5, entries("d"))

    run(world, story())
    assert [stored.entry.key for stored in cluster.logs[HERE].entries] == [b"a", b"b", b"c"]


@pytest.mark.parametrize(
    ("kept", "left"), [pytest.param(0, 1, id="the new leader lacks it"), pytest.param(1, 3, id="the new leader has it")]
)
def test_a_leader_that_moves_keeps_what_was_acknowledged(kept: int, left: int) -> None:
    """What was replicated outlives its leader; what was not is kept or lost as a whole."""
    replicas = Replicas()
    replicas.append(1, 0, entries("a"))
    replicas.high_watermark = 1
    replicas.append(1, 1, entries("b", "c"))
    replicas.lead_elsewhere(kept=kept)
    assert len(replicas.entries) == replicas.high_watermark == left
    assert replicas.append(1, 1, entries("b", "c")).base == 1
    assert len(replicas.entries) == 3


def test_a_batch_whose_leader_moved_is_not_acknowledged(world: World) -> None:
    """Whoever waits for a batch while the leader moves has to try again."""
    cluster = Cluster(world, partitions=1, seconds=60.0)

    async def story() -> None:
        under_way = cluster.produce(HERE, 1, 0, entries("a"))
        while HERE not in cluster.logs:
            await asyncio.sleep(0.01)
        cluster.leaders_move()
        with pytest.raises(TryAgain):
            await under_way

    run(world, story())


def test_a_request_lands_after_its_producer_was_given_up(world: World) -> None:
    """A batch that waits at brokers that hang is in doubt when its producer stops, and is stored when they go on."""
    cluster = Cluster(world, partitions=1)

    async def story() -> None:
        producer = SimulatedProducer(cluster)
        await producer.start()
        cluster.hung_until = world.loop.time() + 60
        batch = producer.create_batch()
        batch.append(timestamp=0, key=b"late", value=b"value", headers=())
        sent = await producer.send_batch(batch, TOPIC, partition=0)
        await asyncio.sleep(1)
        await producer.stop(patience=1)
        with pytest.raises(InDoubt):
            await sent
        await asyncio.sleep(100)

    run(world, story())
    assert [stored.entry.key for stored in cluster.logs[HERE].entries] == [b"late"]


def test_a_refusal_is_certain_on_the_first_attempt_alone(world: World) -> None:
    """A batch that was refused at once is stored nowhere; one that was sent before is in doubt."""
    cluster = Cluster(world, partitions=1)

    async def send(producer: SimulatedProducer) -> int:
        batch = producer.create_batch()
        batch.append(timestamp=0, key=b"key", value=b"value", headers=())
        return await (await producer.send_batch(batch, TOPIC, partition=0))

    async def story() -> None:
        producer = SimulatedProducer(cluster)
        await producer.start()
        cluster.refusing = True
        with pytest.raises(LogUnavailable):
            await send(producer)
        assert not cluster.logs
        producer, cluster.refusing, cluster.acks_lost = SimulatedProducer(cluster), False, 1.0
        await producer.start()
        asyncio.get_running_loop().call_later(1, setattr, cluster, "refusing", True)  # noqa: FBT003  # setattr's value
        with pytest.raises(InDoubt):
            await send(producer)

    run(world, story())


def test_brokers_that_are_down_refuse_whoever_connects(world: World) -> None:
    """A producer cannot start, and a reader cannot read, while no broker answers."""
    cluster = Cluster(world, partitions=1, down=True)

    async def story() -> None:
        with pytest.raises(LogUnavailable):
            await SimulatedProducer(cluster).start()
        with pytest.raises(LogUnavailable):
            await SimulatedReader(cluster).partitions()
        cluster.down, cluster.refusing = False, True
        with pytest.raises(Refused):
            await cluster.produce(HERE, 1, 0, entries("a"))

    run(world, story())
