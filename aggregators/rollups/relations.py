"""Arrow tables under a name, for as long as the statements run that read them."""

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import Any

from duckdb import DuckDBPyConnection

from aggregators.rollups.arrow import Columns, Row, table


@contextmanager
def relation(connection: DuckDBPyConnection, name: str, columns: Columns, rows: Iterable[Row]) -> Iterator[None]:
    """In the body, `name` is a table of `rows`."""
    connection.register(name, table(columns, rows))
    try:
        yield
    finally:
        connection.unregister(name)


def run(connection: DuckDBPyConnection, statements: Iterable[str], parameters: Any = None) -> None:
    """The statements, one after the other."""
    for statement in statements:
        connection.execute(statement, parameters)
