"""A stand-in for the rollups, in memory, that promises what the real ones do: a batch goes in whole or not at all.

The real ones take 45 ms a commit, a seed of the simulation 30 in all. What a record says is read by the follower's own
code; adding it up is done here, and the check adds up what the devices sent by code of its own.
"""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import NamedTuple

from aggregators.rollups.rollups import Applied, Progress, RollupsFull
from aggregators.rollups.stripped import (
    Batch,
    OutcomesRecord,
    StrippedRecord,
    StrippedRecords,
    Unreadable,
    hour_of_receipt,
)
from ingest.report import Partition, StoredEntry
from load.simulation.loop import Killed
from load.simulation.world import World


class Cell(NamedTuple):
    """What is counted together: reports of one tier whose windows lie in one hour (milliseconds, UTC)."""

    tier: str
    hour: int


class Sums(NamedTuple):
    """How many reports, and how many decisions they told of."""

    reports: int = 0
    decisions: int = 0

    def plus(self, decisions: int) -> "Sums":
        """With one more report."""
        return Sums(self.reports + 1, self.decisions + decisions)


@dataclass
class Tables:
    """What a transaction changes. `counted` says for the check how often a report was counted."""

    cells: dict[Cell, Sums] = field(default_factory=dict)
    seen: set[tuple[int, bytes]] = field(default_factory=set)
    counted: Counter[bytes] = field(default_factory=Counter)
    progress: dict[Partition, Progress] = field(default_factory=dict)
    parked: int = 0
    duplicates: int = 0

    def copy(self) -> "Tables":
        """One that can be changed apart from this one."""
        return replace(
            self,
            cells=dict(self.cells),
            seen=set(self.seen),
            counted=Counter(self.counted),
            progress=dict(self.progress),
        )


@dataclass
class RollupsFile:
    """What outlives the follower's process, and what ails the disk under it."""

    tables: Tables = field(default_factory=Tables)
    full: bool = False
    kill_next: bool = False


class SimulatedRollups:
    """The part of `aggregators.rollups.rollups.Rollups` that the follower calls."""

    def __init__(self, file: RollupsFile, world: World) -> None:
        self._file = file
        self._world = world
        self._must_reopen = False

    def progress(self) -> Mapping[Partition, Progress]:
        """As `Rollups.progress`."""
        return dict(self._file.tables.progress)

    def apply(self, batch: Batch, records: StrippedRecords) -> Applied:
        """As `Rollups.apply`; raises `RollupsFull` on a full disk, and until `reopen`."""
        if self._must_reopen or self._file.full:
            self._must_reopen = True
            raise RollupsFull("no space left")
        applied = self.commit(batch, records)
        self._world.say("rollups: %d entries, %d duplicates", applied.entries, applied.duplicates)
        return applied

    def commit(self, batch: Batch, records: StrippedRecords) -> Applied:
        """Rows, seen ids and offsets at once."""
        tables = self._file.tables.copy()
        applied = self.count(tables, batch, records)
        self.advance(tables, batch)
        self.maybe_die()
        self._file.tables = tables
        return applied

    def reopen(self) -> None:
        """As `Rollups.reopen`."""
        if self._file.full:
            raise RollupsFull("no space left")
        self._must_reopen = False

    def close(self) -> None:
        """As `Rollups.close`."""

    def interrupt(self) -> None:
        """As `Rollups.interrupt`; nothing here takes long enough."""

    def maybe_die(self) -> None:
        """The place between the rows and the end of their transaction."""
        if self._file.kill_next:
            self._file.kill_next = False
            raise Killed

    def count(self, tables: Tables, batch: Batch, records: StrippedRecords) -> Applied:
        """Take what the entries say into the tables."""
        entries = duplicates = parked = reports = 0
        for _, stored in batch:
            for entry in stored:
                entries += 1
                match self._read(entry, records):
                    case StrippedRecord() as record:
                        new = self.is_new(tables, record)
                        reports += new
                        duplicates += not new
                        if new:
                            _add(tables, record)
                    case None:
                        parked += 1
        tables.parked += parked
        tables.duplicates += duplicates
        return Applied(entries=entries, reports=reports, duplicates=duplicates, parked=parked)

    def is_new(self, tables: Tables, record: StrippedRecord) -> bool:
        """Whether the report was not counted yet; from now on it was."""
        seen = (record.hour, record.report_id)
        if seen in tables.seen:
            return False
        tables.seen.add(seen)
        return True

    def advance(self, tables: Tables, batch: Batch) -> None:
        """Take on the offsets of the batch; raises ValueError where one was applied already."""
        for partition, stored in batch:
            last = tables.progress[partition].last if partition in tables.progress else -1
            if stored[0].offset != last + 1:
                raise ValueError(f"offset {stored[0].offset} follows {last}")
            received = max(hour_of_receipt(entry.entry) for entry in stored)
            tables.progress[partition] = Progress(stored[-1].offset, received)

    def _read(self, stored: StoredEntry, records: StrippedRecords) -> StrippedRecord | OutcomesRecord | None:
        try:
            return records.read(stored.entry)
        except Unreadable as error:
            self._world.say("rollups: parked, %s", error.reason.value)
            return None


def _add(tables: Tables, record: StrippedRecord) -> None:
    cell = Cell(record.topic.tier, record.hour)
    tables.cells[cell] = tables.cells.get(cell, Sums()).plus(record.values["decisions"])
    tables.counted[record.report_id] += 1
