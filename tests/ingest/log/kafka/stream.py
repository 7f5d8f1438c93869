"""A stream of appends that goes on while something happens to the brokers, and what must be true of it afterwards."""

import asyncio
import itertools
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

from ingest.log import InDoubt, Log, LogReader, LogUnavailable
from ingest.report import Entry

TOPIC = "tidegate.managed.route_window.v1"
CALLERS = 8
PAUSE_SECONDS = 0.01
RECOVERY_SECONDS = 60.0


def entry(key: bytes, value: bytes = b"value", topic: str = TOPIC) -> Entry:
    """An entry without headers."""
    return Entry(topic, key, value, 1_795_000_000_000)


async def keys(reader: LogReader) -> Counter[bytes]:
    """How often each key is in the log."""
    found: Counter[bytes] = Counter()
    for partition in await reader.partitions():
        after = -1
        while step := await reader.read(partition, after=after, limit=1000):
            found.update(stored.entry.key for stored in step)
            after = step[-1].offset
    return found


async def stored(log: Log, key: bytes) -> int:
    """Append an entry with this key as a device would: again and again, until it is acknowledged.

    Returns how many attempts were in doubt: each of them may have been stored as well.
    """
    in_doubt = 0
    async with asyncio.timeout(RECOVERY_SECONDS):
        while True:
            try:
                await log.append([entry(key)])
            except LogUnavailable:
                pass
            except InDoubt:
                in_doubt += 1
            else:
                return in_doubt
            await asyncio.sleep(PAUSE_SECONDS)


@dataclass
class Stream:
    """What became of each append, by the key of its only entry; each is tried once."""

    log: Log
    ok: list[bytes] = field(default_factory=list)
    refused: list[bytes] = field(default_factory=list)
    in_doubt: list[bytes] = field(default_factory=list)

    @asynccontextmanager
    async def flowing(self) -> AsyncIterator[None]:
        """Append without a pause for as long as the block runs."""
        numbers = itertools.count(len(self.ok) + len(self.refused) + len(self.in_doubt))
        stop = asyncio.Event()

        async def caller() -> None:
            while not stop.is_set():
                await self._append(b"%d" % next(numbers))
                await asyncio.sleep(PAUSE_SECONDS)

        callers = [asyncio.create_task(caller()) for _ in range(CALLERS)]
        try:
            yield
        finally:
            stop.set()
            await asyncio.gather(*callers)

    async def more(self, acknowledged: int) -> None:
        """Return once so many further appends were acknowledged."""
        enough = len(self.ok) + acknowledged
        async with asyncio.timeout(RECOVERY_SECONDS):
            while len(self.ok) < enough:
                await asyncio.sleep(PAUSE_SECONDS)

    async def _append(self, key: bytes) -> None:
        try:
            await self.log.append([entry(key)])
        except InDoubt:
            self.in_doubt.append(key)
        except LogUnavailable:
            self.refused.append(key)
        else:
            self.ok.append(key)

    async def check(self) -> None:
        """Acknowledged is there once, refused is not there, in doubt at most once."""
        found = await keys(self.log)
        assert {key: found[key] for key in self.ok if found[key] != 1} == {}
        assert [key for key in self.refused if key in found] == []
        assert {key: found[key] for key in self.in_doubt if found[key] > 1} == {}
