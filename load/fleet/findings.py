"""What a comparison with the truth found: how much was compared, and what was not as it should be.

A comparison of nothing finds nothing wrong, so whoever compares also says what had to be there: a measure without one
compared cell is itself a finding.
"""

import math
from collections import Counter
from collections.abc import Hashable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

MOST_TEXTS = 40

PERCENTILE_ERROR = 0.045
"""Histograms of scale 3 are read in the middle of a bucket, 4.4 % from its ends at most; the rest is for rounding."""

SUM_ERROR = 1e-9
"""Quotients are made of whole numbers once in SQL and once here."""

GREATEST_OBSERVATION = 2**24

Row = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Percentile:
    """What a percentile of raw observations may read: the nearest rank, within the error of the histogram."""

    observed: tuple[int, ...]
    percent: int

    @property
    def nearest_rank(self) -> int | None:
        """The observation itself; None of none."""
        if not self.observed:
            return None
        return sorted(self.observed)[-(-len(self.observed) * self.percent // 100) - 1]

    @property
    def is_beyond(self) -> bool:
        """Whether it lies above what a histogram tells apart."""
        exact = self.nearest_rank
        return exact is not None and exact > GREATEST_OBSERVATION

    def admits(self, got: Any) -> bool:
        """Whether an answer may read so."""
        exact = self.nearest_rank
        if exact is None or self.is_beyond:
            return got is None
        return isinstance(got, int | float) and abs(got - exact) <= PERCENTILE_ERROR * exact

    def __str__(self) -> str:
        return f"about {self.nearest_rank}"


@dataclass(frozen=True, slots=True)
class AtMost:
    """Any number from nothing to `greatest`, where part of a sum may be withheld."""

    greatest: int

    def admits(self, got: Any) -> bool:
        """Whether an answer may read so."""
        return isinstance(got, int) and 0 <= got <= self.greatest

    def __str__(self) -> str:
        return f"at most {self.greatest}"


def admits(expected: Any, got: Any) -> bool:
    """Whether `got` is what was expected."""
    if isinstance(expected, Percentile | AtMost):
        return expected.admits(got)
    if isinstance(expected, float) and isinstance(got, int | float):
        return math.isclose(expected, got, rel_tol=SUM_ERROR, abs_tol=SUM_ERROR)
    return type(expected) is type(got) and bool(expected == got)


@dataclass(slots=True)
class Findings:
    """Collects mismatches as texts, the first ones in full, and counts the compared cells of each measure."""

    compared: Counter[str] = field(default_factory=Counter)
    texts: list[str] = field(default_factory=list)
    unsaid: int = 0

    def add(self, text: str) -> None:
        """Something is not as it should be."""
        if len(self.texts) < MOST_TEXTS:
            self.texts.append(text)
        else:
            self.unsaid += 1

    def rows(self, measure: str, where: str, expected: Mapping[Any, Row], got: Mapping[Any, Row]) -> None:
        """Compare rows by their key, and every expected column of each."""
        self.compared[measure] += len(expected)
        for key in sorted(expected.keys() | got.keys(), key=str):
            if key not in got:
                self.add(f"{measure} {where} {_cell(key)}: missing")
            elif key not in expected:
                self.add(f"{measure} {where} {_cell(key)}: should not be there")
            else:
                self._columns(f"{measure} {where} {_cell(key)}", expected[key], got[key])

    def _columns(self, where: str, expected: Row, got: Row) -> None:
        for name, value in expected.items():
            if name not in got:
                self.add(f"{where}: no {name}")
            elif not admits(value, got[name]):
                self.add(f"{where}: {name} is {got[name]}, expected {value}")

    def mismatches(self, measures: Iterable[str]) -> list[str]:
        """Everything that is wrong; that nothing of one of `measures` was compared is wrong too."""
        nothing = [f"{measure}: nothing was compared" for measure in measures if not self.compared[measure]]
        rest = [f"and {self.unsaid} more"] if self.unsaid else []
        return [*nothing, *self.texts, *rest]


def _cell(key: Hashable) -> str:
    return "(" + ", ".join(map(str, key if isinstance(key, tuple) else (key,))) + ")"
