"""Bodies whose time is over: those that do not come, and those that had come while the process stood still."""

import asyncio

import pytest

from ingest.http import reading
from ingest.http.reading import BodyReader
from ingest.problems import Reason, Rejected
from tests.ingest.leaping_clock import leaping_clock

TIMEOUT = 10.0
GRACE = 1.0
LONG_LOOK = 20.0
"""For who must not be overtaken by the end of the last look, however slow the machine."""


class Sender:
    """Sends one body, when a test says so."""

    def __init__(self) -> None:
        self.arrived = asyncio.Event()

    async def receive(self) -> dict[str, object]:
        await self.arrived.wait()
        return {"type": "http.request", "body": b"whole"}


@pytest.mark.parametrize("stopping", [False, True])
async def test_a_body_that_arrived_meanwhile_is_read(monkeypatch: pytest.MonkeyPatch, stopping: bool) -> None:
    """A whole body that lay in the socket while the gate stood still is read, though its deadline is noticed first."""
    monkeypatch.setattr(reading, "LAST_LOOK_SECONDS", LONG_LOOK)
    clock, reader, sender = leaping_clock(monkeypatch), BodyReader(timeout=TIMEOUT), Sender()
    body = asyncio.create_task(reader.read(sender.receive, announced=None))
    await asyncio.sleep(0)
    if stopping:
        reader.stop(grace=GRACE)
    clock.leap(TIMEOUT + 1)
    # Heard of in the same turn of the loop as the deadline, as what lies in a socket is.
    asyncio.get_running_loop().call_soon(sender.arrived.set)
    assert await body == b"whole"


@pytest.mark.parametrize(("stopping", "reason"), [(False, Reason.BODY_TIMEOUT), (True, Reason.STOPPING)])
async def test_a_body_that_does_not_arrive_is_refused(
    monkeypatch: pytest.MonkeyPatch, stopping: bool, reason: Reason
) -> None:
    """A body that is not there when its time is over is refused, sooner if the gate is told to stop."""
    clock, reader = leaping_clock(monkeypatch), BodyReader(timeout=TIMEOUT)
    body = asyncio.create_task(reader.read(Sender().receive, announced=None))
    await asyncio.sleep(0)
    if stopping:
        reader.stop(grace=GRACE)
    clock.leap(GRACE if stopping else TIMEOUT)
    with pytest.raises(Rejected) as refused:
        await body
    assert refused.value.reason is reason


async def test_a_stop_in_the_moment_in_which_a_body_times_out(monkeypatch: pytest.MonkeyPatch) -> None:
    """A stop that falls between a body's timeout and its refusal goes through, and the body is refused all the same."""
    monkeypatch.setattr(reading, "LAST_LOOK_SECONDS", LONG_LOOK)
    clock, reader = leaping_clock(monkeypatch), BodyReader(timeout=TIMEOUT)
    stopped: list[bool] = []

    def stop() -> None:
        reader.stop(grace=GRACE)
        stopped.append(True)

    body = asyncio.create_task(reader.read(Sender().receive, announced=None))
    await asyncio.sleep(0)
    clock.leap(TIMEOUT)
    for _ in range(2):  # turns of the loop: from now on the body is looked for once more
        await asyncio.sleep(0)
    asyncio.get_running_loop().call_later(LONG_LOOK + 0.001, stop)
    clock.leap(LONG_LOOK + 1)  # both timers are due in the same turn of the loop, the body's first
    with pytest.raises(Rejected) as refused:
        await body
    assert stopped
    assert refused.value.reason in {Reason.BODY_TIMEOUT, Reason.STOPPING}
