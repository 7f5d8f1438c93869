"""A data directory whose published cells of three days become those of ninety, and ten times as many.

The cells of three whole days are repeated, thirty times, each time three days earlier. Then every tier is repeated
under further names: the tier is the one dimension that every cube has, so each cube grows by the same factor. Cells
lie in the order of time, as publication after publication would have left them. What answers do not read, the rows of
the rollups, stays as it was.
"""

from collections.abc import Iterable, Mapping
from pathlib import Path

from aggregators.publication.measure import Measure
from aggregators.rollups.rollups import Rollups
from load.fleet.scenario import DAYS as DAYS_PUBLISHED
from load.fleet_log import ROLLUPS_NAME

DAYS = 90
FACTORS = (1, 10)
"""Multiples of the cells that there are."""

READ_BY_COMPARISON = "cube_r2"
"""Where a comparison looks for changes of the devices' routing policy."""


def repeat_days(data: Path, measures: Iterable[Measure]) -> None:
    """Let what the measures published of three days be there for `DAYS`, the newest of which stay."""
    _replace(
        data,
        measures,
        replaced=f"(start - to_days({DAYS_PUBLISHED} * copy::INTEGER) AS start)",
        copies=DAYS // DAYS_PUBLISHED,
    )


def repeat_tiers(data: Path, measures: Iterable[Measure], *, times: int) -> None:
    """Let every tier be there so many times, the further ones as `managed 1` and so on."""
    names = "CASE copy WHEN 0 THEN tier ELSE tier || ' ' || copy END"
    _replace(data, measures, replaced=f"({names} AS tier)", copies=times)


def _replace(data: Path, measures: Iterable[Measure], *, replaced: str, copies: int) -> None:
    rollups = Rollups.open(data / ROLLUPS_NAME)
    try:
        for table in _tables(measures):
            with rollups.transaction() as connection:
                connection.execute(
                    f"CREATE TABLE longer AS SELECT * EXCLUDE (copy) REPLACE {replaced} "  # noqa: S608  # names of measures, numbers
                    f"FROM {table}, range({copies}) AS copies(copy) ORDER BY start"
                )
                connection.execute(f"DROP TABLE {table}")
                connection.execute(f"ALTER TABLE longer RENAME TO {table}")
    finally:
        rollups.close()


def _tables(measures: Iterable[Measure]) -> Mapping[str, None]:
    return dict.fromkeys([*(measure.table for measure in measures), READ_BY_COMPARISON, "withheld"])
