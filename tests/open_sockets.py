"""The sockets of this process, and waiting until those of a client have closed."""

import asyncio
import gc
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from tests.running_gate import PATIENCE_SECONDS


@asynccontextmanager
async def ended_with_the_block() -> AsyncIterator[None]:
    """Ends when the connections made in it have: TLS takes leave of the other side first, aiokafka waits for none."""
    before = _open_sockets()
    try:
        yield
    finally:
        async with asyncio.timeout(PATIENCE_SECONDS):
            while _open_sockets() > before:
                await asyncio.sleep(0.01)


def _open_sockets() -> int:
    # Not isinstance, which would ask the object itself: some tests make objects that answer nobody.
    return sum(issubclass(type(one), socket.socket) and one.fileno() >= 0 for one in gc.get_objects())
