"""The body of a request, within bounds of bytes and time: with its length said before, or in chunks, or compressed."""

import zlib
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Protocol, TypeAlias

if TYPE_CHECKING:
    from email.message import Message

MAX_BYTES = 8 << 20
"""Sent, and decompressed. The specification recommends 20 MiB; this runs beside a person's work, and 8 MiB are a full
batch of 512 spans of 16 KiB each."""

MOST_DISCARDED = 64 << 20
"""Read on and thrown away, so that a sender of too much reads why; what is larger is cut off."""

MAX_SECONDS = 10.0
"""How long senders wait for an answer by default."""

PIECE = 1 << 16
LONGEST_LINE = 256
MOST_TRAILERS = 16
GZIP = 31


class TooLarge(Exception):
    """More bytes than are taken."""


class BadBody(Exception):
    """What was sent is no body as its headers describe it; the message says in which way."""


class CutOff(Exception):
    """The body did not end, or not in time; there is nobody to answer, or it must be somebody slow."""


Headers: TypeAlias = "Message[str, str]"


class Stream(Protocol):
    """What a body is read from."""

    def read(self, size: int, /) -> bytes: ...
    def readline(self, size: int, /) -> bytes: ...


def read(stream: Stream, headers: Headers, monotonic: Callable[[], float]) -> bytes:
    """The body as it was meant; raises `TooLarge`, `BadBody` and `CutOff`, and OSError of the stream."""
    body = _within(_pieces(stream, headers), monotonic)
    coding = headers.get("Content-Encoding", "identity").strip().lower()
    return body if coding == "identity" else _decompressed(body)


def discard(stream: Stream, headers: Headers, monotonic: Callable[[], float]) -> None:
    """Reads the body and keeps nothing of it; raises as `read`."""
    deadline = monotonic() + MAX_SECONDS
    discarded = 0
    for piece in _pieces(stream, headers):
        discarded += len(piece)
        if discarded > MOST_DISCARDED or monotonic() > deadline:
            raise CutOff


def _within(pieces: Iterator[bytes], monotonic: Callable[[], float]) -> bytes:
    deadline = monotonic() + MAX_SECONDS
    kept = bytearray()
    sent = 0
    for piece in pieces:
        sent += len(piece)
        if sent > MOST_DISCARDED or monotonic() > deadline:
            raise CutOff
        if sent <= MAX_BYTES:
            kept += piece
        else:
            kept.clear()
    if sent > MAX_BYTES:
        raise TooLarge
    return bytes(kept)


def _pieces(stream: Stream, headers: Headers) -> Iterator[bytes]:
    chunked, length = headers.get("Transfer-Encoding"), headers.get("Content-Length")
    if chunked is None:
        yield from _exactly(stream, _length(length or "0"))
    elif length is not None or chunked.strip().lower() != "chunked":
        raise BadBody("Transfer-Encoding may be chunked, without a Content-Length beside it.")
    else:
        yield from _chunks(stream)


def _chunks(stream: Stream) -> Iterator[bytes]:
    while size := _size(_line(stream)):
        yield from _exactly(stream, size)
        if _line(stream):
            raise BadBody("A chunk is longer than it said.")
    for _ in range(MOST_TRAILERS):
        if not _line(stream):
            return
    raise BadBody("There are too many lines behind the last chunk.")


def _exactly(stream: Stream, size: int) -> Iterator[bytes]:
    while size:
        piece = stream.read(min(size, PIECE))
        if not piece:
            raise CutOff
        size -= len(piece)
        yield piece


def _line(stream: Stream) -> bytes:
    line = stream.readline(LONGEST_LINE)
    if not line.endswith(b"\n"):
        raise CutOff if len(line) < LONGEST_LINE else BadBody("A line between chunks is too long.")
    return line.rstrip(b"\r\n")


def _size(line: bytes) -> int:
    digits = line.partition(b";")[0].strip()
    if not 0 < len(digits) <= 8 or digits.strip(b"0123456789abcdefABCDEF"):
        raise BadBody("The size of a chunk is no number in base 16.")
    return int(digits, 16)


def _length(said: str) -> int:
    if not said.isascii() or not said.isdecimal() or len(said) > 15:
        raise BadBody("Content-Length is no number.")
    return int(said)


def _decompressed(body: bytes) -> bytes:
    unpacking = zlib.decompressobj(GZIP)
    try:
        found = unpacking.decompress(body, MAX_BYTES + 1)
    except zlib.error:
        raise BadBody("The body does not decompress with gzip.") from None
    if len(found) > MAX_BYTES:
        raise TooLarge
    if not unpacking.eof or unpacking.unused_data:
        raise BadBody("The body does not decompress with gzip.")
    return found
