"""What a measure is: what may be asked, of whom, by which dimensions, and the SQL that gives and answers it.

The files are in `aggregators/sql/measures/`; `aggregators.publication.measures` reads them.
"""

import re
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from aggregators.sql_templates import fill, quoted
from ingest.access.tokens import Role

BESIDE = re.compile(r" AS ([a-z_]+),?$", re.MULTILINE)
"""The name of an expression of the section `-- each`, at the end of a line."""

Basis = Literal["window", "received"]
Grain = Literal["hour", "day"]


@dataclass(frozen=True, slots=True)
class Quantity:
    """A number of a measure and its unit (UCUM); the unit is `none` for a text."""

    name: str
    unit: str


@dataclass(frozen=True, slots=True)
class Cube:
    """One combination of dimensions that is published, the tier always beside them.

    part: which contributions it adds up, None for all. banded: a cell of too few devices says so in place of its
    values. day_only: there are no hourly cells.
    """

    dimensions: tuple[str, ...]
    part: str | None = None
    banded: bool = False
    day_only: bool = False

    @property
    def name(self) -> str:
        """The dimensions, as the column `cube` of the published cells has them; empty for none."""
        return ", ".join(self.dimensions)

    @property
    def grains(self) -> tuple[Grain, ...]:
        """The lengths of the spans that it is published for."""
        return ("day",) if self.day_only else ("hour", "day")


@dataclass(frozen=True, slots=True)
class Answer:
    """How published cells are read: SQL over `cells`, and the column that a comparison goes by."""

    sql: str
    primary: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Measure:
    """One measure. `unsuppressed_because` is None where a cell needs k devices. `answers` goes by the cube's name.

    `dimensions` leave out the tier, which every cell has.
    """

    name: str
    title: str
    question: str
    asked_by: frozenset[Role]
    basis: Basis
    unsuppressed_because: str | None
    dimensions: tuple[str, ...]
    values: tuple[Quantity, ...]
    histograms: tuple[Quantity, ...]
    columns: tuple[Quantity, ...]
    primary: str
    cubes: tuple[Cube, ...]
    cells: str
    observations: str | None
    each: str | None
    answers: Mapping[str, Answer]

    @property
    def table(self) -> str:
        """The name of the table of its published cells."""
        return f"cube_{self.name.lower()}"

    @property
    def units(self) -> dict[str, str]:
        """The unit of each column that its answers have beside the asked ones."""
        return {column.name: column.unit for column in self.columns}

    @property
    def beside(self) -> tuple[str, ...]:
        """The names of what is worked out for each published cell, beside its values."""
        return tuple(BESIDE.findall(self.each or ""))

    @property
    def each_sql(self) -> str:
        """What is worked out for each published `cell`, to stand behind other columns; empty where there is nothing."""
        return f", {self.each}" if self.each else ""

    def cube_of(self, dimensions: Collection[str]) -> Cube | None:
        """The cube of exactly these dimensions, in whatever order; None where it is not published."""
        return next((cube for cube in self.cubes if set(cube.dimensions) == set(dimensions)), None)

    def answer_sql(self, cube: Cube, *, asked: Sequence[str]) -> str:
        """The query over `cells` that answers; `asked` are its first columns, `start` and perhaps `tier` among them."""

        def within(without: str) -> str:
            return _columns([name for name in asked if name not in names_in(without)])

        return fill(self.answers[cube.name].sql, {"asked": _columns(asked), "within": within})

    def primary_of(self, cube: Cube) -> str:
        """The column of the answer that a comparison goes by."""
        return self.answers[cube.name].primary


def names_in(listed: str) -> list[str]:
    """The names of a comma-separated list."""
    return [name.strip() for name in listed.split(",") if name.strip()]


def _columns(names: Sequence[str]) -> str:
    return ", ".join(quoted(name) for name in names)
