"""Reading a request's body: bounded in bytes and in time, and cut short when the gate stops.

A body is read whole before anything looks at it, because a report is small and a half-read one is worth nothing.

A process that stood still (stopped, starved) wakes up to its timers first, and to sockets afterwards: a whole body may
have waited there, and is not late. So a body whose time is over is looked for once more before it is refused.
"""

import asyncio
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any

from ingest.body import MAX_BODY
from ingest.problems import Reason, Rejected

LAST_LOOK_SECONDS = 0.05
"""Time for some turns of the loop: what lies in the socket is read in several pieces."""

Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]


class BodyReader:
    """Reads bodies, each within `timeout` seconds; after `stop` those under way have `grace` seconds left."""

    def __init__(self, *, timeout: float) -> None:
        self._timeout = timeout
        self._under_way: dict[asyncio.Timeout, asyncio.TimerHandle] = {}
        self._stopping = False

    @property
    def stopping(self) -> bool:
        """Whether no further body will be read."""
        return self._stopping

    def stop(self, *, grace: float) -> None:
        """Refuse further bodies and give those half received `grace` seconds."""
        self._stopping = True
        deadline = asyncio.get_running_loop().time() + grace
        for timeout, timer in self._under_way.items():
            if timer.when() > deadline:
                timer.cancel()
                self._under_way[timeout] = self._timer(timeout, deadline)

    async def read(self, receive: Receive, *, announced: int | None) -> bytes:
        """The body; `announced` is its Content-Length in bytes, where there is one.

        Raises `Rejected`: stopping, body_too_large, body_timeout, or disconnected.
        """
        if self._stopping:
            raise Rejected(Reason.STOPPING)
        if announced is not None and announced > MAX_BODY:
            raise Rejected(Reason.BODY_TOO_LARGE)
        timeout = asyncio.timeout(None)
        self._under_way[timeout] = self._timer(timeout, asyncio.get_running_loop().time() + self._timeout)
        try:
            async with timeout:
                return await _whole(receive)
        except TimeoutError:
            raise Rejected(self._why_late()) from None
        finally:
            self._under_way.pop(timeout).cancel()

    def _timer(self, timeout: asyncio.Timeout, deadline: float) -> asyncio.TimerHandle:
        loop = asyncio.get_running_loop()
        return loop.call_at(deadline, lambda: timeout.reschedule(loop.time() + LAST_LOOK_SECONDS))

    def _why_late(self) -> Reason:
        return Reason.STOPPING if self._stopping else Reason.BODY_TIMEOUT


async def _whole(receive: Receive) -> bytes:
    event = await receive()
    if event["type"] == "http.request" and not event.get("more_body", False):
        return _bounded(event.get("body", b""))
    body = bytearray()
    while True:
        if event["type"] == "http.disconnect":
            raise Rejected(Reason.DISCONNECTED)
        body += event.get("body", b"")
        if not event.get("more_body", False):
            return _bounded(bytes(body))
        if len(body) > MAX_BODY:
            raise Rejected(Reason.BODY_TOO_LARGE)
        event = await receive()


def _bounded(body: bytes) -> bytes:
    if len(body) > MAX_BODY:
        raise Rejected(Reason.BODY_TOO_LARGE)
    return body
