"""The rollups made anew: the rows of the seals, then the log after the newest seal's offsets, then what was published.

Rules held here:

* a chain of seals is used whole or not at all, and every file of it is checked against its SHA-256;
* where the log does not reach back to the seal's offsets (without seals: to its beginning) nothing is made. Rollups
  that silently lack something are worse than none;
* what was published is loaded, never computed again from other data;
* what they are made of is in their file, and not beside it, before that takes its place;
* whoever makes rollups claims the seals and publications last (`aggregators.fence`), when all that may fail is done:
  one that fails fences nobody. What was added until then is looked for before the claim and after it.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

import duckdb

from aggregators.database import FILE_NAME
from aggregators.fence import Fence
from aggregators.following.batches import Batches
from aggregators.publication.publish import PublicationDamaged, load_published
from aggregators.publication.published import numbers as publications
from aggregators.publication.published import verified
from aggregators.repair.workshop import (
    discard_wal,
    is_unsettled,
    kept_closed,
    put_aside,
    put_in_place,
    replace_old,
    workshop,
)
from aggregators.rollups.rollups import FORMAT, Applied, Rollups, RollupsDamaged, RollupsInterrupted
from aggregators.rollups.stripped import StrippedRecords
from aggregators.sealing.seal import About, let_go
from aggregators.sealing.seal_files import DIRECTORY_NAME as SEALS_NAME
from aggregators.sealing.seal_files import Seal, SealDamaged, checked_files, numbers, read_chain
from aggregators.sealing.sealed_tables import kept, sealed_tables
from aggregators.sql_templates import fill, quoted, read_sql
from ingest.log import LogDamaged, LogReader
from ingest.schema_topic import stored_schemas
from schemas.tier import Tier

ABOUT = read_sql("seal/about")
CHANGED = read_sql("seal/changed")
LOAD = read_sql("seal/load")
LOAD_SEEN = read_sql("seal/load_seen")

PUBLISHED_NAME = "published"

SEALS_AT_ONCE = 200
"""Files of one table that one statement reads."""

BASES = {"hour": "window", "received": "received", "to_time": "received"}
"""The columns that say to which hour a row belongs, or in which a gate spoke, by the kind of hour that is published."""


@dataclass(frozen=True, slots=True)
class Step:
    """How far a rebuild is: `done` of about `of` seals, or records."""

    what: str
    done: int
    of: int


Progress = Callable[[Step], None]


@dataclass(frozen=True, slots=True)
class Rebuilt:
    """What the new rollups were made of: `rows` of `seals`, what was `applied` from the log, and publications."""

    seals: int
    rows: int
    applied: Applied
    publications: int


def open_or_rebuild(directory: Path, *, tiers: Mapping[str, Tier]) -> Rollups:
    """The rollups in `directory`; where their file is missing, made from the seals and what was published.

    The log is left to the follower, which goes on at the seal's offsets. Raises as `Rollups.open`, `SealDamaged`,
    `PublicationDamaged`, `Fenced`, OSError; then nobody is fenced, unless it came to that while the claim was made.
    """
    file = directory / FILE_NAME
    if not file.exists() or is_unsettled(directory):
        with workshop(directory) as place:
            if not file.exists():
                _make(place, directory, tiers)
    return Rollups.open(directory)


def _make(place: Path, directory: Path, tiers: Mapping[str, Tier]) -> None:
    discard_wal(directory)
    chain = read_chain(directory / SEALS_NAME)
    with closing(Rollups.open(place)) as made:
        load_seals(made, chain, seals=directory / SEALS_NAME, tiers=tiers, progress=_nothing)
        _take_over(made, directory, chain)
    put_in_place(place, directory)


def make_anew(rollups: Rollups, chain: Sequence[Seal], *, tiers: Mapping[str, Tier]) -> None:
    """Make a new file for rollups that are not to be trusted, of `chain`, which may be empty, and what was published.

    For who owns seals and publications, and has seen that the log reaches back to the chain. The rollups are closed
    then: `reopen`, and follow the log. What is damaged is found before they are touched. Raises `SealDamaged`,
    `RollupsUnavailable`, of which `RollupsInterrupted` when they are interrupted, OSError; what was put aside is there
    until the new file is, and the next call or start makes it.
    """
    directory, progress = rollups.directory, _until_interrupted(rollups)
    seals, published = directory / SEALS_NAME, directory / PUBLISHED_NAME
    with _damage_as_ours():
        _require_whole(chain, seals, published, progress)
    rollups.close()
    with workshop(directory) as place:
        with kept_closed(directory):
            put_aside(directory)
        with closing(Rollups.open(place)) as made, rollups.replaced_by(made):
            load_seals(made, chain, seals=seals, tiers=tiers, progress=progress)
            with _damage_as_ours(), made.errors(), made.cursor() as cursor:
                load_published(cursor, published)
            made.checkpoint()
        put_in_place(place, directory)


def _until_interrupted(rollups: Rollups) -> Progress:
    """A progress that raises `RollupsInterrupted` once `rollups` were interrupted: between two statements as well."""
    before = rollups.interruptions

    def progress(step: Step) -> None:
        if rollups.interruptions != before:
            raise RollupsInterrupted(f"interrupted at {step.done} of {step.of} {step.what}; the next start makes them")

    return progress


def _require_whole(chain: Sequence[Seal], seals: Path, published: Path, progress: Progress) -> None:
    """Raises `SealDamaged` or `PublicationDamaged` where anything that is to be loaded is not as it was written."""
    _require_format(chain, FORMAT)
    for done, seal in enumerate(chain, start=1):
        checked_files(seals, seal)
        progress(Step("seals", done, len(chain)))
    there = publications(published)
    for number in there:
        verified(published, number)
        progress(Step("publications", number, len(there)))


@contextmanager
def _damage_as_ours() -> Iterator[None]:
    try:
        yield
    except PublicationDamaged as error:
        raise RollupsDamaged(str(error)) from None


async def rebuild(
    directory: Path, reader: LogReader, *, chain: Sequence[Seal], tiers: Mapping[str, Tier], progress: Progress
) -> Rebuilt:
    """Make the rollups in `directory` anew from `chain`, which may be empty, and the log; replace the old ones.

    Raises `RollupsInUse`, `SealDamaged`, `HistoryGone`, `LogReplaced`, `LogUnavailable`, `PublicationDamaged`,
    `RollupsFull`, `Fenced`, OSError; the old rollups are as they were then, and nobody is fenced, unless somebody
    sealed while the claim was made.
    """
    await Batches(reader, chain[-1].ends if chain else {}).check()
    # In this order: the workshop may have to put the file back that is to be kept closed.
    with workshop(directory) as place, kept_closed(directory):
        if chain:
            _require_newest(chain[-1].number, directory)
        with closing(Rollups.open(place)) as made:
            rows = load_seals(made, chain, seals=directory / SEALS_NAME, tiers=tiers, progress=progress)
            applied = await _follow_to_its_end(made, reader, progress)
            published = _take_over(made, directory, chain)
        replace_old(place, directory)
    return Rebuilt(seals=len(chain), rows=rows, applied=applied, publications=published)


def _take_over(made: Rollups, directory: Path, chain: Sequence[Seal]) -> int:
    """Load what was published into the finished rollups, claim the directories; says how many were loaded.

    Whatever can be refused is so before the claim; afterwards only what somebody added in the meantime is looked at.
    """
    with made.errors(), made.cursor() as cursor:
        known = chain[-1].number if chain else About.of(cursor).segment
        published = load_published(cursor, directory / PUBLISHED_NAME)
        made.checkpoint()
        _require_newest(known, directory)
        for name in (SEALS_NAME, PUBLISHED_NAME):
            if (directory / name).is_dir():
                Fence.claim(directory / name)
        _require_newest(known, directory)
        published += load_published(cursor, directory / PUBLISHED_NAME)
    made.checkpoint()
    return published


def _require_newest(known: int, directory: Path) -> None:
    """Raises `SealDamaged` where somebody has sealed since the seals were read, of which `known` was the newest."""
    newest = max(numbers(directory / SEALS_NAME), default=0)
    if newest != known:
        raise SealDamaged(f"seal {newest} is newer than those that were read: another follower seals here; try again")


def load_seals(
    made: Rollups, chain: Sequence[Seal], *, seals: Path, tiers: Mapping[str, Tier], progress: Progress
) -> int:
    """Fill empty rollups with the rows of the chain in `seals`, every hour marked as changed; says how many rows.

    Without a chain they stay empty. Raises `SealDamaged`, `RollupsFull`.
    """
    with made.transaction() as cursor:
        _require_format(chain, About.of(cursor).format)
        for start in range(0, len(chain), SEALS_AT_ONCE):
            some = [checked_files(seals, seal) for seal in chain[start : start + SEALS_AT_ONCE]]
            _load_rows(cursor, some, forgotten_before=chain[-1].forgotten_before)
            progress(Step("seals", start + len(some), len(chain)))
        if chain:
            _go_on_behind(cursor, chain[-1])
            let_go(cursor, kept(tiers, chain[-1].log_hour))
        # Seals that were not used stay until the next one supersedes them, and it must not take the number of one.
        cursor.execute(ABOUT, [max(numbers(seals), default=0)])
        _mark_changed(cursor)
    return sum(seal.rows for seal in chain)


def _require_format(chain: Sequence[Seal], found: int) -> None:
    for seal in chain:
        if seal.format != found:
            raise SealDamaged(f"seal {seal.number} has tables of format {seal.format}, this tidegate of format {found}")


def _load_rows(
    cursor: duckdb.DuckDBPyConnection, files: Sequence[Mapping[str, Path]], *, forgotten_before: datetime | None
) -> None:
    for table in sealed_tables(cursor):
        paths = [str(one[table.name]) for one in files if table.name in one]
        if paths and table.name == "seen":
            cursor.execute(LOAD_SEEN, [paths, forgotten_before or datetime.min])  # noqa: DTZ901  # the tables have no zone
        elif paths:
            cursor.execute(fill(LOAD, {"table": quoted(table.name)}), [paths])


def _go_on_behind(cursor: duckdb.DuckDBPyConnection, newest: Seal) -> None:
    cursor.execute("UPDATE about SET seen_key = ?", [bytes.fromhex(newest.seen_key)])
    for one in newest.offsets:
        cursor.execute("INSERT INTO offsets VALUES (?, ?, ?, ?)", [one.topic, one.partition, one.last, one.received])


def _mark_changed(cursor: duckdb.DuckDBPyConnection) -> None:
    for table in sealed_tables(cursor):
        for column, basis in BASES.items():
            if column in table.names:
                parts = {"basis": basis, "time": quoted(column), "table": quoted(table.name)}
                cursor.execute(fill(CHANGED, parts))


async def _follow_to_its_end(rollups: Rollups, reader: LogReader, progress: Progress) -> Applied:
    """Apply what the log holds beyond the offsets, on the thread of the loop, for which nobody waits here."""
    batches, records, total = Batches(reader, rollups.offsets()), StrippedRecords(), Applied()
    waiting = await batches.waiting()
    while True:
        batch = await batches.next()
        if records.unknown(batch.parts):
            records.learn(await stored_schemas(reader))
        total += rollups.apply(batch.parts, records)
        batches.applied(batch)
        if batch.damaged:
            raise LogDamaged(batch.damaged)
        progress(Step("records", total.entries, max(waiting, total.entries)))
        if batch.drained:
            return total


def _nothing(step: Step) -> None:
    del step
