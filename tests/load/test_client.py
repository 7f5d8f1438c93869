"""The bench's client: it counts nothing but full acceptance, whatever the server does."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

import pytest

from load.client import BadAnswerError, connected, http_request

Handler = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]

REQUESTS = [http_request("/", b"body", token="t", media_type="application/avro")] * 8


def answer(body: bytes, status: bytes = b"202 Accepted") -> bytes:
    """An answer as a server sends it."""
    return b"HTTP/1.1 %s\r\ncontent-length: %d\r\n\r\n%s" % (status, len(body), body)


@asynccontextmanager
async def server(*pieces: bytes) -> AsyncIterator[tuple[str, int]]:
    """A server that answers each request with `pieces`, one write each; none at all means that it hangs up."""

    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while pieces:
                await reader.readuntil(b"\r\n\r\nbody")
                for piece in pieces:
                    writer.write(piece)
                    await writer.drain()
                    await asyncio.sleep(0)
        except (asyncio.IncompleteReadError, ConnectionError):
            pass  # the client is done
        finally:
            writer.close()

    async with await asyncio.start_server(handle, "127.0.0.1", 0) as listening:
        yield listening.sockets[0].getsockname()[:2]


GOOD = [
    pytest.param([answer(b'{"accepted":3,"rejected":[]}')], id="the gate's answer"),
    pytest.param([answer(b'{"accepted":3}')], id="nothing but the number"),
    pytest.param([answer(b'{"accepted":3}')[:20], answer(b'{"accepted":3}')[20:]], id="cut within the head"),
    pytest.param([answer(b'{"accepted":3}')[:-4], answer(b'{"accepted":3}')[-4:]], id="cut within the body"),
]

BAD = [
    pytest.param([answer(b'{"accepted":3}', b"503 Busy")], id="another status"),
    pytest.param([answer(b'{"accepted":2,"rejected":[{}]}')], id="a part accepted"),
    pytest.param([answer(b'{"accepted":30}')], id="a number that begins alike"),
    pytest.param([answer(b"")], id="no body"),
    pytest.param([], id="hung up"),
]


@pytest.mark.parametrize("pieces", GOOD)
@pytest.mark.parametrize("connections", [1, 3, 16])
async def test_every_request_is_answered(pieces: list[bytes], connections: int) -> None:
    """Each request gets one answer and one time, however many connections share them."""
    async with server(*pieces) as address, connected(address, connections=connections) as client:
        assert len(await client.post_all(REQUESTS, accepted=3)) == len(REQUESTS)
        assert len(await client.post_all(REQUESTS, accepted=3)) == len(REQUESTS)


@pytest.mark.parametrize("pieces", BAD)
async def test_failing_server_fails_the_run(pieces: list[bytes]) -> None:
    """A server that does not accept everything cannot look fast."""
    async with server(*pieces) as address, connected(address, connections=2) as client:
        with pytest.raises(BadAnswerError):
            await client.post_all(REQUESTS, accepted=3)
