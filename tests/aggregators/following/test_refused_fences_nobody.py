"""A process that is about to be refused leaves the follower alone that seals and publishes."""

import asyncio
import shutil
from pathlib import Path

import pytest

from aggregators.fence import EPOCHS_NAME
from aggregators.following.batches import LogReplaced
from aggregators.following.follow import Follower
from aggregators.following.standing import State, Why
from aggregators.publication.measures import load_measures
from aggregators.publication.publications import Publications, Rulebook
from aggregators.publication.publish import PublicationDamaged
from aggregators.publication.published import INDEX, folder
from aggregators.publication.published import numbers as publications
from aggregators.repair.gaps import find_gaps
from aggregators.repair.rebuild import PUBLISHED_NAME, open_or_rebuild, rebuild
from aggregators.rollups.rollups import Rollups
from aggregators.sealing.seal import RollupsBehindSeals, Sealer, SealFailed
from aggregators.sealing.seal_files import DIRECTORY_NAME, SEAL_NAME, Seal, SealDamaged, numbers, place, read_chain
from ingest.log import LogReader
from ingest.log.memory import MemoryLog
from tests.aggregators.followers import PATIENCE_SECONDS, clock_at, contents, drain, follow_to_the_end, following
from tests.aggregators.following.test_follow import stopped
from tests.aggregators.following.test_paused_follower import shared
from tests.aggregators.stored_reports import CATALOGUE, fill, stored

ENTRIES = stored(150, seed=21)


def publishing(follower: Follower, data: Path) -> Publications:
    """Publications of a follower, in its data directory."""
    rulebook = Rulebook(
        measures=load_measures(),
        tiers=lambda: CATALOGUE.tiers,
        documents=data / "operator.sqlite3",
        directory=data / "rollups" / PUBLISHED_NAME,
    )
    return Publications(follower, rulebook, clock=clock_at(12), settle_ms=0)


def epochs(directories: list[Path]) -> list[list[str]]:
    """The claims in each directory."""
    return [sorted(one.name for one in (directory / EPOCHS_NAME).iterdir()) for directory in directories]


async def sealed_and_published(follower: Follower, data: Path) -> Publications:
    """Seal and publish whatever the follower has applied."""
    await drain(follower)
    made = publishing(follower, data)
    await follower.seal()
    await made.publish_everything(complete_to=clock_at(12).now_ms())
    return made


async def refused(data: Path, reader: LogReader, why: Why) -> None:
    """A follower and its publications begin, and stop for that reason."""
    async with following(data / "rollups", reader) as follower:
        running = asyncio.create_task(publishing(follower, data).run(every=60))
        await stopped(follower)
        assert follower.status().why is why
        await asyncio.wait_for(running, PATIENCE_SECONDS)


async def test_rollups_behind_seals_fence_nobody(tmp_path: Path) -> None:
    """An old data directory that starts beside the one that took over is refused, and the other one goes on."""
    old, new, log = tmp_path / "old", tmp_path / "new", MemoryLog()
    directories = shared(old, new)
    await fill(log, ENTRIES[:50])
    async with following(old / "rollups", log) as follower:
        await sealed_and_published(follower, old)
    (new / "rollups").mkdir(exist_ok=True)
    open_or_rebuild(new / "rollups", tiers=CATALOGUE.tiers).close()
    await fill(log, ENTRIES[50:100])
    async with following(new / "rollups", log) as follower:
        made = await sealed_and_published(follower, new)
        before = epochs(directories)
        await refused(old, log, Why.ROLLUPS_BEHIND_SEALS)
        assert epochs(directories) == before
        await fill(log, ENTRIES[100:])
        await drain(follower)
        await follower.seal()
        await made.publish_everything(complete_to=clock_at(12).now_ms())
        assert follower.status().state is State.FOLLOWING
        counts = [len(numbers(directories[0])), len(publications(directories[1]))]
    assert counts == [3, 3]
    await follow_to_the_end(tmp_path / "whole", log)
    assert contents(new / "rollups") == contents(tmp_path / "whole")


async def test_another_log_fences_nobody(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever starts with a log that does not fit is refused before it takes over."""
    monkeypatch.setattr("aggregators.following.follow.LOOKS", 1)
    log = MemoryLog()
    await fill(log, ENTRIES)
    async with following(tmp_path / "rollups", log) as follower:
        await sealed_and_published(follower, tmp_path)
    directories = [tmp_path / "rollups" / DIRECTORY_NAME, tmp_path / "rollups" / PUBLISHED_NAME]
    before = epochs(directories)
    await refused(tmp_path, MemoryLog(), Why.LOG_REPLACED)
    assert epochs(directories) == before


async def test_a_rebuild_that_fails_fences_nobody(tmp_path: Path) -> None:
    """Whatever a rebuild is refused for, the claims are those of before; one that ends well has claimed both."""
    log = MemoryLog()
    await fill(log, ENTRIES)
    rollups = tmp_path / "rollups"
    async with following(rollups, log) as follower:
        await sealed_and_published(follower, tmp_path)
        await fill(log, ENTRIES[:10])
        await drain(follower)
        first = read_chain(rollups / DIRECTORY_NAME)
        await follower.seal()
    directories = [rollups / DIRECTORY_NAME, rollups / PUBLISHED_NAME]
    before, chain = epochs(directories), read_chain(rollups / DIRECTORY_NAME)

    async def rebuilt(reader: LogReader, *, chain: list[Seal]) -> None:
        await rebuild(rollups, reader, chain=chain, tiers=CATALOGUE.tiers, progress=lambda _: None)

    with pytest.raises(LogReplaced):
        await rebuilt(MemoryLog(), chain=chain)
    with pytest.raises(SealDamaged, match="another follower seals here"):
        await rebuilt(log, chain=first)
    index = folder(directories[1], 1) / INDEX
    good = index.read_text()
    index.write_text("{}")
    with pytest.raises(PublicationDamaged):
        await rebuilt(log, chain=chain)
    assert epochs(directories) == before
    index.write_text(good)
    await rebuilt(log, chain=chain)
    assert epochs(directories) == [[str(int(one[0]) + 1)] for one in before]


async def test_who_only_looks_for_gaps_fences_nobody(tmp_path: Path) -> None:
    """A gap that is accepted claims the seals, and a look at what is lost does not."""
    log = MemoryLog()
    await fill(log, ENTRIES)
    await follow_to_the_end(tmp_path, log)
    before = epochs([tmp_path / DIRECTORY_NAME])
    assert await find_gaps(tmp_path, log, tiers=CATALOGUE.tiers, clock=clock_at(12), accept_why="a test") == []
    assert epochs([tmp_path / DIRECTORY_NAME]) == before


async def test_a_seal_that_cannot_be_read_now_is_not_taken_for_a_newer_one(tmp_path: Path) -> None:
    """It is tried again later, where one that can be read and is not ours is refused."""
    log = MemoryLog()
    await fill(log, ENTRIES[:50])
    await follow_to_the_end(tmp_path, log)
    shutil.copy(tmp_path / "rollups.duckdb", tmp_path / "old")
    await fill(log, ENTRIES[50:])
    async with following(tmp_path, log) as follower:
        await drain(follower)
        await follower.seal()
    shutil.copy(tmp_path / "old", tmp_path / "rollups.duckdb")
    newest = place(tmp_path / DIRECTORY_NAME, numbers(tmp_path / DIRECTORY_NAME)[-1]) / SEAL_NAME
    newest.rename(newest.with_suffix(".away"))
    newest.mkdir()  # what is no file cannot be read
    rollups = Rollups.open(tmp_path)
    sealer = Sealer(lambda: CATALOGUE.tiers, clock=clock_at(12))
    with pytest.raises(SealFailed, match="cannot be read"):
        sealer.settle(rollups)
    newest.rmdir()
    newest.with_suffix(".away").rename(newest)
    with pytest.raises(RollupsBehindSeals):
        sealer.settle(rollups)
    rollups.close()
