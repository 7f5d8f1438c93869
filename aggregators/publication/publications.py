"""When something is published: on a schedule, and when an operator asks for it.

Rules held here:

* an hour is over when the *log's* time has passed its end by `settle_ms`: the newest record that was applied, but not
  later than the last moment up to which everything had been read. A gate that stands still closes no hour, and neither
  does a follower that has a backlog, or whose rollups were made anew and not filled up yet;
* publishing runs between two batches, on the thread of the rollups; one that fails changes nothing, is told in the log,
  and is tried again with the next one;
* one follower publishes into a directory (`aggregators.fence`), once the seals are its own; when another one has taken
  over, this one stops;
* whoever publishes the open hour as well says so: its cells then change only as late data change cells.
"""

import asyncio
from collections.abc import Callable, Collection, Mapping
from contextlib import closing, suppress
from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from aggregators.fence import Fence, Fenced
from aggregators.following.follow import Follower, FollowerStopped
from aggregators.publication.measure import Measure
from aggregators.publication.publish import WITHHELD_FILE, Publication, publish
from aggregators.publication.published import folder
from aggregators.rollups.rollups import Rollups, RollupsOutOfReach
from ingest.clock import Clock
from ingest.coarsen import floor_hour
from ingest.operator_documents import OperatorDocuments
from ingest.telemetry.events import Event
from ingest.telemetry.logs import log
from schemas.tier import Tier

DRAIN_SECONDS = 60.0
"""How long an operator's publication waits until everything that was in the log is applied."""

NEWEST = 'SELECT number, epoch_ms("at"), epoch_ms(complete_to) FROM publications ORDER BY number DESC LIMIT 1'
SETTLED_CHANGES = "SELECT count(*) FROM changed WHERE hour + INTERVAL 1 HOUR <= epoch_ms($closed_to::BIGINT)"


@dataclass(frozen=True, slots=True, kw_only=True)
class Published:
    """The newest publication; times in milliseconds since the epoch, UTC."""

    publication: Publication
    at: int
    complete_to: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Rulebook:
    """What publications go by: the measures, the tiers in force, and where documents and publications are kept."""

    measures: Mapping[str, Measure]
    tiers: Callable[[], Mapping[str, Tier]]
    documents: Path
    directory: Path


class Publications:
    """Publishes what `follower` has applied; belongs to its event loop, `newest` to any thread."""

    def __init__(self, follower: Follower, rulebook: Rulebook, *, clock: Clock, settle_ms: int) -> None:
        self._follower = follower
        self._rulebook = rulebook
        self._clock = clock
        self._settle_ms = settle_ms
        self._publishing = asyncio.Lock()
        self._fence: Fence | None = None
        self.newest: Published | None = None

    def take_up(self, rollups: Rollups) -> None:
        """Take the newest publication from `rollups` and its files: what was published before this process began."""
        with rollups.errors(), rollups.cursor() as cursor:
            rows = cursor.execute(NEWEST).fetchall()
        for number, at, complete_to in rows:
            # Where a file is gone or damaged, the next publication fails and says which.
            with suppress(OSError, pa.ArrowException):
                publication = _from_files(folder(self._rulebook.directory, number), number, self._rulebook.measures)
                self.newest = Published(publication=publication, at=at, complete_to=complete_to)

    async def run(self, *, every: float) -> None:
        """Publish what is over, `every` seconds; ends when it is cancelled, or when another follower has taken over.

        It also ends where the follower stops before the seals were its own: that one publishes nothing.
        """
        with suppress(Fenced, FollowerStopped):
            await self._take_over()
            await self._go_on(every)

    async def _take_over(self) -> None:
        """Claim the directory once the seals are ours, not when something is due: then no other follower publishes.

        Raises `Fenced`, `FollowerStopped`.
        """
        await self._follower.took_over()
        with suppress(OSError):  # the first publication tries again, and says so
            await self._follower.between_batches(lambda _: self._claimed())

    async def _go_on(self, every: float) -> None:
        while True:
            # Also at the start: what was appended while this process was away is read first.
            with suppress(TimeoutError, FollowerStopped):
                await self._follower.drained(timeout=every)
            try:
                await self.publish_closed()
            except Fenced as error:
                log(Event.PUBLICATION_FAILED, error=error)
                raise
            except Exception as error:  # noqa: BLE001  # whatever it is: nothing was published, and the next one tries
                log(Event.PUBLICATION_FAILED, error=error)
            await asyncio.sleep(every)

    def closed_to(self) -> int | None:
        """Up to when hours are over, in milliseconds since the epoch; None where nobody can tell yet."""
        status = self._follower.status()
        if status.applied_to is None or status.caught_up_at is None:
            return None
        return floor_hour(min(status.applied_to, status.caught_up_at) - self._settle_ms)

    async def publish_closed(self) -> Published | None:
        """Publish the hours that are over; gives the newest publication, which is an earlier one where nothing was due.

        None where nothing was ever published.
        """
        async with self._publishing:
            closed_to = self.closed_to()
            if closed_to is None:
                return self.newest
            if not await self._follower.between_batches(lambda rollups: self._is_due(rollups, closed_to)):
                return self.newest
            # After a restart the log's time is known to the hour only: what was complete before still is.
            before = closed_to if self.newest is None else self.newest.complete_to
            return await self._publish(closed_to=closed_to, complete_to=max(closed_to, before))

    async def publish_everything(self, *, complete_to: int) -> Published:
        """Publish every hour that has changed, over or not; the answers are complete up to `complete_to`."""
        async with self._publishing:
            return await self._publish(closed_to=None, complete_to=complete_to)

    async def _publish(self, *, closed_to: int | None, complete_to: int) -> Published:
        at = self._clock.now_ms()

        def work(rollups: Rollups) -> Publication:
            if self._follower.status().caught_up_at is None:  # asked before they were made anew
                raise RollupsOutOfReach("the log was not read to its end since the rollups were opened")
            book = self._rulebook
            with (
                closing(OperatorDocuments(book.documents, self._clock)) as documents,
                rollups.errors(),
                rollups.cursor() as own,
            ):
                return publish(
                    own,
                    book.measures,
                    tiers=book.tiers(),
                    documents=documents,
                    fence=self._claimed(),
                    at=at,
                    closed_to=closed_to,
                    complete_to=complete_to,
                )

        await self._follower.took_over()  # else who is about to be refused would fence the one that publishes
        publication = await self._follower.between_batches(work)
        self.newest = Published(publication=publication, at=at, complete_to=complete_to)
        log(
            Event.PUBLISHED,
            number=publication.number,
            cells=publication.cells,
            withheld=publication.withheld,
            waiting=publication.waiting,
        )
        return self.newest

    def _claimed(self) -> Fence:
        """The fence of the directory, claimed once in the life of this process; on the thread of the rollups."""
        if self._fence is None:
            self._fence = Fence.claim(self._rulebook.directory)
        return self._fence

    def _is_due(self, rollups: Rollups, closed_to: int) -> bool:
        """Whether hours that are over have changed, or more of them are over than the newest publication knew."""
        with rollups.errors(), rollups.cursor() as cursor:
            (newest,) = cursor.execute("SELECT epoch_ms(max(complete_to)) FROM publications").fetchall()[0]
            (changes,) = cursor.execute(SETTLED_CHANGES, {"closed_to": closed_to}).fetchall()[0]
        return bool(changes) or newest is None or newest < closed_to


def _from_files(place: Path, number: int, measures: Collection[str]) -> Publication:
    """What an earlier publication did, as its files have it."""
    held_back = pq.read_table(place / WITHHELD_FILE)
    files = [place / f"{measure}.parquet" for measure in measures]
    return Publication(
        number=number,
        cells=sum(pq.read_metadata(file).num_rows for file in files if file.exists()),
        withheld=pc.sum(held_back["cells"]).as_py() or 0,
        waiting=pc.sum(held_back["waiting"]).as_py() or 0,
    )
