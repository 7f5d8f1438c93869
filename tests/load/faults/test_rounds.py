"""A short schedule of faults against real processes; `make faults` runs hundreds of rounds of the same."""

import secrets
from pathlib import Path

import pytest

from load.broker import Cluster
from load.faults.__main__ import play
from load.faults.kafka_world import KafkaWorld
from load.faults.rounds import living
from load.faults.schedule import embedded_injections, kafka_injections
from load.faults.world import EmbeddedWorld, World

ROUNDS = 4


async def rounds(world: World, log: str) -> list[str]:
    """What does not hold after a few rounds; what was injected is shown when the test fails."""
    seed = secrets.randbelow(1 << 32)
    print(f"seed {seed}")
    injections = embedded_injections() if log == "embedded" else kafka_injections()
    async with living(world, injections, seed=seed) as life:
        violations = await play(life, range(1, ROUNDS + 1), log=log, seed=seed, say=print)
        assert life.told.summary()["accepted"] > ROUNDS
    return [str(violation) for violation in violations]


@pytest.mark.faults
async def test_rounds_on_the_embedded_log(tmp_path: Path) -> None:
    """Through some faults drawn at random nothing is lost, counted twice or leaked, and the ledger balances."""
    assert await rounds(EmbeddedWorld(tmp_path), "embedded") == []


@pytest.mark.faults
@pytest.mark.kafka
async def test_rounds_on_kafka(tmp_path: Path, kafka_cluster: Cluster, topic_prefix: str) -> None:
    """The same on three brokers, any of which may be lost, hung or restarted."""
    world = KafkaWorld(tmp_path, kafka_cluster, prefix=topic_prefix)
    await world.make_topics()
    assert await rounds(world, "kafka") == []
