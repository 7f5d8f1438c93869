"""What is taken from the log at once: everything, in order, bounded, and nothing past a gap."""

import sqlite3
from collections import Counter
from contextlib import closing
from pathlib import Path

import pytest

from aggregators.following import batches as module
from aggregators.following.batches import Batch, Batches, HistoryGone, LogReplaced
from ingest.log.embedded import EmbeddedLog
from ingest.log.memory import MemoryLog
from ingest.log.sqlite_file import FILE_NAME
from ingest.records import SCHEMAS_TOPIC
from ingest.report import Entry, Partition

A, B = Partition("a", 0), Partition("b", 0)


def entries(topic: str, count: int, *, size: int = 1) -> list[Entry]:
    """Entries of a topic whose values have `size` bytes."""
    return [Entry(topic, b"%d" % number, bytes(size), number) for number in range(count)]


def taken(batch: Batch) -> dict[Partition, list[int]]:
    """The offsets of a batch."""
    return {partition: [stored.offset for stored in found] for partition, found in batch.parts}


async def test_everything_is_taken_once_and_in_order(monkeypatch: pytest.MonkeyPatch) -> None:
    """Batch by batch every entry of every partition comes once, in the order of its offsets."""
    monkeypatch.setattr(module, "MAX_RECORDS", 7)
    monkeypatch.setattr(module, "CHUNK", 3)
    log = MemoryLog()
    await log.append([*entries("a", 20), *entries("b", 1)])
    batches, seen, drained = Batches(log, {}), Counter[Partition](), False
    while not drained:
        batch = await batches.next()
        assert batch.records <= 7
        for partition, offsets in taken(batch).items():
            assert offsets == list(range(seen[partition], seen[partition] + len(offsets)))
            seen[partition] += len(offsets)
        batches.applied(batch)
        drained = batch.drained
    assert seen == {A: 20, B: 1}
    assert batches.offsets == {A: 19, B: 0}
    assert not (await batches.next()).parts


async def test_what_was_not_applied_is_taken_again() -> None:
    """Until it is said that a batch was applied, the same entries come again, and those appended meanwhile."""
    log = MemoryLog()
    await log.append(entries("a", 2))
    batches = Batches(log, {})
    first = await batches.next()
    await log.append(entries("a", 1))
    assert (taken(first), taken(await batches.next())) == ({A: [0, 1]}, {A: [0, 1, 2]})


async def test_bytes_bound_a_batch(monkeypatch: pytest.MonkeyPatch) -> None:
    """A batch ends with the record that reaches the bytes, so that large records make small batches."""
    monkeypatch.setattr(module, "MAX_BYTES", 1000)
    monkeypatch.setattr(module, "CHUNK", 2)
    log = MemoryLog()
    await log.append(entries("a", 10, size=400))
    batches = Batches(log, {})
    batch = await batches.next()
    assert (taken(batch), batch.drained) == ({A: [0, 1, 2]}, False)
    batches.applied(batch)
    assert taken(await batches.next()) == {A: [3, 4, 5]}


async def test_a_busy_partition_starves_nobody(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where a batch is too small for every partition, the next one begins with those that had no turn."""
    monkeypatch.setattr(module, "MAX_RECORDS", 4)
    monkeypatch.setattr(module, "CHUNK", 4)
    log = MemoryLog()
    await log.append([*entries("a", 100), *entries("b", 4), *entries("c", 4)])
    batches, topics = Batches(log, {}), []
    for _ in range(3):
        batch = await batches.next()
        topics += [partition.topic for partition, _ in batch.parts]
        batches.applied(batch)
    assert topics == ["a", "b", "c"]


async def test_schemas_are_no_records() -> None:
    """The schemas in the log are not taken as records."""
    log = MemoryLog()
    await log.append([Entry(SCHEMAS_TOPIC, b"key", b"{}", 0)])
    batch = await Batches(log, {}).next()
    assert (batch.parts, batch.drained) == ((), True)


@pytest.mark.parametrize(("applied", "waiting"), [(-1, 1000), (0, 999), (997, 2), (998, 1), (999, 0)])
async def test_what_waits_is_counted(applied: int, waiting: int) -> None:
    """How many entries were not applied yet is found without reading them."""
    log = MemoryLog()
    await log.append([*entries("a", 1000), *entries("b", 3)])
    assert await Batches(log, {A: applied, B: 2}).waiting() == waiting


async def shortened(directory: Path, *, upto: int) -> EmbeddedLog:
    """An embedded log of ten entries from whose head those before `upto` were removed, as retention would."""
    log = EmbeddedLog(directory)
    await log.append(entries("a", 10))
    with closing(sqlite3.connect(directory / FILE_NAME)) as file, file:
        file.execute('DELETE FROM entries WHERE "offset" < ?', (upto,))
    return log


@pytest.mark.parametrize(
    ("applied", "upto", "expected"),
    [
        pytest.param(3, 3, None, id="what was applied last is still there"),
        pytest.param(3, 4, None, id="nothing is gone that was not applied"),
        pytest.param(3, 5, HistoryGone, id="one entry is gone"),
        pytest.param(-1, 1, HistoryGone, id="nothing was applied, and the beginning is gone"),
        pytest.param(9, 9, None, id="drained"),
        pytest.param(10, 9, LogReplaced, id="more was applied than the log holds"),
    ],
)
async def test_log_and_offsets_are_compared(
    tmp_path: Path, applied: int, upto: int, expected: type[Exception] | None
) -> None:
    """A log that lacks entries after the last applied offset, or ends before it, is told apart from one that fits."""
    log = await shortened(tmp_path, upto=upto)
    batches = Batches(log, {A: applied})
    if expected is None:
        await batches.check()
    else:
        with pytest.raises(expected, match="partition 0 of a"):
            await batches.check()
    await log.close()


@pytest.mark.parametrize("applied", [-1, 3])
async def test_nothing_is_taken_past_a_gap(tmp_path: Path, applied: int) -> None:
    """A batch that would skip entries is refused, at the beginning of the log as anywhere else."""
    log = await shortened(tmp_path, upto=6)
    with pytest.raises(HistoryGone, match=f"lacks offset {applied + 1}"):
        await Batches(log, {A: applied}).next()
    await log.close()
