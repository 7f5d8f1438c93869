"""A client that costs little: raw HTTP/1.1 over kept-alive connections, each with one request under way at a time.

Every answer is checked. A server that refuses, or accepts fewer reports than it was sent, fails the run: otherwise a
server that fails would look fast.
"""

import asyncio
import time
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager
from typing import cast

PATIENCE_SECONDS = 120.0
"""How long all requests of one call may take together."""

HEAD_END = b"\r\n\r\n"
LENGTH = b"content-length:"


class BadAnswerError(Exception):
    """An answer that is not 202 for every report; the message holds the status and nothing of the body."""


def http_request(path: str, body: bytes, *, token: str, media_type: str) -> bytes:
    """The bytes of a POST."""
    head = (
        f"POST {path} HTTP/1.1\r\nhost: 127.0.0.1\r\nauthorization: Bearer {token}\r\n"
        f"content-type: {media_type}\r\ncontent-length: {len(body)}\r\n\r\n"
    )
    return head.encode() + body


class _Burst:
    """Requests that are being sent by several connections, and what came of them."""

    __slots__ = ("_accepted", "_left", "_unsent", "done", "seconds")

    def __init__(self, requests: Sequence[bytes], accepted: int) -> None:
        self._unsent: Iterator[bytes] = iter(requests)
        self._left = len(requests)
        self._accepted = (b'{"accepted":%d,' % accepted, b'{"accepted":%d}' % accepted)
        self.seconds: list[float] = []
        self.done: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    def next_request(self) -> bytes | None:
        return next(self._unsent, None)

    def answered(self, status: bytes, body: bytes, seconds: float) -> None:
        if status != b"202" or not body.startswith(self._accepted):
            self.fail(f"a server answered {status.decode('latin-1')}, or accepted another number of reports than sent")
            return
        self.seconds.append(seconds)
        self._left -= 1
        if self._left == 0 and not self.done.done():
            self.done.set_result(None)

    def fail(self, problem: str) -> None:
        if not self.done.done():
            self.done.set_exception(BadAnswerError(problem))


class _Connection(asyncio.Protocol):
    """One connection: sends a request, waits for the whole answer, sends the next."""

    def __init__(self) -> None:
        self._transport: asyncio.Transport | None = None
        self._burst: _Burst | None = None
        self._received = b""
        self._sent_at = 0.0

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)

    def connection_lost(self, exc: Exception | None) -> None:
        del exc
        if self._burst is not None:
            self._burst.fail("a server hung up in the middle")

    def begin(self, burst: _Burst) -> None:
        self._burst = burst
        self._send_next(burst)

    def close(self) -> None:
        self._burst = None
        if self._transport is not None:
            self._transport.close()

    def data_received(self, data: bytes) -> None:
        self._received += data
        head, end, body = self._received.partition(HEAD_END)
        if not end or len(body) < _content_length(head) or self._burst is None:
            return
        self._received = b""
        self._burst.answered(head[9:12], body, time.perf_counter() - self._sent_at)
        self._send_next(self._burst)

    def _send_next(self, burst: _Burst) -> None:
        request = burst.next_request()
        if request is not None and self._transport is not None:
            self._sent_at = time.perf_counter()
            self._transport.write(request)


def _content_length(head: bytes) -> int:
    """The Content-Length of an answer; 0 where there is none, and the check of the body then fails."""
    at = head.lower().find(LENGTH)
    if at < 0:
        return 0
    return int(head[at + len(LENGTH) :].split(b"\r\n", 1)[0])


class Client:
    """Open connections to one server."""

    def __init__(self, connections: Sequence[_Connection]) -> None:
        self._connections = connections

    async def post_all(self, requests: Sequence[bytes], *, accepted: int) -> Sequence[float]:
        """The seconds that each answer took; each must accept so many reports. Raises `BadAnswerError`."""
        burst = _Burst(requests, accepted)
        for connection in self._connections:
            connection.begin(burst)
        async with asyncio.timeout(PATIENCE_SECONDS):
            await burst.done
        return burst.seconds


@asynccontextmanager
async def connected(address: tuple[str, int], *, connections: int) -> AsyncIterator[Client]:
    """A client with so many connections, closed with the block."""
    loop = asyncio.get_running_loop()
    opened = [(await loop.create_connection(_Connection, *address))[1] for _ in range(connections)]
    try:
        yield Client(opened)
    finally:
        for connection in opened:
            connection.close()
