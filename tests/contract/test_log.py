"""What `ingest.log` promises, held over every implementation.

A test knows nothing of what it runs on: it is given `Storage`, which opens logs. Another implementation joins by one
line, in `FORGETS` or `PERSISTS`. What only one implementation promises has a file of its own under `tests/ingest/log`.
Topics are a log's own affair here: on Kafka, where somebody must make them first, the log of this suite does it.
"""

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import dataclass, field
from itertools import count

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ingest.log import Log, LogUnavailable
from ingest.log.embedded import EmbeddedLog
from ingest.log.memory import MemoryLog
from ingest.report import Entry, Extent, Partition, Position, StoredEntry
from tests.kafka_on_demand import KafkaLogOnDemand

Open = Callable[[int], Log]


def memory(_request: pytest.FixtureRequest) -> Open:
    """Logs in memory, with as many partitions as they are opened with."""
    return lambda partitions: MemoryLog(partitions=partitions)


def embedded(request: pytest.FixtureRequest) -> Open:
    """Logs in one directory."""
    directory = request.getfixturevalue("tmp_path") / "log"
    return lambda partitions: EmbeddedLog(directory, partitions=partitions)


def kafka(request: pytest.FixtureRequest) -> Open:
    """Logs on one broker, under one prefix."""
    bootstrap: str = request.getfixturevalue("kafka_bootstrap")
    prefix: str = request.getfixturevalue("topic_prefix")
    return lambda partitions: KafkaLogOnDemand(bootstrap, topic_prefix=prefix, partitions=partitions)


ON_KAFKA = (pytest.mark.kafka("mock"),)
FORGETS = [pytest.param(memory, id="memory")]
PERSISTS = [pytest.param(embedded, id="embedded"), pytest.param(kafka, id="kafka", marks=ON_KAFKA)]


@dataclass
class Storage:
    """Opens logs on the same storage, one after the other, and closes them when the test has ended."""

    open_log: Open
    opened: list[Log] = field(default_factory=list)

    def open(self, *, partitions: int = 1) -> Log:
        log = self.open_log(partitions)
        self.opened.append(log)
        return log

    async def close(self) -> None:
        for log in self.opened:
            await log.close()


@pytest.fixture(params=FORGETS + PERSISTS)
async def storage(request: pytest.FixtureRequest) -> AsyncIterator[Storage]:
    """Storage of each implementation."""
    storage = Storage(request.param(request))
    yield storage
    await storage.close()


@pytest.fixture(params=PERSISTS)
async def lasting(request: pytest.FixtureRequest) -> AsyncIterator[Storage]:
    """Storage of each implementation that outlives its log objects."""
    storage = Storage(request.param(request))
    yield storage
    await storage.close()


TOPIC = "tidegate.managed.route_window.v1"
OTHER_TOPIC = "tidegate.byod.drift_sketch.v1"


def entry(key: bytes, value: bytes = b"value", topic: str = TOPIC) -> Entry:
    """An entry with a header."""
    return Entry(topic, key, value, 1_795_000_000_000, (("ce_specversion", b"1.0"),))


def numbered(how_many: int, *, topic: str = TOPIC) -> list[Entry]:
    """Entries with keys of their own, in the order of these."""
    return [entry(b"key-%06d" % number, topic=topic) for number in range(how_many)]


async def everything(log: Log) -> dict[Position, Entry]:
    """All that the log holds, read in small steps as a follower would."""
    found: dict[Position, Entry] = {}
    for partition in await log.partitions():
        after = -1
        while step := await log.read(partition, after=after, limit=7):
            assert step[0].offset > after, "a follower would go round in circles"
            found |= {Position(partition, offset): stored for offset, stored in step}
            after = step[-1].offset
    return found


async def test_append_says_where_each_entry_is(storage: Storage) -> None:
    """The positions that append returns are, in its order, those under which the entries are read."""
    log = storage.open(partitions=3)
    entries = [*numbered(20), *numbered(20, topic=OTHER_TOPIC)]
    positions = await log.append(entries)
    assert await everything(log) == dict(zip(positions, entries, strict=True))


async def test_entries_of_one_key_keep_their_order(storage: Storage) -> None:
    """Entries with the same topic and key are read in the order in which they were appended, whatever is between."""
    log = storage.open(partitions=3)
    sent = [entry(b"key-%d" % (number % 5), b"%d" % number) for number in range(50)]
    for start in range(0, 50, 10):
        await log.append(sent[start : start + 10])
    stored = (await everything(log)).values()
    for key in {one.key for one in sent}:
        assert [one for one in stored if one.key == key] == [one for one in sent if one.key == key]


async def test_offsets_of_a_partition_rise(storage: Storage) -> None:
    """Each append to a partition gets an offset higher than all before it."""
    log = storage.open()
    offsets = [(await log.append([entry(b"key", topic=topic)]))[0].offset for topic in (TOPIC, OTHER_TOPIC) * 3]
    assert offsets[0] >= 0
    assert offsets[0] < offsets[2] < offsets[4]
    assert offsets[1] < offsets[3] < offsets[5]


async def test_a_key_stays_in_its_partition(storage: Storage) -> None:
    """Another log object, here on the same storage, puts every key where the first one put it."""
    first = storage.open(partitions=4)
    at_first = [position.partition for position in await first.append(numbered(40))]
    await first.close()
    again = storage.open(partitions=4)
    assert [position.partition for position in await again.append(numbered(40))] == at_first
    assert {partition.number for partition in at_first} == {0, 1, 2, 3}


async def test_the_number_of_partitions_of_a_topic_is_fixed(lasting: Storage) -> None:
    """A topic keeps the partitions it was made with when the log is opened with another number for new topics."""
    first = lasting.open(partitions=4)
    at_first = [position.partition for position in await first.append(numbered(40))]
    await first.close()
    again = lasting.open(partitions=1)
    assert [position.partition for position in await again.append(numbered(40))] == at_first
    assert {one.partition.number for one in await again.append(numbered(40, topic=OTHER_TOPIC))} == {0}


async def test_what_was_appended_outlives_the_log_object(lasting: Storage) -> None:
    """A log that is opened anew holds every entry at its old position, and goes on behind it."""
    first = lasting.open(partitions=2)
    entries = numbered(30)
    positions = await first.append(entries)
    await first.close()
    again = lasting.open(partitions=2)
    assert await everything(again) == dict(zip(positions, entries, strict=True))
    (further,) = await again.append(entries[:1])
    assert further.offset > max(one.offset for one in positions if one.partition == further.partition)


async def test_partitions_are_those_with_entries(storage: Storage) -> None:
    """Partitions are listed in sorted order, and only those that hold an entry."""
    log = storage.open(partitions=8)
    assert list(await log.partitions()) == []
    one, other = await log.append([entry(b"key"), entry(b"key", topic=OTHER_TOPIC)])
    assert list(await log.partitions()) == sorted([one.partition, other.partition])


@pytest.mark.parametrize(
    ("after", "limit", "expected"),
    [
        pytest.param(None, 100, range(10), id="from the beginning"),
        pytest.param(None, 3, range(3), id="no more than asked for"),
        pytest.param(4, 3, range(5, 8), id="what follows, without the entry itself"),
        pytest.param(7, 3, range(8, 10), id="fewer than asked for at the end"),
        pytest.param(9, 3, range(0), id="nothing further yet"),
        pytest.param(None, 0, range(0), id="nothing asked for"),
    ],
)
async def test_read(storage: Storage, after: int | None, limit: int, expected: Sequence[int]) -> None:
    """Read returns at most `limit` entries behind `after`, in order."""
    log = storage.open()
    entries = numbered(10)
    positions = await log.append(entries)
    found = await log.read(positions[0].partition, after=-1 if after is None else positions[after].offset, limit=limit)
    assert list(found) == [StoredEntry(positions[number].offset, entries[number]) for number in expected]


async def test_a_partition_without_entries_reads_empty(storage: Storage) -> None:
    """A partition that nobody wrote to yet holds nothing, which is no error, and is read once somebody did."""
    log = storage.open()
    nowhere = Partition(TOPIC, 0)
    assert list(await log.read(nowhere, after=-1, limit=10)) == []
    await log.append([entry(b"key")])
    assert [stored.entry for stored in await log.read(nowhere, after=-1, limit=10)] == [entry(b"key")]


async def test_extent(storage: Storage) -> None:
    """The extent of a partition is empty before its first entry, and then reaches from the first to behind the last."""
    log = storage.open()
    nowhere, other = Partition(TOPIC, 0), Partition(OTHER_TOPIC, 0)
    assert await log.extent(nowhere) == Extent(0, 0)
    await log.append(numbered(5))
    positions = await log.append(numbered(5))
    first, end = await log.extent(nowhere)
    assert (first, end) == (0, positions[-1].offset + 1)
    assert [stored.offset for stored in await log.read(nowhere, after=end - 2, limit=10)] == [end - 1]
    assert await log.extent(other) == Extent(0, 0)


async def test_a_follower_gets_what_comes_later(storage: Storage) -> None:
    """Reading on behind the last offset returns what was appended since, and nothing twice."""
    log = storage.open()
    (position, *_) = await log.append(numbered(5))
    first = await log.read(position.partition, after=-1, limit=100)
    await log.append([entry(b"later")])
    later = await log.read(position.partition, after=first[-1].offset, limit=100)
    assert [stored.entry.key for stored in later] == [b"later"]


async def test_a_duplicate_is_stored_again(storage: Storage) -> None:
    """The same entry twice, in one call and in two, is stored as often as it was appended."""
    log = storage.open()
    same = entry(b"key")
    await log.append([same, same])
    await log.append([same])
    assert list((await everything(log)).values()) == [same] * 3


async def test_nothing_to_append(storage: Storage) -> None:
    """An append without entries succeeds and stores nothing."""
    log = storage.open()
    assert list(await log.append([])) == []
    assert await everything(log) == {}


async def test_concurrent_appends(storage: Storage) -> None:
    """Many calls at once all succeed, each entry is stored once, and each call's entries keep their order."""
    log = storage.open(partitions=3)
    calls = [[entry(b"%d" % (call % 7), b"%d/%d" % (call, part)) for part in range(4)] for call in range(200)]
    answers = await asyncio.gather(*(log.append(call) for call in calls))
    expected = {
        position: sent
        for call, positions in zip(calls, answers, strict=True)
        for sent, position in zip(call, positions, strict=True)
    }
    assert len(expected) == 800
    assert await everything(log) == expected
    assert all(list(positions) == sorted(positions) for positions in answers)


async def test_reading_while_others_append(storage: Storage) -> None:
    """A follower that reads during appends sees every entry once, in rising order."""
    log = storage.open()
    seen: list[StoredEntry] = []

    async def follow() -> None:
        while len(seen) < 300:
            after = seen[-1].offset if seen else -1
            seen.extend(await log.read(Partition(TOPIC, 0), after=after, limit=11))
            await asyncio.sleep(0)

    async with asyncio.timeout(30):
        await asyncio.gather(follow(), *(log.append([one]) for one in numbered(300)))
    assert sorted(stored.entry.key for stored in seen) == [one.key for one in numbered(300)]
    assert [stored.offset for stored in seen] == sorted({stored.offset for stored in seen})


@pytest.mark.parametrize("turns", range(6))
async def test_a_cancelled_caller_takes_nobody_with_it(storage: Storage, turns: int) -> None:
    """A caller cancelled at any turn leaves all or none of its entries, and every other call is unharmed."""
    log = storage.open()
    cancelled = asyncio.create_task(log.append([entry(b"cancelled", b"%d" % part) for part in range(5)]))
    others = [asyncio.create_task(log.append([one])) for one in numbered(20)]
    for _ in range(turns):
        await asyncio.sleep(0)
    cancelled.cancel()
    async with asyncio.timeout(30):
        positions = [(await other)[0] for other in others]
        await asyncio.gather(cancelled, return_exceptions=True)
    await log.append([entry(b"afterwards")])
    found = await everything(log)
    assert [found[position].key for position in positions] == [one.key for one in numbered(20)]
    assert sum(stored.key == b"cancelled" for stored in found.values()) in {0, 5}
    assert sum(stored.key == b"afterwards" for stored in found.values()) == 1


async def test_probe_is_invisible(storage: Storage) -> None:
    """A probe succeeds on a log that can be written to, and no reader ever sees it."""
    log = storage.open()
    await log.probe()
    assert list(await log.partitions()) == []
    (before,) = await log.append([entry(b"before")])
    await log.probe()
    (after,) = await log.append([entry(b"after")])
    assert list(await everything(log)) == [before, after]


async def test_a_log_counts_what_it_stored(storage: Storage) -> None:
    """A log says how many entries it stored, in how many commits, and an empty append or a probe counts as neither."""
    log = storage.open()
    await log.append([entry(b"one"), entry(b"two")])
    await log.append([entry(b"three")])
    await log.append([])
    await log.probe()
    assert (log.entries, log.commits) == (3, 2)


async def test_a_closed_log_refuses(storage: Storage) -> None:
    """After close, which may be called again, every call is refused as unavailable."""
    log = storage.open()
    (position,) = await log.append([entry(b"key")])
    await log.close()
    await log.close()
    with pytest.raises(LogUnavailable):
        await log.append([entry(b"late")])
    with pytest.raises(LogUnavailable):
        await log.probe()
    with pytest.raises(LogUnavailable):
        await log.partitions()
    with pytest.raises(LogUnavailable):
        await log.read(position.partition, after=-1, limit=1)
    with pytest.raises(LogUnavailable):
        await log.extent(position.partition)


async def test_a_refused_append_stores_nothing(lasting: Storage) -> None:
    """What was refused because the log was closed is not there when it is opened again."""
    log = lasting.open()
    await log.append([entry(b"stored")])
    await log.close()
    with pytest.raises(LogUnavailable):
        await log.append([entry(b"refused")])
    assert [one.key for one in (await everything(lasting.open())).values()] == [b"stored"]


TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=20)
ENTRY_PARTS = st.tuples(
    st.binary(max_size=40),
    st.one_of(st.binary(max_size=300), st.just(b""), st.just(b"\x00" * 10_000)),
    st.integers(min_value=0, max_value=2**63 - 1),
    st.lists(st.tuples(TEXT, st.binary(max_size=60)), max_size=5).map(tuple),
)
TOPIC_NUMBERS = count()


@given(parts=st.lists(ENTRY_PARTS, min_size=1, max_size=12))
@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
async def test_an_entry_is_read_as_it_was_appended(
    storage: Storage, parts: list[tuple[bytes, bytes, int, tuple[tuple[str, bytes], ...]]]
) -> None:
    """Any key, value, time and headers, empty and repeated ones too, come back byte for byte."""
    log = storage.opened[0] if storage.opened else storage.open(partitions=2)
    topic = f"topic-{next(TOPIC_NUMBERS)}"
    sent = [Entry(topic, *fields) for fields in parts]
    positions = await log.append(sent)
    for position, one in zip(positions, sent, strict=True):
        (stored,) = await log.read(position.partition, after=position.offset - 1, limit=1)
        assert stored == StoredEntry(position.offset, one)
