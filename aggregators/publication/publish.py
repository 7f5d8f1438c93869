"""Publication: what the rollups have added up becomes cells that answers may read, once there are enough devices in it.

    changed hours --look--> contributions --add up--> cells --suppress--> fresh cells --> files --> tables

Rules:

* a publication looks at the spans (hours, days) that changed and are over, and at nothing else. Whoever asks for the
  open hour gets it, but a day only ever once it is over: until then its hours answer for it;
* the rule of suppression is in docs/adr/0013-publication.md, and as Python in `tests/aggregators/suppression.py`; here
  it runs in SQL, once per cube and grain;
* everything happens in one transaction. The files are durable before it commits: what a crash leaves in the files and
  not in DuckDB is loaded by the next publication before it looks at anything, so what was published stays published;
* two publications must not run at once; the process that owns the DuckDB file sees to that.
"""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Protocol, get_args

import duckdb

from aggregators.fence import Fence
from aggregators.publication.cubes import (
    apply_sql,
    create_tables,
    decide_sql,
    gather,
    newest_sql,
    prepare,
    unsuppressed,
    withheld_sql,
)
from aggregators.publication.measure import Grain, Measure
from aggregators.publication.measures import load_measures
from aggregators.publication.operator_tables import Documents, write_operator_tables
from aggregators.publication.published import PublicationDamaged, finish, folder, numbers, verified
from aggregators.sql_templates import fill, literal, read_sql
from aggregators.times import naive_utc

__all__ = ["Publication", "PublicationDamaged", "load_published", "publish", "unsuppressed"]

LOOKED_FILE = "looked.parquet"
WITHHELD_FILE = "withheld.parquet"

LOADED_AT_ONCE = 200
"""Publications; one by one each costs all measures' statements (53 ms), and more than these would cost memory."""


class Tier(Protocol):
    """What publication needs of a tier's policy."""

    @property
    def k(self) -> int: ...


@dataclass(frozen=True, slots=True)
class Publication:
    """What one publication did: cells that appeared or changed, and, in the spans it looked at, what it held back.

    withheld: cells of too few devices. waiting: published cells whose late data wait for more devices.
    """

    number: int
    cells: int
    withheld: int
    waiting: int


def publish(  # noqa: PLR0913  # what a publication depends on, all of it handed in
    connection: duckdb.DuckDBPyConnection,
    measures: Mapping[str, Measure],
    *,
    tiers: Mapping[str, Tier],
    documents: Documents,
    fence: Fence,
    at: int,
    closed_to: int | None,
    complete_to: int,
) -> Publication:
    """Publishes the spans that changed and end at `closed_to` or before, hours still open as well where it is None.

    A day is published only where it ends at `complete_to` or before, too.
    Times are milliseconds since the epoch, UTC. `fence` is that of the directory where publications are kept.
    `connection` is one of the caller's own, outside of a transaction, and to be closed soon: temporary tables stay with
    it. Raises `PublicationDamaged`, `Fenced`, OSError, and DuckDB's errors; then nothing was published.
    """
    load_published(connection, fence.directory, measures)
    with fence.explaining(), _transaction(connection):
        draft = fence.new_draft()
        number = _newest(connection) + 1
        _look(connection, documents, tiers, closed_to=closed_to, complete_to=complete_to)
        publication = _publish_measures(connection, measures, tiers, draft=draft, number=number)
        connection.execute(read_sql("publish/settle"))
        times = {"at": naive_utc(at), "complete_to": naive_utc(complete_to)}
        _note(connection, number, **times)
        finish(draft, fence, number=number, **times)
    return publication


def load_published(
    connection: duckdb.DuckDBPyConnection, directory: Path, measures: Mapping[str, Measure] | None = None
) -> int:
    """Takes in the publications that DuckDB does not have, and says how many; raises `PublicationDamaged`.

    `connection` as for `publish`.
    """
    measures = load_measures() if measures is None else measures
    prepare(connection)
    create_tables(connection, measures.values())
    in_files, in_tables = numbers(directory), _newest(connection)
    if len(in_files) < in_tables:
        raise PublicationDamaged(
            f"{folder(directory, in_tables)} is missing, and DuckDB has it; restore it from a backup, or the next "
            "`tidegate rebuild` cannot tell what was published"
        )
    with _transaction(connection):
        for start in range(in_tables, len(in_files), LOADED_AT_ONCE):
            _load(connection, measures, directory, in_files[start : start + LOADED_AT_ONCE])
    return len(in_files) - in_tables


def _look(
    connection: duckdb.DuckDBPyConnection,
    documents: Documents,
    tiers: Mapping[str, Tier],
    *,
    closed_to: int | None,
    complete_to: int,
) -> None:
    """Decides which spans to look at, by what the rollups and the operator's documents say now."""
    since = write_operator_tables(connection, documents)
    if since is not None:
        connection.execute(read_sql("publish/late_documents"), {"from_time": naive_utc(since)})
    connection.execute(read_sql("publish/series_ends"))
    until = {"closed_to": None if closed_to is None else naive_utc(closed_to), "complete_to": naive_utc(complete_to)}
    connection.execute(read_sql("publish/looked"), until)
    connection.execute("CREATE OR REPLACE TEMP TABLE tier_k (tier VARCHAR, k BIGINT)")
    for name, tier in tiers.items():
        connection.execute("INSERT INTO tier_k VALUES ($name, $k)", {"name": name, "k": tier.k})
    connection.execute("CREATE OR REPLACE TEMP TABLE counted AS FROM withheld LIMIT 0")


def _publish_measures(
    connection: duckdb.DuckDBPyConnection,
    measures: Mapping[str, Measure],
    tiers: Mapping[str, Tier],
    *,
    draft: Path,
    number: int,
) -> Publication:
    greatest_k = max(tier.k for tier in tiers.values())
    cells = 0
    for measure in measures.values():
        _decide(connection, measure, number=number, greatest_k=greatest_k)
        changed = _one_number(connection, "SELECT count(*) FROM fresh")
        if changed:
            _write(connection, "fresh", draft / f"{measure.name}.parquet")
        connection.execute(apply_sql(measure))
        cells += changed
    connection.execute("INSERT INTO withheld SELECT * FROM counted WHERE cells + waiting > 0")
    _write(connection, "looked", draft / LOOKED_FILE)
    _write(connection, "counted", draft / WITHHELD_FILE)
    return Publication(
        number=number,
        cells=cells,
        withheld=_one_number(connection, "SELECT coalesce(sum(cells), 0)::BIGINT FROM counted"),
        waiting=_one_number(connection, "SELECT coalesce(sum(waiting), 0)::BIGINT FROM counted"),
    )


def _decide(connection: duckdb.DuckDBPyConnection, measure: Measure, *, number: int, greatest_k: int) -> None:
    """Fills `fresh` with the cells of the measure that appear or change, and adds to `counted` what it holds back."""
    connection.execute(fill(read_sql("publish/decide"), {"table": measure.table}))
    looked = connection.execute("SELECT DISTINCT grain FROM looked WHERE basis = $basis", {"basis": measure.basis})
    grains = {grain for (grain,) in looked.fetchall()}
    for grain in (one for one in get_args(Grain) if one in grains):
        gather(connection, measure, grain)
        if not _one_number(connection, "SELECT count(*) FROM contributed"):
            continue  # a dozen queries that would find nothing
        for cube in measure.cubes:
            if grain in cube.grains:
                sql = decide_sql(measure, cube, grain, greatest_k=greatest_k)
                connection.execute(sql, {"number": number})
    connection.execute(fill(read_sql("publish/fresh"), {"measure": measure.name}))


def _load(
    connection: duckdb.DuckDBPyConnection, measures: Mapping[str, Measure], directory: Path, some: Sequence[int]
) -> None:
    """Takes in publications that follow each other, all at once: of each cell what the newest of them says."""
    indexes = [verified(directory, number) for number in some]
    places = {index.number: folder(directory, index.number) for index in indexes}
    _read(connection, "looked", [place / LOOKED_FILE for place in places.values()])
    for measure in measures.values():
        file = f"{measure.name}.parquet"
        files = [places[index.number] / file for index in indexes if file in index.files]
        if files:
            _read(connection, "loaded", files)
            connection.execute(newest_sql(measure))
        else:
            connection.execute(f"CREATE OR REPLACE TEMP TABLE fresh AS FROM {measure.table} LIMIT 0")
        connection.execute(apply_sql(measure))
    _read(connection, "counted", [place / WITHHELD_FILE for place in places.values()])
    connection.execute(withheld_sql(measures.values()))
    for index in indexes:
        _note(connection, index.number, at=index.at, complete_to=index.complete_to)


def _write(connection: duckdb.DuckDBPyConnection, table: str, file: Path) -> None:
    connection.execute(f"COPY {table} TO {literal(str(file))} (FORMAT parquet)")


def _read(connection: duckdb.DuckDBPyConnection, table: str, files: Sequence[Path]) -> None:
    """Fills a table from the files of that name of several publications; `number` says whose a row is."""
    connection.execute(fill(read_sql("publish/read"), {"table": table}), {"files": [str(file) for file in files]})


def _note(connection: duckdb.DuckDBPyConnection, number: int, *, at: datetime, complete_to: datetime) -> None:
    connection.execute(
        "INSERT INTO publications VALUES ($number, $at, $complete_to)",
        {"number": number, "at": at, "complete_to": complete_to},
    )


def _newest(connection: duckdb.DuckDBPyConnection) -> int:
    return _one_number(connection, "SELECT coalesce(max(number), 0) FROM publications")


def _one_number(connection: duckdb.DuckDBPyConnection, sql: str) -> int:
    row = connection.execute(sql).fetchone()
    return int(row[0]) if row else 0


@contextmanager
def _transaction(connection: duckdb.DuckDBPyConnection) -> Iterator[None]:
    connection.begin()
    try:
        yield
    except BaseException:  # whatever it was, nothing of it may stay
        connection.rollback()
        raise
    connection.commit()
