"""Faults of the brokers under the gate's log; the round brings every broker back (`KafkaWorld.repair`)."""

import asyncio
from collections.abc import Sequence

from load.broker import Broker
from load.faults.injections import Injection, Stage
from load.faults.kafka_world import KafkaWorld
from load.faults.world import run_on_thread


def _world(stage: Stage) -> KafkaWorld:
    assert isinstance(stage.world, KafkaWorld)  # noqa: S101 - for the type checker; only there is this drawn
    return stage.world


def _brokers(stage: Stage, how_many: int) -> Sequence[Broker]:
    return stage.random.sample(list(_world(stage).cluster.brokers), how_many)


async def one_lost(stage: Stage) -> str:
    """One broker of three is killed, and comes back: reports are taken all the while, once leaders have moved."""
    (broker,) = _brokers(stage, 1)
    await stage.moment()
    broker.kill()
    await stage.moment(2.0)
    return f"broker {broker.node_id} killed"


async def majority_lost(stage: Stage) -> str:
    """Two of three are killed: nothing can be acknowledged until one of them is back."""
    brokers = _brokers(stage, 2)
    await stage.moment()
    for broker in brokers:
        broker.kill()
    await stage.moment(1.5)
    return f"brokers {brokers[0].node_id} and {brokers[1].node_id} killed"


async def one_hangs(stage: Stage) -> str:
    """One broker stands still for longer than a gate waits for its log, or for a moment."""
    (broker,) = _brokers(stage, 1)
    seconds = stage.random.choice([0.5, 2.0, 7.0])
    await stage.moment()
    broker.pause()
    await asyncio.sleep(seconds)
    broker.resume()
    return f"broker {broker.node_id} hung for {seconds:.1f} s"


async def all_hang(stage: Stage) -> str:
    """Every broker stands still for a moment."""
    brokers = _brokers(stage, 3)
    await stage.moment()
    for broker in brokers:
        broker.pause()
    await stage.moment(2.0)
    for broker in brokers:
        broker.resume()
    return "every broker hung"


async def slow(stage: Stage) -> str:
    """Every broker runs a tenth of the time: what takes milliseconds takes tens of them."""
    brokers = _brokers(stage, 3)
    for _ in range(10):
        for broker in brokers:
            broker.pause()
        await asyncio.sleep(0.09)
        for broker in brokers:
            broker.resume()
        await asyncio.sleep(0.01)
    return "every broker ran a tenth of the time"


async def leader_moves(stage: Stage) -> str:
    """A broker takes its leave in good order, so that what it led is led by another, and comes back."""
    (broker,) = _brokers(stage, 1)
    await stage.moment()
    await run_on_thread(broker.stop)
    await stage.moment()
    return f"broker {broker.node_id} stopped in good order"


async def rolling_restart(stage: Stage) -> str:
    """One broker after the other is stopped and started."""
    brokers = _brokers(stage, 3)
    for broker in brokers:
        await run_on_thread(broker.stop)
        await run_on_thread(broker.start)
    return "rolling restart"


BROKERS: Sequence[Injection] = (
    Injection("one broker of three lost", one_lost, weight=4),
    Injection("two brokers of three lost", majority_lost, weight=2),
    Injection("a broker hangs", one_hangs, weight=4),
    Injection("every broker hangs", all_hang, weight=3),
    Injection("every broker is slow", slow, weight=3),
    Injection("a leader moves", leader_moves, weight=4),
    Injection("rolling restart", rolling_restart),
)
