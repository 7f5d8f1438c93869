"""Read first: a data directory lives through rounds, and in each of them something goes wrong while clients post.

    draw the faults -> post while they happen -> bring everything back -> settle what is in doubt -> drain -> look

Rules held here:

* everything that is drawn follows from the seed and the number of the round; when things happen does not, for the
  processes are real. So a round that failed is played again with the same faults, and may fail in another moment;
* nothing is forgiven for a fault: after it every report that a client still wants to be rid of has to be taken, the
  follower has to catch up, and every invariant has to hold for all that was ever posted to this directory;
* limits of a few seconds that a gate has to keep are put off by as long as this process stood still (`standstill.py`);
* memory: a drained process holds little more than a young one (`memory.py`).
"""

import asyncio
import shutil
import time
import traceback
from collections import Counter
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from random import Random

from ingest.log import LogUnavailable
from load.faults.clients import Clients
from load.faults.deep import published_violations, rebuilt_violations
from load.faults.evidence import LogScan, copied_rollups, in_rollups
from load.faults.gate import GateFailed
from load.faults.injections import Injection, Stage
from load.faults.leaked import Search, on_disk, said
from load.faults.made import Made, ReportMaker
from load.faults.memory import Memory
from load.faults.proxy import FaultProxy, Pass, fault_proxy
from load.faults.standstill import Deadline, stood_still
from load.faults.told import Told
from load.faults.verdict import (
    SILENCE_MS,
    Violation,
    ledger_violations,
    living_violations,
    log_violations,
    may_lack,
    rollup_violations,
    still_lacking,
    unknown_spans,
)
from load.faults.world import World, run_on_thread

CONNECTIONS = 4
QUIET_SECONDS = 0.15
"""Before the fault and after it, clients post as on any day."""

SETTLE_SECONDS = 45.0
DRAIN_SECONDS = 90.0
"""The follower waits up to 30 s before it tries again after a disk was full."""

DEEP_EVERY = 10
"""Rounds between two searches of every disk, with a rebuild and the published ledger."""

READ_SECONDS = 30.0
RECORD_SECONDS = 10.0
"""A gate tells its log every second what it counted; an append may take two."""

LOOK_AGAIN_SECONDS = 0.5
NETWORK_TOO = 0.35
"""Share of the rounds with another fault in which the network has one as well."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of a round: what was injected, how long it took, and what does not hold."""

    number: int
    injected: Sequence[str]
    seconds: float
    violations: Sequence[Violation]


class Life:
    """One data directory over many rounds."""

    def __init__(self, world: World, proxy: FaultProxy, injections: Sequence[Injection], *, seed: int) -> None:
        self._world = world
        self._proxy = proxy
        self._injections = injections
        self._seed = seed
        self._scan = LogScan()
        self._search = Search()
        self._memory = Memory(world.data / "rollups")
        self._accepted: list[Made] = []
        self.told = Told()

    async def play(self, number: int) -> Outcome:
        """One round."""
        started = time.monotonic()
        random = Random(f"{self._seed}/{number}")
        chosen = self._drawn(random)
        self.told.permitted = frozenset()
        self.told.heard.clear()
        kills, still = len(self._world.killed_at), stood_still()
        injected, violations = [one.name for one in chosen], list[Violation]()
        try:
            injected = await self._harm(chosen, random, number)
            await self._drain()
            self._world.lacking += may_lack(self.told, self._world.killed_at[kills:], stood_still=stood_still() - still)
            violations += await self._look(deep=number % DEEP_EVERY == 0)
        except Exception as error:  # noqa: BLE001  # whatever ends a round: it is told, with what plays it again
            violations.append(failure(error))
        return Outcome(number, injected, time.monotonic() - started, violations)

    async def last_look(self) -> Sequence[Violation]:
        """Every invariant once more, every disk searched, and the process ended in good order."""
        violations: list[Violation] = []
        try:
            violations += await self._look(deep=True)
            await run_on_thread(self._world.stop)
            violations += await self._ledger()
        except Exception as error:  # noqa: BLE001  # as in a round
            violations.append(failure(error))
        return violations

    def _drawn(self, random: Random) -> list[Injection]:
        first = random.choices(self._injections, [one.weight for one in self._injections])[0]
        others = [one for one in self._injections if one.network]
        return [first, random.choice(others)] if not first.network and random.random() < NETWORK_TOO else [first]

    async def _harm(self, chosen: Sequence[Injection], random: Random, number: int) -> list[str]:
        """Post while it happens; when this returns nothing is broken any more and nobody is in doubt."""
        failpoints = ",".join(one.failpoints(random) for one in chosen if one.failpoints is not None)
        await run_on_thread(lambda: self._world.ensure(failpoints))
        maker = ReportMaker(self._world.catalogue, seed=self._seed * 1_000_003 + number)
        clients = Clients(
            self._proxy.address, self._world.tokens, told=self.told, maker=maker, random=random, accepted=self._accepted
        )
        stage = Stage(self._world, self._proxy, random, self.told, maker)
        async with _posting(clients, self._world):
            await asyncio.sleep(QUIET_SECONDS)
            done = await asyncio.gather(*(one.happen(stage) for one in chosen), return_exceptions=True)
            self._proxy.fault = Pass
            self._proxy.hang_up()
            await self._world.repair()
            if failed := [one for one in done if isinstance(one, BaseException)]:
                raise failed[0]
            await run_on_thread(self._world.revive)
            await asyncio.sleep(QUIET_SECONDS)
        if left := await clients.settle(seconds=SETTLE_SECONDS):
            raise GateFailed(f"{left} reports are not taken {SETTLE_SECONDS:.0f} s after the fault ended")
        return [one for one in (failpoints, *done) if isinstance(one, str) and one]

    async def _drain(self) -> None:
        """Return once all that was answered with 202 is applied and published; raises `GateFailed`."""
        deadline = time.monotonic() + DRAIN_SECONDS
        gate, operator = self._world.gate, self._world.operator
        while (answer := await asyncio.to_thread(gate.publish, operator)).status_code != 200:
            if time.monotonic() > deadline:
                said_last = f"{answer.status_code} {answer.text[:200]}\n{gate.last_words()}"
                raise GateFailed(f"not drained {DRAIN_SECONDS:.0f} s after the fault ended: {said_last}")
            await asyncio.sleep(0.2)

    async def _look(self, *, deep: bool) -> Sequence[Violation]:
        """Whatever does not hold now."""
        world = self._world
        violations = [Violation("I7", f"{self.told.unanswered} requests were neither answered nor closed in time")]
        violations = violations if self.told.unanswered else []
        violations += [Violation("I1", fault) for fault in self.told.faults]
        self.told.unanswered, self.told.faults = 0, []
        file, found = await self._held_against_what_was_told()
        violations += found
        violations += await self._ledger()
        world.lacking = still_lacking(self.told, self._scan.found, world.lacking)
        metrics = await asyncio.to_thread(world.gate.metrics_text)
        violations += living_violations(metrics)
        violations += self._follower_violations()
        violations += await asyncio.to_thread(lambda: list(self._memory.violations(world.gate)))
        violations += self._search.leaks(self._scan.fresh)
        violations += self._search.violations(said(world.folder, metrics))
        if deep:
            violations += self._search.violations(on_disk(world.disks(), file))
            world.turn_clock(
                SILENCE_MS
            )  # so that the next look finds of every gate that was killed before that it ended
            violations += await asyncio.to_thread(rebuilt_violations, world, in_rollups(file))
            unknown = unknown_spans(self._scan.found.spans)
            await self._drain()
            violations += self._memory.violations_beside(world.gate)
            await self._read_log(seconds=READ_SECONDS)
            violations += await asyncio.to_thread(
                published_violations, world, self.told, self._scan.found, unknown=unknown
            )
        shutil.rmtree(file.parent)
        return violations

    async def _held_against_what_was_told(self) -> tuple[Path, list[Violation]]:
        """A copy of the rollups, and what is wrong with them or the log; where readers may lag, in their own time."""
        world, scan = self._world, self._scan
        deadline = time.monotonic() + world.readers_lag_seconds
        while True:
            await self._read_log(seconds=READ_SECONDS)
            file = await asyncio.to_thread(copied_rollups, world.gate, world.data / "rollups", world.folder / "kept")
            found = list(log_violations(self.told, scan.found))
            found += rollup_violations(self.told, scan.found, in_rollups(file), poison=world.poison)
            if not found or time.monotonic() > deadline:
                return file, found
            await asyncio.sleep(LOOK_AGAIN_SECONDS)
            await self._drain()

    async def _ledger(self) -> Sequence[Violation]:
        """What is wrong with the gates' records, once the one that runs has had time for its next one."""
        deadline = Deadline(RECORD_SECONDS + self._world.readers_lag_seconds)
        while True:
            await self._read_log(seconds=READ_SECONDS)
            found = list(ledger_violations(self.told, self._scan.found, self._world.processes))
            if not found or deadline.is_over:
                return found
            await asyncio.sleep(LOOK_AGAIN_SECONDS)

    async def _read_log(self, *, seconds: float) -> None:
        """Take what is new in the log; one that cannot be read yet is tried again. Raises `GateFailed`."""
        deadline = time.monotonic() + seconds
        while True:
            reader = self._world.reader()
            try:
                async with asyncio.timeout(seconds):
                    return await self._scan.read(reader)
            except (LogUnavailable, TimeoutError) as error:
                if time.monotonic() > deadline:
                    raise GateFailed(f"the log cannot be read {seconds:.0f} s after the fault ended: {error}") from None
            finally:
                await reader.close()
            await asyncio.sleep(LOOK_AGAIN_SECONDS)

    def _follower_violations(self) -> Iterator[Violation]:
        """I6: the follower is at the log's end."""
        status = self._world.gate.get("/v1/status", self._world.operator)["follower"]
        if status["state"] != "following" or status["lag"]:
            yield Violation("I6", f"the follower is {status['state']}, {status['lag']} records behind")


@asynccontextmanager
async def _posting(clients: Clients, world: World) -> AsyncIterator[None]:
    """Clients post within the block, and have ended behind it."""
    stop = asyncio.Event()
    posting = asyncio.create_task(clients.post_until(stop, connections=CONNECTIONS, now=world.now))
    try:
        yield
    finally:
        stop.set()
        await posting


@asynccontextmanager
async def living(world: World, injections: Sequence[Injection], *, seed: int) -> AsyncIterator[Life]:
    """A life of rounds on `world`, whose process has ended behind the block."""
    with fault_proxy(lambda: world.address) as proxy:
        try:
            yield Life(world, proxy, injections, seed=seed)
        finally:
            world.close()


def failure(error: Exception) -> Violation:
    """What ended a round or a look before its end."""
    if isinstance(error, GateFailed):
        return Violation("I6", str(error))
    return Violation("I6", f"not looked at to the end: {''.join(traceback.format_exception(error, limit=-3)).rstrip()}")


def total(violations: Sequence[Violation]) -> str:
    """The last line of a run; `other` is said only where there is something else."""
    kinds: Counter[str] = Counter({"lost": 0, "counted twice": 0, "leaked": 0})
    for one in violations:
        kinds[one.kind] += one.cases
    return ", ".join(f"{kind} {cases}" for kind, cases in kinds.items())
