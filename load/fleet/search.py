"""Searches everything that a trial of the product left behind for what the fleet's devices should never have been sent.

Each place is searched twice where it has two faces: as the bytes on the disk, and as what they say (records decoded,
columns of tables and Parquet files read). A place in which the search does not find a control, a value that has every
right to be there, was not searched: that is told as loudly as a leak.

DuckDB can be opened by one process only, so the product has to have ended.
"""

import io
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import duckdb
import fastavro

from ingest.log.embedded import EmbeddedLogReader
from ingest.records import SCHEMAS_TOPIC
from ingest.schema_topic import stored_schemas
from load.leaks import Leak, Scanner
from schemas.report_schema import SINGLE_OBJECT_MARKER

BATCH = 2_000
PREFIX_BYTES = len(SINGLE_OBJECT_MARKER) + 8
TEXT_TYPES = ("VARCHAR", "BLOB")


@dataclass(frozen=True, slots=True)
class Searched:
    """What a search found: leaks, the places that were searched, and those in which no control was found."""

    leaks: tuple[Leak, ...]
    places: tuple[str, ...]
    without_control: tuple[str, ...]


class Place(NamedTuple):
    """Something to search, bytes, text or a tree, and a value that has to be found in it.

    Without a control it is the bytes of a file whose format may compress what it holds; what the file says is then
    another place.
    """

    content: object
    control: str | None


def search(places: Mapping[str, Place], planted: Mapping[str, str]) -> Searched:
    """Search every place for the planted values, and for its control."""
    scanner = Scanner(planted)
    leaks = [leak for name, place in places.items() for leak in scanner.scan({name: place.content})]
    missing = [
        name
        for name, (content, control) in places.items()
        if control is not None and not Scanner({"control": control}).scan({name: content})
    ]
    return Searched(tuple(leaks), tuple(places), tuple(missing))


async def log_texts(directory: Path) -> frozenset[str | bytes]:
    """Every different text in the log: keys, headers, and all that the records say."""
    reader = EmbeddedLogReader(directory)
    try:
        writers = {
            key: fastavro.parse_schema(_plain(document)) for key, document in (await stored_schemas(reader)).items()
        }
        found: set[str | bytes] = set()
        for partition in await reader.partitions():
            after = -1
            while entries := await reader.read(partition, after=after, limit=BATCH):
                after = entries[-1].offset
                for _, entry in entries:
                    found.update((entry.key, *(part for header in entry.headers for part in header)))
                    found.update(_texts(_decoded(entry.topic, entry.value, writers)))
        return frozenset(found)
    finally:
        await reader.close()


def _plain(document: Any) -> Any:
    """A schema without its docs and logical types: times stay numbers."""
    if isinstance(document, dict):
        return {name: _plain(part) for name, part in document.items() if name not in ("doc", "logicalType")}
    return [_plain(part) for part in document] if isinstance(document, list) else document


def _decoded(topic: str, value: bytes, writers: Mapping[bytes, Any]) -> Any:
    if topic == SCHEMAS_TOPIC:
        return json.loads(value)
    writer = writers[value[len(SINGLE_OBJECT_MARKER) : PREFIX_BYTES]]
    return fastavro.schemaless_reader(io.BytesIO(value[PREFIX_BYTES:]), writer, None)


def _texts(tree: Any) -> Iterator[str | bytes]:
    match tree:
        case str() | bytes():
            yield tree
        case dict():
            for name, part in tree.items():
                yield name
                yield from _texts(part)
        case list():
            for part in tree:
                yield from _texts(part)


def database_texts(file: Path) -> Mapping[str, frozenset[str | bytes]]:
    """Every different text in each table of a DuckDB file that no process has open; tables without rows left out."""
    with duckdb.connect(str(file), read_only=True) as connection:
        tables = [name for (name,) in connection.execute("SELECT table_name FROM duckdb_tables()").fetchall()]
        texts = {name: _relation_texts(connection, f'"{name}"') for name in tables}
        return {name: found for name, found in texts.items() if found}


def parquet_texts(directory: Path) -> frozenset[str | bytes]:
    """Every different text in the Parquet files under `directory`."""
    with duckdb.connect() as connection:
        files = [f"read_parquet('{str(file).replace(chr(39), chr(39) * 2)}')" for file in directory.rglob("*.parquet")]
        return frozenset(text for file in files for text in _relation_texts(connection, file))


def _relation_texts(connection: duckdb.DuckDBPyConnection, relation: str) -> frozenset[str | bytes]:
    described = connection.execute(f"DESCRIBE SELECT * FROM {relation}").fetchall()  # noqa: S608  # names of our own
    names = [name for name, kind, *_ in described if kind in TEXT_TYPES]
    found: set[str | bytes] = set(names)
    for name in names:
        rows = connection.execute(f'SELECT DISTINCT "{name}" FROM {relation} WHERE "{name}" IS NOT NULL')  # noqa: S608
        found.update(value for (value,) in rows.fetchall())
    return frozenset(found)


def raw_files(directory: Path) -> dict[str, bytes]:
    """The files under `directory` by their path there, for a search of the bytes on the disk."""
    files = sorted(file for file in directory.rglob("*") if file.is_file())
    return {f"{file.relative_to(directory)} bytes": file.read_bytes() for file in files}
