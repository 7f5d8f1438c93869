"""`tidegate` with a log that commits without a sync, for a test that has to see it found out.

    python -m tests.load.faults.without_syncs CLOCK_FILE tidegate serve --data ./data

Stands in the place of `load.faults.turned_clock`.
"""

import sqlite3
from pathlib import Path

from ingest.log import sqlite_file, sqlite_writer
from load.faults import turned_clock

open_writer = sqlite_file.open_writer


def without_syncs(directory: Path) -> sqlite3.Connection:
    """The writer's connection, broken on purpose."""
    connection = open_writer(directory)
    connection.execute("PRAGMA synchronous = OFF")
    return connection


if __name__ == "__main__":
    setattr(sqlite_writer, "open_writer", without_syncs)  # noqa: B010  # mypy takes an assignment for a mistake
    turned_clock.main()
