"""A schema out of a request's body: bounded before it is looked at, for it may come from anybody."""

import asyncio
import json
from collections.abc import Callable, Mapping
from typing import Any, TypeVar

import fastavro
from starlette.requests import ClientDisconnect, Request

from ingest.clock import Clock
from ingest.registry.refusals import Refusal, Refused
from schemas.report_schema import crc_64_avro

MAX_BODY = 1 << 16
"""The largest output schema is 15 KiB, 18 as a string within JSON."""

BODY_SECONDS = 10.0

MAX_OBJECTS = 500
"""JSON objects in a schema; the largest output schema has 99. The worst that was found for so many takes 70 ms."""

WAITING = 8
"""Requests that may wait for their turn."""

REST = 3
"""How long nobody's turn is after one, in its own time: strangers get a quarter of what the gate's requests need."""

T = TypeVar("T")


async def posted_schema(request: Request) -> Mapping[str, Any]:
    """The Avro record schema that was posted; raises `Refused`."""
    try:
        document = json.loads(json.loads(await _body(request))["schema"])
    except (ValueError, TypeError, KeyError, RecursionError):  # they carry what was sent
        raise Refused(Refusal.INVALID_SCHEMA) from None
    if not isinstance(document, dict) or _objects(document) > MAX_OBJECTS:
        raise Refused(Refusal.INVALID_SCHEMA)
    return document


async def _body(request: Request) -> bytes:
    body = bytearray()
    try:
        async with asyncio.timeout(BODY_SECONDS):
            async for chunk in request.stream():
                body += chunk
                if len(body) > MAX_BODY:
                    raise Refused(Refusal.BODY_TOO_LARGE)
    except (TimeoutError, ClientDisconnect):
        raise Refused(Refusal.BODY_TIMEOUT) from None
    return bytes(body)


def _objects(document: Any) -> int:
    """How many objects are in a JSON document, without recursion: it may be as deep as it is long."""
    count, rest = 0, [document]
    while rest:
        node = rest.pop()
        if isinstance(node, dict):
            count += 1
            rest.extend(node.values())
        elif isinstance(node, list):
            rest.extend(node)
    return count


def fingerprint_of(document: Mapping[str, Any]) -> bytes:
    """The fingerprint of a posted schema; raises `Refused` if it is none."""
    try:
        fastavro.parse_schema(dict(document))
        return crc_64_avro(dict(document))
    except Exception:  # noqa: BLE001  # whatever a stranger's document leads fastavro to raise, it carries it
        raise Refused(Refusal.INVALID_SCHEMA) from None


class Turns:
    """Runs what takes milliseconds on a thread, one after the other, so that strangers cannot fill the interpreter."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._turn = asyncio.Lock()
        self._waiting = 0

    async def run(self, work: Callable[[], T]) -> T:
        """What `work` returns or raises; raises `Refused` where too many wait already."""
        if self._waiting >= WAITING:
            raise Refused(Refusal.BUSY)
        self._waiting += 1
        try:
            async with self._turn:
                began = self._clock.monotonic()
                try:
                    return await asyncio.to_thread(work)
                finally:
                    await asyncio.sleep(REST * (self._clock.monotonic() - began))
        finally:
            self._waiting -= 1
