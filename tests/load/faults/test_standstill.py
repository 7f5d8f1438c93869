"""A machine that stands still: it is noticed for how long, and limits are put off by as much and no more."""

import threading

import pytest

from load.faults import standstill
from load.faults.standstill import Deadline, Watch, stood_still

WAKING_UP = [
    pytest.param([0.1, 0.2, 0.4], 0.0, id="as it should"),
    pytest.param([0.6, 1.1, 1.7], 0.0, id="late on a busy machine"),
    pytest.param([0.1, 5.2, 5.3], 5.0, id="after a standstill"),
    pytest.param([3.1, 3.2, 7.3], 7.0, id="after two of them"),
]


@pytest.mark.parametrize(("times", "expected"), WAKING_UP)
def test_what_is_overslept_is_added_up(times: list[float], expected: float) -> None:
    """Only what is far longer than a sleep counts, and is known before the sleeper has woken up and after it."""
    watch = Watch(0.0)
    for now in times[:-1]:
        watch.woke(now)
    last = times[-1]
    assert watch.seconds(last) == pytest.approx(expected)
    watch.woke(last)
    assert watch.seconds(last) == pytest.approx(expected)


def test_a_deadline_is_put_off_by_a_standstill(monkeypatch: pytest.MonkeyPatch) -> None:
    """A limit that was over a minute ago is not over yet where the machine stood still for longer than that since."""
    still = [7.0]
    monkeypatch.setattr(standstill, "stood_still", lambda: still[0])
    deadline = Deadline(-60)
    found = []
    for still[0] in (7.0, 7.0 + 59, 7.0 + 600):
        found.append(deadline.is_over)
    assert found == [True, True, False]


def test_the_machine_is_watched() -> None:
    """Once it was asked for the first time, somebody sleeps and wakes up in this very process."""
    before = stood_still()
    assert "standstill" in {thread.name for thread in threading.enumerate()}
    assert stood_still() >= before
