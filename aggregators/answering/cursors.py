"""Where the next page of an answer begins, as an opaque text.

A cursor names the publication that the first page was read from, the position of the next row, and the span, because a
span that was not given moves with the clock. A digest ties it to its question. It is not signed: it holds nothing that
its holder may not know, and whoever makes one up gets rows that he may ask for anyway.
"""

import base64
import binascii
import re
from dataclasses import dataclass
from datetime import timedelta

from aggregators.answering.problems import Refusal, Refused
from aggregators.answering.spans import HOUR, Span
from aggregators.times import EPOCH

FORM = re.compile(r"1\.([0-9]{1,9})\.([0-9]{1,9})\.([0-9]{1,7})\.([0-9]{1,7})\.([0-9a-f]{16})")
LONGEST_TEXT = 100


@dataclass(frozen=True, slots=True)
class Cursor:
    """The next row of an answer: its position (from 0) in what `publication` was asked for over `span`."""

    publication: int
    position: int
    span: Span
    digest: str

    def encode(self) -> str:
        """The cursor as a text of letters, digits, - and _."""
        hours = ((time - EPOCH) // HOUR for time in (self.span.start, self.span.end))
        text = ".".join(map(str, ("1", self.publication, self.position, *hours, self.digest)))
        return base64.urlsafe_b64encode(text.encode()).decode().rstrip("=")


def decode_cursor(text: str) -> Cursor:
    """The cursor that a text stands for; raises `Refused` for everything that `Cursor.encode` does not give."""
    found = FORM.fullmatch(_plain(text))
    if found is None:
        raise Refused(Refusal.BAD_CURSOR)
    publication, position, start, end = (int(part) for part in found.groups()[:4])
    try:
        span = Span(EPOCH + timedelta(hours=start), EPOCH + timedelta(hours=end))
        cursor = Cursor(publication, position, span, found[5])
    except (Refused, OverflowError):  # a span that no answer has
        raise Refused(Refusal.BAD_CURSOR) from None
    if cursor.encode() != text:
        raise Refused(Refusal.BAD_CURSOR)
    return cursor


def _plain(text: str) -> str:
    if len(text) > LONGEST_TEXT:
        return ""
    try:
        return base64.b64decode(text + "=" * (-len(text) % 4), altchars=b"-_", validate=True).decode("ascii")
    except (binascii.Error, ValueError):
        return ""
