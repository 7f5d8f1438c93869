"""A TCP proxy that does what networks do: passes on, delays, cuts, says nothing, closes one half.

    with fault_proxy(lambda: ("127.0.0.1", port)) as proxy:
        proxy.fault = lambda: Cut("down", 0)     # the request arrives, the answer does not
        connect to proxy.address

Rules held here: the fault of a connection is asked for when it is opened, so `fault` may draw one; bytes are counted
from then on, whatever requests they belong to; where the target goes is asked for each connection, so that a process
that was started anew, on another port, is found; it runs in a thread of its own, with an event loop of its own.
"""

import asyncio
import struct
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from socket import SO_LINGER, SOL_SOCKET
from typing import Literal

CHUNK = 1 << 14
START_SECONDS = 10.0

Direction = Literal["up", "down"]
"""up: from the client to the target; down: back."""

Target = Callable[[], tuple[str, int] | None]
"""None: there is no process now, so whoever connects is hung up on."""


@dataclass(frozen=True, slots=True)
class Pass:
    """Bytes are passed on, each piece after `delay` seconds."""

    delay: float = 0.0


@dataclass(frozen=True, slots=True)
class Cut:
    """Once `after` bytes were passed on in that direction both sides are reset; what comes behind them is lost."""

    direction: Direction
    after: int


@dataclass(frozen=True, slots=True)
class HalfClose:
    """Once the client sent `after` bytes the target is told that no more will come, and its answer is passed on."""

    after: int


@dataclass(frozen=True, slots=True)
class BlackHole:
    """Nothing is passed on and nothing said, for as long as the client waits or `FaultProxy.hang_up` is called."""


Fault = Pass | Cut | HalfClose | BlackHole


class FaultProxy:
    """See the module. `fault` may be set from any thread, and holds for the connections that follow."""

    def __init__(self, target: Target) -> None:
        self.fault: Callable[[], Fault] = Pass
        self.address = ("", 0)
        self._target = target
        self._loop = asyncio.new_event_loop()
        self._ready = threading.Event()
        self._open: set[asyncio.Task[None]] = set()
        self._stop = asyncio.Event()
        self._thread = threading.Thread(target=self._run, name="fault-proxy", daemon=True)

    def start(self) -> None:
        self._thread.start()
        if not self._ready.wait(START_SECONDS):
            raise TimeoutError("the proxy did not start")

    def stop(self) -> None:
        """Cut every connection and end the thread."""
        self._loop.call_soon_threadsafe(self._stop.set)
        self._thread.join()

    def hang_up(self) -> None:
        """Cut every connection that is open now."""
        self._loop.call_soon_threadsafe(self._cancel)

    def _cancel(self) -> None:
        for task in self._open:
            task.cancel()

    def _run(self) -> None:
        asyncio.set_event_loop(self._loop)
        try:
            self._loop.run_until_complete(self._serve())
        finally:
            self._loop.close()

    async def _serve(self) -> None:
        server = await asyncio.start_server(self._connected, "127.0.0.1", 0)
        self.address = server.sockets[0].getsockname()[:2]
        self._ready.set()
        await self._stop.wait()
        server.close()
        self._cancel()
        await asyncio.gather(*self._open, return_exceptions=True)

    async def _connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None  # noqa: S101 - for the type checker; asyncio runs this in one
        self._open.add(task)
        try:
            await self._conversation(reader, writer, self.fault())
        except (OSError, asyncio.CancelledError):
            pass  # a side went away, or all are cut: the end of a connection is no fault of the proxy's
        finally:
            self._open.discard(task)
            _reset(writer)

    async def _conversation(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, fault: Fault) -> None:
        if isinstance(fault, BlackHole):
            await asyncio.Event().wait()
        target = self._target()
        if target is None:
            return
        far_reader, far_writer = await asyncio.open_connection(*target)
        try:
            up = asyncio.ensure_future(_pump(reader, far_writer, fault, "up"))
            down = asyncio.ensure_future(_pump(far_reader, writer, fault, "down"))
            await _either(up, down)
        finally:
            _reset(far_writer)


async def _either(up: "asyncio.Future[bool]", down: "asyncio.Future[bool]") -> None:
    """Return when a direction was cut or the target has ended its own; an end of the client's half is not the end."""
    try:
        while not down.done():
            waiting = {pump for pump in (up, down) if not pump.done()}
            done, _ = await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
            if any(one.result() for one in done):
                return
    finally:
        for pump in (up, down):
            pump.cancel()


async def _pump(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, fault: Fault, direction: Direction) -> bool:
    """Pass on until the end, or until the fault; whether the connection is to be cut."""
    passed = 0
    while piece := await reader.read(CHUNK):
        if isinstance(fault, Pass) and fault.delay:
            await asyncio.sleep(fault.delay)
        limit = _limit(fault, direction)
        if limit is not None and passed + len(piece) > limit:
            writer.write(piece[: limit - passed])
            await writer.drain()
            if isinstance(fault, Cut):
                return True
            break
        writer.write(piece)
        await writer.drain()
        passed += len(piece)
    with suppress(OSError):
        writer.write_eof()
    return False


def _limit(fault: Fault, direction: Direction) -> int | None:
    match fault:
        case Cut(direction=cut, after=after) if cut == direction:
            return after
        case HalfClose(after=after) if direction == "up":
            return after
    return None


def _reset(writer: asyncio.StreamWriter) -> None:
    """Close at once; what was written is still sent, what was not read is answered with a reset."""
    transport = writer.transport
    if transport.is_closing():
        return
    connected = transport.get_extra_info("socket")
    if connected is not None and transport.get_write_buffer_size():
        with suppress(OSError):
            connected.setsockopt(SOL_SOCKET, SO_LINGER, struct.pack("ii", 1, 0))
        transport.abort()
    else:
        transport.close()


@contextmanager
def fault_proxy(target: Target) -> Iterator[FaultProxy]:
    """A proxy in front of `target`, which is asked for every connection; ended with the block."""
    proxy = FaultProxy(target)
    proxy.start()
    try:
        yield proxy
    finally:
        proxy.stop()
