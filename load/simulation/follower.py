"""The follower as a process: the real `Follower` and `Batches` over a simulated log, with rollups in memory.

Nothing is sealed: sealing writes files, and has faults of its own (`docs/faults.md`).
"""

import asyncio
from collections.abc import Callable
from typing import ClassVar

from aggregators.following.follow import Follower
from aggregators.rollups.stripped import StrippedRecords
from aggregators.rollups.writers import Writers
from ingest.log import LogReader
from ingest.schema_topic import Schemas
from load.simulation.contracts import small_catalogue
from load.simulation.loop import Process
from load.simulation.rollups import SimulatedRollups
from load.simulation.world import ServerClock, World

RESTART_SECONDS = 2.0

OpenReader = Callable[[], LogReader]
OpenRollups = Callable[[], SimulatedRollups]


class FollowerServer:
    """One place where a follower runs: started, killed, and started again by `keep`."""

    def __init__(self, world: World, *, open_reader: OpenReader, open_rollups: OpenRollups) -> None:
        self.clock = ServerClock(world)
        self.process: Process | None = None
        self.follower: Follower | None = None
        self.stops: list[str] = []
        self._world = world
        self._open_reader = open_reader
        self._open_rollups = open_rollups
        self._starts = 0
        self._told_to_end = False
        self._ended = asyncio.Event()

    async def keep(self) -> None:
        """Start a process, and another one whenever it was killed, until `end`."""
        while not self._told_to_end:
            self._ended = asyncio.Event()
            process = self.process = self._world.process(f"follower.{self._starts}")
            self._starts += 1
            process.on_kill.append(self._gone)
            process.begin(self._run(process))
            await self._ended.wait()
            await asyncio.sleep(self._world.short(RESTART_SECONDS))

    async def drained(self, *, timeout: float) -> None:  # noqa: ASYNC109  # as `Follower.drained`
        """As `Follower.drained`, of the process that lives by then."""
        while self.follower is None:  # noqa: ASYNC110  # virtual time costs nothing
            await asyncio.sleep(RESTART_SECONDS)
        await self.follower.drained(timeout=timeout)

    async def end(self) -> None:
        """Have it stop and close, and return then."""
        self._told_to_end = True
        if self.follower is not None:
            self.follower.stop()
            await self._ended.wait()

    def _gone(self) -> None:
        self.process = self.follower = None
        self._ended.set()

    async def _run(self, process: Process) -> None:
        follower = Follower(
            self._open_reader(),
            self._open_rollups(),  # type: ignore[arg-type]  # a stand-in with the methods that are called
            clock=self.clock,
            tiers=lambda: small_catalogue().tiers,
            records=RememberedRecords(),
            sealer=NoSeals(),
        )
        self.follower = follower
        await follower.run()
        if (why := follower.status().why) is not None:
            self.stops.append(f"{process.name} stopped: {why.value}, {follower.status().detail}")
        self._world.say("%s: ends", process.name)
        await follower.close()
        self._gone()
        process.exit()


class NoSeals:
    """In the place of `aggregators.sealing.seal.Sealer`."""

    def due(self, *, newest: int | None, records: int, drained: bool) -> bool:
        """Never."""
        del newest, records, drained
        return False

    def check(self) -> None:
        """Nobody else ever takes over."""

    def settle(self, rollups: object) -> None:
        """There is nothing to settle."""

    def seal(self, rollups: object, *, drained: bool) -> None:
        """There is nothing to seal."""
        del rollups, drained


class RememberedRecords(StrippedRecords):
    """Learns at once what another one of these in this interpreter has learnt: five schemas cost 8 ms otherwise."""

    _learnt: ClassVar[dict[frozenset[bytes], Writers]] = {}

    def learn(self, schemas: Schemas) -> None:
        """As `StrippedRecords.learn`."""
        known = frozenset(schemas)
        if known not in self._learnt:
            self._learnt[known] = Writers()
            self._learnt[known].learn(schemas)
        self._writers = self._learnt[known]
