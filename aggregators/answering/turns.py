"""Whose turn it is to be answered: a few at once, because the process that answers also counts.

An answer lies in memory until its body was sent, so its turn lasts until then, or until whoever asked is gone. Who does
not read in time gets no more of it. The body goes in pieces: what the socket does not take yet is never more than one.
"""

import asyncio
from collections.abc import AsyncIterator, Iterable, Iterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager

from fastapi.responses import StreamingResponse
from starlette.types import Receive, Scope, Send

from aggregators.answering.problems import Refusal, Refused

AT_ONCE = 2
"""Questions that are answered at the same time: a gate, and the follower, share the process and its two cores."""
WAITING = 8
"""Questions that wait for their turn; each ahead of one takes at most its twenty seconds, and those of its body."""

BODY_SECONDS = 60.0
"""In which a body is read: one of a hundred megabytes at 14 Mbit/s."""

PIECE = 1 << 16
"""Bytes; as much as the server buffers before it waits for the socket."""


class Turns:
    """Who is answered now, and who waits."""

    def __init__(self) -> None:
        self._free = asyncio.Semaphore(AT_ONCE)
        self._here = 0

    @asynccontextmanager
    async def taken(self) -> AsyncIterator[None]:
        """Wait for a turn, and keep it for the body; raises `Refused` where too many wait already."""
        if self._here >= AT_ONCE + WAITING:
            raise Refused(Refusal.TOO_MANY_QUESTIONS)
        self._here += 1
        try:
            async with self._free:
                yield
        finally:
            self._here -= 1


class TurnResponse(StreamingResponse):
    """A body, sent within `BODY_SECONDS`; `turn` is closed once it was sent, or is not going to be."""

    def __init__(
        self, body: Iterable[bytes], *, turn: AsyncExitStack, media_type: str, headers: Mapping[str, str]
    ) -> None:
        super().__init__(_pieces(body), media_type=media_type, headers=headers)
        self._turn = turn

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Send the body. After a time-out it lacks its last chunk, so that no client takes it for whole."""
        async with self._turn:
            try:
                async with asyncio.timeout(BODY_SECONDS):
                    await super().__call__(scope, receive, send)
            except TimeoutError:
                return


def _pieces(body: Iterable[bytes]) -> Iterator[bytes]:
    for part in body:
        for start in range(0, len(part), PIECE):
            yield part[start : start + PIECE]
