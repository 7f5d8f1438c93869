"""Turns: how many answers may lie in memory at once, whatever those who asked for them do with the connection."""

import asyncio
from collections.abc import AsyncIterator, Iterator, MutableMapping
from contextlib import AsyncExitStack, asynccontextmanager
from datetime import timedelta
from typing import Any

import pytest
from fastapi import FastAPI

from aggregators.answering import turns
from aggregators.answering.api import answers_router
from aggregators.answering.formats import ARROW, FORMATS
from aggregators.answering.turns import AT_ONCE, PIECE, WAITING, TurnResponse, Turns
from ingest.http.service import build_service
from tests.aggregators.published_cells import NOW, empty_source, route

PATIENCE_SECONDS = 20.0
LARGE = bytes(range(256)) * (PIECE // 64)


@pytest.fixture(scope="module")
def service() -> Iterator[FastAPI]:
    """Answers of one cell, with its turns."""
    source = empty_source()
    route(source, NOW.replace(hour=0) - timedelta(days=1), "edge", 5, grain="day")
    source.publish()
    yield build_service(answers_router(source))
    source.connection.close()


class Reader:
    """Somebody who asks, and takes nothing of the body until `read` is set, or who hangs up once `gone` is."""

    def __init__(self, service: FastAPI, media_type: str = ARROW) -> None:
        self.code = 0
        self.body = b""
        self.whole = False
        self.offered = asyncio.Event()
        self.read = asyncio.Event()
        self.gone = asyncio.Event()
        self._asked = False
        self.task = asyncio.create_task(service(_scope(media_type), self._receive, self._send))

    async def _receive(self) -> MutableMapping[str, Any]:
        if not self._asked:
            self._asked = True
            return {"type": "http.request", "body": b"", "more_body": False}
        await self.gone.wait()
        return {"type": "http.disconnect"}

    async def _send(self, message: MutableMapping[str, Any]) -> None:
        if message["type"] == "http.response.start":
            self.code = message["status"]
            return
        self.offered.set()
        if self.code == 200:
            await self.read.wait()
        self.body += message.get("body", b"")
        self.whole = not message.get("more_body", False)

    async def ended(self) -> "Reader":
        """Waits until the service has done with this one."""
        await asyncio.wait_for(self.task, PATIENCE_SECONDS)
        return self

    async def is_offered(self) -> "Reader":
        """Waits until there is a body for this one."""
        await asyncio.wait_for(self.offered.wait(), PATIENCE_SECONDS)
        return self


def _scope(media_type: str) -> dict[str, Any]:
    return {
        "type": "http",
        "asgi": {"version": "3.0", "spec_version": "2.3"},
        "http_version": "1.1",
        "method": "GET",
        "scheme": "http",
        "path": "/v1/answers/R1",
        "raw_path": b"/v1/answers/R1",
        "query_string": b"from=2026-11-18&to=2026-11-21",
        "root_path": "",
        "headers": [(b"authorization", b"Bearer analyst"), (b"accept", media_type.encode())],
        "server": ("gate", 80),
        "client": ("reader", 1),
    }


@asynccontextmanager
async def crowd(service: FastAPI, number: int) -> AsyncIterator[list[Reader]]:
    """Readers who do not read: as many as there are turns have been offered a body, the others were too late."""
    readers = [await Reader(service).is_offered() for _ in range(AT_ONCE)]
    readers += [Reader(service) for _ in range(number - AT_ONCE)]
    try:
        yield readers
    finally:
        for reader in readers:
            reader.read.set()
        for reader in readers:
            await reader.ended()


async def test_who_does_not_read_keeps_the_turn(service: FastAPI) -> None:
    """While readers do not read, no more answers are made than may be at once; who comes too late is refused."""
    async with crowd(service, AT_ONCE + WAITING + 1) as readers:
        refused = await readers[-1].ended()
        assert refused.code == 503
        assert [reader.offered.is_set() for reader in readers[AT_ONCE:-1]] == [False] * WAITING
    assert [(reader.code, reader.whole) for reader in readers[:-1]] == [(200, True)] * (AT_ONCE + WAITING)


async def test_who_hangs_up_gives_the_turn_back(service: FastAPI) -> None:
    """A client that is gone makes room for the next, though it read nothing."""
    async with crowd(service, AT_ONCE + 1) as readers:
        readers[0].gone.set()
        await readers[0].ended()
        await readers[-1].is_offered()
        assert not readers[0].whole


async def test_who_never_reads_is_given_up(service: FastAPI, monkeypatch: pytest.MonkeyPatch) -> None:
    """A body that is not read in time ends without its end, and everybody who waited is answered."""
    monkeypatch.setattr(turns, "BODY_SECONDS", 2.0)
    async with crowd(service, AT_ONCE) as stuck:
        for reader in stuck:
            await reader.ended()
            assert (reader.code, reader.whole) == (200, False)
        monkeypatch.undo()
        for media_type in FORMATS:
            reader = Reader(service, media_type)
            reader.read.set()
            await reader.ended()
            assert (reader.code, reader.whole) == (200, True)


async def test_a_body_goes_in_pieces() -> None:
    """However a format makes its body, the server is handed no more than a piece of it at once."""
    sent: list[bytes] = []

    async def send(message: MutableMapping[str, Any]) -> None:
        sent.append(message.get("body", b""))

    async def receive() -> MutableMapping[str, Any]:
        await asyncio.Event().wait()
        return {"type": "http.disconnect"}

    async with AsyncExitStack() as turn:
        await turn.enter_async_context(Turns().taken())
        response = TurnResponse([LARGE, b"end"], turn=turn.pop_all(), media_type=ARROW, headers={})
    await response(_scope(ARROW), receive, send)
    assert b"".join(sent) == LARGE + b"end"
    assert max(len(piece) for piece in sent) == PIECE < len(LARGE)
