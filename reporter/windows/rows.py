"""Rows of the reports that do not count tasks: sums and histograms by combination, of which none is folded.

Their observations are rare, so the words are made to fit at once. Beyond `MOST_ROWS` combinations further ones are
counted in the row whose dimensions all read `other`.
"""

from typing import Any

from reporter.reports import OTHER
from reporter.windows.folding import in_order
from reporter.windows.sums import Sums
from reporter.windows.telling import Dimensions, Key, Telling
from reporter.windows.vocabulary import Row, fits, fitted

MOST_ROWS = 100
"""A device probes a dozen services and holds a few models; rows have up to three histograms in a report of 64 KiB."""


class Rows:
    """All rows of a report by their dimensions."""

    __slots__ = ("_by", "_fits", "_rounded", "_rows")

    def __init__(self, report: str, dimensions: tuple[str, ...], *rounded: str) -> None:
        self._by = Dimensions(report, "rows", dimensions)
        self._fits = fits(report, "rows")
        self._rounded = rounded
        self._rows: dict[Key, Sums] = {}

    def __len__(self) -> int:
        return len(self._rows)

    def of(self, *said: Any) -> Sums:
        """The row of these dimensions, in their order."""
        key = tuple(self._fits[name](word) for name, word in zip(self._by.names, said, strict=True))
        if key not in self._rows and len(self._rows) >= MOST_ROWS:
            key = (OTHER,) * len(key)
        return self._rows.setdefault(key, Sums())

    def values(self, telling: Telling) -> list[Row]:
        """The rows as posted, in the order of their dimensions; those that tell the same are one."""
        told: dict[Key, Sums] = {}
        for key, sums in self._rows.items():
            told.setdefault(self._by.told(key, telling), Sums()).take_in(sums)
        return [
            fitted(self._by.row(key) | sums.values(self._rounded), self._fits)
            for key, sums in sorted(told.items(), key=lambda row: in_order(row[0]))
        ]
