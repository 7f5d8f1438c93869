"""Rows that are too small to stand alone, together in one whose dimensions all read `other`.

A row is too small below the tier's `min_tasks_per_row`; a tier that asks for one task folds nothing. So that a report
stays within the size that a gate takes, the smallest rows beyond a greatest number of them are folded as well.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import NamedTuple, Protocol, TypeVar

from reporter.reports import OTHER
from reporter.windows.telling import Key, Telling, as_said

MOST_ROWS = 200
"""A gate takes reports of up to 64 KiB, and rows have 85 to 300 bytes."""


class Counted(Protocol):
    """What a row is made of."""

    @property
    def tasks(self) -> int: ...


Part = TypeVar("Part", bound=Counted)


class Folding(NamedTuple):
    """How a tier wants rows: of at least `least` tasks, at most `most` of them, telling what `telling` lets through."""

    least: int = 1
    most: int = MOST_ROWS
    telling: Telling = as_said

    def rows(self, parts: Iterable[Part], key_of: Callable[[Part], Key]) -> list[tuple[Key, list[Part]]]:
        """The rows in the order of their dimensions: each with its parts, and all but the folded one large enough."""
        rows: dict[Key, list[Part]] = {}
        for part in parts:
            rows.setdefault(key_of(part), []).append(part)
        for key in self._too_small({key: tasks_of(of_key) for key, of_key in rows.items()}):
            other = (OTHER,) * len(key)
            if key != other:
                rows.setdefault(other, []).extend(rows.pop(key))
        return sorted(rows.items(), key=lambda row: in_order(row[0]))

    def _too_small(self, tasks: Mapping[Key, int]) -> list[Key]:
        """The rows to fold, of those with so many tasks each."""
        small = [key for key, number in tasks.items() if 1 < self.least > number]
        by_size = sorted(tasks.keys() - small, key=lambda key: (-tasks[key], in_order(key)))
        fit_in = self.most if len(by_size) + bool(small) <= self.most else self.most - 1
        return small + by_size[fit_in:]


def tasks_of(parts: Sequence[Counted]) -> int:
    """How many tasks a row counts."""
    return sum(part.tasks for part in parts)


def in_order(key: Key) -> tuple[str, ...]:
    """What rows are sorted by; null comes first."""
    return tuple(str(word or "") for word in key)
