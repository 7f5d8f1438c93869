"""Many concurrent appends into few commits: while one commit runs, later appends wait and share the next.

Rules held here:

* commits run one after the other on the executor, one hop there and back per commit, however many calls share it;
* what waits is bounded; beyond the bound an append is refused at once (`LogUnavailable`), so that a slow disk makes
  callers back off and does not fill the memory;
* an append that waited past its deadline is refused if its commit has not begun, and in doubt if it has;
* a process that stood still (stopped, starved) wakes up to its timers first, and to a commit that ended meanwhile
  afterwards: whoever is past the deadline is answered at a second look, so that nothing stored is called in doubt;
* a caller that was cancelled takes nobody with it: not begun, its entries are left out; begun, they are stored;
* a busy event loop must not starve the commit: `_give_way` says how that would happen.
"""

import asyncio
import time
from collections.abc import Callable, Sequence
from concurrent.futures import Executor
from dataclasses import dataclass

from ingest.log import InDoubt, LogUnavailable
from ingest.report import Entry, Position

Positions = Sequence[Position]
Write = Callable[[Sequence[Sequence[Entry]]], Sequence[Positions]]
"""Stores the entries of all calls or of none, and says where, per call; raises `LogUnavailable` or `InDoubt`."""

GIVE_WAY_EVERY_SECONDS = 0.002
GIVE_WAY_FOR_SECONDS = 0.0002

LAST_LOOK_SECONDS = 0.05
"""Between a deadline and the answer that it has passed: time for what happened before to be heard of."""


@dataclass(frozen=True, slots=True, kw_only=True)
class AppendLimits:
    """How much may wait for the next commit (`value_bytes`: of the entries' values), and how long an append may take.

    An append larger than the bounds passes when nothing else waits, since it could never pass otherwise.
    """

    entries: int = 50_000
    value_bytes: int = 64 * 1024 * 1024
    seconds: float = 10.0


@dataclass(slots=True, eq=False)
class Waiting:
    """One call of `append` until it is answered; `deadline` on the loop's clock."""

    entries: Sequence[Entry]
    value_bytes: int
    deadline: float
    answer: asyncio.Future[Positions]


class GroupCommit:
    """Belongs to the event loop that first calls `append`. `give_way_every`: seconds; see `_give_way`."""

    def __init__(
        self,
        write: Write,
        *,
        executor: Executor,
        limits: AppendLimits,
        give_way_every: float = GIVE_WAY_EVERY_SECONDS,
    ) -> None:
        self._write = write
        self._executor = executor
        self._limits = limits
        self._give_way_every = give_way_every
        self._pending: list[Waiting] = []
        self._pending_entries = 0
        self._pending_bytes = 0
        self._writing: list[Waiting] = []
        self._timer: asyncio.TimerHandle | None = None
        self._nap: asyncio.TimerHandle | None = None
        self._idle = asyncio.Event()
        self._idle.set()

    async def append(self, entries: Sequence[Entry]) -> Positions:
        """The positions, once the commit with these entries is through; raises `LogUnavailable` or `InDoubt`."""
        loop = asyncio.get_running_loop()
        value_bytes = sum([len(entry.value) for entry in entries])
        self._refuse_beyond_bounds(len(entries), value_bytes)
        deadline = loop.time() + self._limits.seconds
        waiting = Waiting(entries, value_bytes, deadline, loop.create_future())
        self._pending.append(waiting)
        self._pending_entries += len(entries)
        self._pending_bytes += value_bytes
        if self._timer is None:
            self._timer = loop.call_at(deadline, self._look_once_more)
        if self._idle.is_set():
            self._idle.clear()
            # Not at once: what else is ready in this turn of the loop comes along.
            loop.call_soon(self._begin)
        return await waiting.answer

    async def drain(self) -> None:
        """Returns when nothing waits and nothing is being written."""
        await self._idle.wait()
        if self._timer is not None:
            self._timer.cancel()

    def _refuse_beyond_bounds(self, entries: int, value_bytes: int) -> None:
        if self._pending and (
            self._pending_entries + entries > self._limits.entries
            or self._pending_bytes + value_bytes > self._limits.value_bytes
        ):
            raise LogUnavailable("too much waits to be written to the log: its disk is slower than its callers")

    def _begin(self) -> None:
        """Starts the next commit with everything that waits, or rests when nothing does."""
        self._writing = [waiting for waiting in self._pending if not waiting.answer.done()]
        self._set_pending([])
        if not self._writing:
            self._idle.set()
            return
        loop = asyncio.get_running_loop()
        calls = [waiting.entries for waiting in self._writing]
        loop.run_in_executor(self._executor, self._write, calls).add_done_callback(self._finished)
        self._nap = loop.call_later(self._give_way_every, self._give_way)

    def _give_way(self) -> None:
        """Sleeps for a moment, and again every now and then, until the commit that is running has ended.

        Between two statements the writer's thread needs Python's interpreter lock. A loop without a pause lets go of
        it only while it polls its sockets, for a microsecond, and takes it back before the writer has woken; and
        because it was let go of, the interpreter never forces the switch either (bpo-7946). Measured under a saturated
        loop: a commit took up to 7 s without these naps, and 27 ms with them. A loop with pauses rarely comes here.
        """
        time.sleep(GIVE_WAY_FOR_SECONDS)
        self._nap = asyncio.get_running_loop().call_later(self._give_way_every, self._give_way)

    def _finished(self, job: asyncio.Future[Sequence[Positions]]) -> None:
        if self._nap is not None:
            self._nap.cancel()
        written, self._writing = self._writing, []
        error = job.exception()
        if error is None:
            for waiting, positions in zip(written, job.result(), strict=True):
                if not waiting.answer.done():
                    waiting.answer.set_result(positions)
        else:
            _fail(written, error)
        self._begin()

    def _look_once_more(self) -> None:
        loop = asyncio.get_running_loop()
        self._timer = loop.call_later(LAST_LOOK_SECONDS, self._expire, loop.time())

    def _expire(self, moment: float) -> None:
        """Answers whoever was past the deadline at that moment, and comes back when the next one is."""
        loop = asyncio.get_running_loop()
        _fail(_late(self._writing, moment), InDoubt("the log did not confirm in time"))
        _fail(_late(self._pending, moment), LogUnavailable("the log did not get to these entries in time"))
        # Whoever was answered must not count against the bounds.
        self._set_pending([waiting for waiting in self._pending if not waiting.answer.done()])
        open_deadlines = [w.deadline for w in (*self._writing, *self._pending) if not w.answer.done()]
        self._timer = loop.call_at(min(open_deadlines), self._look_once_more) if open_deadlines else None

    def _set_pending(self, pending: list[Waiting]) -> None:
        self._pending = pending
        self._pending_entries = sum(len(waiting.entries) for waiting in pending)
        self._pending_bytes = sum(waiting.value_bytes for waiting in pending)


def _late(calls: Sequence[Waiting], moment: float) -> list[Waiting]:
    return [waiting for waiting in calls if waiting.deadline <= moment]


def _fail(calls: Sequence[Waiting], error: BaseException) -> None:
    """Raises the error in every caller that still waits."""
    for waiting in calls:
        if not waiting.answer.done():
            waiting.answer.set_exception(error)
