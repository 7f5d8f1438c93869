"""Seals: whole files that hash as they say, the same sums as before, and no moment at which an end does harm."""

import errno
import json
import shutil
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from datetime import timedelta
from pathlib import Path

import pytest

from aggregators.rollups.rollups import Rollups, RollupsFull
from aggregators.sealing import seal as module
from aggregators.sealing import seal_files
from aggregators.sealing.seal import RollupsBehindSeals, Sealer, SealFailed
from aggregators.sealing.seal_files import (
    DIRECTORY_NAME,
    Seal,
    SealDamaged,
    checked_files,
    numbers,
    place,
    read_chain,
)
from ingest.log.memory import MemoryLog
from load.reports import MS_PER_HOUR
from tests.aggregators.followers import apply_everything, asked, clock_at, contents, counted
from tests.aggregators.stored_reports import CATALOGUE, START, fill, stored

ENTRIES = stored(150, seed=3)
GREATEST = 2**63 - 1


async def applied(directory: Path) -> MemoryLog:
    """Rollups of the entries, and the log that they are from."""
    log = MemoryLog()
    await fill(log, ENTRIES)
    await apply_everything(directory, log)
    return log


@contextmanager
def sealing(
    directory: Path, *, hours: int = 12, days: dict[str, int] | None = None
) -> Iterator[Callable[[], Seal | None]]:
    """Settle, and hand out how to seal. `days` changes retention and horizon of every tier."""
    tiers = {name: tier.model_copy(update=days or {}) for name, tier in CATALOGUE.tiers.items()}
    with closing(Rollups.open(directory)) as rollups:
        sealer = Sealer(lambda: tiers, clock=clock_at(hours))
        sealer.settle(rollups)
        yield lambda: sealer.seal(rollups, drained=True)


def seals(directory: Path) -> Path:
    """Where the seals of the rollups are."""
    return directory / DIRECTORY_NAME


async def test_a_seal_changes_no_sum(tmp_path: Path) -> None:
    """Sealing leaves what the tables say as it was, in fewer rows, and its files hold the same."""
    await applied(tmp_path)
    before = contents(tmp_path)
    with closing(Rollups.open(tmp_path)) as rollups, rollups.cursor() as cursor:
        ((rows,),) = cursor.execute("SELECT count(*) FROM receipts").fetchall()
    with sealing(tmp_path) as seal:
        sealed = seal()
    assert sealed is not None
    assert contents(tmp_path) == before
    assert {file.table: file.rows for file in sealed.files}["receipts"] <= rows
    assert {file.table: file.rows for file in sealed.files} == {
        table: len(found) if table != "seen" else sum(row[-1] for row in found)
        for table, found in before.items()
        if found
    }


async def test_sums_that_no_number_holds_are_sealed(tmp_path: Path) -> None:
    """Absurd counts stand at the greatest number, however often they are sealed; what nobody counted stays unknown."""
    await applied(tmp_path)
    with closing(Rollups.open(tmp_path)) as rollups, rollups.cursor() as cursor:
        cursor.execute("UPDATE route_latency SET observations = ?", [GREATEST])
        cursor.execute("UPDATE route_rows SET tasks = ?, attempts = NULL", [GREATEST])
        cursor.execute("INSERT INTO route_latency FROM route_latency")
        cursor.execute("INSERT INTO route_rows FROM route_rows")
    with sealing(tmp_path) as seal:
        assert seal() is not None
    assert asked(tmp_path, "SELECT DISTINCT observations FROM route_latency") == [(GREATEST,)]
    assert asked(tmp_path, "SELECT DISTINCT tasks, attempts FROM route_rows") == [(GREATEST, None)]


async def test_what_a_seal_says(tmp_path: Path) -> None:
    """It names offsets, key, and the SHA-256 of every file; all of it is readable by its owner alone."""
    log = await applied(tmp_path)
    with sealing(tmp_path) as seal:
        sealed = seal()
        assert seal() is None, "nothing was applied since"
    assert sealed is not None
    assert read_chain(seals(tmp_path)) == [sealed]
    assert sealed.ends == {one: len(await log.read(one, after=-1, limit=1000)) - 1 for one in sealed.ends}
    assert (sealed.number, sealed.oldest, sealed.previous) == (1, 1, None)
    assert set(checked_files(seals(tmp_path), sealed)) == {file.table for file in sealed.files}
    everything = [seals(tmp_path), *seals(tmp_path).rglob("*")]
    assert {one.stat().st_mode & 0o777 for one in everything if one.is_file()} == {0o600}
    assert {one.stat().st_mode & 0o777 for one in everything if one.is_dir()} == {0o700}


async def test_equal_rows_make_equal_files(tmp_path: Path) -> None:
    """The files do not tell in which order reports came, nor in how many batches."""
    digests = []
    for name, entries in (("a", ENTRIES), ("b", ENTRIES[::-1])):
        log = MemoryLog()
        await fill(log, entries)
        await apply_everything(tmp_path / name, log)
        with sealing(tmp_path / name) as seal:
            sealed = seal()
        assert sealed is not None
        digests.append({file.table: file.sha256 for file in sealed.files if file.table.endswith("_rows")})
    assert digests[0] == digests[1]
    assert digests[0]


async def test_seals_are_a_chain(tmp_path: Path) -> None:
    """Each seal holds what was applied since the one before it, and names that by its SHA-256."""
    log = await applied(tmp_path)
    with sealing(tmp_path) as seal:
        seal()
    await fill(log, stored(60, seed=4))
    await apply_everything(tmp_path, log)
    before = contents(tmp_path)
    with sealing(tmp_path) as seal:
        seal()
    assert contents(tmp_path) == before
    first, second = read_chain(seals(tmp_path))
    assert (second.number, second.oldest) == (2, 1)
    assert first.rows + second.rows > second.rows
    text = place(seals(tmp_path), 1) / "seal.json"
    text.write_text(json.dumps(json.loads(text.read_text()) | {"number": 1}))
    with pytest.raises(SealDamaged, match="000002 does not follow"):
        read_chain(seals(tmp_path))


class Interrupted(Exception):
    """Stands for the end of the process."""


STEPS = [
    pytest.param("drafted", [], id="before the seal has its name"),
    pytest.param("placed", [1], id="when it has got its name"),
    pytest.param("_count", [1], id="before the rollups count it"),
    pytest.param("_tidy", [1], id="when everything is done"),
]


def interrupt(monkeypatch: pytest.MonkeyPatch, step: str) -> None:
    """Let the next seal end at a step."""

    def end(*_: object, **__: object) -> None:
        raise Interrupted

    def end_at(name: str) -> None:
        if name == f"seal.{step}":
            raise Interrupted

    if step.startswith("_"):
        monkeypatch.setattr(module, step, end)
    else:
        monkeypatch.setattr(seal_files, "reached", end_at)


@pytest.mark.parametrize(("step", "kept"), STEPS)
async def test_an_interrupted_seal_does_no_harm(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, step: str, kept: list[int]
) -> None:
    """Wherever sealing ends, the next start finishes what has its name, sums are as before, and the chain goes on."""
    log = await applied(tmp_path)
    before, reports = contents(tmp_path), counted(tmp_path)
    with monkeypatch.context() as patch, sealing(tmp_path) as seal:
        interrupt(patch, step)
        with pytest.raises(Interrupted):
            seal()
    with sealing(tmp_path):
        pass
    assert contents(tmp_path) == before
    assert numbers(seals(tmp_path)) == kept
    assert [one.name for one in seals(tmp_path).iterdir() if one.name.startswith(".")] == []
    await fill(log, stored(60, seed=4))
    await apply_everything(tmp_path, log)
    with sealing(tmp_path) as seal:
        seal()
    chain = read_chain(seals(tmp_path))
    assert [one.number for one in chain] == [*kept, len(kept) + 1]
    assert counted(tmp_path) > reports
    assert sum(file.rows for one in chain for file in one.files if file.table == "seen") == len(
        asked(tmp_path, "SELECT id FROM seen")
    )


async def test_an_older_copy_touches_no_seal(tmp_path: Path) -> None:
    """Rollups that are older than the seals are refused, and the seals stay."""
    log = await applied(tmp_path)
    shutil.copy(tmp_path / "rollups.duckdb", tmp_path / "copy")
    await fill(log, stored(60, seed=4))
    await apply_everything(tmp_path, log)
    with sealing(tmp_path) as seal:
        seal()
    shutil.copy(tmp_path / "copy", tmp_path / "rollups.duckdb")
    with pytest.raises(RollupsBehindSeals, match="seal 1 was made by newer rollups"), sealing(tmp_path):
        pass
    assert numbers(seals(tmp_path)) == [1]


@pytest.mark.parametrize("harm", ["gone", "of other rollups", "damaged"])
async def test_without_its_newest_seal_a_chain_begins_anew(tmp_path: Path, harm: str) -> None:
    """Where the newest seal is gone or is not theirs, the next one holds every row, and needs none before it."""
    log = await applied(tmp_path)
    with sealing(tmp_path) as seal:
        seal()
    file = place(seals(tmp_path), 1) / "seal.json"
    match harm:
        case "gone":
            shutil.rmtree(place(seals(tmp_path), 1))
        case "of other rollups":
            file.write_text(json.dumps(json.loads(file.read_text()) | {"seen_key": "00"}))
        case "damaged":
            file.write_text("{")
    await fill(log, stored(60, seed=4))
    await apply_everything(tmp_path, log)
    before = contents(tmp_path)
    with sealing(tmp_path) as seal:
        seal()
    (only,) = read_chain(seals(tmp_path))
    assert (only.number, only.oldest, only.previous) == (2, 2, None)
    assert numbers(seals(tmp_path)) == [2]
    assert contents(tmp_path) == before
    assert {file.table: file.rows for file in only.files}["route_rows"] == len(before["route_rows"])


async def test_ids_beyond_the_horizon_are_forgotten(tmp_path: Path) -> None:
    """Ids of windows that no gate takes any more are let go of, with a day to spare; all others are kept."""
    await applied(tmp_path)
    ids = contents(tmp_path)["seen"]
    with sealing(tmp_path, days={"horizon_days": 1}) as seal:
        seal()
    assert contents(tmp_path)["seen"] == ids
    later = MemoryLog()
    await fill(later, [*ENTRIES, *stored(20, seed=4, hours=1, start=START + 50 * MS_PER_HOUR)])
    await apply_everything(tmp_path, later)
    with sealing(tmp_path, days={"horizon_days": 1}, hours=51) as seal:
        sealed = seal()
    assert sealed is not None
    assert sealed.forgotten_before == sealed.log_hour - timedelta(days=2)
    left = [row for row in contents(tmp_path)["seen"] if row in ids]
    assert left == [row for row in ids if row[0] >= sealed.forgotten_before]
    assert 0 < len(left) < len(ids)


async def test_rows_are_kept_as_long_as_their_tier_says(tmp_path: Path) -> None:
    """Rows older than the retention leave the tables, and a seal that has no other ones leaves the chain."""
    log = await applied(tmp_path)
    with sealing(tmp_path) as seal:
        seal()
    await fill(log, stored(20, seed=4, hours=1, start=START + 72 * MS_PER_HOUR))
    await apply_everything(tmp_path, log)
    with sealing(tmp_path, days={"horizon_days": 1, "retention_days": 1}, hours=73) as seal:
        sealed = seal()
    assert sealed is not None
    since = sealed.log_hour.replace(hour=0) - timedelta(days=1)
    assert asked(tmp_path, "SELECT min(hour) FROM route_rows")[0][0] >= since
    assert [one.number for one in read_chain(seals(tmp_path))] == [2]
    assert numbers(seals(tmp_path)) == [2]


async def test_a_time_to_come_deletes_nothing(tmp_path: Path) -> None:
    """What is kept is reckoned from the clock where a record claims a later time."""
    await applied(tmp_path)
    before = contents(tmp_path)
    with closing(Rollups.open(tmp_path)) as rollups, rollups.cursor() as cursor:
        cursor.execute("UPDATE offsets SET received = TIMESTAMP '2100-01-01'")
    with sealing(tmp_path) as seal:
        seal()
    assert contents(tmp_path) == before


@pytest.mark.parametrize(
    ("code", "expected"),
    [
        pytest.param(errno.ENOSPC, RollupsFull, id="no space: as under the rollups"),
        pytest.param(errno.EIO, SealFailed, id="another trouble of the disk: the next seal tries"),
    ],
)
async def test_a_seal_that_cannot_be_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, code: int, expected: type[Exception]
) -> None:
    """A seal that the disk refuses leaves the rollups as they were, and the next one is whole."""
    await applied(tmp_path)
    before = contents(tmp_path)

    def refuse(*_: object) -> None:
        raise OSError(code, "refused")

    with monkeypatch.context() as patch, sealing(tmp_path) as seal:
        patch.setattr(module, "sync_file", refuse)
        with pytest.raises(expected):
            seal()
    assert contents(tmp_path) == before
    with sealing(tmp_path) as seal:
        assert seal() is not None
    assert contents(tmp_path) == before


HOUR = MS_PER_HOUR


@pytest.mark.parametrize(
    ("history", "due"),
    [
        pytest.param([(None, 0, True)], False, id="nothing was applied"),
        pytest.param([(START, 10, True), (START + HOUR - 1, 10, True)], False, id="the same hour"),
        pytest.param([(START, 10, True), (START + HOUR, 10, True)], True, id="an hour later"),
        pytest.param([(START, 10, True), (START + HOUR, 10, False)], False, id="it is still catching up"),
        pytest.param([(START, 10, True), (START + HOUR, 100_000, False)], True, id="much was applied"),
    ],
)
def test_when_a_seal_is_due(history: list[tuple[int | None, int, bool]], due: bool) -> None:
    """A seal is due when an hour of the log has passed, and the log is drained or much was applied."""
    sealer = Sealer(lambda: CATALOGUE.tiers, clock=clock_at(0))
    found = [sealer.due(newest=newest, records=records, drained=drained) for newest, records, drained in history]
    assert found[-1] is due
