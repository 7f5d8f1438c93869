"""Rebuilding: equal tables from the log alone and from seals and what is left of the log, or nothing at all."""

import asyncio
import shutil
import sqlite3
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager, closing
from pathlib import Path
from typing import Any

import pytest

from aggregators.following import batches
from aggregators.following.batches import HistoryGone, LogReplaced
from aggregators.repair.rebuild import Rebuilt, Step, open_or_rebuild, rebuild
from aggregators.repair.workshop import WORKSHOP_NAME, replace_old
from aggregators.rollups.rollups import Rollups, RollupsInUse
from aggregators.sealing.seal import Sealer
from aggregators.sealing.seal_files import DIRECTORY_NAME, Seal, SealDamaged, numbers, place, read_chain
from ingest.log.embedded import EmbeddedLog
from ingest.log.sqlite_file import FILE_NAME
from ingest.report import Entry
from tests.aggregators.followers import (
    PATIENCE_SECONDS,
    apply_everything,
    clock_at,
    contents,
    counted,
    follow_to_the_end,
    program,
)
from tests.aggregators.stored_reports import CATALOGUE, START, fill, stored

ENTRIES = stored(200, seed=5)
DAMAGED = Entry("tidegate.managed.route_window.v1", b"k" * 16, b"\xc3\x01unknown! and more", START)


@asynccontextmanager
async def lived(data: Path, *, cuts: Sequence[int] = (80, 150)) -> AsyncIterator[EmbeddedLog]:
    """A data directory with a log and its rollups, sealed after so many entries; the rest is not sealed."""
    log = EmbeddedLog(data / "log", partitions=2)
    for begin, end in zip((0, *cuts), (*cuts, len(ENTRIES)), strict=True):
        await fill(log, ENTRIES[begin:end])
        await apply_everything(data / "rollups", log)
        if end in cuts:
            seal(data / "rollups")
    yield log
    await log.close()


def seal(rollups_directory: Path) -> None:
    """Seal what was applied."""
    with closing(Rollups.open(rollups_directory)) as rollups:
        sealer = Sealer(lambda: CATALOGUE.tiers, clock=clock_at(12))
        sealer.settle(rollups)
        sealer.seal(rollups, drained=True)


def cut_head(directory: Path, *, keep: int) -> None:
    """Remove what the newest seals hold from the log's file, as a retention would: `keep` entries a partition stay."""
    with closing(sqlite3.connect(directory / FILE_NAME)) as file, file:
        file.execute(
            'DELETE FROM entries WHERE "offset" <= (SELECT max("offset") - ? FROM entries AS others '
            "WHERE others.partition = entries.partition) "
            "AND partition IN (SELECT id FROM partitions WHERE topic <> 'tidegate.schemas')",
            (keep,),
        )


async def rebuilt(data: Path, log: EmbeddedLog, chain: Sequence[Seal] | None = None) -> Rebuilt:
    """Rebuild, from the seals that are there unless another chain is given."""
    found = read_chain(data / "rollups" / DIRECTORY_NAME) if chain is None else chain
    return await rebuild(data / "rollups", log, chain=found, tiers=CATALOGUE.tiers, progress=nobody)


def nobody(step: Step) -> None:
    """Does not look at the progress."""
    del step


async def test_from_the_log_alone(tmp_path: Path) -> None:
    """Without seals the whole log is read again, and the tables are equal."""
    async with lived(tmp_path, cuts=()) as log:
        before = contents(tmp_path / "rollups")
        result = await rebuilt(tmp_path, log)
    assert (result.seals, result.rows, result.applied.entries) == (0, 0, len(ENTRIES))
    assert contents(tmp_path / "rollups") == before


async def test_from_seals_and_the_log_behind_them(tmp_path: Path) -> None:
    """After the head of the log is gone, seals and the rest of the log make equal tables, and following goes on."""
    async with lived(tmp_path) as log:
        before, reports = contents(tmp_path / "rollups"), counted(tmp_path / "rollups")
        remove_sealed(tmp_path)
        result = await rebuilt(tmp_path, log)
        assert (result.seals, result.applied.entries) == (2, len(ENTRIES) - 150)
        assert contents(tmp_path / "rollups") == before
        await fill(log, ENTRIES[:40])
        await follow_to_the_end(tmp_path / "rollups", log)
        after = contents(tmp_path / "rollups")
        assert after["route_rows"] == before["route_rows"], "ids that were sealed are known"
        assert counted(tmp_path / "rollups") > reports
        assert [one.number for one in read_chain(tmp_path / "rollups" / DIRECTORY_NAME)][-1] >= 2


def remove_sealed(data: Path) -> None:
    """Remove every entry from the log that is in a seal, but the newest of each partition."""
    found = read_chain(data / "rollups" / DIRECTORY_NAME)[-1].ends
    with closing(sqlite3.connect(data / "log" / FILE_NAME)) as file, file:
        for (topic, number), last in found.items():
            file.execute(
                'DELETE FROM entries WHERE "offset" <= :last '
                'AND "offset" < (SELECT max("offset") FROM entries AS o WHERE o.partition = entries.partition) '
                "AND partition = (SELECT id FROM partitions WHERE topic = :topic AND number = :number)",
                {"last": last, "topic": topic, "number": number},
            )


async def test_every_hour_is_looked_at_again(tmp_path: Path) -> None:
    """All hours of all rows are marked as changed, so that the next publication looks at them."""
    async with lived(tmp_path, cuts=(200,)) as log:
        await rebuilt(tmp_path, log)
    with closing(Rollups.open(tmp_path / "rollups")) as rollups, rollups.cursor() as cursor:
        changed = set(cursor.execute("SELECT DISTINCT basis, hour FROM changed").fetchall())
        hours = set(cursor.execute("SELECT DISTINCT 'window', hour FROM route_rows").fetchall())
        received = set(cursor.execute("SELECT DISTINCT 'received', received FROM receipts").fetchall())
    assert hours | received <= changed
    assert hours
    assert received


def old_file(data: Path) -> tuple[bytes, list[str]]:
    """The old rollups, and what lies beside them."""
    return (data / "rollups" / "rollups.duckdb").read_bytes(), sorted(one.name for one in (data / "rollups").iterdir())


async def test_a_log_that_begins_too_late_is_refused(tmp_path: Path) -> None:
    """Where the log lacks what follows the newest seal nothing is made, and the old rollups are as they were."""
    async with lived(tmp_path) as log:
        before = old_file(tmp_path)
        cut_head(tmp_path / "log", keep=1)
        with pytest.raises(HistoryGone, match="lacks offset"):
            await rebuilt(tmp_path, log)
        assert old_file(tmp_path) == before
        with pytest.raises(HistoryGone, match="lacks offset 0"):
            await rebuilt(tmp_path, log, chain=())
        assert old_file(tmp_path) == before


async def test_a_shorter_log_is_refused(tmp_path: Path) -> None:
    """Where the log ends before the newest seal it is another log, and nothing is made."""
    async with lived(tmp_path):
        before = old_file(tmp_path)
    other = EmbeddedLog(tmp_path / "other", partitions=2)
    await fill(other, ENTRIES[:30])
    with pytest.raises(LogReplaced):
        await rebuilt(tmp_path, other)
    assert old_file(tmp_path) == before
    await other.close()


HARM = [
    pytest.param("flipped", r"000001/route_rows\.parquet is damaged", id="a byte is another"),
    pytest.param("missing", r"000002/route_rows\.parquet is missing", id="a file is missing"),
    pytest.param("gone", r"000001/seal\.json is missing", id="a seal is missing"),
    pytest.param("unreadable", r"000002/seal\.json cannot be read", id="its description is cut off"),
]


@pytest.mark.parametrize(("harm", "named"), HARM)
async def test_a_damaged_seal_is_named(tmp_path: Path, harm: str, named: str) -> None:
    """A seal that is not as it was written is refused by its name, and the log alone can be used instead."""
    async with lived(tmp_path) as log:
        before, old = contents(tmp_path / "rollups"), old_file(tmp_path)
        seals = tmp_path / "rollups" / DIRECTORY_NAME
        match harm:
            case "flipped":
                file = place(seals, 1) / "route_rows.parquet"
                content = bytearray(file.read_bytes())
                content[len(content) // 2] ^= 1
                file.write_bytes(content)
            case "missing":
                (place(seals, 2) / "route_rows.parquet").unlink()
            case "gone":
                shutil.rmtree(place(seals, 1))
            case "unreadable":
                (place(seals, 2) / "seal.json").write_text('{"format": 1')
        with pytest.raises(SealDamaged, match=named):
            await rebuilt(tmp_path, log)
        assert old_file(tmp_path) == old
        result = await rebuilt(tmp_path, log, chain=())
        assert result.applied.entries == len(ENTRIES)
        assert contents(tmp_path / "rollups") == before
        seal(tmp_path / "rollups")
        (only,) = read_chain(seals)
        assert (only.number, numbers(seals)) == (3, [3]), "a new chain has begun, and the old one is gone"
        await rebuilt(tmp_path, log)
        assert contents(tmp_path / "rollups") == before


async def test_seals_of_other_tables_are_refused(tmp_path: Path) -> None:
    """Seals whose tables another release has made are named and refused."""
    async with lived(tmp_path, cuts=(200,)) as log:
        (only,) = read_chain(tmp_path / "rollups" / DIRECTORY_NAME)
        with pytest.raises(SealDamaged, match="seal 1 has tables of format 99"):
            await rebuilt(tmp_path, log, chain=[only.model_copy(update={"format": 99})])


async def test_missing_rollups_are_made_at_the_start(tmp_path: Path) -> None:
    """Where the file is missing, opening makes it from the seals, and the follower reads the rest of the log."""
    async with lived(tmp_path) as log:
        before = contents(tmp_path / "rollups")
        remove_sealed(tmp_path)
        changes = last_changes(tmp_path / "rollups")
        (tmp_path / "rollups" / "rollups.duckdb").unlink()
        (tmp_path / "rollups" / "rollups.duckdb.wal").write_bytes(changes)
        open_or_rebuild(tmp_path / "rollups", tiers=CATALOGUE.tiers).close()
        await follow_to_the_end(tmp_path / "rollups", log)
        assert contents(tmp_path / "rollups") == before
        open_or_rebuild(tmp_path / "rollups", tiers=CATALOGUE.tiers).close()
        assert contents(tmp_path / "rollups") == before


def last_changes(rollups_directory: Path) -> bytes:
    """What DuckDB keeps beside its file of changes that are not in it yet."""
    with closing(Rollups.open(rollups_directory)) as rollups:
        with rollups.transaction() as cursor:
            cursor.execute("INSERT INTO parked SELECT 0, 'x', 0, 0, 'x', 0, TIMESTAMP '2026-01-01'")
        return (rollups_directory / "rollups.duckdb.wal").read_bytes()


def test_a_first_start_makes_empty_rollups(tmp_path: Path) -> None:
    """Where nothing was ever made, opening makes empty rollups and leaves nothing else behind."""
    open_or_rebuild(tmp_path / "rollups", tiers=CATALOGUE.tiers).close()
    assert [one.name for one in (tmp_path / "rollups").iterdir()] == ["rollups.duckdb"]
    assert not any(contents(tmp_path / "rollups").values())


async def test_what_cannot_be_read_is_parked_not_refused(tmp_path: Path) -> None:
    """A rebuild counts records that cannot be read, however many there are: a person has asked for it."""
    async with lived(tmp_path, cuts=()) as log:
        await fill(log, [DAMAGED] * 1500)
        result = await rebuilt(tmp_path, log)
    assert result.applied.parked == 1500


async def test_interrupted_it_leaves_the_old_rollups(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Interrupted on the way, it leaves the old rollups and nothing else."""
    async with lived(tmp_path) as log:
        old = old_file(tmp_path)
        running = asyncio.current_task()
        assert running is not None

        def interrupt(step: Step) -> None:
            if step.what == "records":
                running.cancel()

        monkeypatch.setattr(batches, "MAX_RECORDS", 20)
        with pytest.raises(asyncio.CancelledError):
            await rebuild(tmp_path / "rollups", log, chain=(), tiers=CATALOGUE.tiers, progress=interrupt)
        running.uncancel()
        assert old_file(tmp_path) == old


HOLD = """
import signal, sys
from pathlib import Path
from aggregators.rollups.rollups import Rollups
rollups = Rollups.open(Path(sys.argv[1]))
print("open", flush=True)
while True: signal.pause()
"""


async def test_rollups_in_use_are_refused(tmp_path: Path) -> None:
    """While another process has the rollups open, nothing is made."""
    async with lived(tmp_path) as log:
        old = old_file(tmp_path)
        with program(HOLD, tmp_path / "rollups") as process:
            assert process.stdout is not None
            assert process.stdout.readline() == "open\n"
            with pytest.raises(RollupsInUse, match="stop `tidegate serve` first"):
                await rebuilt(tmp_path, log)
            process.kill()
            process.wait(PATIENCE_SECONDS)
        assert old_file(tmp_path)[0] == old[0]


async def test_one_rebuild_at_a_time(tmp_path: Path) -> None:
    """A second rebuild of the same rollups is refused while the first one runs."""
    async with lived(tmp_path) as log:
        refused: list[object] = []

        def again(step: Step) -> None:
            if not refused and step.what == "seals":
                with pytest.raises(RollupsInUse, match="is being rebuilt by another process") as error:
                    open_or_rebuild(empty, tiers=CATALOGUE.tiers)
                refused.append(error)

        empty = tmp_path / "rollups"
        (empty / "rollups.duckdb").unlink()
        await rebuild(empty, log, chain=read_chain(empty / DIRECTORY_NAME), tiers=CATALOGUE.tiers, progress=again)
    assert refused


def test_what_an_interrupted_one_spilt_is_removed(tmp_path: Path) -> None:
    """A directory that DuckDB left in the workshop of a process that was killed is no obstacle."""
    (tmp_path / WORKSHOP_NAME / "rollups.duckdb.tmp").mkdir(parents=True)
    (tmp_path / WORKSHOP_NAME / "rollups.duckdb.tmp" / "spilt").write_bytes(b"rows")
    open_or_rebuild(tmp_path, tiers=CATALOGUE.tiers).close()
    assert [one.name for one in tmp_path.iterdir()] == ["rollups.duckdb"]


CHANGE_AND_DIE = """
import os, sys
from pathlib import Path
from aggregators.rollups.rollups import Rollups
rollups = Rollups.open(Path(sys.argv[1]))
with rollups.transaction() as cursor:
    cursor.execute("INSERT INTO parked SELECT 0, 'x', 0, 0, 'x', 0, TIMESTAMP '2026-01-01'")
os._exit(9)
"""


@pytest.mark.parametrize("renamed", range(1, 5))
async def test_killed_while_it_replaces(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, renamed: int) -> None:
    """Killed after any of its renames, it leaves the old rollups with their last changes or the new ones, whole."""
    directory = tmp_path / "rollups"
    async with lived(tmp_path):
        before = contents(directory)
    with program(CHANGE_AND_DIE, directory) as process:
        assert process.wait(PATIENCE_SECONDS) == 9
    assert (directory / "rollups.duckdb.wal").stat().st_size
    workplace = directory / WORKSHOP_NAME
    Rollups.open(workplace).close()
    left = [renamed]
    rename, unlink = Path.rename, Path.unlink

    def counted_down(act: Any) -> Any:
        def instead(*arguments: Any, **options: Any) -> Any:
            if not left[0]:
                raise KeyboardInterrupt
            left[0] -= 1
            return act(*arguments, **options)

        return instead

    with monkeypatch.context() as patched:
        patched.setattr(Path, "rename", counted_down(rename))
        patched.setattr(Path, "unlink", counted_down(unlink))
        with pytest.raises(KeyboardInterrupt):
            replace_old(workplace, directory)
    open_or_rebuild(directory, tiers=CATALOGUE.tiers).close()
    assert not [one.name for one in directory.iterdir() if "replaced" in one.name or one.name == WORKSHOP_NAME]
    after = contents(directory)
    if renamed < 4:
        assert len(after.pop("parked")) == len(before.pop("parked")) + 1, "the last changes are in it"
        assert after == before
    else:
        assert not any(after.values())
