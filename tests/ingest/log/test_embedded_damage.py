"""What the embedded log makes of a file that was torn or damaged: what was acknowledged before, or an error; no lies.

A tear is what a power cut leaves of the last commit in the write-ahead log; a flipped byte is what a failing disk makes
of anything that was settled long ago.
"""

import random
import shutil
from collections.abc import Sequence
from pathlib import Path

import pytest

from ingest.log import LogDamaged, LogUnavailable
from ingest.log.embedded import EmbeddedLog, EmbeddedLogReader
from ingest.log.sqlite_file import FILE_NAME
from ingest.report import Entry, Partition, StoredEntry

TOPIC = "tidegate.managed.route_window.v1"
COMMITS = 6
WAL = f"{FILE_NAME}-wal"
FRAME_HEADER, WAL_HEADER, PAGE = 24, 32, 8192
FLIPS = 300


def entry(number: int) -> Entry:
    """An entry of its own content, as long as a usual one."""
    return Entry(TOPIC, b"key %d" % number, random.Random(number).randbytes(700), number, (("of", b"%d" % number),))


async def crashed(directory: Path) -> list[int]:
    """A log as a crash leaves it, and how long its write-ahead log was after each commit."""
    log = EmbeddedLog(directory / "running")
    lengths = []
    for number in range(COMMITS):
        await log.append([entry(number)])
        lengths.append((directory / "running" / WAL).stat().st_size)
    shutil.copytree(directory / "running", directory / "crashed")
    await log.close()
    return lengths


async def held(directory: Path) -> Sequence[StoredEntry]:
    """What a writer, which settles the file first, serves of it."""
    log = EmbeddedLog(directory)
    try:
        return await log.read(Partition(TOPIC, 0), after=-1, limit=100)
    finally:
        await log.close()


def interesting(start: int, end: int, *, every: bool) -> Sequence[int]:
    """Places of a tear within a commit: all of them, or each byte of the frames' headers, and some of every page."""
    if every:
        return range(start, end)
    frames = range(start, end, FRAME_HEADER + PAGE)
    headers = {at + byte for at in frames for byte in range(FRAME_HEADER + 2)}
    return sorted(at for at in headers | set(range(start, end, 997)) | {end - 1} if start <= at < end)


@pytest.mark.faults
async def test_torn_at_every_byte_of_its_tail(tmp_path: Path, request: pytest.FixtureRequest) -> None:
    """Wherever the last commit is torn, all commits before it are there, and the log goes on behind them."""
    lengths = await crashed(tmp_path)
    kept, whole = tmp_path / "torn", (tmp_path / "crashed" / WAL).read_bytes()
    expected = [StoredEntry(number, entry(number)) for number in range(COMMITS - 1)]
    kept.mkdir()
    for end in interesting(lengths[-2], lengths[-1], every=request.config.getoption("markexpr") == "faults"):
        for file in kept.iterdir():
            file.unlink()
        shutil.copy(tmp_path / "crashed" / FILE_NAME, kept)
        (kept / WAL).write_bytes(whole[:end])
        assert list(await held(kept)) == expected, f"torn at {end}"
    log = EmbeddedLog(kept)
    (position,) = await log.append([entry(99)])
    assert position.offset == COMMITS - 1
    await log.close()


async def test_a_tail_that_became_noise(tmp_path: Path) -> None:
    """Noise in the place of the last commit's bytes, or behind it, is not taken for a commit."""
    lengths = await crashed(tmp_path)
    whole, noise = (tmp_path / "crashed" / WAL).read_bytes(), random.Random(7).randbytes(20_000)
    for number, changed in enumerate((whole + noise, whole[: lengths[-2]] + noise)):
        kept = tmp_path / f"noise {number}"
        shutil.copytree(tmp_path / "crashed", kept)
        (kept / WAL).write_bytes(changed)
        assert list(await held(kept)) == [StoredEntry(n, entry(n)) for n in range(COMMITS - number)]


async def settled(directory: Path, how_many: int) -> None:
    """A log that was closed in good order: everything is in the main file."""
    log = EmbeddedLog(directory)
    for start in range(0, how_many, 10):
        await log.append([entry(number) for number in range(start, start + 10)])
    await log.close()


async def served(directory: Path) -> tuple[list[StoredEntry], LogUnavailable | None]:
    """All that is read, and what is told where it does not go on. A gap between two steps is the follower's to find."""
    reader = EmbeddedLogReader(directory)
    found: list[StoredEntry] = []
    try:
        while step := await reader.read(Partition(TOPIC, 0), after=found[-1].offset if found else -1, limit=100):
            found += step
        return found, None
    except LogUnavailable as error:
        return found, error
    finally:
        await reader.close()


@pytest.mark.parametrize("part", ["key", "value", "header"])
async def test_a_flipped_byte_of_an_entry(tmp_path: Path, part: str) -> None:
    """A changed byte of an entry is told with its place; what stands before it is served, and of it nothing."""
    await settled(tmp_path, 40)
    file = tmp_path / FILE_NAME
    sought = {"key": b"key 25", "value": entry(25).value[300:320], "header": b"of25"}[part]
    content = file.read_bytes()
    at = content.index(sought) + len(sought) - 1
    file.write_bytes(content[:at] + bytes([content[at] ^ 0x10]) + content[at + 1 :])
    found, error = await served(tmp_path)
    assert found == [StoredEntry(number, entry(number)) for number in range(25)]
    assert isinstance(error, LogDamaged)
    assert str(error).startswith(f"offset 25 of partition 0 of {TOPIC} ")


async def test_a_flipped_bit_anywhere_is_never_served(tmp_path: Path) -> None:
    """With any bit of the file flipped, each entry that is served is what was appended, in its place and order."""
    seed = random.randrange(2**32)
    print(f"seed {seed}")
    places = random.Random(seed)
    await settled(tmp_path / "log", 60)
    content = (tmp_path / "log" / FILE_NAME).read_bytes()
    damaged = tmp_path / "damaged"
    told = 0
    for _ in range(FLIPS):
        shutil.rmtree(damaged, ignore_errors=True)
        damaged.mkdir()
        at = places.randrange(len(content))
        flipped = bytes([content[at] ^ (1 << places.randrange(8))])
        (damaged / FILE_NAME).write_bytes(content[:at] + flipped + content[at + 1 :])
        found, error = await served(damaged)
        assert found == [StoredEntry(one.offset, entry(one.offset)) for one in found], f"byte {at}"
        told += error is not None
    assert told > FLIPS / 5, "most bytes that hold anything are bytes of entries"


async def test_a_damaged_page_hides_nothing_before_it(tmp_path: Path) -> None:
    """Whatever bit of the head of a page changes, no entry is left out between others without being told."""
    await settled(tmp_path / "log", 60)
    content = (tmp_path / "log" / FILE_NAME).read_bytes()
    page = content.index(entry(30).value) // PAGE * PAGE
    damaged = tmp_path / "damaged"
    for at in range(page, page + 24):
        shutil.rmtree(damaged, ignore_errors=True)
        damaged.mkdir()
        (damaged / FILE_NAME).write_bytes(content[:at] + bytes([content[at] ^ 0x04]) + content[at + 1 :])
        found, error = await served(damaged)
        assert [one.offset for one in found] == list(range(len(found))), f"byte {at}"
        assert len(found) == 60 or error is not None, f"byte {at}"
