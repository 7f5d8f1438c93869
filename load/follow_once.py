"""`python -m load.follow_once DATA END [BOOTSTRAP PREFIX]`: the follower over a whole log, then a publication.

Prints what both took, for `load.follower_part`, in a process of its own. What runs is the follower and the publication
of `tidegate serve`. `DATA` is what `load.fleet_log` made, `END` the end of its days; the log is the one in it, or the
topics with `PREFIX` of the cluster at `BOOTSTRAP`. The stages are told apart by putting a stopwatch around the
functions that they begin with, a few calls a batch, so that being watched costs nothing.
"""

import asyncio
import json
import sys
import time
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import ExitStack, asynccontextmanager, contextmanager
from pathlib import Path
from typing import Any

from aggregators.following.batches import Batches
from aggregators.following.follow import Follower
from aggregators.publication.measures import load_measures
from aggregators.publication.publications import Publications, Rulebook
from aggregators.repair.rebuild import PUBLISHED_NAME
from aggregators.rollups import load as loading
from aggregators.rollups import relations, rollups
from aggregators.rollups.rollups import Rollups
from aggregators.sealing.seal import Sealer
from ingest.clock import SystemClock
from ingest.log import LogReader
from ingest.log.embedded import EmbeddedLogReader
from ingest.log.kafka.connection import KafkaConnection
from ingest.log.kafka.log import KafkaLogReader
from ingest.operator_documents import FILE_NAME as OPERATOR_FILE
from load.children import peak_bytes
from load.fleet_log import LOG_NAME, ROLLUPS_NAME
from load.stopwatch import Stopwatch
from schemas.catalogue import load_catalogue

LOG, DECODE, ARROW, SEEN = "read from the log", "decode", "Arrow", "seen ids"
LOAD, TRANSACTION, SEAL = "load into DuckDB", "offsets and commit", "seal"
REST = "everything else"
STAGES = (LOG, DECODE, ARROW, SEEN, LOAD, TRANSACTION, SEAL, REST)

PATIENCE_SECONDS = 600.0


async def follow_and_publish(data: Path, reader: LogReader, *, end_ms: int) -> dict[str, Any]:
    """What both took, in seconds, bytes, reports and cells."""
    async with _follower(data, reader) as follower:
        return {"follower": await _follow(follower), "publication": await _publish(follower, data, end_ms=end_ms)}


@asynccontextmanager
async def _follower(data: Path, reader: LogReader) -> AsyncIterator[Follower]:
    tiers = load_catalogue().tiers
    rollups = Rollups.open(data / ROLLUPS_NAME)
    follower = Follower(reader, rollups, clock=SystemClock(), tiers=lambda: tiers)
    try:
        yield follower
    finally:
        await follower.close()


async def _follow(follower: Follower) -> dict[str, Any]:
    stopwatch, began = Stopwatch(REST), time.perf_counter()
    with _watched(stopwatch):
        running = asyncio.create_task(follower.run())
        try:
            await follower.drained(timeout=PATIENCE_SECONDS)
        finally:
            follower.stop()
            await running
        await follower.seal()  # which is due once an hour of the log's time
    status = follower.status()
    return {
        "cpu": {stage: stopwatch.seconds().get(stage, 0.0) for stage in STAGES},
        "elapsed": time.perf_counter() - began,
        "reports": status.applied,
        "not_counted": status.parked + status.duplicates,
        "peak": peak_bytes(),
    }


@contextmanager
def _watched(stopwatch: Stopwatch) -> Iterator[None]:
    with ExitStack() as stack:
        for owner, function, stage in (
            (Batches, "next", LOG),
            (rollups, "read", DECODE),
            (rollups, "load", LOAD),
            (relations, "table", ARROW),
            (loading, "identities", SEEN),
            (loading, "duplicates", SEEN),
            (Rollups, "apply", TRANSACTION),
            (Sealer, "seal", SEAL),
        ):
            stack.enter_context(stopwatch.watching(owner, function, stage=stage))
        yield


async def _publish(follower: Follower, data: Path, *, end_ms: int) -> dict[str, Any]:
    tiers = load_catalogue().tiers
    rulebook = Rulebook(
        measures=load_measures(),
        tiers=lambda: tiers,
        documents=data / OPERATOR_FILE,
        directory=data / ROLLUPS_NAME / PUBLISHED_NAME,
    )
    publications = Publications(follower, rulebook, clock=SystemClock(), settle_ms=0)
    cpu, began = time.process_time(), time.perf_counter()
    published = await publications.publish_everything(complete_to=end_ms)
    return {
        "cpu": time.process_time() - cpu,
        "elapsed": time.perf_counter() - began,
        "cells": published.publication.cells,
        "withheld": published.publication.withheld,
        "peak": peak_bytes(),
    }


def _reader(data: Path, kafka: Sequence[str]) -> LogReader:
    if not kafka:
        return EmbeddedLogReader(data / LOG_NAME)
    bootstrap, topic_prefix = kafka
    return KafkaLogReader(KafkaConnection(bootstrap), topic_prefix=topic_prefix)


def main(data: Path, end_ms: int, kafka: Sequence[str]) -> None:
    """Measure, and print one JSON object."""
    print(json.dumps(asyncio.run(follow_and_publish(data, _reader(data, kafka), end_ms=end_ms))))


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]), sys.argv[3:])
