"""Followers for tests: short-lived ones, what they leave in the tables, and child processes that are cut short."""

import asyncio
import subprocess
import sys
import threading
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from contextlib import asynccontextmanager, closing, contextmanager
from functools import partial
from pathlib import Path
from typing import Any

from duckdb import DuckDBPyConnection

from aggregators.following.batches import Batches
from aggregators.following.follow import Follower
from aggregators.repair.rebuild import make_anew
from aggregators.rollups.rollups import Rollups
from aggregators.rollups.stripped import StrippedRecords
from ingest.clock import ManualClock
from ingest.log import LogReader
from ingest.schema_topic import stored_schemas
from load.reports import MS_PER_HOUR
from tests.aggregators.stored_reports import CATALOGUE, START
from tests.rollups_snapshot import Snapshot, snapshot

ROOT = Path(__file__).resolve().parents[2]
PATIENCE_SECONDS = 60.0


def clock_at(hours: int) -> ManualClock:
    """A clock that stands still, that many hours after `START`."""
    return ManualClock(START + hours * MS_PER_HOUR)


@asynccontextmanager
async def following(
    directory: Path, reader: LogReader, *, hours: int = 12, clock: ManualClock | None = None
) -> AsyncIterator[Follower]:
    """A follower that runs in the body; `reader` stays open. Without `clock` time stands `hours` after `START`."""
    follower = Follower(
        reader,
        Rollups.open(directory),
        clock=clock or clock_at(hours),
        tiers=lambda: CATALOGUE.tiers,
        make_anew=partial(make_anew, tiers=CATALOGUE.tiers),
    )
    running = asyncio.create_task(follower.run())
    try:
        yield follower
    finally:
        follower.stop()
        await running
        follower.rollups.close()


async def follow_to_the_end(directory: Path, reader: LogReader, *, hours: int = 12) -> None:
    """Apply everything that the log holds."""
    async with following(directory, reader, hours=hours) as follower:
        await drain(follower)


async def apply_everything(directory: Path, reader: LogReader) -> None:
    """Apply everything that the log holds, and seal nothing."""
    with closing(Rollups.open(directory)) as rollups:
        taking, records, drained = Batches(reader, rollups.offsets()), StrippedRecords(), False
        records.learn(await stored_schemas(reader))
        while not drained:
            batch = await taking.next()
            rollups.apply(batch.parts, records)
            taking.applied(batch)
            drained = batch.drained


async def drain(follower: Follower) -> None:
    """Return once everything that is in the log now is in the rollups."""
    await follower.drained(timeout=PATIENCE_SECONDS)


def contents(directory: Path) -> Snapshot:
    """What the tables say, however it was cut into batches, segments and seals."""
    with closing(Rollups.open(directory)) as rollups:
        return {table: rows for table, rows in snapshot(rollups).items() if table not in {"changed", "offsets"}}


def asked(directory: Path, sql: str) -> list[tuple[Any, ...]]:
    """The rows of a query of the tables."""
    with closing(Rollups.open(directory)) as rollups, rollups.cursor() as cursor:
        return cursor.execute(sql).fetchall()


def counted(directory: Path) -> tuple[int, int]:
    """Reports that were counted, and their duplicates."""
    ((accepted, duplicates),) = asked(directory, "SELECT sum(accepted)::INT, sum(duplicates)::INT FROM receipts")
    return accepted, duplicates


@contextmanager
def program(text: str, *arguments: object, under: Sequence[str] = ()) -> Iterator[subprocess.Popen[str]]:
    """A Python process that runs `text`, killed at the end if it is still there; `under` is what starts it, if any."""
    command = [*under, sys.executable, "-c", text, *map(str, arguments)]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        try:
            yield process
        finally:
            process.kill()


def endless(begun: threading.Event) -> Callable[..., None]:
    """What takes a cursor and runs a statement on it that does not end before it is interrupted; sets `begun`."""

    def run(cursor: DuckDBPyConnection, *_: object, **__: object) -> None:
        begun.set()
        cursor.execute("SELECT count(*) FROM range(100000000) a, range(100000000) b WHERE a.range * b.range % 7 = 8")

    return run


class FailingReader:
    """A reader in front of another one that raises what it is told, call by call, before it lets calls through."""

    def __init__(self, reader: LogReader, errors: Sequence[Exception]) -> None:
        self._reader = reader
        self._errors = list(errors)

    async def partitions(self) -> Any:
        if self._errors:
            raise self._errors.pop(0)
        return await self._reader.partitions()

    async def read(self, partition: Any, *, after: int, limit: int) -> Any:
        return await self._reader.read(partition, after=after, limit=limit)

    async def extent(self, partition: Any) -> Any:
        return await self._reader.extent(partition)

    async def close(self) -> None:
        await self._reader.close()
