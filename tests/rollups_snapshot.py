"""What rollups say, however they came to be: order, batches and segments cannot be seen in a snapshot."""

from collections.abc import Iterator
from typing import Any

from aggregators.rollups.rollups import Rollups

COUNTED = frozenset(
    {
        "receipts",
        "remarks",
        "route_rows",
        "route_latency",
        "violation_rows",
        "fallback_rows",
        "fallback_planned",
        "fallback_return",
        "inventory_rows",
    }
)
"""Tables whose BIGINT columns are counts, summed by all the others."""

LISTED = ("gate_spans", "gate_outcomes", "parked", "offsets")
"""Tables of single facts: each of their rows, and how often it is there."""

Snapshot = dict[str, list[tuple[Any, ...]]]


def snapshot(rollups: Rollups) -> Snapshot:
    """Every table but those of publication: sums by everything that is counted by, sorted.

    Ids of reports that were seen are hashed with a key of each file's own, so they are counted by hour.
    """
    with rollups.cursor() as cursor:
        described = cursor.execute(
            "SELECT table_name, column_name, data_type FROM duckdb_columns() WHERE schema_name = 'main' ORDER BY ALL"
        ).fetchall()
        columns: dict[str, dict[str, str]] = {}
        for table, column, kind in described:
            columns.setdefault(table, {})[column] = kind
        queries = {table: _summed(table, columns[table]) for table in COUNTED}
        queries |= {table: _listed(table, columns[table]) for table in LISTED}
        queries["seen"] = "SELECT hour, count(*) FROM seen GROUP BY ALL"
        queries["changed"] = "SELECT DISTINCT basis, hour FROM changed"
        return {table: cursor.execute(f"{query} ORDER BY ALL").fetchall() for table, query in queries.items()}


def differences(one: Snapshot, other: Snapshot) -> list[str]:
    """The tables in which two snapshots differ, with a row that only one of them has."""
    found = []
    for table in sorted(one):
        only = set(one[table]) ^ set(other[table])
        if only:
            found.append(f"{table}: {len(only)} rows differ, for instance {min(only, key=repr)}")
    return found


def _summed(table: str, columns: dict[str, str]) -> str:
    shown = ", ".join(
        f'sum("{name}")::HUGEINT AS "{name}"' if kind == "BIGINT" else f'"{name}"'
        for name, kind in _beside_segment(columns)
    )
    return f'SELECT {shown} FROM "{table}" GROUP BY ALL'  # noqa: S608  # the names are the database's own


def _listed(table: str, columns: dict[str, str]) -> str:
    shown = ", ".join(f'"{name}"' for name, _ in _beside_segment(columns))
    return f'SELECT {shown}, count(*) AS times FROM "{table}" GROUP BY ALL'  # noqa: S608  # as above


def _beside_segment(columns: dict[str, str]) -> Iterator[tuple[str, str]]:
    return ((name, kind) for name, kind in columns.items() if name != "segment")


def rows_of(rollups: Rollups, query: str) -> list[tuple[Any, ...]]:
    """What a query gives."""
    with rollups.cursor() as cursor:
        return cursor.execute(query).fetchall()
