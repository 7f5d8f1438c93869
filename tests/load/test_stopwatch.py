"""The stopwatch: stages within stages, functions and coroutine functions; how long anything takes is not asked."""

import time
from types import SimpleNamespace

from load.stopwatch import Stopwatch

SPENT = 0.02


def spend() -> None:
    """Use some CPU."""
    until = time.process_time() + SPENT
    while time.process_time() < until:
        pass


def test_inner_stage_is_not_part_of_the_outer_one() -> None:
    """What is spent in a stage within another counts once, for the inner one; nothing is lost between them."""
    began = time.process_time()
    stopwatch = Stopwatch("rest")
    with stopwatch.stage("outer"):
        with stopwatch.stage("inner"):
            spend()
        with stopwatch.stage("inner"):
            spend()
    found = stopwatch.seconds()
    total = time.process_time() - began
    assert 2 * SPENT <= found["inner"] <= sum(found.values()) <= total
    assert found["outer"] + found["rest"] <= total - 2 * SPENT


async def test_functions_are_watched_for_the_time_of_the_body() -> None:
    """A function and a coroutine function are accounted while they are watched, and are as before afterwards."""

    async def later() -> None:
        spend()

    owner = SimpleNamespace(now=spend, later=later)
    stopwatch = Stopwatch("rest")
    with stopwatch.watching(owner, "now", stage="a"), stopwatch.watching(owner, "later", stage="b"):
        owner.now()
        await owner.later()
    assert (owner.now, owner.later) == (spend, later)
    found = stopwatch.seconds()
    assert found["a"] >= SPENT
    assert found["b"] >= SPENT
