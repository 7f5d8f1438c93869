"""Rollups made beside the old ones: they take their place whole, and what stands against it shows before."""

import os
import subprocess
import sys
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import duckdb
import pytest

from aggregators import database
from aggregators.database import FILE_NAME, doubt
from aggregators.publication import published
from aggregators.repair import rebuild
from aggregators.repair.gaps import find_gaps
from aggregators.repair.rebuild import PUBLISHED_NAME, make_anew, open_or_rebuild
from aggregators.repair.workshop import WORKSHOP_NAME, put_in_place, replace_old
from aggregators.rollups.rollups import (
    Rollups,
    RollupsDamaged,
    RollupsFull,
    RollupsInterrupted,
    RollupsInUse,
    RollupsOutOfReach,
)
from aggregators.sealing import seal_files
from aggregators.sealing.seal_files import DIRECTORY_NAME, SealDamaged, read_chain
from ingest.log.embedded import EmbeddedLog
from tests.aggregators.followers import PATIENCE_SECONDS, ROOT, clock_at, contents, follow_to_the_end, program
from tests.aggregators.following.traced import require_strace
from tests.aggregators.repair.test_rebuild import HOLD, last_changes, lived, rebuilt
from tests.aggregators.repair.test_rebuild_published import publish_everything
from tests.aggregators.stored_reports import CATALOGUE

MAKES_ANEW = """
import asyncio, sys
from pathlib import Path
from aggregators.repair.rebuild import make_anew, rebuild
from aggregators.rollups.rollups import Rollups, RollupsFull
from aggregators.sealing import seal_files
from aggregators.sealing.seal_files import read_chain
from ingest.log.embedded import EmbeddedLogReader
from tests.aggregators.stored_reports import CATALOGUE

data, way = Path(sys.argv[1]), sys.argv[2]
directory = data / "rollups"
chain = read_chain(directory / "seals")
try:
    if way == "rebuild":
        log = EmbeddedLogReader(data / "log")
        asyncio.run(rebuild(directory, log, chain=chain, tiers=CATALOGUE.tiers, progress=lambda _: None))
    else:
        make_anew(Rollups.open(directory), chain, tiers=CATALOGUE.tiers)
except RollupsFull:
    print("full")
"""


@pytest.mark.faults
@pytest.mark.parametrize("way", ["rebuild", "make_anew"])
async def test_a_disk_that_fills_at_the_last_moment(tmp_path: Path, way: str) -> None:
    """Where what was committed cannot be taken into the new file, that is raised, and nothing empty takes the place."""
    require_strace()
    async with lived(tmp_path) as log:
        before = contents(tmp_path / "rollups")
        made = tmp_path / "rollups" / WORKSHOP_NAME / FILE_NAME
        strace = ["strace", "-f", "-qq", "-o", os.devnull, "-P", str(made), "-e", "trace=pwrite64"]
        full = ["-e", "inject=pwrite64:error=ENOSPC:when=4+"]
        command = [*strace, *full, sys.executable, "-c", MAKES_ANEW, str(tmp_path), way]
        done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False, timeout=PATIENCE_SECONDS)
        assert done.stdout == "full\n", done.stderr
        if way == "rebuild":
            assert contents(tmp_path / "rollups") == before
        open_or_rebuild(tmp_path / "rollups", tiers=CATALOGUE.tiers).close()
        await follow_to_the_end(tmp_path / "rollups", log)
        assert contents(tmp_path / "rollups") == before


async def made(way: str, data: Path, log: EmbeddedLog) -> None:
    """Make the rollups in one of the ways there are."""
    directory = data / "rollups"
    match way:
        case "rebuild":
            await rebuilt(data, log)
        case "make_anew":
            make_anew(Rollups.open(directory), read_chain(directory / DIRECTORY_NAME), tiers=CATALOGUE.tiers)
        case _:
            (directory / FILE_NAME).unlink()
            open_or_rebuild(directory, tiers=CATALOGUE.tiers).close()


@pytest.mark.parametrize("way", ["rebuild", "make_anew", "open_or_rebuild"])
async def test_nothing_takes_its_place_before_it_is_in_its_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, way: str
) -> None:
    """Every way to make rollups sees to it that they are in their file, and fences nobody when they are not."""

    def full(_: Rollups) -> None:
        raise RollupsFull("made up")

    directory = tmp_path / "rollups"
    async with lived(tmp_path) as log:
        before, claims = contents(directory), sorted((directory / DIRECTORY_NAME / "epochs").iterdir())
        with monkeypatch.context() as patched:
            patched.setattr(Rollups, "checkpoint", full)
            with pytest.raises(RollupsFull):
                await made(way, tmp_path, log)
        assert (directory / FILE_NAME).exists() is (way == "rebuild")
        assert sorted((directory / DIRECTORY_NAME / "epochs").iterdir()) == claims
        open_or_rebuild(directory, tiers=CATALOGUE.tiers).close()
        await follow_to_the_end(directory, log)
        assert contents(directory) == before


@pytest.mark.parametrize("put", [put_in_place, replace_old])
def test_a_file_takes_no_place_without_its_last_changes(tmp_path: Path, put: Callable[[Path, Path], None]) -> None:
    """While a part of what was committed lies beside the new file the old one stays."""
    directory, place = tmp_path / "rollups", tmp_path / "rollups" / WORKSHOP_NAME
    Rollups.open(directory).close()
    before = (directory / FILE_NAME).stat().st_ino
    changes = last_changes(place)
    (place / f"{FILE_NAME}.wal").write_bytes(changes)
    with pytest.raises(RollupsOutOfReach):
        put(place, directory)
    assert (directory / FILE_NAME).stat().st_ino == before


def flip(file: Path) -> None:
    """Damage a file."""
    content = bytearray(file.read_bytes())
    content[len(content) // 2] ^= 1
    file.write_bytes(content)


@pytest.mark.parametrize(
    ("harmed", "expected"),
    [
        pytest.param(f"{DIRECTORY_NAME}/000001/route_rows.parquet", SealDamaged, id="a seal"),
        pytest.param(f"{PUBLISHED_NAME}/000001/looked.parquet", RollupsDamaged, id="a publication"),
    ],
)
async def test_damage_is_found_before_the_old_file_is_touched(
    tmp_path: Path, harmed: str, expected: type[Exception]
) -> None:
    """Rollups that nobody trusts stay where they are, and open, while what would replace them is damaged."""
    directory = tmp_path / "rollups"
    async with lived(tmp_path):
        publish_everything(tmp_path)
        flip(directory / harmed)
        before = (directory / FILE_NAME).stat().st_ino
        with closing(Rollups.open(directory)) as rollups:
            with pytest.raises(expected, match=Path(harmed).name):
                make_anew(rollups, read_chain(directory / DIRECTORY_NAME), tiers=CATALOGUE.tiers)
            assert rollups.offsets()
        assert (directory / FILE_NAME).stat().st_ino == before


async def test_a_publication_that_cannot_be_read_now_is_not_damaged(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What the system refuses once is told as that, and works the next time."""
    refused = [OSError(24, os.strerror(24))]

    def digest(file: Path, real: Callable[[Path], str] = seal_files.digest) -> str:
        if refused:
            raise refused.pop()
        return real(file)

    directory = tmp_path / "rollups"
    async with lived(tmp_path):
        publish_everything(tmp_path)
        chain = read_chain(directory / DIRECTORY_NAME)
        monkeypatch.setattr(published, "digest", digest)
        with closing(Rollups.open(directory)) as rollups:
            with pytest.raises(OSError, match=os.strerror(24)):
                make_anew(rollups, chain, tiers=CATALOGUE.tiers)
            make_anew(rollups, chain, tiers=CATALOGUE.tiers)
            rollups.reopen()


async def test_it_can_be_interrupted_between_two_statements(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """An interruption while seals are compared with their hashes ends the work before the old file is touched."""
    directory = tmp_path / "rollups"
    async with lived(tmp_path):
        with closing(Rollups.open(directory)) as rollups:
            check = seal_files.checked_files

            def interrupted(*arguments: object) -> object:
                rollups.interrupt()
                return check(*arguments)  # type: ignore[arg-type]

            monkeypatch.setattr(rebuild, "checked_files", interrupted)
            with pytest.raises(RollupsInterrupted):
                make_anew(rollups, read_chain(directory / DIRECTORY_NAME), tiers=CATALOGUE.tiers)
            assert rollups.offsets()


async def test_a_file_that_somebody_else_has_opened_is_not_put_aside(tmp_path: Path) -> None:
    """A process that takes the file as soon as it is closed keeps it."""
    directory = tmp_path / "rollups"
    async with lived(tmp_path):
        rollups = Rollups.open(directory)
        rollups.close()
        with program(HOLD, directory) as process:
            assert process.stdout is not None
            assert process.stdout.readline() == "open\n"
            with pytest.raises(RollupsInUse):
                make_anew(rollups, read_chain(directory / DIRECTORY_NAME), tiers=CATALOGUE.tiers)
            assert (directory / FILE_NAME).exists()


async def test_no_gap_is_accepted_in_rollups_that_nobody_trusts(tmp_path: Path) -> None:
    """A gap would be noted, and sealed, in a file that may not hold what it seems to."""
    directory = tmp_path / "rollups"
    async with lived(tmp_path) as log:
        doubt(directory / FILE_NAME)
        with pytest.raises(RollupsDamaged, match="tidegate rebuild"):
            await find_gaps(directory, log, tiers=CATALOGUE.tiers, clock=clock_at(12), accept_why="a test")
        await rebuilt(tmp_path, log)
        assert await find_gaps(directory, log, tiers=CATALOGUE.tiers, clock=clock_at(12), accept_why=None) == []


def test_a_query_that_does_not_end_is_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    """A cursor that hangs in the system keeps the file open for now, and not for good."""

    class Hanging:
        def interrupt(self) -> None: ...

        def close(self) -> None:
            raise duckdb.ResourceInUseException("made up")

    monkeypatch.setattr(database, "CLOSE_SECONDS", 0.0)
    with pytest.raises(RollupsOutOfReach):
        database._close(Hanging())  # type: ignore[arg-type]


def test_a_mark_that_cannot_be_written_is_no_error(tmp_path: Path) -> None:
    """A disk that has failed may not let anything be noted either."""
    doubt(tmp_path / "away" / FILE_NAME)
