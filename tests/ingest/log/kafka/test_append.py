"""What becomes of appends between `KafkaLog` and its producer: shared batches, bounds, failures.

Deadlines are in `test_append_late.py`; what a real broker does to appends is in `test_faults.py`.
"""

import asyncio
from typing import Any

import pytest

from ingest.log import InDoubt, LogUnavailable
from ingest.log.kafka.producer import EntriesRefused, ProducerBroken
from ingest.log.kafka.producers import Backoff
from ingest.report import Entry, Partition, Position
from ingest.telemetry import outcomes
from tests.ingest.log.kafka.append_bench import KEYS, TOPIC, TWO, Bench, confirmed, entry, raised
from tests.ingest.log.kafka.producer_stand_in import REFUSED_KEY, Told, until
from tidegate.log_source import KAFKA_APPEND_SECONDS


async def test_what_arrives_meanwhile_shares_the_next_batch(bench: Bench) -> None:
    """While a batch of a partition is under way no other is sent, and what arrives shares the next, in its order."""
    first = bench.append(b"first")
    await bench.handed_over(1)
    others = [bench.append(b"%d" % number) for number in range(5)]
    await asyncio.sleep(0.01)
    assert len(bench.sent) == 1
    bench.sent[0].confirm(7)
    assert await first == [Position(Partition(TOPIC, 0), 7)]
    _, second = await bench.handed_over(2)
    assert second.keys == [b"%d" % number for number in range(5)]
    second.confirm(8)
    assert [(await other)[0].offset for other in others] == [8, 9, 10, 11, 12]
    assert (bench.log.commits, bench.log.entries) == (2, 6)


async def test_partitions_do_not_wait_for_each_other(bench: Bench) -> None:
    """A partition whose batch is not confirmed holds up nobody but itself."""
    held_up = bench.append(KEYS[0], topic=TWO)
    await bench.handed_over(1)
    other = bench.append(KEYS[1], topic=TWO)
    await bench.handed_over(2)
    bench.sent[1].confirm(3)
    assert await other == [Position(Partition(TWO, 1), 3)]
    assert not held_up.done()


async def test_what_does_not_fit_goes_into_the_next_batches(bench: Bench) -> None:
    """An append larger than a batch is stored by several, in its order, and says where each entry is."""
    bench.room = 2
    keys = [b"%d" % number for number in range(5)]
    call = bench.append(*keys)
    for number, base in enumerate((0, 10, 20), 1):
        (await bench.handed_over(number))[-1].confirm(base)
    assert [position.offset for position in await call] == [0, 1, 10, 11, 20]
    assert [key for sent in bench.sent for key in sent.keys] == keys


@pytest.mark.parametrize("other", ["stored", "under way"])
async def test_an_append_that_is_refused_in_part(bench: Bench, other: str) -> None:
    """An append that lies in two partitions, one of which refuses, is in doubt: the other may have its part."""
    call = bench.append(KEYS[0], KEYS[1], topic=TWO)
    one, two = await bench.handed_over(2)
    if other == "stored":
        two.confirm()
    one.fail(LogUnavailable("refused"))
    assert await raised(call) is InDoubt


async def test_a_refused_batch_is_refused_to_all_in_it(bench: Bench) -> None:
    """When a batch is refused each of its callers is, with the reason, and what waited goes by the same producer."""
    calls = [bench.append(b"%d" % number) for number in range(3)]
    (first,) = await bench.handed_over(1)
    waiting = bench.append(b"waiting")
    await asyncio.sleep(0)
    first.fail(LogUnavailable("none of its replicas leads"))
    for call in calls:
        with pytest.raises(LogUnavailable, match="none of its replicas leads"):
            await call
    (await bench.handed_over(2))[1].confirm()
    await waiting
    assert [len(producer.sent) for producer in bench.producers] == [2]
    assert not bench.producers[0].stopped


TOO_LARGE = EntriesRefused("an entry is larger than it takes")


async def takes_what_is_small(bench: Bench, *calls: asyncio.Task[Any]) -> None:
    """Let each batch be refused that holds a large entry, and others be confirmed, until all calls are answered."""
    stored = 0
    while not all(call.done() for call in calls):
        await asyncio.sleep(0.001)
        for sent in [sent for sent in bench.sent if not sent.answer.done()]:
            if any(key.startswith(b"large") for key in sent.keys):
                sent.fail(TOO_LARGE)
            else:
                sent.confirm(stored)
                stored += len(sent.keys)


@pytest.mark.parametrize(
    "keys",
    [
        pytest.param([b"1", b"2", b"large", b"4", b"5", b"6", b"7"], id="one among others"),
        pytest.param([b"large 1", b"2", b"3", b"large 4"], id="the first and the last"),
        pytest.param([b"large 1", b"large 2"], id="nobody else"),
    ],
)
async def test_only_what_is_refused_for_itself_is_refused(bench: Bench, keys: list[bytes]) -> None:
    """Of a batch that is refused for what is in it each call is stored that is acceptable, once and in its order."""
    first = bench.append(b"first")
    await bench.handed_over(1)
    calls = [bench.append(key) for key in keys]
    behind = bench.append(b"behind")
    await asyncio.sleep(0)
    async with asyncio.timeout(30):
        await takes_what_is_small(bench, first, *calls, behind)
    small = [call for key, call in zip(keys, calls, strict=True) if not key.startswith(b"large")]
    assert [(await call)[0].offset for call in (first, *small, behind)] == list(range(len(small) + 2))
    for call in set(calls) - set(small):
        with pytest.raises(LogUnavailable, match="larger than it takes"):
            await call


async def test_whoever_left_is_not_in_a_half(bench: Bench) -> None:
    """A caller that is cancelled behind a refused batch is left out when a half of it is sent, and nothing is held."""
    first = bench.append(b"first")
    await bench.handed_over(1)
    cancelled, large, other = (bench.append(key) for key in (b"cancelled", b"large", b"other"))
    await asyncio.sleep(0)
    bench.sent[0].confirm()
    (await bench.handed_over(2))[1].fail(TOO_LARGE)
    cancelled.cancel()
    await takes_what_is_small(bench, first, large, other)
    assert not any(b"cancelled" in sent.keys for sent in bench.sent[2:])
    assert (bench.log.entries, len(await other)) == (2, 1)


async def test_halves_are_refused_where_there_is_no_producer(bench: Bench) -> None:
    """What is left of a refused batch is refused with the reason when no producer can be had any more."""
    await confirmed(bench, b"first")
    calls = [bench.append(key) for key in (b"1", b"2")]
    sent = (await bench.handed_over(2))[1]
    bench.log._producers.retire(bench.producers[0], InDoubt("another partition's batch"))
    bench.refusal = LogUnavailable("no broker could be used")
    sent.fail(TOO_LARGE)
    for call in calls:
        with pytest.raises(LogUnavailable, match="no broker could be used"):
            await call


async def test_a_pause_ends_before_those_who_wait_are_late(bench: Bench) -> None:
    """However often a partition failed, who begins to wait for it is tried, a gate's last outcomes too."""
    await confirmed(bench, b"first")
    (writer,) = bench.log._appender.writers().values()
    longest = max(writer._pauses.next() for _ in range(20))
    assert longest < min(KAFKA_APPEND_SECONDS, outcomes.APPEND_SECONDS)


async def test_a_partition_that_goes_on_failing_pauses_ever_longer(bench: Bench) -> None:
    """Behind each batch in doubt a partition pauses longer than before, for each costs the others their producer."""
    await asyncio.wait_for(confirmed(bench, b"first"), 30)
    (writer,) = bench.log._appender.writers().values()
    bench.log._producers._retries = Backoff(0, longest=0)
    writer._pauses = pauses = Told()
    for number in range(3):
        call = bench.append(b"%d" % number)
        (await bench.handed_over(number + 2))[-1].fail(InDoubt("unknown"))
        assert await raised(call) is InDoubt
    await asyncio.wait_for(confirmed(bench, b"stored"), 30)
    call = bench.append(b"last")
    (await bench.handed_over(6))[-1].fail(InDoubt("unknown"))
    assert await raised(call) is InDoubt
    await until(lambda: len(pauses.waits) == 4)
    assert pauses.waits == [0.5, 1.0, 2.0, 0.5]


async def test_other_partitions_end_at_the_producer_that_is_replaced(bench: Bench) -> None:
    """What is under way at a producer while another partition's batch fails is confirmed by it all the same."""
    unharmed, failing = bench.append(KEYS[0], topic=TWO), bench.append(KEYS[1], topic=TWO)
    one, two = await bench.handed_over(2)
    two.fail(InDoubt("out of order"))
    assert await raised(failing) is InDoubt
    again = bench.append(KEYS[1], topic=TWO)
    (await bench.handed_over(3))[2].confirm()
    await again
    one.confirm()
    await unharmed
    assert len(bench.producers) == 2


async def test_a_producer_that_takes_nothing_is_replaced(bench: Bench) -> None:
    """A producer that takes no batch any more refuses the call, which is not in doubt, and the next has another one."""
    await asyncio.wait_for(confirmed(bench, b"first"), 30)
    bench.producers[0].refusal = ProducerBroken("its sender has died")
    assert await raised(bench.append(b"refused")) is ProducerBroken
    await asyncio.wait_for(confirmed(bench, b"after"), 30)
    assert len(bench.producers) == 2


@pytest.mark.parametrize(
    "held",
    [
        pytest.param([entry(b"%d" % number) for number in range(10)], id="as many entries as may be held"),
        pytest.param([entry(b"large", bytes(1000))], id="as many bytes as may be held"),
        pytest.param([entry(b"huge", bytes(5000))], id="one call above the bound, when nothing else is held"),
    ],
)
async def test_what_is_handed_over_is_bounded(bench: Bench, held: list[Entry]) -> None:
    """When as much is at the producer as may be held the next call is refused at once, and the first is stored."""
    full = asyncio.create_task(bench.log.append(held))
    await bench.handed_over(1)
    with pytest.raises(LogUnavailable, match="too much waits"):
        await bench.log.append([entry(b"refused")])
    bench.sent[0].confirm()
    assert len(await full) == len(held)


async def test_what_waits_is_bounded(bench: Bench) -> None:
    """What waits behind a batch counts as well, until it is refused or stored."""
    first = bench.append(b"first")
    await bench.handed_over(1)
    waiting = [bench.append(b"%d" % number) for number in range(9)]
    await asyncio.sleep(0)
    with pytest.raises(LogUnavailable, match="too much waits"):
        await bench.log.append([entry(b"refused")])
    bench.sent[0].confirm()
    (await bench.handed_over(2))[1].confirm(1)
    await asyncio.gather(first, *waiting)


async def test_a_call_cancelled_before_it_is_handed_over_is_left_out(bench: Bench) -> None:
    """A caller that is cancelled while it waits is never handed over; one that was handed over is stored."""
    begun = bench.append(b"begun")
    await bench.handed_over(1)
    cancelled, other = bench.append(b"cancelled"), bench.append(b"other")
    await asyncio.sleep(0)
    cancelled.cancel()
    begun.cancel()
    bench.sent[0].confirm()
    (await bench.handed_over(2))[1].confirm(1)
    assert [position.offset for position in await other] == [1]
    assert [sent.keys for sent in bench.sent] == [[b"begun"], [b"other"]]
    assert bench.log.entries == 2


async def test_a_call_cancelled_at_the_last_moment_is_left_out(bench: Bench) -> None:
    """A caller that is cancelled in the very turn in which the next batch is filled is not in it."""
    first = bench.append(b"first")
    await bench.handed_over(1)
    cancelled, other = bench.append(b"cancelled"), bench.append(b"other")
    await asyncio.sleep(0)
    bench.sent[0].confirm()
    cancelled.cancel()
    (await bench.handed_over(2))[1].confirm(1)
    await asyncio.gather(first, other)
    assert bench.sent[1].keys == [b"other"]


async def test_a_cluster_out_of_reach_refuses_at_once(bench: Bench) -> None:
    """While no producer can start calls are refused with the reason, one attempt serves many, and it recovers."""
    bench.log._producers._retries = Backoff(1000, longest=1000)
    bench.refusal = LogUnavailable("no broker could be used")
    calls = [bench.append(b"%d" % number) for number in range(5)]
    for call in calls:
        with pytest.raises(LogUnavailable, match="no broker could be used"):
            await call
    with pytest.raises(LogUnavailable, match="no broker could be used"):
        await bench.log.probe()
    assert len(bench.producers) == 1
    bench.refusal = None
    bench.log._producers._refused_until = 0
    await asyncio.wait_for(confirmed(bench, b"after"), 30)


async def test_close_answers_those_that_wait(bench: Bench) -> None:
    """Close returns when every append is answered, refuses what comes after it, and ends the producer."""
    call = bench.append(b"waiting")
    (sent,) = await bench.handed_over(1)
    closing = asyncio.create_task(bench.log.close())
    await asyncio.sleep(0.01)
    assert await raised(bench.log.append([entry(b"late")])) is LogUnavailable
    assert not closing.done()
    sent.confirm()
    await closing
    await call
    assert bench.producers[0].stopped


async def test_a_fault_of_ours_in_a_start_is_raised_and_it_goes_on(bench: Bench) -> None:
    """An error that nobody expected while a producer starts is raised in whoever waits, and the next one succeeds."""
    await confirmed(bench, b"first")
    bench.refusal = ZeroDivisionError()
    call = bench.append(b"lost")
    (await bench.handed_over(2))[1].fail(InDoubt("out of order"))
    assert await raised(call) is InDoubt
    with pytest.raises(ZeroDivisionError):
        await bench.append(b"waiting")
    bench.refusal = None
    await asyncio.wait_for(confirmed(bench, b"after"), 30)


async def test_a_fault_of_ours_is_raised_and_it_goes_on(bench: Bench) -> None:
    """An error that nobody expected is raised in the callers of its batch, and the next append succeeds."""
    await confirmed(bench, b"first")
    call = bench.append(b"faulty")
    (await bench.handed_over(2))[1].fail(ZeroDivisionError())
    with pytest.raises(ZeroDivisionError):
        await call
    await asyncio.wait_for(confirmed(bench, b"after"), 30)


@pytest.mark.parametrize(
    ("calls", "failing"),
    [
        pytest.param([(REFUSED_KEY,), (b"behind",)], 1, id="the first of a batch"),
        pytest.param([(b"before",), (b"one", REFUSED_KEY), (b"behind",)], 2, id="when others are in it"),
        pytest.param([(b"1", b"2", b"3", b"4", REFUSED_KEY), (b"behind",)], 1, id="in the next batch of its call"),
    ],
)
async def test_an_entry_that_no_batch_takes(bench: Bench, calls: list[tuple[bytes, ...]], failing: int) -> None:
    """An error that an entry raises ends the calls of its batch, what waits behind is stored, and nothing is held."""
    bench.room = 3
    first = bench.append(b"first")
    await bench.handed_over(1)
    waiting = [bench.append(*keys) for keys in calls]
    await asyncio.sleep(0)
    bench.sent[0].confirm()
    await first
    while bench.sent[-1].keys != [b"behind"]:
        before = len(bench.sent)
        if not bench.sent[-1].answer.done():
            bench.sent[-1].confirm(before)
        await until(lambda before=before: len(bench.sent) > before)  # type: ignore[misc]  # it is called at once
    bench.sent[-1].confirm(20)
    for call in waiting[:failing]:
        with pytest.raises(ZeroDivisionError):
            await call
    assert [position.offset for position in await waiting[-1]] == [20]
    load = bench.log._appender._load
    assert (load._entries, load._bytes) == (0, 0)
