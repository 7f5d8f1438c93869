"""Connections to brokers that fall silent while they are made: the attempt ends, and so does all that it opened."""

import asyncio
import contextlib
import struct
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

import pytest

from ingest.log import LogUnavailable
from ingest.log.kafka import client as kafka_client
from ingest.log.kafka import producer as kafka_producer
from ingest.log.kafka.connection import KafkaConnection
from ingest.log.kafka.log import KafkaLogReader
from ingest.log.kafka.producer import AiokafkaProducer
from tests.ingest.log.kafka.producer_stand_in import until

pytestmark = pytest.mark.kafka


class FallsSilent:
    """A broker that answers the first requests of a connection as the real one does, and then nothing."""

    def __init__(self, broker: str, *, answers: int) -> None:
        self._host, _, self._port = broker.rpartition(":")
        self._answers = answers
        self.taken = 0
        self.open = 0

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.taken += 1
        self.open += 1
        try:
            there, to_it = await asyncio.open_connection(self._host, int(self._port))
            for _ in range(self._answers):
                await self._pass_on(reader, to_it)
                await self._pass_on(there, writer)
            to_it.close()
            while await reader.read(65536):
                pass
        except (ConnectionError, asyncio.IncompleteReadError):
            pass
        finally:
            self.open -= 1
            writer.close()

    async def _pass_on(self, source: asyncio.StreamReader, target: asyncio.StreamWriter) -> None:
        size = await source.readexactly(4)
        target.write(size + await source.readexactly(struct.unpack(">i", size)[0]))


@asynccontextmanager
async def falls_silent(broker: str, *, answers: int) -> AsyncIterator[tuple[FallsSilent, KafkaConnection]]:
    """Such a broker, and how it is connected to."""
    silent = FallsSilent(broker, answers=answers)
    server = await asyncio.start_server(silent.serve, "127.0.0.1", 0)
    async with contextlib.AsyncExitStack() as stack:
        stack.callback(server.close)
        yield silent, KafkaConnection(f"127.0.0.1:{server.sockets[0].getsockname()[1]}")


async def start(connection: KafkaConnection) -> None:
    """What a gate does first."""
    await AiokafkaProducer(connection).start()


async def look(connection: KafkaConnection) -> None:
    """What a follower does first."""
    await KafkaLogReader(connection).partitions()


@pytest.mark.parametrize("connect", [start, look])
@pytest.mark.parametrize(
    "answers",
    [
        pytest.param(0, id="a broker that takes connections and says nothing"),
        pytest.param(1, id="a broker that hangs before it says which brokers there are"),
    ],
)
async def test_nothing_stays_open(
    kafka_bootstrap: str,
    connect: Callable[[KafkaConnection], Awaitable[None]],
    answers: int,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """An attempt that is given up in the middle says so, and leaves neither a connection nor a task behind."""
    for module in (kafka_client, kafka_producer):
        monkeypatch.setattr(module, "CONNECT_SECONDS", 0.3)
    monkeypatch.setattr(kafka_client, "DIAGNOSIS_SECONDS", 0.1)
    left: list[Any] = []
    asyncio.get_running_loop().set_exception_handler(lambda _, context: left.append(context["message"]))
    tasks = asyncio.all_tasks()
    async with falls_silent(kafka_bootstrap, answers=answers) as (silent, connection):
        with pytest.raises(LogUnavailable, match="no broker could be used"):
            await asyncio.wait_for(connect(connection), 30)
        assert silent.taken == 2, "one to connect, one to find out why that failed"
        await until(lambda: silent.open == 0)
    await until(lambda: asyncio.all_tasks() == tasks)
    assert left == []
