"""What a tier lets a row tell of its dimensions, applied before rows are brought together.

Rows that differ only in what is taken off become one row, and one that is too small by itself may be large enough then.
The policy is handed in as a function, `Telling`; this package does not know it.
"""

from collections.abc import Callable, Sequence
from typing import Any

from reporter.windows.vocabulary import Row

Key = tuple[Any, ...]

Telling = Callable[[str, str, Row], Row]
"""(report, array, dimensions of a row) -> what the row tells of each of them."""


def as_said(report: str, array: str, row: Row) -> Row:  # noqa: ARG001  # as every `Telling`
    """Nothing is taken off."""
    return row


class Dimensions:
    """The dimensions of the rows of one array."""

    __slots__ = ("array", "names", "report")

    def __init__(self, report: str, array: str, names: Sequence[str]) -> None:
        self.report = report
        self.array = array
        self.names = tuple(names)

    def told(self, key: Key, telling: Telling) -> Key:
        """A row's dimensions as they are told."""
        if telling is as_said:
            return key
        row = telling(self.report, self.array, self.row(key))
        return tuple(row.get(name) for name in self.names)

    def row(self, key: Key) -> Row:
        """A row of its dimensions alone."""
        return dict(zip(self.names, key, strict=True))
