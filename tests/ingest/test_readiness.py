"""Ready or not, without flapping."""

import asyncio

import pytest

from ingest.readiness import Readiness, watch

SERIES = [
    pytest.param("+", "+", id="the first check decides by itself"),
    pytest.param("-", "-", id="also where it fails"),
    pytest.param("+-+-+-", "++++++", id="a single failure is not lost readiness"),
    pytest.param("+--", "++-", id="two failures in a row are"),
    pytest.param("+-+--", "++++-", id="a success between them starts the count again"),
    pytest.param("-+-+-", "-----", id="a single success is not readiness regained"),
    pytest.param("-++", "--+", id="two in a row are"),
    pytest.param("+--++--", "++--++-", id="back and forth"),
    pytest.param("+----++", "++----+", id="many failures are made good by as few successes"),
]


@pytest.mark.parametrize(("checks", "expected"), SERIES)
def test_hysteresis(checks: str, expected: str) -> None:
    """Two contrary checks in a row change the answer, one does not, and a change is told exactly when it happens."""
    readiness = Readiness()
    assert not readiness.ready
    before = None
    for check, answer in zip(checks, expected, strict=True):
        changed = readiness.observe(healthy=check == "+")
        assert readiness.ready is (answer == "+")
        assert changed is (answer != before)
        before = answer


async def test_watch_tells_each_change_once() -> None:
    """The watch checks again and again, tells a change when the answer changes, and ends when it is cancelled."""
    results = iter([True, False, True, False, False, False, True, True])
    exhausted = asyncio.Event()
    told: list[bool] = []

    async def check() -> bool:
        result = next(results, None)
        if result is None:
            exhausted.set()
            return True
        return result

    task = asyncio.create_task(watch(Readiness(), check, changed=told.append, every=0))
    await asyncio.wait_for(exhausted.wait(), 10)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert told == [True, False, True]
