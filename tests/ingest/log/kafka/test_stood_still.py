"""Appends of a process that stood still until they were late, while brokers confirmed them."""

import asyncio

import pytest

from ingest.log import InDoubt
from ingest.log.kafka import append
from ingest.report import Partition, Position
from tests.ingest.leaping_clock import leaping_clock
from tests.ingest.log.kafka.append_bench import TOPIC, Bench

SECONDS = 20.0
"""How long callers wait: less than a batch may be under way."""

LONG_LOOK = 20.0
"""For who must not be overtaken by the end of the last look, however slow the machine."""


@pytest.fixture
def patient(bench: Bench) -> Bench:
    """The log with stand-in producers, whose callers wait so long."""
    bench.log._appender._seconds = SECONDS
    return bench


async def test_a_batch_that_was_confirmed_meanwhile_is_told(patient: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    """What a broker confirmed while the process stood still is told, though the deadline is noticed first."""
    monkeypatch.setattr(append, "LAST_LOOK_SECONDS", LONG_LOOK)
    clock = leaping_clock(monkeypatch)
    call = patient.append(b"key")
    [sent] = await patient.handed_over(1)
    clock.leap(SECONDS + 1)
    # Heard of in the same turn of the loop as the deadline, as what lies in a socket is.
    asyncio.get_running_loop().call_soon(sent.confirm, 7)
    assert await call == [Position(Partition(TOPIC, 0), 7)]


async def test_a_batch_that_nobody_confirmed_is_in_doubt(patient: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    """A batch of which nothing is heard when the process goes on is in doubt."""
    clock = leaping_clock(monkeypatch)
    call = patient.append(b"key")
    [sent] = await patient.handed_over(1)
    clock.leap(SECONDS + 1)
    with pytest.raises(InDoubt):
        await call
    sent.confirm()
