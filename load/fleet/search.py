"""Searches everything that a trial of the product left behind for what the fleet's devices should never have sent.

    searched = search(places, planted_values(fleet.seed, witnesses(fleet.devices)))

Each place is searched twice where it has two faces: as the bytes on the disk, and as what they say (records decoded,
columns of tables and Parquet files read). A place in which the search does not find a control, a value that has every
right to be there, was not searched: that is told as loudly as a leak.

DuckDB can be opened by one process only, so the product has to have ended.
"""

import io
import json
import os
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import duckdb
import fastavro

from ingest.log import LogReader
from ingest.records import SCHEMAS_TOPIC
from ingest.schema_topic import stored_schemas
from load.fleet.nouns import Device
from load.leaks import Leak, Scanner
from schemas.framing import split

BATCH = 2_000
TEXT_TYPES = ("VARCHAR", "BLOB")

WITNESSES_OF_A_SORT = 2

LISTINGS = 20
"""How often files are listed anew because some of them were renamed or removed before they were read."""


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


def witnesses(devices: Iterable[Device]) -> tuple[Device, ...]:
    """Two devices of each tier, kind and agent: what leaks of one leaks of all that have the same to send.

    Each value is looked for in a hundred forms, so a search for those of every device would take minutes.
    """
    seen: Counter[tuple[str, str, str]] = Counter()
    chosen = []
    for device in devices:
        sort = device.tier, device.kind, device.agent_version
        seen[sort] += 1
        if seen[sort] <= WITNESSES_OF_A_SORT:
            chosen.append(device)
    return tuple(chosen)


def search(places: Mapping[str, Place], planted: Mapping[str, str]) -> Searched:
    """Search every place for the planted values, and for its control, each byte once."""
    controls = {place.control for place in places.values() if place.control is not None}
    scanner = Scanner({**planted, **{_as_control(control): control for control in controls}})
    leaks: list[Leak] = []
    missing = []
    for name, (content, control) in places.items():
        found = scanner.scan({name: content})
        leaks += [leak for leak in found if leak.planted in planted]
        if control is not None and _as_control(control) not in {leak.planted for leak in found}:
            missing.append(name)
    return Searched(tuple(leaks), tuple(places), tuple(missing))


def _as_control(value: str) -> str:
    """What a control is called beside the planted values."""
    return f"control {value}"


async def log_texts(reader: LogReader) -> frozenset[str | bytes]:
    """Every different text in the log: keys, headers, and all that the records say. Closes `reader`."""
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
                    _gather(_decoded(entry.topic, entry.value, writers), found)
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
    reference, body_at = split(value)
    return fastavro.schemaless_reader(io.BytesIO(value[body_at:]), writers[reference], None)


def _gather(tree: Any, found: set[str | bytes]) -> None:
    """Adds the texts of a tree to those found, names included."""
    if isinstance(tree, str | bytes):
        found.add(tree)
    elif isinstance(tree, dict):
        found.update(tree)
        for part in tree.values():
            _gather(part, found)
    elif isinstance(tree, list):
        for part in tree:
            _gather(part, found)


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
    return {f"{file.relative_to(directory)} bytes": content for file, content in files_under(directory).items()}


def files_under(directory: Path) -> dict[Path, bytes]:
    """Every file under `directory`, by its path; raises `FileNotFoundError` where they do not stay long enough.

    Who runs there may rename what is listed before it is read: a broker of Kafka does every five seconds. Then it is
    listed again, under the name that lasts: a file that was passed over would not be searched.
    """
    listed = _listed(directory)
    for _ in range(LISTINGS):
        found = {file: content for file in listed if (content := _content(file)) is not None}
        before, listed = listed, _listed(directory)
        if listed == before:
            return found
    raise FileNotFoundError(f"files under {directory} vanish while they are read, time and again")


def _listed(directory: Path) -> list[Path]:
    return sorted(Path(root, name) for root, inner, files in os.walk(directory) for name in (*inner, *files))


def _content(file: Path) -> bytes | None:
    """None of what is no file, or none any more."""
    try:
        return file.read_bytes() if file.is_file() else None
    except FileNotFoundError:
        return None
