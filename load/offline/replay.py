"""What arrived, once more: through the gate's core into an embedded log, and from there into rollups.

store(files, data, order)     # `as_it_came`, or `three_times_in_random_order`
follow(data)                  # the follower of `tidegate serve`, to the end of the log
"""

import asyncio
from array import array
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
from pathlib import Path
from random import Random
from typing import NamedTuple, cast

from aggregators.following.follow import Follower
from aggregators.publication.measures import load_measures
from aggregators.publication.publications import Publications, Rulebook
from aggregators.publication.publish import Publication
from aggregators.repair.rebuild import PUBLISHED_NAME
from aggregators.rollups.rollups import Rollups
from ingest.body import LENGTH
from ingest.log.embedded import EmbeddedLog, EmbeddedLogReader
from ingest.operator_documents import FILE_NAME as OPERATOR_FILE
from ingest.operator_documents import OperatorDocuments
from ingest.schema_topic import publish_schemas
from load.fleet.models import manifest_document, prices_document
from load.offline.clock import MovedClock
from load.offline.lives import read
from load.offline.plan import START_MS
from load.offline.wire import Arrived, InMemoryGate
from schemas.catalogue import load_catalogue

LOG, ROLLUPS = "log", "rollups"
TIMES = 3
BATCH = 100
PATIENCE_SECONDS = 6 * 3_600.0
"""Of whoever waits for something that is on its way as long as the machine is: there may be much else to do."""

Order = Callable[[Sequence[Arrived], int], Iterator[int]]
"""(what arrived, a seed) -> places in it, in the order in which it is posted."""


class Stored(NamedTuple):
    """How many different reports there are, and how many were posted."""

    reports: int
    posted: int


def as_it_came(arrived: Sequence[Arrived], seed: int) -> Iterator[int]:  # noqa: ARG001  # as every `Order`
    """Each once, in order of time over all devices."""
    yield from sorted(range(len(arrived)), key=lambda place: arrived[place].at_ms)


def three_times_in_random_order(arrived: Sequence[Arrived], seed: int) -> Iterator[int]:
    """Each three times, all of it mixed: a copy may come before the one that its device sent first."""
    places = array("I", range(len(arrived))) * TIMES
    Random(f"{seed}/replay").shuffle(places)
    yield from places


def store(files: Sequence[Path], data: Path, order: Order, *, seed: int, now_ms: int) -> Stored:
    """Posts what is in the files to a gate whose log is in `data`; raises `Rejections` where one is refused."""
    arrived = [one for file in files for one in cast("list[Arrived]", read(file))]
    clock = MovedClock(now_ms)
    log = _new_log(data, now_ms)
    gate = InMemoryGate(log, manifest_document(), clock)
    posted = 0
    for tier, messages in _batches(arrived, order(arrived, seed)):
        clock.pass_seconds(0.001)
        body = b"".join(LENGTH.pack(len(message)) + message for message in messages)
        gate.post(tier, body, "")
        posted += len(messages)
    gate.close()
    return Stored(len(arrived), posted)


def _new_log(data: Path, now_ms: int) -> EmbeddedLog:
    with closing(OperatorDocuments(data / OPERATOR_FILE, MovedClock(START_MS))) as documents:
        documents.put("manifest", manifest_document(), START_MS)
        documents.put("prices", prices_document(), START_MS)
    log = EmbeddedLog(data / LOG)
    asyncio.run(publish_schemas(log, load_catalogue(), now=now_ms))
    return log


def _batches(arrived: Sequence[Arrived], places: Iterator[int]) -> Iterator[tuple[str, Sequence[bytes]]]:
    """Bodies of up to `BATCH` reports, of whichever devices, about in the order of `places`."""
    waiting: dict[str, list[bytes]] = defaultdict(list)
    for place in places:
        one = arrived[place]
        waiting[one.tier].append(one.message)
        if len(waiting[one.tier]) == BATCH:
            yield one.tier, waiting.pop(one.tier)
    yield from waiting.items()


class Followed(NamedTuple):
    """What the follower says of a log: reports that count, copies of such, and what could not be read; then how many
    cells were published of them and how many withheld.
    """

    applied: int
    duplicates: int
    parked: int
    cells: int
    withheld: int


def follow(data: Path, *, now_ms: int) -> Followed:
    """All of the log in `data` into the rollups beside it, and all that came of it published."""
    return asyncio.run(_follow(data, MovedClock(now_ms)))


async def _follow(data: Path, clock: MovedClock) -> Followed:
    tiers = load_catalogue().tiers
    rollups = Rollups.open(data / ROLLUPS)
    follower = Follower(EmbeddedLogReader(data / LOG), rollups, clock=clock, tiers=lambda: tiers)
    running = asyncio.create_task(follower.run())
    try:
        await follower.drained(timeout=PATIENCE_SECONDS)
        published = await _publish(data, follower, clock)
    finally:
        follower.stop()
        await running
        await follower.close()
    status = follower.status()
    return Followed(status.applied, status.duplicates, status.parked, published.cells, published.withheld)


async def _publish(data: Path, follower: Follower, clock: MovedClock) -> Publication:
    tiers = load_catalogue().tiers
    rulebook = Rulebook(
        measures=load_measures(),
        tiers=lambda: tiers,
        documents=data / OPERATOR_FILE,
        directory=data / ROLLUPS / PUBLISHED_NAME,
    )
    publications = Publications(follower, rulebook, clock=clock, settle_ms=0)
    return (await publications.publish_everything(complete_to=clock.now_ms())).publication
