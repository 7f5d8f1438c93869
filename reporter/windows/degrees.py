"""Numbers as words for their size, where a report asks for no more.

A degree begins at its bound: 25 per cent of a battery is `pc25_to_50`. A word is taken as it is, so an application may
say `absent`; whether the schema has it is seen to later.
"""

from bisect import bisect_right
from collections.abc import Sequence
from typing import Any, NamedTuple

from reporter.windows.vocabulary import text

HOUR = 3_600
DAY = 24 * HOUR


class Scale(NamedTuple):
    """`words[0]` is below the first bound, and so on."""

    bounds: Sequence[int]
    words: Sequence[str]

    def place(self, said: Any) -> int:
        """Where on the scale something is; beyond its end for a word that is not on it and for no number."""
        word = text(said)
        if word is not None:
            return self.words.index(word) if word in self.words else len(self.words)
        try:
            return bisect_right(self.bounds, said)
        except Exception:  # noqa: BLE001  # an object of an application may raise what it likes
            return len(self.words)

    def word(self, said: Any) -> str | None:
        """The word for it; None for what is neither a number nor a word."""
        word = text(said)
        if word is not None:
            return word
        place = self.place(said)
        return self.words[place] if place < len(self.words) else None


BATTERY = Scale((10, 25, 50), ("under_10pc", "pc10_to_25", "pc25_to_50", "over_50pc"))
SATURATION = Scale((50, 75, 90), ("under_50pc", "pc50_to_75", "pc75_to_90", "over_90pc"))
QUEUE_DEPTH = Scale((1, 6, 21, 101), ("empty", "n1_to_5", "n6_to_20", "n21_to_100", "over_100"))
WINDOWS_LOST = Scale((1, 2, 6, 21), ("none", "n1", "n2_to_5", "n6_to_20", "over_20"))
CERTIFICATE_DAYS = Scale((0, 7, 30, 90), ("expired", "under_7d", "d7_to_30", "d30_to_90", "over_90d"))
MANIFEST_AGE = Scale((HOUR, DAY, 7 * DAY, 30 * DAY), ("under_1h", "h1_to_24", "d1_to_7", "d7_to_30", "over_30d"))
REMOVAL = Scale((HOUR, DAY, 7 * DAY), ("under_1h", "h1_to_24", "d1_to_7", "over_7d"))
"""Percent, tasks, reports and days for the first five; seconds for the last two."""
