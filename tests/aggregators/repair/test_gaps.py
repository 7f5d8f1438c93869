"""What the log has lost: shown, accepted by a person, kept through seals and rebuilds, said beside answers."""

import sqlite3
from collections.abc import Sequence
from contextlib import closing
from datetime import timedelta
from pathlib import Path

import pytest

from aggregators.answering.spans import iso
from aggregators.following import batches
from aggregators.following.batches import LogReplaced
from aggregators.repair.gaps import Gap, find_gaps, missing
from aggregators.repair.rebuild import rebuild
from aggregators.rollups.rollups import Progress, Rollups
from aggregators.sealing.seal_files import DIRECTORY_NAME, read_chain
from aggregators.times import naive_utc
from ingest.log.embedded import EmbeddedLog
from ingest.log.memory import MemoryLog
from ingest.log.sqlite_file import FILE_NAME
from ingest.report import Entry, Extent, Partition, StoredEntry
from load.reports import MS_PER_HOUR
from tests.aggregators.followers import asked, clock_at, contents, counted, follow_to_the_end, following
from tests.aggregators.followers import drain as drained
from tests.aggregators.following.test_follow import stopped
from tests.aggregators.published_cells import NOW, empty_source, told
from tests.aggregators.stored_reports import CATALOGUE, START, fill, stored

ENTRIES = stored(150, seed=12)
TOPIC = "tidegate.managed.route_window.v1"
LOST = Partition(TOPIC, 0)
NOW_MS = START + 12 * MS_PER_HOUR


class Left:
    """A log of one partition whose first ten entries are gone, and of which those with these times are left."""

    def __init__(self, times: Sequence[int]) -> None:
        self._left = [StoredEntry(10 + at, Entry(TOPIC, b"key", b"value", time)) for at, time in enumerate(times)]

    async def partitions(self) -> Sequence[Partition]:
        return [LOST]

    async def read(self, partition: Partition, *, after: int, limit: int) -> Sequence[StoredEntry]:
        return [stored for stored in self._left if stored.offset > after][:limit] if partition == LOST else []

    async def extent(self, partition: Partition) -> Extent:
        return Extent(10, 10 + len(self._left)) if partition == LOST else Extent(0, 0)

    async def close(self) -> None:
        pass


def lose(directory: Path, *, since: int, upto: int) -> None:
    """Take entries of a topic out of a log's file, from offset `since` to before `upto`."""
    with closing(sqlite3.connect(directory / FILE_NAME)) as file, file:
        file.execute(
            'DELETE FROM entries WHERE "offset" >= ? AND "offset" < ? AND partition = '
            "(SELECT id FROM partitions WHERE topic = ?)",
            (since, upto, TOPIC),
        )


async def found(data: Path, log: EmbeddedLog | MemoryLog, *, why: str | None = None) -> list[Gap]:
    """What is lost, accepted where there is a reason."""
    return await find_gaps(data / "rollups", log, tiers=CATALOGUE.tiers, clock=clock_at(12), accept_why=why)


def kept_gaps(directory: Path) -> list[tuple[object, ...]]:
    """The gaps that the rollups know of."""
    return asked(directory, 'SELECT topic, partition, "first", "last", why FROM gaps')


async def test_a_gap_is_accepted_and_stays(tmp_path: Path) -> None:
    """The follower goes on behind what a person accepted, everything else is counted, and a rebuild knows it too."""
    log = EmbeddedLog(tmp_path / "log")
    await fill(log, ENTRIES[:100])
    await follow_to_the_end(tmp_path / "rollups", log)
    (last,) = asked(tmp_path / "rollups", f"SELECT last FROM offsets WHERE topic = '{TOPIC}'")[0]  # noqa: S608
    before = counted(tmp_path / "rollups")
    await fill(log, ENTRIES[100:])
    _, end = await log.extent(LOST)
    lose(tmp_path / "log", since=0, upto=last + 4)
    assert await found(tmp_path, log) == await found(tmp_path, log)
    (gap,) = await found(tmp_path, log, why="a test")
    assert (gap.partition, gap.first, gap.last, gap.records) == (LOST, last + 1, last + 3, 3)
    assert gap.since is not None
    assert gap.since <= gap.until
    assert await found(tmp_path, log) == []
    await follow_to_the_end(tmp_path / "rollups", log)
    expected = [(*LOST, last + 1, last + 3, "a test")]
    assert kept_gaps(tmp_path / "rollups") == expected
    assert asked(tmp_path / "rollups", f"SELECT last FROM offsets WHERE topic = '{TOPIC}'") == [(end - 1,)]  # noqa: S608
    after = counted(tmp_path / "rollups")
    reports = sum("control" not in entry.topic for entry in ENTRIES[100:])
    assert sum(after) - sum(before) == reports - 3
    tables = contents(tmp_path / "rollups")
    chain = read_chain(tmp_path / "rollups" / DIRECTORY_NAME)
    assert chain[-1].ends[LOST] >= last + 3
    await rebuild(tmp_path / "rollups", log, chain=chain, tiers=CATALOGUE.tiers, progress=lambda _: None)
    assert contents(tmp_path / "rollups") == tables
    assert kept_gaps(tmp_path / "rollups") == expected
    await log.close()


async def test_what_lies_before_a_gap_is_counted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where a gap is in the middle of what was not read yet, the follower stops right before it."""
    monkeypatch.setattr(batches, "CHUNK", 5)
    log = EmbeddedLog(tmp_path / "log")
    await fill(log, ENTRIES)
    lose(tmp_path / "log", since=7, upto=9)
    async with following(tmp_path / "rollups", log) as follower:
        await stopped(follower)
    assert asked(tmp_path / "rollups", f"SELECT last FROM offsets WHERE topic = '{TOPIC}'") == [(6,)]  # noqa: S608
    (gap,) = await found(tmp_path, log, why="a test")
    assert (gap.first, gap.last) == (7, 8)
    async with following(tmp_path / "rollups", log) as follower:
        await drained(follower)
    await log.close()


async def test_everything_may_be_lost(tmp_path: Path) -> None:
    """Rollups that begin with a log whose beginning is gone accept that too; nobody knows since when it lacks."""
    log = EmbeddedLog(tmp_path / "log")
    await fill(log, ENTRIES)
    lose(tmp_path / "log", since=0, upto=5)
    (gap,) = await found(tmp_path, log, why="it began before us")
    assert (gap.first, gap.last, gap.since) == (0, 4, None)
    await follow_to_the_end(tmp_path / "rollups", log)
    assert asked(tmp_path / "rollups", "SELECT affects_from FROM gaps") == [(None,)]
    await log.close()


async def test_another_log_is_no_gap(tmp_path: Path) -> None:
    """A log that ends before what was applied is refused, whatever reason is given."""
    log = MemoryLog()
    await fill(log, ENTRIES)
    await follow_to_the_end(tmp_path / "rollups", log)
    with pytest.raises(LogReplaced):
        await found(tmp_path, MemoryLog(), why="a test")


def test_rollups_of_before_know_no_gap(tmp_path: Path) -> None:
    """A file that was made before there was a table of gaps gets one when it is opened."""
    Rollups.open(tmp_path).close()
    asked(tmp_path, "DROP TABLE gaps")
    assert kept_gaps(tmp_path) == []


@pytest.mark.parametrize(
    ("begin", "end", "said"),
    [
        pytest.param(-48, -24, False, id="long before"),
        pytest.param(-6, -4, True, id="its reports may have been late"),
        pytest.param(1, 2, False, id="afterwards"),
    ],
)
def test_answers_that_a_gap_may_touch_say_so(begin: int, end: int, said: bool) -> None:
    """A note stands beside every answer whose range what was lost may belong to, and beside no other."""
    source = empty_source()
    source.connection.execute(
        "INSERT INTO gaps VALUES (0, 't', 0, 5, 14, ?, ?, ?, 'why')", [NOW - timedelta(hours=10), NOW, NOW]
    )
    since, until = (iso(NOW + timedelta(hours=hours)) for hours in (begin, end))
    notes = " ".join(told(source, "R1", from_=since, to=until).notes)
    source.connection.close()
    assert ("Up to 10 records were lost from the log" in notes) is said


NEWEST = START + 5 * MS_PER_HOUR
"""Within the hour of the newest record that was applied before the gap, which is known to the hour."""


@pytest.mark.parametrize(
    ("times", "until"),
    [
        pytest.param([NEWEST + 2 * MS_PER_HOUR], NEWEST + 2 * MS_PER_HOUR, id="as it is told"),
        pytest.param([NEWEST + 1], NEWEST + MS_PER_HOUR, id="since is known to the hour"),
        pytest.param([0], NOW_MS, id="a clock that was set back"),
        pytest.param([-1], NOW_MS, id="before there was time"),
        pytest.param([1 << 62], NOW_MS, id="beyond every calendar"),
        pytest.param([NOW_MS + 1], NOW_MS, id="in the future"),
        pytest.param([0, 1 << 62, NEWEST + 3 * MS_PER_HOUR], NEWEST + 3 * MS_PER_HOUR, id="one of several is right"),
        pytest.param([], NOW_MS, id="nothing is left"),
    ],
)
async def test_a_wrong_clock_does_not_shorten_a_gap(times: list[int], until: int) -> None:
    """The time behind a gap is told by records whose clocks can be right, and ends now where there are none."""
    reader = Left(times)
    progress = {LOST: Progress(last=4, received=NEWEST)}
    (gap,) = await missing(reader, progress, now=naive_utc(NOW_MS))
    assert (gap.first, gap.last) == (5, 9)
    assert (gap.since, gap.until) == (naive_utc(NEWEST), naive_utc(until))
