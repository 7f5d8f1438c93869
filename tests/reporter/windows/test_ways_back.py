"""How long routes are left and how they are found again, from one task to the next."""

from collections.abc import Sequence
from typing import Any

import pytest

from reporter.windows.folding import Folding
from reporter.windows.task_window import TaskWindow
from reporter.windows.ways_back import WaysBack
from tests.reporter.windows.hand_made import MINUTE, NINE, task, window

LEFT = {"planned_route": "edge", "actual_route": "on_device", "fallback_reason": "unreachable", "consent": "granted"}
KEPT = {"planned_route": "edge"}
ELSEWHERE = {"planned_route": "managed_cloud"}

Step = tuple[float, dict[str, Any]]


def played(steps: Sequence[Step], *windows: TaskWindow) -> list[list[dict[str, Any]]]:
    """The fallback rows of each window, after tasks that ended so many seconds after the first window began."""
    ways, rows = WaysBack(), []
    for made in windows:
        for after_s, said in steps:
            at_ms = NINE + round(after_s * 1000)
            if made.start_ms <= at_ms < made.end_ms:
                one = task(**said)
                ways.after(made.add(one), one, at_ms, made)
        ways.close(made)
        rows.append(made.fallback_values(Folding())["rows"])
    return rows


def summary(rows: list[dict[str, Any]]) -> list[tuple[Any, ...]]:
    """Reason, tasks, seconds and returns of each row, with the lower border of a return's bucket in whole seconds."""
    return [
        (
            row["fallback_reason"], row["tasks"], row["seconds_in_fallback"], row["returns"], row["canary_returns"],
            row["return_time"] and round(2 ** (row["return_time"]["offset"] / 8)),
        )
        for row in rows
    ]  # fmt: skip


PLAYED: list[Any] = [
    pytest.param([(0, KEPT), (9, KEPT)], [], id="nothing was left"),
    pytest.param([(10, LEFT), (50, KEPT)], [("unreachable", 1, 40, 1, 0, 38)], id="left, and found again"),
    pytest.param([(10, LEFT)], [("unreachable", 1, 290, 0, 0, None)], id="still left at the end of the window"),
    pytest.param(
        [(10, LEFT), (20, ELSEWHERE), (50, KEPT)], [("unreachable", 1, 40, 1, 0, 38)], id="other routes say nothing"
    ),
    pytest.param(
        [(10, LEFT), (30, LEFT), (50, KEPT), (60, KEPT)], [("unreachable", 2, 40, 1, 0, 38)], id="one way back for two"
    ),
    pytest.param(
        [(10, LEFT), (30, LEFT | {"fallback_reason": "timeout"}), (50, KEPT)],
        [("timeout", 1, 20, 1, 0, 38), ("unreachable", 1, 20, 0, 0, None)],
        id="the reason changed on the way",
    ),
    pytest.param(
        [(10, LEFT | {"fallback_reason": "capability"}), (50, KEPT)],
        [("capability", 1, 0, 0, 0, None)],
        id="a reason that lies in the task leaves no route",
    ),
    pytest.param(
        [(10, LEFT | {"planned_route": "non_ai"}), (50, {"planned_route": "non_ai"})],
        [("unreachable", 1, 0, 0, 0, None)],
        id="a route that leads nowhere has no way back",
    ),
    pytest.param(
        [(10, LEFT | {"seconds_in_fallback": 3}), (50, KEPT)],
        [("unreachable", 1, 3, 1, 0, 38)],
        id="seconds are as they were said",
    ),
    pytest.param(
        [(10, LEFT), (50, KEPT | {"returned_after_s": 5, "returned_by_canary": True})],
        [("unreachable", 1, 40, 1, 1, 5)],
        id="the way back is as it was said",
    ),
    pytest.param(
        [(10, LEFT | {"returned_after_s": 5}), (50, KEPT)],
        [("unreachable", 1, 0, 1, 0, 5)],
        id="said with the fallback itself",
    ),
    pytest.param([(10, LEFT), (5, KEPT)], [("unreachable", 1, 0, 0, 0, None)], id="the clock went back"),
    pytest.param(
        [(10, LEFT), (10.6, LEFT), (11.2, LEFT), (11.8, KEPT)],
        [("unreachable", 3, 1, 1, 0, 1)],
        id="parts of seconds add up",
    ),
]


@pytest.mark.parametrize(("steps", "expected"), PLAYED)
def test_what_a_window_says_of_ways_back(steps: Sequence[Step], expected: list[Any]) -> None:
    """Seconds count from a fallback to the next task for the same route, a return from when the route was left."""
    [rows] = played(steps, window())
    assert summary(rows) == expected


def test_a_way_back_reaches_over_windows() -> None:
    """A route that is left over the border of a window counts its seconds in both, and its return in the later one."""
    first, second = played([(290, LEFT), (330, KEPT)], window(), window(start_ms=NINE + 5 * MINUTE))
    assert summary(first) == [("unreachable", 1, 10, 0, 0, None)]
    assert summary(second) == [("unreachable", 0, 30, 1, 0, 38)]


def test_what_is_long_ago_is_forgotten() -> None:
    """Without a task for a quarter of an hour nobody knows whether the route was left: no more seconds, no return."""
    [rows] = played([(10, LEFT), (10 + 15 * 60, KEPT)], window(length_ms=60 * MINUTE))
    assert summary(rows) == [("unreachable", 1, 0, 0, 0, None)]
    [rows] = played([(10, LEFT)], window(length_ms=60 * MINUTE))
    assert summary(rows) == [("unreachable", 1, 15 * 60, 0, 0, None)]


def test_seconds_never_exceed_the_window() -> None:
    """However many windows go by, a left route counts no second twice and none outside of them."""
    windows = [window(start_ms=NINE + number * 5 * MINUTE) for number in range(4)]
    found = played([(10, LEFT)], *windows)
    assert [[row["seconds_in_fallback"] for row in rows] for rows in found] == [[290], [300], [300], [10]]
