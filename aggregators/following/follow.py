"""The follower: reads the log on from where the rollups are, and applies it to them, until it is told to stop.

Rules held here:

* rows, seen ids and offsets go into the rollups in one transaction (`Rollups.apply`), so that whatever happens between
  two of them nothing is lost and nothing counted twice;
* whatever touches the rollups runs on one thread, one after the other: batches, seals, and what `between_batches` is
  given. A cancelled `run` returns when that thread has finished what it was doing. `end_work` interrupts what takes
  long, and it is rolled back;
* the log, the seals or the disk may fail and come back: it waits and goes on by itself. What needs a person, history
  that is gone, too many records that cannot be read, a fault of ours, stops it. The gate goes on in any case;
* a damaged entry holds up its own partition, and no other;
* it takes over from another follower only when rollups, log and seals were seen to fit together;
* rollups whose disk has failed are made anew before anybody works on them, and count as read to no end until then;
* once another follower has taken over where seals or publications are kept, this one stops, whatever it was doing.
"""

import asyncio
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import replace
from typing import Any, TypeVar

from aggregators.fence import Fenced
from aggregators.following.batches import Batch, Batches, LogReplaced
from aggregators.following.failures import OF_THE_ROLLUPS, STOPS, Patience, TooManyUnreadable, waited_for
from aggregators.following.standing import BEGINNING, WHAT_TO_DO, FollowerStatus, Readability, State, Told, Why
from aggregators.following.untrusted import MakeAnew, Trust, in_the_way, seals_of, stop_instead
from aggregators.rollups.rollups import Applied, Progress, Rollups, RollupsInterrupted
from aggregators.rollups.stripped import StrippedRecords
from aggregators.sealing.seal import Sealer, SealFailed, Sealing
from aggregators.sealing.seal_files import Seal
from ingest.clock import Clock
from ingest.log import LogReader, LogUnavailable
from ingest.report import Partition
from ingest.schema_topic import stored_schemas
from ingest.telemetry.events import Event
from ingest.telemetry.logs import log
from schemas.tier import Tier

T = TypeVar("T")

IDLE_SECONDS = 1.0
"""Between two looks at a log that is drained, unless somebody waits for the next. A batch costs 45 ms whatever is in
it, in a process that may also take reports: five small ones a second would be a quarter of a core."""

RETRY_SECONDS = 1.0
LONGEST_RETRY_SECONDS = 30.0
COUNT_LAG_SECONDS = 5.0
COMPARE_SECONDS = 5.0

LOOKS = 10
"""So often in a row, `RETRY_SECONDS` apart, a log must look like another one: a broker that was cut off and comes back
believes for a moment that it leads, and that a partition ends where it ended then."""

GRACE_SECONDS = 1.0
"""What is under way at the end may take so long. A batch usually ends within it; a publication or a seal may take a
minute, and is made again."""

INTERRUPT_EVERY_SECONDS = 0.02
"""Again and again: an interruption between two statements is forgotten by the next one."""


class FollowerStopped(Exception):
    """The follower does not go on; the message says why, and what to do."""


class Follower:
    """Follows `reader` into `rollups`; belongs to one event loop, `status` and `rollups` to any thread.

    `tiers` is asked for the policies in force, whose horizon and retention say what sealing lets go of. `records` and
    `sealer` are its own unless they are given. `make_anew` makes the file of the rollups of seals when their disk has
    failed; without it the follower stops then. `close` closes both the reader and the rollups.
    """

    def __init__(  # noqa: PLR0913  # what it follows and into what, and parts that have to be told or replaced
        self,
        reader: LogReader,
        rollups: Rollups,
        *,
        clock: Clock,
        tiers: Callable[[], Mapping[str, Tier]],
        records: StrippedRecords | None = None,
        sealer: Sealing | None = None,
        make_anew: MakeAnew = stop_instead,
    ) -> None:
        self._reader = reader
        self._rollups = rollups
        self._clock = clock
        self._records = records or StrippedRecords()
        self._batches: Batches | None = None
        self._made_anew = make_anew
        self._sealer: Sealing = sealer or Sealer(tiers, clock=clock)
        self._readability = Readability()
        self._executor = ThreadPoolExecutor(max_workers=1, thread_name_prefix="rollups")
        self._under_way: set[asyncio.Future[Any]] = set()
        self._status = BEGINNING
        self._said: tuple[State, Why | None] = (State.CATCHING_UP, None)
        self._told_to_stop = False
        self._must_reopen = False
        self._trust = Trust(rollups)
        self._told = Told()
        self._wake = asyncio.Event()
        self._passed = asyncio.Event()
        self._passes_begun = 0
        self._newest_drained_pass = 0
        self._patience = Patience(clock, first=RETRY_SECONDS, longest=LONGEST_RETRY_SECONDS)
        self._lag_counted: float | None = None
        self._compared: float | None = None
        self._looks = 0
        self._fenced: Fenced | None = None
        self._took_over = False

    @property
    def rollups(self) -> Rollups:
        """The rollups; after a full disk they are opened anew, and every cursor of before is void."""
        return self._rollups

    def status(self) -> FollowerStatus:
        """How it stands now."""
        return self._status

    def stop(self) -> None:
        """Let `run` end once the batch under way is applied."""
        self._told_to_stop = True
        self._wake.set()

    async def run(self) -> None:
        """Follow until `stop`, until cancelled, or until something needs a person; `status` says which."""
        try:
            while not self._told_to_stop and self._status.state is not State.STOPPED:
                await self._try()
                self._tell_that_a_pass_ended()
        finally:
            self._status = replace(self._status, state=State.STOPPED)
            self._tell_that_a_pass_ended()

    async def close(self) -> None:
        """Close rollups and log, after what their threads are doing, as `end_work`."""
        self.stop()
        self._tell_that_a_pass_ended()
        await self.end_work()
        await self._on_thread(self._rollups.close)
        self._executor.shutdown(wait=False)
        await self._reader.close()

    async def end_work(self) -> None:
        """Return once the thread of the rollups is idle; what takes longer than `GRACE_SECONDS` is interrupted.

        Whoever waits for that gets `RollupsInterrupted`.
        """
        patience = GRACE_SECONDS
        while self._under_way:
            _, left = await asyncio.wait(self._under_way, timeout=patience)
            if left:
                self._rollups.interrupt()
                patience = INTERRUPT_EVERY_SECONDS

    async def drained(self, *, timeout: float) -> None:  # noqa: ASYNC109  # the caller's own deadline
        """Return once everything that had been appended before this call is in the rollups.

        Raises TimeoutError after `timeout` seconds, `FollowerStopped`.
        """
        # Passes are counted, for the clock may be set back, and two may begin in one millisecond.
        enough = self._passes_begun + 1
        self._wake.set()
        async with asyncio.timeout(timeout):
            while self._newest_drained_pass < enough:
                await self._another_pass()

    async def took_over(self) -> None:
        """Return once the seals are this follower's, which fit the log and the rollups; raises `FollowerStopped`."""
        while not self._took_over:
            await self._another_pass()

    async def _another_pass(self) -> None:
        if self._told_to_stop or self._status.state is State.STOPPED:
            raise FollowerStopped(self._status.detail or "the follower was told to stop")
        await self._passed.wait()

    async def between_batches(self, work: Callable[[Rollups], T]) -> T:
        """What `work` makes of the rollups on their one thread, so that no batch and no seal runs meanwhile.

        Where it raises `Fenced`, the follower stops as well. Raises `RollupsUntrusted` until they are made anew.
        """
        try:
            return await self._on_thread(lambda: self._trusted(work))
        except Fenced as error:
            self._fenced = error
            self._wake.set()
            raise

    def _trusted(self, work: Callable[[Rollups], T]) -> T:
        self._trust.require()
        return work(self._rollups)

    async def seal(self) -> Seal | None:
        """Seal what was applied since the last seal; None where that is nothing. Raises as `Sealer.seal`."""
        drained = self._status.state is State.FOLLOWING
        sealed = await self.between_batches(lambda rollups: self._sealer.seal(rollups, drained=drained))
        if sealed is not None:
            self._told.sealed()
            log(Event.SEALED, number=sealed.number, rows=sealed.rows)
        return sealed

    async def _try(self) -> None:
        """One pass, and what becomes of it when something fails."""
        try:
            await self._pass()
        except Exception as error:  # noqa: BLE001  # whatever it is: the gate in this process goes on, and this stops
            if self._told_to_stop and isinstance(error, RollupsInterrupted):
                return
            if waiting := waited_for(error):
                self._become(waiting.state, waiting.why, str(error))
                await self._wait_after(error)
                return
            why = STOPS.get(type(error), Why.FAULT)
            detail = str(error) if why is not Why.FAULT else type(error).__name__
            self._become(State.STOPPED, why, detail, error=error)

    async def _wait_after(self, error: Exception) -> None:
        if isinstance(error, OF_THE_ROLLUPS):
            self._batches, self._must_reopen = None, True
        wait = self._patience.before_making_anew if self._trust.is_lost else self._patience.after
        await self._pause(wait(error))

    async def _pass(self) -> None:
        """Apply the next batch, if there is one, and rest when that was all."""
        self._passes_begun += 1
        number, began = self._passes_begun, self._clock.now_ms()
        batches = self._batches or await self._begin()
        self._trust.require()  # a publication may have found out
        await self._require_ours()
        await self._compare(batches)
        batch = await batches.next()
        if batch.parts:
            await self._apply(batch, batches)
        await self._seal_if_due(batch)
        self._patience.all_is_well()
        if batch.drained:
            self._newest_drained_pass = number
            self._status = replace(self._status, caught_up_at=began, lag=0, oldest_waiting=None)
            self._become(State.FOLLOWING)
            self._tell_that_a_pass_ended()
            await self._pause(IDLE_SECONDS)
        else:
            await self._count_lag(batch, batches)
            self._become(State.CATCHING_UP, Why.LOG_DAMAGED if batch.damaged else None, batch.damaged)
            if batch.damaged and not batch.parts:
                await self._pause(RETRY_SECONDS)

    async def _begin(self) -> Batches:
        """See to it that the rollups are open, and that they, the seals and the log fit together."""
        if self._trust.is_lost:
            await self._make_anew()
        elif self._must_reopen:
            await self._on_thread(self._rollups.reopen)
        self._must_reopen = False
        progress = await self._on_thread(self._rollups.progress)
        batches = Batches(self._reader, {partition: reached.last for partition, reached in progress.items()})
        self._compared = None
        await self._compare(batches)
        await self.between_batches(self._sealer.settle)  # it claims the seals, so whoever is refused is so before
        self._go_on_from(progress)
        self._batches, self._took_over = batches, True
        return batches

    async def _make_anew(self) -> None:
        """Make the rollups of seals and publications, and leave the rest to the log, which must have it."""
        await self._require_ours()
        chain = await self._on_thread(lambda: seals_of(self._rollups))
        self._compared = None
        ends = chain[-1].ends if chain else {}
        with in_the_way():
            await self._compare(Batches(self._reader, ends))
            self._status = replace(self._status, caught_up_at=None)  # no hour is over by what was read before
            await self._on_thread(lambda: self._made_anew(self._rollups, chain))
            await self._on_thread(self._rollups.reopen)
        self._trust.restore()
        self._told.made_anew(ends)
        log(Event.ROLLUPS_MADE_ANEW, seals=len(chain))

    async def _require_ours(self) -> None:
        """Raises `Fenced` when another follower has taken over, whether or not there is anything to seal or publish."""
        if self._fenced is not None:
            raise self._fenced
        await self._on_thread(self._sealer.check)

    async def _compare(self, batches: Batches) -> None:
        """At the start and every few seconds: a log that lost its beginning, or is another, may simply be silent."""
        now = self._clock.monotonic()
        if self._compared is None or now - self._compared >= COMPARE_SECONDS:
            self._compared = None
            try:
                await batches.check()
            except LogReplaced as error:
                self._looks += 1
                if self._looks < LOOKS:
                    raise LogUnavailable(str(error)) from None
                raise
            self._compared, self._looks = now, 0

    def _go_on_from(self, progress: Mapping[Partition, Progress]) -> None:
        """Take the log's time from what was applied before this process began; a whole hour, which is all they tell."""
        received = max((reached.received for reached in progress.values()), default=0)
        if received:
            self._applied_to(received)

    def _applied_to(self, newest: int) -> None:
        # A damaged time of a record must not make it look as if the log were ahead of the clock.
        newest = min(newest, self._clock.now_ms())
        self._status = replace(self._status, applied_to=max(self._status.applied_to or 0, newest))

    async def _apply(self, batch: Batch, batches: Batches) -> None:
        self._status = replace(self._status, oldest_waiting=batch.oldest)
        if self._records.unknown(batch.parts):
            self._records.learn(await stored_schemas(self._reader))
        applied = await self.between_batches(lambda rollups: rollups.apply(batch.parts, self._records))
        batches.applied(batch)
        self._count(batch, self._told.news(batch.ends, applied))
        self._readability.add(records=batch.records, parked=applied.parked)
        if wrong := self._readability.absurd:
            raise TooManyUnreadable(wrong)

    def _count(self, batch: Batch, applied: Applied) -> None:
        self._applied_to(batch.newest or 0)
        status = self._status
        self._status = replace(
            status,
            applied=status.applied + applied.reports,
            duplicates=status.duplicates + applied.duplicates,
            parked=status.parked + applied.parked,
        )

    async def _count_lag(self, batch: Batch, batches: Batches) -> None:
        now = self._clock.monotonic()
        lag = max(self._status.lag - batch.records, 1)
        if self._lag_counted is None or now - self._lag_counted >= COUNT_LAG_SECONDS:
            lag, self._lag_counted = await batches.waiting(), now
        self._status = replace(self._status, lag=lag)

    async def _seal_if_due(self, batch: Batch) -> None:
        if self._told_to_stop:
            return
        if not self._sealer.due(newest=self._status.applied_to, records=batch.records, drained=batch.drained):
            return
        try:
            await self.seal()
        except SealFailed as error:
            log(Event.SEAL_FAILED, error=error)
            self._batches = None  # what it has left behind is settled before anything else is applied

    async def _on_thread(self, work: Callable[[], T]) -> T:
        """The result of `work` on the thread of the rollups; a caller that is cancelled still waits until it ends."""

        def watched() -> T:
            with self._trust.watching():
                return work()

        future = asyncio.get_running_loop().run_in_executor(self._executor, watched)
        self._under_way.add(future)
        future.add_done_callback(self._under_way.discard)
        try:
            return await asyncio.shield(future)
        except asyncio.CancelledError:
            await asyncio.wait([future])
            future.exception()  # else asyncio tells that nobody asked for it
            raise

    async def _pause(self, seconds: float) -> None:
        """Wait, unless somebody is waiting for the next pass, or for the end."""
        with suppress(TimeoutError):
            await asyncio.wait_for(self._wake.wait(), seconds)
        self._wake.clear()

    def _tell_that_a_pass_ended(self) -> None:
        self._passed.set()
        self._passed = asyncio.Event()

    def _become(
        self, state: State, why: Why | None = None, detail: str = "", *, error: BaseException | None = None
    ) -> None:
        """Take on a state, and log it when it is news: to catch up a little now and then is none."""
        if why is not None:
            detail = f"{detail.rstrip('.')}. {WHAT_TO_DO[why]}"
        self._status = replace(self._status, state=state, why=why, detail=detail)
        if (state, why) not in (self._said, (State.CATCHING_UP, None)):
            self._said = (state, why)
            if why is None:
                log(Event.FOLLOWER_STATE, state=state, lag=self._status.lag)
            else:
                log(Event.FOLLOWER_STATE, error=error, state=state, lag=self._status.lag, why=why)
