"""Appends that are not answered in time: the deadline of a caller, and the patience with a producer."""

import asyncio

import pytest

from ingest.log import InDoubt, LogUnavailable
from ingest.log.kafka import partition as kafka_partition
from tests.ingest.log.kafka.append_bench import LIMITS, Bench, confirmed, entry, raised


async def test_a_late_append_is_refused_or_in_doubt(bench: Bench) -> None:
    """Past the deadline a call is in doubt if it was handed over, and otherwise refused and never handed over."""
    bench.wait_at_most(1)
    begun = bench.append(b"begun")
    await bench.handed_over(1)
    waiting = bench.append(b"waiting")
    assert await raised(begun) is InDoubt
    assert await raised(waiting) is LogUnavailable
    bench.sent[0].confirm()
    bench.wait_at_most(LIMITS.seconds)
    after = bench.append(b"after")
    (await bench.handed_over(2))[1].confirm(1)
    assert [position.offset for position in await after] == [1]
    assert [sent.keys for sent in bench.sent] == [[b"begun"], [b"after"]]


async def test_a_late_append_in_pieces_is_in_doubt(bench: Bench) -> None:
    """An append of which one batch is stored and the next is still waiting at the deadline is in doubt."""
    bench.room = 1
    bench.wait_at_most(1)
    call = bench.append(b"stored", b"under way", b"never sent")
    (await bench.handed_over(1))[0].confirm()
    await bench.handed_over(2)
    assert await raised(call) is InDoubt
    bench.sent[1].confirm(1)
    await asyncio.sleep(0.01)
    assert len(bench.sent) == 2


async def test_a_producer_that_does_not_answer_is_replaced(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    """A batch that nobody confirms for long is given up with its producer, and the partition goes on by another."""
    with monkeypatch.context() as patch:
        patch.setattr(kafka_partition, "PATIENCE_SECONDS", 0.05)
        call = bench.append(b"lost")
        assert await raised(call) is InDoubt
    after = bench.append(b"after")
    (await bench.handed_over(2))[1].confirm()
    await after
    assert [sent.keys for sent in bench.producers[1].sent] == [[b"after"]]


async def test_what_is_in_doubt_is_held_until_it_is_known(bench: Bench) -> None:
    """Entries that were handed over count against the bound until the log answers, though their callers have gone."""
    bench.wait_at_most(1)
    call = asyncio.create_task(bench.log.append([entry(b"%d" % number) for number in range(10)]))
    assert await raised(call) is InDoubt
    bench.wait_at_most(LIMITS.seconds)
    with pytest.raises(LogUnavailable, match="too much waits"):
        await bench.log.append([entry(b"refused")])
    bench.sent[0].confirm()
    await asyncio.sleep(0.01)
    await asyncio.wait_for(confirmed(bench, b"after"), 30)


async def test_close_does_not_wait_for_what_is_in_doubt(bench: Bench) -> None:
    """Close ends though a batch is never confirmed, once its callers were told that they are in doubt."""
    bench.wait_at_most(1)
    call = bench.append(b"lost")
    await bench.handed_over(1)
    await asyncio.wait_for(bench.log.close(), 30)
    assert await raised(call) is InDoubt
