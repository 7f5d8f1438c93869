"""Sealing: what was applied since the last seal becomes immutable files, and one row per combination in the rollups.

In this order, and why ending anywhere in between is harmless:

1. the files are written and synced beside their place: a draft, which the next start removes;
2. the draft is renamed: a seal that the rollups do not know of. They still have its rows as they were, and have applied
   nothing since, so `settle` does step 3. It is not undone, for other rollups may have been made from it meanwhile;
3. one transaction puts the merged rows in the place of the others and counts the seal.

A seal that the rollups do not know of and whose offsets are not theirs was made by newer rollups: then these are an old
copy, or another follower's that was overtaken, and nothing is touched. One follower at a time seals into a directory
(`aggregators.fence`): it is claimed by the first `settle` or `seal` of a process, which is refused before it claims
anything if its rollups are behind.
"""

import errno
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Protocol

import duckdb

from aggregators.fence import Fence
from aggregators.rollups.rollups import Rollups, RollupsFull
from aggregators.sealing.seal_files import (
    DIRECTORY_NAME,
    SEAL_NAME,
    Seal,
    SealDamaged,
    SealedFile,
    SealedOffset,
    SealUnreadable,
    checked_files,
    digest,
    numbers,
    place,
    put_in_place,
    read_seal,
    sync_file,
)
from aggregators.sealing.sealed_tables import Kept, SealedTable, kept, sealed_tables
from aggregators.sql_templates import fill, literal, quoted, read_sql
from aggregators.times import naive_utc
from ingest.clock import Clock
from schemas.tier import Tier

COPY = read_sql("seal/copy")
LOAD = read_sql("seal/load")
NEWEST_HOUR = read_sql("seal/newest_hour")
REMOVE = read_sql("seal/remove")

MANY_RECORDS = 100_000
"""While it catches up, hours of the log pass in seconds: then a seal is due after this many records."""

NO_SPACE = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG})


class SealFailed(Exception):
    """Seals could not be read or written now; nothing is lost, and the next one will hold the rows as well."""


class RollupsBehindSeals(Exception):
    """There are seals that newer rollups than these have made."""


class Sealing(Protocol):
    """As `Sealer`: what a follower needs of one."""

    def check(self) -> None: ...

    def due(self, *, newest: int | None, records: int, drained: bool) -> bool: ...

    def settle(self, rollups: Rollups) -> None: ...

    def seal(self, rollups: Rollups, *, drained: bool) -> Seal | None: ...


class Sealer:
    """Seals rollups into `seals` beside their file. Belongs to the thread of the rollups, `due` to any.

    `tiers` is asked for the policies in force.
    """

    def __init__(self, tiers: Callable[[], Mapping[str, Tier]], *, clock: Clock) -> None:
        self._tiers = tiers
        self._clock = clock
        self._fence: Fence | None = None
        self._sealed_hour: datetime | None = None
        self._records = 0

    def check(self) -> None:
        """Raises `Fenced` when another follower has taken over since the first `settle`, or `SealFailed`."""
        if self._fence is not None:
            with errors_as_ours():
                self._fence.check()

    def due(self, *, newest: int | None, records: int, drained: bool) -> bool:
        """Whether an hour of the log has passed since the last seal; `records` were applied since the last call.

        `newest` is the greatest time of a record, milliseconds since the epoch, UTC.
        """
        self._records += records
        if newest is None:
            return False
        hour = _hour(naive_utc(newest))
        if self._sealed_hour is None:
            self._sealed_hour = hour
        return hour > self._sealed_hour and (drained or self._records >= MANY_RECORDS)

    def settle(self, rollups: Rollups) -> None:
        """Finish a seal that was interrupted; raises `RollupsBehindSeals`, `RollupsFull`, `SealFailed`, `Fenced`."""
        seals = rollups.directory / DIRECTORY_NAME
        with errors_as_ours():
            self._owned(rollups).sweep()
            with rollups.transaction() as cursor:
                about = About.of(cursor)
                if seal := _uncounted(seals, about):
                    let_go(cursor, kept(self._tiers(), seal.log_hour))
                    _count(cursor, seal, place(seals, seal.number), since=about.segment if seal.previous else 0)
                    about = About.of(cursor)
            self._go_on_from(_newest(seals, about), about)

    def _go_on_from(self, newest: Seal | None, about: "About") -> None:
        if newest is not None:
            self._sealed_hour = newest.log_hour
        elif about.offsets:
            self._sealed_hour = datetime.min  # noqa: DTZ901  # whatever is there was never sealed

    def _owned(self, rollups: Rollups) -> Fence:
        """The claim of this process, made once; rollups that are behind are refused before, and fence nobody."""
        if self._fence is None:
            with rollups.transaction() as cursor:
                _uncounted(rollups.directory / DIRECTORY_NAME, About.of(cursor))
            self._fence = Fence.claim(rollups.directory / DIRECTORY_NAME)
        return self._fence

    def seal(self, rollups: Rollups, *, drained: bool) -> Seal | None:
        """Seal what was applied since the last seal; None where that is nothing.

        `drained`: the log had been read to its end, so that no report with a window beyond the horizon can follow, and
        ids of such windows are let go of. Raises `SealFailed`, `RollupsFull`, `Fenced`, and without a `settle` before
        it `RollupsBehindSeals`; `settle` must come before whatever is done with the rollups next.
        """
        now = naive_utc(self._clock.now_ms())
        with errors_as_ours():
            fence = self._owned(rollups)
        with fence.explaining(), errors_as_ours(), rollups.transaction() as cursor:
            about, log_hour = About.of(cursor), _log_hour(cursor, now)
            if log_hour is None:
                return None
            self._sealed_hour, self._records = log_hour, 0
            seals = rollups.directory / DIRECTORY_NAME
            sealing = _Sealing(
                cursor=cursor,
                fence=fence,
                seals=seals,
                about=about,
                before=_newest(seals, about),
                log_hour=log_hour,
                keep=kept(self._tiers(), log_hour),
                drained=drained,
            )
            let_go(cursor, sealing.keep)
            seal = sealing.write(at=now)
            if seal is None:
                return None
            _count(cursor, seal, place(seals, seal.number), since=sealing.since)
        with errors_as_ours():
            _tidy(fence, seal)
        return seal


@dataclass(frozen=True, slots=True)
class About:
    """What the rollups say of themselves."""

    format: int
    seen_key: bytes
    segment: int
    offsets: tuple[SealedOffset, ...]

    @classmethod
    def of(cls, cursor: duckdb.DuckDBPyConnection) -> "About":
        """Reads it."""
        ((format_, seen_key, segment),) = cursor.execute("SELECT format, seen_key, segment FROM about").fetchall()
        offsets = cursor.execute("SELECT topic, partition, last, received FROM offsets ORDER BY ALL").fetchall()
        return cls(
            format=format_,
            seen_key=seen_key,
            segment=segment,
            offsets=tuple(
                SealedOffset(topic=topic, partition=partition, last=last, received=received)
                for topic, partition, last, received in offsets
            ),
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class _Sealing:
    """One seal while it is made. `before`: the one that it follows; without it a chain begins, with every row."""

    cursor: duckdb.DuckDBPyConnection
    fence: Fence
    seals: Path
    about: About
    before: Seal | None
    log_hour: datetime
    keep: Kept
    drained: bool

    @property
    def since(self) -> int:
        """The first segment whose rows this seal takes."""
        return self.about.segment if self.before else 0

    def write(self, *, at: datetime) -> Seal | None:
        """Write the files and put them in place; None where there are no rows."""
        draft = self.fence.new_draft()
        tables = sealed_tables(self.cursor)
        files = [file for table in tables if (file := self._write_table(table, draft))]
        hours = [hour for table in tables if (hour := self._newest_hour(table))]
        if not files:
            draft.rmdir()
            return None
        number = self.about.segment + 1
        seal = Seal(
            format=self.about.format,
            number=number,
            oldest=self._oldest(number),
            previous=digest(place(self.seals, self.before.number) / SEAL_NAME) if self.before else None,
            at=at,
            log_hour=self.log_hour,
            newest_hour=max(hours),
            forgotten_before=self._forgotten_before(),
            seen_key=self.about.seen_key.hex(),
            offsets=self.about.offsets,
            files=tuple(files),
        )
        put_in_place(self.fence, draft, seal)
        return seal

    def _write_table(self, table: SealedTable, draft: Path) -> SealedFile | None:
        file = draft / f"{table.name}.parquet"
        parts = {
            "columns": table.merged(self.about.segment),
            "table": quoted(table.name),
            "since": str(self.since),
            "file": literal(str(file)),
        }
        ((rows,),) = self.cursor.execute(fill(COPY, parts)).fetchall()
        if not rows:
            file.unlink()
            return None
        sync_file(file)
        return SealedFile(table=table.name, rows=rows, size=file.stat().st_size, sha256=digest(file))

    def _newest_hour(self, table: SealedTable) -> datetime | None:
        parts = {"time": quoted(table.time), "table": quoted(table.name)}
        ((hour,),) = self.cursor.execute(fill(NEWEST_HOUR, parts), [self.since]).fetchall()
        return None if hour is None else _hour(hour)

    def _forgotten_before(self) -> datetime | None:
        before = self.before.forgotten_before if self.before else None
        return max(before or self.keep.ids_since, self.keep.ids_since) if self.drained else before

    def _oldest(self, number: int) -> int:
        """The first seal that still has rows which are kept."""
        oldest = self.before.oldest if self.before else number
        with _suppressed_damage():  # it is named when somebody needs it
            while oldest < number and read_seal(self.seals, oldest).newest_hour < self.keep.seals_since:
                oldest += 1
        return oldest


def _count(cursor: duckdb.DuckDBPyConnection, seal: Seal, folder: Path, *, since: int) -> None:
    """Put the rows of the files in the place of those that they were made from, and count the seal."""
    for table in sealed_tables(cursor):
        if table.is_counts and any(file.table == table.name for file in seal.files):
            parts = {"table": quoted(table.name)}
            cursor.execute(fill(REMOVE, parts), [since])
            cursor.execute(fill(LOAD, parts), [[str(folder / f"{table.name}.parquet")]])
    if seal.forgotten_before is not None:
        cursor.execute("DELETE FROM seen WHERE hour < ?", [seal.forgotten_before])
    cursor.execute("UPDATE about SET segment = ?", [seal.number])


def _tidy(fence: Fence, seal: Seal) -> None:
    """Remove the seals before the oldest that is needed."""
    for number in numbers(fence.directory):
        if number < seal.oldest:
            fence.remove(place(fence.directory, number))


def let_go(cursor: duckdb.DuckDBPyConnection, keep: Kept) -> None:
    """Delete the rows that are kept no longer."""
    for table in sealed_tables(cursor):
        for statement, parameters in keep.deletions(table):
            cursor.execute(statement, parameters)


def _log_hour(cursor: duckdb.DuckDBPyConnection, now: datetime) -> datetime | None:
    """The hour of the newest record that was applied, UTC; None before the first.

    Never one to come: what is kept is reckoned from here, and one damaged time must not delete everything.
    """
    ((hour,),) = cursor.execute("SELECT max(received) FROM offsets").fetchall()
    return None if hour is None else _hour(min(hour, now))


def _newest(seals: Path, about: About) -> Seal | None:
    """The seal that the rollups were sealed into last; None where it is gone, or belongs to other rollups."""
    with _suppressed_damage():
        seal = read_seal(seals, about.segment)
        if seal.seen_key == about.seen_key.hex():
            return seal
    return None


def _uncounted(seals: Path, about: About) -> Seal | None:
    """The seal that was made from these rollups and is not counted; raises `RollupsBehindSeals` for a newer one."""
    newest = max(numbers(seals), default=0)
    if newest <= about.segment:
        return None
    seal = _interrupted(seals, newest, about)
    if seal is None:
        raise RollupsBehindSeals(f"seal {newest} was made by newer rollups than these, which know of {about.segment}")
    return seal


def _interrupted(seals: Path, number: int, about: About) -> Seal | None:
    """The seal of that number if it was made from these rollups as they are, and only not counted."""
    with _suppressed_damage():
        seal = read_seal(seals, number)
        if (number, seal.seen_key, seal.offsets) == (about.segment + 1, about.seen_key.hex(), about.offsets):
            checked_files(seals, seal)
            return seal
    return None


def _hour(time: datetime) -> datetime:
    return time.replace(minute=0, second=0, microsecond=0)


@contextmanager
def errors_as_ours() -> Iterator[None]:
    """What the system refuses about seals raises `RollupsFull` or `SealFailed`."""
    try:
        yield
    except OSError as error:
        if error.errno in NO_SPACE:
            raise RollupsFull("no space left for a seal: free some; nothing is lost or counted twice") from None
        raise SealFailed(f"the seals cannot be read or written: {error.strerror or type(error).__name__}") from error
    except SealUnreadable as error:
        raise SealFailed("a seal cannot be read now") from error  # its own text has a path


@contextmanager
def _suppressed_damage() -> Iterator[None]:
    """A damaged seal is as good as none; one that cannot be read now is not."""
    try:
        yield
    except SealUnreadable:
        raise
    except SealDamaged:
        return
