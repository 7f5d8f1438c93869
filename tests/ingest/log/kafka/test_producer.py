"""How an aiokafka producer is ended, whatever became of its batches in the meantime."""

import asyncio

import pytest

from ingest.log import InDoubt
from ingest.log.kafka.connection import KafkaConnection
from ingest.log.kafka.producer import AiokafkaProducer


async def test_a_batch_confirmed_in_the_moment_of_the_stop(monkeypatch: pytest.MonkeyPatch) -> None:
    """A batch that was confirmed as the patience ended stays so, the others are in doubt, and the producer is ended."""
    ended = []

    async def end(producer: AiokafkaProducer, *, seconds: float) -> None:
        del seconds
        ended.append(producer)

    monkeypatch.setattr(AiokafkaProducer, "_end", end)
    producer = AiokafkaProducer(KafkaConnection("nowhere.invalid:9092"))
    confirmed, unknown = (asyncio.get_running_loop().create_future() for _ in range(2))
    producer._under_way |= {confirmed, unknown}
    confirmed.set_result(7)
    await producer.stop(patience=0)
    assert await confirmed == 7
    with pytest.raises(InDoubt):
        await unknown
    assert ended == [producer]
