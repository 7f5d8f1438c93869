"""Offsets per partition: what the embedded log says of one topic tells nothing about another."""

import sqlite3
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path

from ingest.log.embedded import EmbeddedLog
from ingest.report import Entry, Partition, Position

CONTROL = "tidegate.control"
HOURLY = "tidegate.contractor.health_window.v1"


async def write_between(directory: Path, controls: Sequence[int]) -> list[Position]:
    """Fill a log with records of the hourly topic, so many control records before each; return where those are."""
    log = EmbeddedLog(directory)
    await log.append([Entry(CONTROL, b"gate", b"started", 0), Entry(HOURLY, b"first", b"value", 0)])
    positions: list[Position] = []
    for number, before in enumerate(controls):
        control = [Entry(CONTROL, b"gate", b"counts", 1000 + number)] * before
        positions += (await log.append([*control, Entry(HOURLY, b"%d" % number, b"value", 0)]))[before:]
    await log.close()
    return positions


def stored_rows(directory: Path, topic: str) -> list[tuple[object, ...]]:
    """All that the table of entries holds of a topic."""
    with closing(sqlite3.connect(directory / "log.sqlite")) as database:
        query = "SELECT entries.* FROM entries JOIN partitions ON id = partition WHERE topic = ?"
        return sorted(database.execute(query, (topic,)))


class TestNoOrderAcrossPartitions:
    """Next to records with an exact time, a common order would give the others one too (docs/privacy.md)."""

    async def test_each_partition_counts_from_0(self, tmp_path: Path) -> None:
        """Whatever is appended in between and in one call, and over a restart, offsets of a partition are 0, 1, 2."""
        topics = [CONTROL, HOURLY, "tidegate.managed.route_window.v1"]
        found: dict[Partition, list[int]] = {}
        for life in range(2):
            log = EmbeddedLog(tmp_path, partitions=2)
            for call in range(20):
                sent = [Entry(topics[part % 3], b"%d.%d" % (life, call + part), b"", 0) for part in range(call)]
                for position in await log.append(sent):
                    found.setdefault(position.partition, []).append(position.offset)
            await log.close()
        assert len(found) == 6
        assert all(offsets == list(range(len(offsets))) for offsets in found.values())

    async def test_a_topic_is_stored_as_if_it_were_alone(self, tmp_path: Path) -> None:
        """How much another topic got in between changes nothing in the rows of a topic."""
        sparse = await write_between(tmp_path / "sparse", [0, 0, 1, 0])
        busy = await write_between(tmp_path / "busy", [3, 0, 70, 1])
        assert [position.offset for position in sparse] == [1, 2, 3, 4]
        assert busy == sparse
        assert stored_rows(tmp_path / "busy", HOURLY) == stored_rows(tmp_path / "sparse", HOURLY)
        assert stored_rows(tmp_path / "busy", CONTROL) != stored_rows(tmp_path / "sparse", CONTROL)

    async def test_no_table_numbers_the_entries_of_all(self, tmp_path: Path) -> None:
        """No row id, autoincrement or second index orders entries by their arrival: their key is their only order."""
        await EmbeddedLog(tmp_path).close()
        with closing(sqlite3.connect(tmp_path / "log.sqlite")) as database:
            tables = database.execute("SELECT name, type, wr FROM pragma_table_list WHERE name NOT LIKE 'sqlite%'")
            with_row_ids = {name for name, kind, without in tables if kind == "table" and not without}
            indexes = database.execute("SELECT name, origin FROM pragma_index_list('entries')").fetchall()
            key = database.execute("SELECT name FROM pragma_table_info('entries') WHERE pk > 0 ORDER BY pk").fetchall()
            sequences = database.execute("SELECT count(*) FROM sqlite_schema WHERE name = 'sqlite_sequence'").fetchone()
        # One row for each partition, in the order in which they were made, and one row for all probes.
        assert with_row_ids == {"partitions", "probe"}
        assert [origin for _, origin in indexes] == ["pk"]
        assert [name for (name,) in key] == ["partition", "offset"]
        assert sequences == (0,)
