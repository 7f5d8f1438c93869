"""One kept-alive connection to a gate, opened when it is needed, with one request under way at a time."""

import asyncio
import ssl
from contextlib import suppress
from dataclasses import dataclass, field
from typing import NamedTuple
from urllib.parse import urlsplit

import httptools

ANSWER_SECONDS = 60.0
"""A gate answers within 10 s as a rule; what takes longer is no answer, and the next try will tell."""

CONNECT_SECONDS = 10.0
CHUNK = 1 << 16


class Address(NamedTuple):
    """Where a gate is: `prefix` is the path before its own paths, without a slash at the end."""

    host: str
    port: int
    secure: bool
    prefix: str


class Answer(NamedTuple):
    """What a gate said: `retry_after` in seconds, where it gave any."""

    status: int
    retry_after: float | None
    body: bytes


class NoAnswer(Exception):
    """Nobody knows whether the request arrived."""


class NotSent(NoAnswer):
    """There is no connection, so it did not."""


def address_of(url: str) -> Address:
    """The address in an http or https URL; raises ValueError with what is wrong with it."""
    parts = urlsplit(url)
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise ValueError("write it as http://host:port")
    if parts.username or parts.query or parts.fragment:
        raise ValueError("it has more than scheme, host, port and path; write it as http://host:port")
    secure = parts.scheme == "https"
    return Address(parts.hostname, parts.port or (443 if secure else 80), secure, parts.path.rstrip("/"))


@dataclass(slots=True)
class _Reading:
    """What httptools calls back while it reads an answer."""

    headers: dict[bytes, bytes] = field(default_factory=dict)
    body: bytearray = field(default_factory=bytearray)
    complete: bool = False

    def on_header(self, name: bytes, value: bytes) -> None:
        self.headers[name.lower()] = value

    def on_body(self, body: bytes) -> None:
        self.body += body

    def on_message_complete(self) -> None:
        self.complete = True


class Connection:
    """See the module. Use one from one task only."""

    def __init__(self, address: Address) -> None:
        self._address = address
        self._streams: tuple[asyncio.StreamReader, asyncio.StreamWriter] | None = None

    async def post(self, path: str, body: bytes, headers: dict[str, str]) -> Answer:
        """The answer to a POST; raises `NoAnswer`."""
        lines = {"host": f"{self._address.host}:{self._address.port}", **headers, "content-length": str(len(body))}
        head = "".join(f"{name}: {value}\r\n" for name, value in lines.items())
        request = f"POST {self._address.prefix}{path} HTTP/1.1\r\n{head}\r\n".encode("latin-1") + body
        try:
            async with asyncio.timeout(ANSWER_SECONDS):
                return await self._exchange(request)
        except (OSError, TimeoutError, EOFError, httptools.HttpParserError):
            await self.close()
            raise NoAnswer from None
        except asyncio.CancelledError:
            await self.close()
            raise

    async def close(self) -> None:
        """Hang up; the next request opens a new connection."""
        if self._streams is not None:
            _, writer = self._streams
            self._streams = None
            writer.close()
            with suppress(OSError):
                await writer.wait_closed()

    async def _exchange(self, request: bytes) -> Answer:
        reader, writer = self._streams = self._streams or await self._open()
        writer.write(request)
        await writer.drain()
        reading = _Reading()
        parser = httptools.HttpResponseParser(reading)
        while not reading.complete:
            received = await reader.read(CHUNK)
            if not received:
                raise EOFError
            parser.feed_data(received)
        if not parser.should_keep_alive():
            await self.close()
        return Answer(parser.get_status_code(), _seconds(reading.headers.get(b"retry-after")), bytes(reading.body))

    async def _open(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        context = ssl.create_default_context() if self._address.secure else None
        try:
            async with asyncio.timeout(CONNECT_SECONDS):
                return await asyncio.open_connection(self._address.host, self._address.port, ssl=context)
        except (OSError, TimeoutError):
            raise NotSent from None


def _seconds(value: bytes | None) -> float | None:
    """Whole seconds of a Retry-After; a date, which no gate sends, is none."""
    return float(value) if value is not None and value.isdigit() else None
