"""A stripped report as the bytes that are queued, and those bytes with identifiers as they are sent.

A queued message holds no identifier: the six fields that could are null, one byte each, and their place is known. What
the policy lets through of them is put there while the message is on its way to the gate, and nowhere else.
"""

import io
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from reporter.reports import IDENTIFIERS, MARKER, PURPOSES, for_avro, schema

NULL, PRESENT = b"\x00", b"\x02"
"""How Avro writes the index of a branch of `["null", "string"]`."""

FINGERPRINT_BYTES = 8
REPORT_ID_BYTES = 16


class NotEncodable(Exception):
    """The values are not what the schema asks for; the message is the report's name and nothing else."""


class BadMessage(Exception):
    """The bytes are no queued message, or there is no such identifier; without anything of either."""


@dataclass(frozen=True, slots=True)
class Message:
    """One report as it is queued; `identifiers_at` is where in `content` the bytes of the six identifiers begin."""

    content: bytes
    identifiers_at: int


def encode(report: str, values: Mapping[str, Any]) -> Message:
    """The message of stripped values (`reporter.strip.Stripped.values`); raises `NotEncodable`."""
    import fastavro  # noqa: PLC0415  # 30 ms and 8 MiB that a host application need not wait for

    out = io.BytesIO(schema(report).prefix)
    out.seek(0, io.SEEK_END)
    try:
        fastavro.schemaless_writer(out, _parsed(report), values)
    except Exception:  # noqa: BLE001  # whatever it raises, of a dozen types, repeats the value
        raise NotEncodable(report) from None
    content = out.getvalue()
    at = _identifiers_at(content)
    if content[at : at + len(IDENTIFIERS)] != NULL * len(IDENTIFIERS):
        raise NotEncodable(report)
    return Message(content, at)


def with_identifiers(message: Message, identifiers: Mapping[str, str]) -> bytes:
    """The bytes to send: a queued message with these identifiers (`reporter.strip.identifiers`) in their places.

    Raises `BadMessage`.
    """
    at, end = message.identifiers_at, message.identifiers_at + len(IDENTIFIERS)
    if message.content[at:end] != NULL * len(IDENTIFIERS) or not identifiers.keys() <= set(IDENTIFIERS):
        raise BadMessage
    told = b"".join(_nullable(identifiers.get(name)) for name in IDENTIFIERS)
    return message.content[:at] + told + message.content[end:]


@lru_cache(maxsize=16)
def _parsed(report: str) -> Any:
    import fastavro  # noqa: PLC0415  # as in `encode`

    return fastavro.parse_schema(for_avro(report))


def _identifiers_at(content: bytes) -> int:
    """Where the identifiers begin: after report_id, the window's two times, the flags of consent and the region."""
    at = len(MARKER) + FINGERPRINT_BYTES + REPORT_ID_BYTES
    for _ in ("window_start", "window_end"):
        _, at = _read_long(content, at)
    at += len(PURPOSES)
    region = content[at : at + 1] == PRESENT
    at += 1
    if region:
        length, at = _read_long(content, at)
        at += length
    return at


def _read_long(content: bytes, at: int) -> tuple[int, int]:
    """A number of variable length, and where it ends; the bytes are those of our own writer."""
    number = shift = 0
    while True:
        byte = content[at]
        number |= (byte & 0x7F) << shift
        at, shift = at + 1, shift + 7
        if byte < 0x80:
            return number >> 1 ^ -(number & 1), at


def _nullable(text: str | None) -> bytes:
    if text is None:
        return NULL
    try:
        encoded = text.encode()
    except UnicodeEncodeError:  # carries the text
        raise BadMessage from None
    return PRESENT + _written(len(encoded)) + encoded


def _written(number: int) -> bytes:
    """A number from 0 as Avro writes it."""
    number <<= 1
    out = bytearray()
    while number > 0x7F:
        out.append(number & 0x7F | 0x80)
        number >>= 7
    out.append(number)
    return bytes(out)
