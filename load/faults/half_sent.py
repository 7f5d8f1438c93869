"""A request whose last byte is held back, for a gate that is told to stop meanwhile."""

import asyncio
import json
import re
import time
from collections.abc import Mapping
from contextlib import suppress

from load.faults.gate import STOP_SECONDS
from load.faults.made import REPORT, Made

HEAD = (
    "POST /t/{tier}/v1/reports/{report} HTTP/1.1\r\nhost: gate\r\nauthorization: Bearer {token}\r\n"
    "content-type: application/avro\r\ncontent-length: {length}\r\n\r\n"
)


LENGTH = re.compile(rb"(?i)\r\ncontent-length: *([0-9]+)")


class HalfSent:
    """Posts a report but for its end."""

    def __init__(self, address: tuple[str, int], tokens: Mapping[str, str], made: Made) -> None:
        self.made = made
        self.sent = time.monotonic()
        self._address = address
        self._token = tokens[made.tier]
        self._streams: tuple[asyncio.StreamReader, asyncio.StreamWriter] | None = None

    async def begin(self) -> None:
        """Send all but the last byte."""
        made = self.made
        head = HEAD.format(tier=made.tier, report=REPORT, token=self._token, length=len(made.message))
        reader, writer = await asyncio.open_connection(*self._address)
        self._streams = reader, writer
        writer.write(head.encode() + made.message[:-1])
        await writer.drain()

    async def end(self, *, complete: bool) -> tuple[int, str]:
        """Status and reason of the answer, 0 where the connection was closed instead; the last byte is sent or not."""
        assert self._streams is not None  # noqa: S101 - for the type checker; `begin` comes first
        reader, writer = self._streams
        with suppress(OSError, EOFError):
            if complete:
                writer.write(self.made.message[-1:])
                await writer.drain()
            async with asyncio.timeout(STOP_SECONDS):
                head = await reader.readuntil(b"\r\n\r\n")
                length = LENGTH.search(head)
                body = await reader.readexactly(int(length[1])) if length else b""
            return int(head.split()[1]), _reason(body)
        return 0, ""

    def close(self) -> None:
        """Hang up."""
        if self._streams is not None:
            self._streams[1].close()


def _reason(body: bytes) -> str:
    with suppress(ValueError, AttributeError):
        return str(json.loads(body).get("reason", ""))
    return ""
