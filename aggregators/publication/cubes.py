"""The published cubes as SQL: one measure's templates filled with its names, and run.

Rules:

* a connection is `prepared` before anything else here: macros and views are temporary, and belong to one connection;
* what a measure adds up is gathered once per grain (`gather`), then every cube of that grain is made from it;
* a sum that would not fit into 64 bits stands at the greatest number that does: one device that sends absurd counts
  must not stop publication.
"""

from collections.abc import Iterable

import duckdb
import pyarrow as pa

from aggregators.publication.measure import Cube, Grain, Measure
from aggregators.sql_templates import capped, fill, literal, quoted, read_sql

HISTOGRAM = "MAP(SMALLINT, BIGINT)"


def prepare(connection: duckdb.DuckDBPyConnection) -> None:
    """Gives this connection the macros and views that measures and answers use."""
    connection.execute(read_sql("macros"))
    connection.execute(read_sql("publish/suppress"))


def create_tables(connection: duckdb.DuckDBPyConnection, measures: Iterable[Measure]) -> None:
    """Makes the tables that publication fills, those that are not there yet."""
    connection.execute(read_sql("operator_tables"))
    connection.execute(read_sql("publish/tables"))
    for measure in measures:
        connection.execute(fill(read_sql("publish/cube"), {"table": measure.table, "columns": _declared(measure)}))


def _declared(measure: Measure) -> str:
    columns = [f"{quoted(name)} VARCHAR" for name in measure.dimensions]
    columns += [f"{quoted(value.name)} BIGINT" for value in measure.values]
    columns += [f"{quoted(histogram.name)} {HISTOGRAM}" for histogram in measure.histograms]
    return ", ".join(columns)


def gather(connection: duckdb.DuckDBPyConnection, measure: Measure, grain: Grain) -> None:
    """Collects what the measure adds up over the spans in `looked`, and its histograms."""
    parts = {
        "grain": grain,
        "basis": measure.basis,
        "part": "part" if measure.cubes[0].part else "NULL::VARCHAR",
        "dimensions": ", ".join(
            f"coalesce({quoted(name)}::VARCHAR, 'none') AS {quoted(name)}" for name in measure.dimensions
        ),
        "values": ", ".join(f"coalesce({quoted(one.name)}, 0) AS {quoted(one.name)}" for one in measure.values),
        "cells": fill(measure.cells, {"grain": grain}),
        "observations": measure.observations or "",
    }
    connection.execute(fill(read_sql("publish/contributed"), parts))
    if measure.observations:
        connection.execute(fill(read_sql("publish/observed"), parts))


def cells_sql(measure: Measure, cube: Cube) -> str:
    """The query that gives every cell of a cube: start, tier, its dimensions, values, histograms and devices."""
    parts = {
        "place": ", ".join(["start", "tier", *map(quoted, cube.dimensions)]),
        "of_part": f"part = {literal(cube.part)}" if cube.part else "true",
        "sums": ", ".join(f"sum({quoted(one.name)}) AS {quoted(one.name)}" for one in measure.values),
        "values": ", ".join(f"{capped(name)} AS {name}" for name in (quoted(one.name) for one in measure.values)),
        "maps": ", ".join(_map_of(one.name) for one in measure.histograms),
        "histograms": "".join(
            f"coalesce({quoted(one.name)}, MAP {{}}::{HISTOGRAM}) AS {quoted(one.name)}, " for one in measure.histograms
        ),
    }
    if measure.histograms:
        parts["buckets"] = fill(read_sql("publish/buckets"), parts)
        parts["with_buckets"] = f"LEFT JOIN by_histogram USING ({parts['place']})"
    else:
        parts |= {"buckets": "", "with_buckets": ""}
    return fill(read_sql("publish/cells"), parts)


def _map_of(name: str) -> str:
    pair = f"struct_pack(k := bucket, v := {capped('observations')})"
    of_name = f"FILTER (name = {literal(name)})"
    return f"map_from_entries(list({pair} ORDER BY bucket) {of_name}) AS {quoted(name)}"


def decide_sql(measure: Measure, cube: Cube, grain: Grain, *, greatest_k: int) -> str:
    """Adds the cells of one cube to `decided`, with what happens to each; takes the parameter `number`."""
    stored = [*(one.name for one in measure.values), *(one.name for one in measure.histograms)]
    parts = {
        "cells": cells_sql(measure, cube),
        "table": measure.table,
        "cube": literal(cube.name),
        "grain": grain,
        "k": "0" if measure.unsuppressed_because else f"coalesce(tiers.k, {greatest_k})",
        "banded": str(cube.banded).lower(),
        "differs": "("
        + " OR ".join(f"shown.{quoted(name)} IS DISTINCT FROM cells.{quoted(name)}" for name in stored)
        + ")",
        "same_place": "".join(f" AND shown.{quoted(name)} = cells.{quoted(name)}" for name in cube.dimensions),
        "dimensions": "".join(f"{quoted(name)}, " for name in cube.dimensions),
        "shown": ", ".join(
            f"CASE WHEN verdict <> 'banded' THEN {quoted(name)} END AS {quoted(name)}" for name in stored
        ),
    }
    return fill(read_sql("publish/decided"), parts)


def apply_sql(measure: Measure) -> str:
    """Puts the cells in `fresh` into the table of the measure, and forgets what was withheld in the spans looked at."""
    same_place = "".join(
        f" AND shown.{quoted(name)} IS NOT DISTINCT FROM fresh.{quoted(name)}" for name in measure.dimensions
    )
    parts = {"table": measure.table, "same_place": same_place, "measure": measure.name, "basis": measure.basis}
    return fill(read_sql("publish/apply"), parts)


def newest_sql(measure: Measure) -> str:
    """Fills `fresh` with the newest of each cell in `loaded`, which has the cells of several publications."""
    dimensions = "".join(f", {quoted(name)}" for name in measure.dimensions)
    return fill(read_sql("publish/newest"), {"dimensions": dimensions})


def withheld_sql(measures: Iterable[Measure]) -> str:
    """Adds to what is withheld what the publications in `looked` and `counted` held back last."""
    bases = ", ".join(f"({literal(measure.name)}, {literal(measure.basis)})" for measure in measures)
    return fill(read_sql("publish/load_withheld"), {"bases": bases})


def unsuppressed(connection: duckdb.DuckDBPyConnection, measure: Measure, cube: Cube, grain: Grain) -> pa.Table:
    """Every cell of a cube as it is, with `devices`, the lower bound; nothing is held back.

    For tests, and for the demo's comparison with the truth; no answer reads this. `connection` is the caller's own, and
    temporary tables stay with it. A file that is open for reading only will do, once something was published.
    """
    prepare(connection)
    if not connection.execute("FROM duckdb_tables() WHERE table_name = $name", {"name": measure.table}).fetchall():
        create_tables(connection, [measure])
    spans = {"basis": measure.basis, "grain": grain, "cells": fill(measure.cells, {"grain": grain})}
    connection.execute(fill(read_sql("publish/every_span"), spans))
    gather(connection, measure, grain)
    return connection.sql(f"{cells_sql(measure, cube)} ORDER BY ALL").to_arrow_table()
