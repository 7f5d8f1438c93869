"""The tables that are sealed, as the database itself describes them, and how long their rows are kept."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import groupby

import duckdb

from aggregators.sql_templates import capped, fill, quoted, read_sql
from schemas.tier import Tier

COLUMNS = read_sql("seal/columns")
LET_GO = read_sql("seal/let_go")
LET_GO_OF_TIER = read_sql("seal/let_go_of_tier")

RECORDS = frozenset({"seen", "parked", "gaps", "gate_spans", "gate_outcomes"})
"""Tables whose rows are single facts. Those of every other one are counts: their BIGINT columns add up, and the rest
says what was counted."""

TIMES = ("hour", "received", "to_time")
"""What tells how old a row is: the first of these that the table has."""

FORGET_AFTER = timedelta(days=1)
"""Beyond the longest horizon; a gate's clock may be behind ours."""


@dataclass(frozen=True, slots=True)
class SealedTable:
    """A table with a `segment`. `columns`: name and type of each, in the order of the table."""

    name: str
    columns: tuple[tuple[str, str], ...]

    @property
    def is_counts(self) -> bool:
        return self.name not in RECORDS

    @property
    def names(self) -> frozenset[str]:
        return frozenset(name for name, _ in self.columns)

    @property
    def time(self) -> str:
        return next(name for name in TIMES if name in self.names)

    def merged(self, segment: int) -> str:
        """The select list that makes one row of those that differ in nothing but their counts."""
        return ", ".join(self._merged(name, kind, segment) for name, kind in self.columns)

    def _merged(self, name: str, kind: str, segment: int) -> str:
        if name == "segment":
            return f"{segment}::INTEGER AS segment"
        # A sum of BIGINT is a HUGEINT, which Parquet has no place for.
        if self.is_counts and kind == "BIGINT":
            return f"{capped(f'sum({quoted(name)})')} AS {quoted(name)}"
        return quoted(name)


def sealed_tables(cursor: duckdb.DuckDBPyConnection) -> list[SealedTable]:
    """Every table that is sealed, by name."""
    found = cursor.execute(COLUMNS).fetchall()
    return [
        SealedTable(name, tuple((column, kind) for _, column, kind in columns))
        for name, columns in groupby(found, key=lambda row: str(row[0]))
    ]


@dataclass(frozen=True, slots=True)
class Kept:
    """From when on rows are kept, per tier; `longest` where the tier is not known any more, or a row has none."""

    since: Mapping[str, datetime]
    longest: datetime
    ids_since: datetime
    """From when on ids are needed to recognise a duplicate."""

    @property
    def seals_since(self) -> datetime:
        """From when on a seal with rows that are not older is needed."""
        return min(self.longest, self.ids_since)

    def deletions(self, table: SealedTable) -> Iterator[tuple[str, list[object]]]:
        """The statements, with their parameters, that take the older rows of a table away; ids have their own time."""
        if table.name == "seen":
            return
        parts = {"table": quoted(table.name), "time": quoted(table.time)}
        yield fill(LET_GO, parts), [self.longest]
        if "tier" in table.names:
            for tier, since in self.since.items():
                if since > self.longest:
                    yield fill(LET_GO_OF_TIER, parts), [since, tier]


def kept(tiers: Mapping[str, Tier], log_hour: datetime) -> Kept:
    """What the policies say is kept when the newest record is of `log_hour`, UTC; whole days."""
    day = log_hour.replace(hour=0, minute=0, second=0, microsecond=0)
    since = {name: day - timedelta(days=tier.retention_days) for name, tier in tiers.items()}
    horizon = timedelta(days=max(tier.horizon_days for tier in tiers.values()))
    return Kept(since=since, longest=min(since.values()), ids_since=log_hour - horizon - FORGET_AFTER)
