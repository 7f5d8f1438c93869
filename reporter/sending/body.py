"""The body of a batch: each message with its identifiers, behind its length, all of it compressed. Pure."""

import zlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from reporter.messages import BadMessage, with_identifiers
from reporter.queue.nouns import Waiting

MAX_BODY = 1 << 20
"""The gate's limit, before compression and after it."""

MAX_RATIO = 100
"""The gate takes no body that expands further."""

LENGTH_BYTES = 4
GZIP_BITS = 31
"""What zlib calls the form of gzip."""


@dataclass(frozen=True, slots=True)
class Body:
    """What is posted, the reports of a batch that it holds, and the places of those that nothing can be made of."""

    content: bytes
    coding: str | None
    waiting: tuple[Waiting, ...]
    unsendable: tuple[int, ...]

    @property
    def headers(self) -> dict[str, str]:
        """The headers that say what it is."""
        coding = {} if self.coding is None else {"Content-Encoding": self.coding}
        return {"Content-Type": "application/avro-sequence", **coding}


def body(waiting: Sequence[Waiting], identifiers: Mapping[str, Mapping[str, str]]) -> Body:
    """As many of the reports as go into one body, one at least. `identifiers` are those of each type of report."""
    framed: list[bytes] = []
    taken: list[Waiting] = []
    unsendable: list[int] = []
    room = MAX_BODY
    for one in waiting:
        try:
            message = with_identifiers(one.queued.message, identifiers[one.queued.report])
        except BadMessage:
            unsendable.append(one.place)
            continue
        room -= LENGTH_BYTES + len(message)
        if taken and room < 0:
            break
        framed.append(len(message).to_bytes(LENGTH_BYTES) + message)
        taken.append(one)
    content, coding = _compressed(b"".join(framed))
    return Body(content, coding, tuple(taken), tuple(unsendable))


def _compressed(framed: bytes) -> tuple[bytes, str | None]:
    # No time in its header: that would be one more thing that is told.
    smaller = zlib.compress(framed, level=6, wbits=GZIP_BITS)
    if len(framed) > MAX_RATIO * len(smaller) or len(smaller) >= len(framed):
        return framed, None
    return smaller, "gzip"
