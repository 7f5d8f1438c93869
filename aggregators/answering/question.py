"""Query parameters -> Question. Pure: no clock, database or request in it.

Rules held here:

* every name that reaches SQL is one of the measure's own; what was sent is only ever compared with those, or kept as a
  value that is bound as a parameter;
* a question is answered from one cube, the one whose dimensions are exactly those that are asked or filtered by: the
  cells of a larger one would have to be added up, and what was withheld from each of them would be missing in the sum;
* a refusal names what there is instead, and repeats nothing that was sent;
* without `by` the measure's first combination is taken that has the dimensions filtered by.
"""

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from hashlib import blake2b
from typing import NamedTuple

from aggregators.answering.cursors import Cursor, decode_cursor
from aggregators.answering.problems import Refusal, Refused
from aggregators.answering.spans import Span, asked_span, parse_time
from aggregators.publication.measure import Cube, Grain, Measure
from schemas.errors import nearest

ONCE = ("from", "to", "bucket", "compare", "limit", "cursor")
PARAMETERS = (*ONCE, "by")
TIER = "tier"
PREVIOUS = "previous"

DEFAULT_LIMIT = 1_000
MAX_LIMIT = 10_000
"""Rows of a page of JSON: some megabytes of text."""

MAX_VALUES = 100
MAX_VALUE_LENGTH = 200
"""Longer than any symbol of a schema or name of a manifest."""

LIMIT = re.compile(r"[1-9][0-9]{0,4}")


class Filter(NamedTuple):
    """Only the rows whose `dimension` has one of `values`."""

    dimension: str
    values: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Question:
    """What is asked, checked against the measure. `columns`: the asked dimensions, those only filtered by behind."""

    measure: Measure
    cube: Cube
    columns: tuple[str, ...]
    by: tuple[str, ...]
    filters: tuple[Filter, ...]
    span: Span
    widened: bool
    bucket: Grain | None
    compare: bool
    limit: int
    cursor: Cursor | None

    @property
    def tiers(self) -> tuple[str, ...] | None:
        """The tiers filtered by; None for all."""
        return next((one.values for one in self.filters if one.dimension == TIER), None)

    @property
    def digest(self) -> str:
        """Sixteen digits that are the same for the same question, whatever its span and page."""
        said = repr((self.measure.name, self.cube.name, self.columns, self.filters, self.bucket))
        return blake2b(said.encode("utf-8", "surrogatepass"), digest_size=8).hexdigest()


def read_question(measure: Measure, parameters: Sequence[tuple[str, str]], *, now: datetime) -> Question:
    """The question that the parameters of a query ask of `measure`; `now` is naive UTC. Raises `Refused`."""
    given = _Given(measure, parameters)
    filters = tuple(given.filters())
    by = given.by(filters)
    columns = tuple(dict.fromkeys([*by, *(one.dimension for one in filters)]))
    cube = _cube(measure, columns)
    bucket = _bucket(given.once("bucket"), cube)
    cursor = None if (text := given.once("cursor")) is None else decode_cursor(text)
    asked = asked_span(
        given.time("from"),
        given.time("to"),
        unit="day" if cube.day_only else bucket or "hour",
        now=now,
        last=None if cursor is None else cursor.span,
    )
    question = Question(
        measure=measure,
        cube=cube,
        columns=columns,
        by=by,
        filters=filters,
        span=asked.span,
        widened=asked.widened,
        bucket=bucket,
        compare=_compare(given.once("compare")),
        limit=_limit(given.once("limit")),
        cursor=cursor,
    )
    if cursor is not None and (cursor.span, cursor.digest) != (question.span, question.digest):
        raise Refused(Refusal.BAD_CURSOR, detail="it belongs to another question; ask again without it")
    return question


def measure_named(measures: Mapping[str, Measure], name: str) -> Measure:
    """The measure of that name, in capitals or not; raises `Refused` with the nearest names."""
    found = measures.get(name.upper())
    if found is None:
        raise Refused(Refusal.UNKNOWN_MEASURE, detail=_nearest(name.upper(), measures), offered=sorted(measures))
    return found


class _Given:
    """The parameters of a query, each known by name."""

    def __init__(self, measure: Measure, parameters: Sequence[tuple[str, str]]) -> None:
        self._dimensions = (TIER, *measure.dimensions)
        self._cubes = measure.cubes
        self._values: dict[str, list[str]] = {}
        known = (*PARAMETERS, *self._dimensions)
        for name, value in parameters:
            if name not in known:
                raise Refused(Refusal.UNKNOWN_PARAMETER, detail=_nearest(name, known), offered=known)
            self._values.setdefault(name, []).append(value)

    def once(self, name: str) -> str | None:
        """The value of a parameter that may stand once."""
        values = self._values.get(name, [None])
        if len(values) > 1:
            raise Refused(Refusal.REPEATED_PARAMETER, detail=f"{name} is given more than once")
        return values[0]

    def time(self, name: str) -> datetime | None:
        text = self.once(name)
        return None if text is None else parse_time(text)

    def by(self, filters: Sequence[Filter]) -> tuple[str, ...]:
        """The dimensions that are asked for."""
        if "by" not in self._values:
            return self._default_by({one.dimension for one in filters})
        names = [name for value in self._values["by"] for name in value.split(",") if value]
        for name in names:
            if name not in self._dimensions:
                raise Refused(
                    Refusal.UNKNOWN_DIMENSION, detail=_nearest(name, self._dimensions), offered=self._dimensions
                )
        return tuple(dict.fromkeys(names))

    def filters(self) -> Iterator[Filter]:
        """What is filtered by, in the measure's order."""
        for dimension in self._dimensions:
            if dimension in self._values:
                values = [value for text in self._values[dimension] for value in text.split(",")]
                if len(values) > MAX_VALUES or not all(0 < len(value) <= MAX_VALUE_LENGTH for value in values):
                    raise Refused(
                        Refusal.BAD_FILTER,
                        detail=f"{dimension} takes 1 to {MAX_VALUES} values of 1 to {MAX_VALUE_LENGTH} characters",
                    )
                yield Filter(dimension, tuple(dict.fromkeys(values)))

    def _default_by(self, filtered: set[str]) -> tuple[str, ...]:
        chosen = next((cube for cube in self._cubes if filtered - {TIER} <= set(cube.dimensions)), self._cubes[0])
        return tuple(name for name in chosen.dimensions if name not in filtered)


def _cube(measure: Measure, columns: Sequence[str]) -> Cube:
    wanted = {name for name in columns if name != TIER}
    cube = measure.cube_of(wanted)
    if cube is None:
        near = min(measure.cubes, key=lambda one: len(wanted ^ set(one.dimensions)))
        raise Refused(
            Refusal.NOT_PUBLISHED_SO,
            detail=f"the nearest that is: by={','.join(near.dimensions)}; filters count as well, the tier does not",
            offered=[list(one.dimensions) for one in measure.cubes],
        )
    return cube


def _bucket(text: str | None, cube: Cube) -> Grain | None:
    if text is None:
        return None
    for grain in cube.grains:
        if text == grain:
            return grain
    raise Refused(Refusal.BAD_BUCKET, detail=_nearest(text, cube.grains), offered=cube.grains)


def _compare(text: str | None) -> bool:
    if text not in (None, PREVIOUS):
        raise Refused(Refusal.BAD_COMPARE, detail=f"compare takes {PREVIOUS}, the span of the same length just before")
    return text is not None


def _limit(text: str | None) -> int:
    if text is None:
        return DEFAULT_LIMIT
    if not LIMIT.fullmatch(text) or int(text) > MAX_LIMIT:
        raise Refused(Refusal.BAD_LIMIT)
    return int(text)


def _nearest(name: str, known: Iterable[str]) -> str:
    """The known names nearest to what was sent, of which no more than a name's length is looked at."""
    return nearest(name[:MAX_VALUE_LENGTH], known)
