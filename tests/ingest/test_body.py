"""Content codings undone within bounds, and batches cut into messages."""

import gzip
import zlib
from collections.abc import Callable
from random import Random

import pytest
import zstandard
from hypothesis import given
from hypothesis import strategies as st

from ingest.body import MAX_BODY, MAX_MEMBERS, MAX_RATIO, MAX_REPORTS, expand, split_sequence
from ingest.problems import Reason, Rejected

RANDOM = Random(1)
TEXT = b"a report, and another report"
NOISE = RANDOM.randbytes(2 * MAX_BODY)


def zstd(content: bytes, *, tells_size: bool) -> bytes:
    """One zstd frame."""
    return zstandard.ZstdCompressor(write_content_size=tells_size).compress(content)


CODINGS: dict[str, tuple[str, Callable[[bytes], bytes]]] = {
    "gzip": ("gzip", lambda content: gzip.compress(content, mtime=0)),
    "zstd with its size": ("zstd", lambda content: zstd(content, tells_size=True)),
    "zstd without its size": ("zstd", lambda content: zstd(content, tells_size=False)),
}
over_codings = pytest.mark.parametrize(("coding", "compress"), CODINGS.values(), ids=CODINGS)


def reason_of(body: bytes, coding: str) -> Reason:
    """Why a body is refused."""
    with pytest.raises(Rejected) as refusal:
        expand(body, coding)
    assert refusal.value.path is None
    return refusal.value.reason


@pytest.mark.parametrize("coding", ["", "identity", " Identity "])
def test_no_coding_changes_nothing(coding: str) -> None:
    """A body without a coding is itself."""
    assert expand(TEXT, coding) == TEXT


@pytest.mark.parametrize("coding", ["deflate", "br", "compress", "x-gzip", "gzip, gzip", "zstd,gzip", "gzip;q=1", "*"])
def test_other_and_stacked_codings_are_refused(coding: str) -> None:
    """One coding of the list, or none: a stack multiplies its ratios."""
    assert reason_of(gzip.compress(TEXT), coding) is Reason.UNSUPPORTED_CODING


@over_codings
@pytest.mark.parametrize("size", [0, 1, 1_000, MAX_BODY - 1, MAX_BODY])
def test_expands_up_to_the_bound(coding: str, compress: Callable[[bytes], bytes], size: int) -> None:
    """What was compressed comes back, up to the last byte that is allowed; names of codings have no case."""
    content = NOISE[:size]
    assert expand(compress(content), coding) == content
    assert expand(compress(content), f" {coding.upper()} ") == content


@over_codings
@pytest.mark.parametrize("size", [MAX_BODY + 1, 2 * MAX_BODY])
def test_refuses_a_byte_more(coding: str, compress: Callable[[bytes], bytes], size: int) -> None:
    """One byte over 1 MiB is too many, however little it was compressed."""
    assert reason_of(compress(NOISE[:size]), coding) is Reason.EXPANDED_TOO_LARGE


@over_codings
def test_refuses_a_bomb(coding: str, compress: Callable[[bytes], bytes]) -> None:
    """Sixty-four mebibytes of zeros are too large long before they are there."""
    assert reason_of(compress(bytes(64 * MAX_BODY)), coding) is Reason.EXPANDED_TOO_LARGE


@over_codings
def test_refuses_a_high_ratio(coding: str, compress: Callable[[bytes], bytes]) -> None:
    """Within the size, too, nothing real compresses a hundred times."""
    small = compress(bytes(MAX_BODY // 2))
    assert len(small) * MAX_RATIO < MAX_BODY // 2
    assert reason_of(small, coding) is Reason.RATIO_TOO_HIGH


@over_codings
def test_refuses_every_truncation(coding: str, compress: Callable[[bytes], bytes]) -> None:
    """A compressed body that ends too early, wherever, does not decompress."""
    body = compress(TEXT)
    assert {reason_of(body[:length], coding) for length in range(len(body))} == {Reason.BAD_COMPRESSION}


@over_codings
@pytest.mark.parametrize("tail", [b"\0", b"garbage", b"\x1f", bytes(100)])
def test_refuses_what_follows(coding: str, compress: Callable[[bytes], bytes], tail: bytes) -> None:
    """Bytes after the end of the compressed stream belong to nothing."""
    assert reason_of(compress(TEXT) + tail, coding) is Reason.BAD_COMPRESSION


@over_codings
@given(junk=st.binary(max_size=60))
def test_junk_is_refused_or_nothing(coding: str, compress: Callable[[bytes], bytes], junk: bytes) -> None:
    """Bytes that nobody compressed raise nothing but a refusal, whatever magic number they begin with."""
    reasons = set()
    for body in (junk, compress(TEXT)[:4] + junk, compress(TEXT)[:10] + junk):
        try:
            expand(body, coding)
        except Rejected as refusal:
            reasons.add(refusal.reason)
    assert reasons <= {Reason.BAD_COMPRESSION, Reason.RATIO_TOO_HIGH, Reason.EXPANDED_TOO_LARGE}


def test_a_damaged_checksum_is_refused() -> None:
    """The content is not used if gzip's own checksum or length says that it is another."""
    body = gzip.compress(TEXT, mtime=0)
    for place in range(-8, 0):
        damaged = bytearray(body)
        damaged[place] ^= 1
        assert reason_of(bytes(damaged), "gzip") is Reason.BAD_COMPRESSION


def test_zlib_without_the_gzip_frame_is_refused() -> None:
    """What HTTP calls deflate is not gzip."""
    assert reason_of(zlib.compress(TEXT), "gzip") is Reason.BAD_COMPRESSION


def test_gzip_of_several_members() -> None:
    """Members one after the other are one content (RFC 1952), up to one for each report of the largest batch."""
    member = gzip.compress(b"x", mtime=0)
    assert expand(gzip.compress(b"a") + gzip.compress(b"") + gzip.compress(b"b"), "gzip") == b"ab"
    assert expand(member * MAX_MEMBERS, "gzip") == b"x" * MAX_MEMBERS
    assert reason_of(member * (MAX_MEMBERS + 1), "gzip") is Reason.BAD_COMPRESSION


def test_the_bound_counts_all_members() -> None:
    """Many small members are as bounded as one large one."""
    member = gzip.compress(NOISE[: MAX_BODY // 4], mtime=0)
    assert len(expand(member * 4, "gzip")) == MAX_BODY
    assert reason_of(member * 5, "gzip") is Reason.EXPANDED_TOO_LARGE


SKIPPABLE = b"\x50\x2a\x4d\x18\x04\0\0\0skip"
"""A frame of four bytes that every decoder passes over (RFC 8878, 3.1.2); alone it is a body without content."""


@pytest.mark.parametrize(
    "body",
    [
        pytest.param(zstd(TEXT, tells_size=True) * 2, id="two frames"),
        pytest.param(zstd(TEXT, tells_size=False) * 2, id="two frames that do not tell their size"),
        pytest.param(SKIPPABLE + zstd(TEXT, tells_size=True), id="a skippable frame in front"),
        pytest.param(zstd(TEXT, tells_size=True) + SKIPPABLE, id="a skippable frame behind"),
    ],
)
def test_zstd_is_one_frame(body: bytes) -> None:
    """One frame of content is one body; what RFC 8878 allows beyond that, no device's library writes."""
    assert reason_of(body, "zstd") is Reason.BAD_COMPRESSION
    assert expand(SKIPPABLE, "zstd") == b""


def test_zstd_with_a_dictionary_is_refused() -> None:
    """A frame that needs a dictionary which nobody has does not decompress."""
    samples: list[bytes | bytearray | memoryview[int]] = [
        b"report %d of device %d in region eu-west" % (number, number * 7) for number in range(500)
    ]
    dictionary = zstandard.train_dictionary(1024, samples)
    assert reason_of(zstandard.ZstdCompressor(dict_data=dictionary).compress(TEXT), "zstd") is Reason.BAD_COMPRESSION


def framed(*messages: bytes) -> bytes:
    """A sequence."""
    return b"".join(len(message).to_bytes(4, "big") + message for message in messages)


def cut(body: bytes) -> tuple[list[bytes], list[Reason]]:
    """The messages of a sequence, and why the rest of it is none; what is refused comes last."""
    parts = list(split_sequence(body))
    messages = [part for part in parts if isinstance(part, bytes)]
    reasons = [part.reason for part in parts if isinstance(part, Rejected)]
    assert parts[: len(messages)] == messages
    return messages, reasons


@given(st.lists(st.binary(max_size=300), max_size=8))
def test_a_sequence_is_its_messages(messages: list[bytes]) -> None:
    """Each message comes back as it was, an empty one too."""
    assert cut(framed(*messages)) == (messages, [])


MESSAGES = [b"first", b"", b"the third", b"4"]


def test_a_sequence_cut_short_at_every_byte() -> None:
    """Messages that are there in full still count; one refusal stands for the rest, and none between two messages."""
    body = framed(*MESSAGES)
    ends = {len(framed(*MESSAGES[:number])): number for number in range(len(MESSAGES) + 1)}
    for length in range(len(body) + 1):
        whole = max(number for end, number in ends.items() if end <= length)
        assert cut(body[:length]) == (MESSAGES[:whole], [] if length in ends else [Reason.BAD_FRAMING])


@pytest.mark.parametrize("length", [6, 2**16, 2**31, 2**32 - 1])
def test_a_length_beyond_the_body_is_refused(length: int) -> None:
    """A length prefix that promises more than there is ends the sequence, whatever its size."""
    assert cut(framed(b"first") + length.to_bytes(4, "big") + b"12345") == ([b"first"], [Reason.BAD_FRAMING])


def test_a_batch_has_a_bound() -> None:
    """The report after the last that is allowed refuses the whole batch."""
    assert cut(framed(*[b"m"] * MAX_REPORTS)) == ([b"m"] * MAX_REPORTS, [])
    with pytest.raises(Rejected, match="too_many_reports"):
        cut(framed(*[b"m"] * (MAX_REPORTS + 1)))
