"""HTTP body -> messages: undo the content coding, within bounds, and cut a batch into its messages.

Every bound is checked before memory is spent on it. Nothing here knows what a report is.
"""

import io
import struct
import zlib
from collections.abc import Callable, Iterator

import zstandard

from ingest.problems import Reason, Rejected

MAX_BODY = 1 << 20
"""Bytes, before and after decompression. A report is under 1 kB as a rule (docs/reports.md), so this is a thousand."""

MAX_WINDOW = 1 << 23
"""Bytes that zstd may look back; RFC 8878 asks every decoder for 8 MiB, and a body has no use for more."""

MAX_RATIO = 100
"""Real batches of reports compress 3 to 20 times; zeros compress 1,000 times."""

MAX_REPORTS = 1_000
"""In one batch: bounds the answer, and the time that one request holds the log's writer."""

MAX_MEMBERS = MAX_REPORTS
"""Of a gzip file: one a report is the most that anybody has a use for, and 50,000 empty ones cost 0.7 s of CPU."""

LENGTH = struct.Struct(">I")


def expand(body: bytes, coding: str) -> bytes:
    """`body` without its content coding (gzip, zstd, identity or empty); raises `Rejected`."""
    name = coding.strip().lower()
    if name in ("", "identity"):
        return body
    decompress = DECOMPRESS.get(name)
    if decompress is None:
        raise Rejected(Reason.UNSUPPORTED_CODING)
    expanded = decompress(body)
    if len(expanded) > MAX_BODY:
        raise Rejected(Reason.EXPANDED_TOO_LARGE)
    if len(expanded) > MAX_RATIO * len(body):
        raise Rejected(Reason.RATIO_TOO_HIGH)
    return expanded


def _gunzip(body: bytes) -> bytes:
    """All members of a gzip file (RFC 1952), or the first bytes over the bound."""
    expanded = bytearray()
    for _ in range(MAX_MEMBERS):
        member = zlib.decompressobj(wbits=zlib.MAX_WBITS | 16)
        try:
            expanded += member.decompress(body, MAX_BODY + 1 - len(expanded))
        except zlib.error:
            raise Rejected(Reason.BAD_COMPRESSION) from None
        if not member.eof and len(expanded) <= MAX_BODY:
            raise Rejected(Reason.BAD_COMPRESSION)
        body = member.unused_data
        if not body or len(expanded) > MAX_BODY:
            return bytes(expanded)
    raise Rejected(Reason.BAD_COMPRESSION)


def _unzstd(body: bytes) -> bytes:
    """One zstd frame (RFC 8878); a second one, or a skippable one, is refused, for no device's library writes such.

    Looked at twice: the reader is bounded but does not tell whether the frame ends, nor what follows it, and neither
    does the one-shot call where a frame does not tell its size; the second look does, and by then the size is known.
    """
    decompressor = zstandard.ZstdDecompressor(max_window_size=MAX_WINDOW)
    try:
        if len(decompressor.stream_reader(io.BytesIO(body)).read(MAX_BODY + 1)) > MAX_BODY:
            raise Rejected(Reason.EXPANDED_TOO_LARGE)
        frame = decompressor.decompressobj()
        content = frame.decompress(body)
    except zstandard.ZstdError:
        raise Rejected(Reason.BAD_COMPRESSION) from None
    if not frame.eof or frame.unused_data:
        raise Rejected(Reason.BAD_COMPRESSION)
    return content


DECOMPRESS: dict[str, Callable[[bytes], bytes]] = {"gzip": _gunzip, "zstd": _unzstd}


def split_sequence(body: bytes) -> Iterator[bytes | Rejected]:
    """The messages of an `application/avro-sequence`, each behind a 4-byte big-endian length.

    What cannot be cut any further is one `Rejected` at the end, so that the messages before it still count. Raises
    `Rejected` for more than `MAX_REPORTS`: the sender keeps all of them and posts smaller batches.
    """
    at = 0
    for _ in range(MAX_REPORTS):
        if at == len(body):
            return
        start = at + LENGTH.size
        if start > len(body):
            yield Rejected(Reason.BAD_FRAMING)
            return
        at = start + LENGTH.unpack_from(body, at)[0]
        if at > len(body):
            yield Rejected(Reason.BAD_FRAMING)
            return
        yield body[start:at]
    if at != len(body):
        raise Rejected(Reason.TOO_MANY_REPORTS)
