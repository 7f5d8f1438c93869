"""Whatever the order, the batches, the restarts and the seals: equal reports make equal tables."""

import asyncio
import tempfile
from functools import cache
from pathlib import Path
from unittest.mock import patch

from hypothesis import Phase, given, settings
from hypothesis import strategies as st

from aggregators.following import batches
from aggregators.following.batches import Batches
from aggregators.repair.rebuild import Step, rebuild
from aggregators.rollups.rollups import Rollups
from aggregators.rollups.stripped import StrippedRecords
from aggregators.sealing.seal import Sealer
from aggregators.sealing.seal_files import DIRECTORY_NAME, read_chain
from ingest.log.memory import MemoryLog
from ingest.schema_topic import schemas_of
from tests.aggregators.followers import apply_everything, asked, clock_at, contents
from tests.aggregators.stored_reports import CATALOGUE, fill, stored
from tests.rollups_snapshot import Snapshot, differences

ENTRIES = tuple(stored(40, seed=8))
"""With duplicates, late windows, and what gates say of themselves."""


ACTIONS = ("go on", "go on", "restart", "seal", "rebuild")


@cache
def whole() -> Snapshot:
    """The tables of one batch."""

    async def live(directory: Path) -> Snapshot:
        log = MemoryLog()
        await fill(log, ENTRIES)
        await apply_everything(directory, log)
        return without_places(directory)

    with tempfile.TemporaryDirectory() as folder:
        return asyncio.run(live(Path(folder)))


def without_places(directory: Path) -> Snapshot:
    """What the tables say, but for the offsets under which the gates' own records lay."""
    found = contents(directory)
    for table in ("gate_spans", "gate_outcomes"):
        found[table] = asked(directory, f"SELECT * EXCLUDE (segment, place) FROM {table} ORDER BY ALL")  # noqa: S608
    return found


def _nobody(step: Step) -> None:
    del step


class History:
    """One life of rollups: batches of any size, and what happens between them."""

    def __init__(self, directory: Path, log: MemoryLog) -> None:
        self._directory = directory
        self._log = log
        self._records = StrippedRecords()
        self._records.learn(schemas_of(CATALOGUE))
        self._begin()

    def _begin(self) -> None:
        self._rollups = Rollups.open(self._directory)
        self._sealer = Sealer(lambda: CATALOGUE.tiers, clock=clock_at(12))
        self._sealer.settle(self._rollups)
        self._batches = Batches(self._log, self._rollups.offsets())

    async def apply(self, size: int) -> bool:
        """Apply the next batch of at most `size` records; whether there may be more."""
        with patch.multiple(batches, MAX_RECORDS=size, CHUNK=max(size // 2, 1)):
            batch = await self._batches.next()
        self._rollups.apply(batch.parts, self._records)
        self._batches.applied(batch)
        return not batch.drained

    async def act(self, action: str) -> None:
        """What comes between two batches."""
        if action == "seal":
            self._sealer.seal(self._rollups, drained=False)
        if action in {"restart", "rebuild"}:
            self.end()
            if action == "rebuild":
                await self._rebuild()
            self._begin()

    async def _rebuild(self) -> None:
        chain = read_chain(self._directory / DIRECTORY_NAME)
        await rebuild(self._directory, self._log, chain=chain, tiers=CATALOGUE.tiers, progress=_nobody)

    def end(self) -> None:
        """Close the rollups."""
        self._rollups.close()


@settings(max_examples=12, deadline=None, phases=[phase for phase in Phase if phase is not Phase.shrink])
@given(
    order=st.permutations(range(len(ENTRIES))),
    partitions=st.integers(1, 3),
    steps=st.lists(st.tuples(st.integers(1, 40), st.sampled_from(ACTIONS)), max_size=6),
)
def test_any_history_makes_equal_tables(order: list[int], partitions: int, steps: list[tuple[int, str]]) -> None:
    """The tables depend on which reports there are, and on nothing else."""

    async def live(directory: Path) -> Snapshot:
        log = MemoryLog(partitions=partitions)
        await fill(log, [ENTRIES[at] for at in order])
        history = History(directory, log)
        for size, action in steps:
            await history.apply(size)
            await history.act(action)
        while await history.apply(100):
            pass
        history.end()
        return without_places(directory)

    with tempfile.TemporaryDirectory() as folder:
        assert differences(asyncio.run(live(Path(folder))), whole()) == []
