"""When the next request may go, on a clock that stands still and with seeded randomness."""

from collections.abc import Callable
from random import Random

import pytest

from ingest.clock import ManualClock
from reporter.sending import pace
from reporter.sending.pace import (
    FEW_REPORTS,
    LONGEST_PAUSE_SECONDS,
    LONGEST_SECONDS,
    MOST_REPORTS,
    SPREAD_SECONDS,
    Pace,
)

SEEDS = range(200)


def made(seed: int = 0) -> tuple[Pace, ManualClock]:
    """A pace, and its clock."""
    clock = ManualClock(0)
    return Pace(clock.monotonic, Random(seed)), clock


def delays(after: Callable[[Pace], None]) -> list[float]:
    """The delay after something has happened, for many seeds."""
    found = []
    for seed in SEEDS:
        one, _ = made(seed)
        after(one)
        found.append(one.seconds())
    return found


def test_a_fleet_does_not_come_together() -> None:
    """The first to send after there was nothing waits up to a minute, evenly spread, and then no more."""
    first = delays(Pace.found)
    assert 0 <= min(first) < 5
    assert SPREAD_SECONDS - 5 < max(first) <= SPREAD_SECONDS
    one, clock = made()
    one.found()
    clock.advance(one.seconds())
    one.found()
    assert one.seconds() == 0


def test_batches_follow_politely() -> None:
    """After a batch that was taken the next one follows within seconds."""
    least, most = pace.BETWEEN_SECONDS
    assert all(least <= seconds <= most for seconds in delays(Pace.answered))


@pytest.mark.parametrize(
    ("failures", "ceiling"), [(1, 5), (2, 10), (5, 80), (9, LONGEST_SECONDS), (60, LONGEST_SECONDS)]
)
def test_backoff(failures: int, ceiling: float) -> None:
    """After failures it waits a random time whose ceiling doubles from five seconds up to a quarter of an hour."""

    def fail(one: Pace) -> None:
        for _ in range(failures):
            one.failed()

    found = delays(fail)
    assert 1 <= min(found) < max(ceiling / 10, 2)
    assert 0.9 * ceiling < max(found) <= ceiling


def test_what_the_gate_asks_for() -> None:
    """Nobody comes back earlier than the gate asked for, and not all at once."""
    found = delays(lambda one: one.failed(100.0))
    assert min(found) >= 100
    assert max(found) - min(found) > 20


def test_a_gate_that_asks_for_nothing() -> None:
    """A time that the gate names is the least, not the most: failures in a row take ever longer all the same."""

    def fail(one: Pace) -> None:
        for _ in range(9):
            one.failed(0.0)

    found = delays(fail)
    assert 0.9 * LONGEST_SECONDS < max(found) <= LONGEST_SECONDS
    assert sum(found) / len(found) > LONGEST_SECONDS / 3


def test_a_person_has_to_mend_it() -> None:
    """Refusals are repeated after a minute at first, and after an hour in the end."""
    one, clock = made()
    waits = []
    for _ in range(10):
        one.refused()
        waits.append(one.seconds())
        clock.advance(one.seconds())
    assert 60 <= waits[0] <= 75
    assert all(LONGEST_PAUSE_SECONDS <= wait <= 1.25 * LONGEST_PAUSE_SECONDS for wait in waits[7:])


def test_the_circuit() -> None:
    """Four failures open it; its time come, one small batch is tried, and what becomes of that decides."""
    one, clock = made()
    seen = []
    for _ in range(4):
        one.failed()
        seen.append((one.circuit, one.most_reports))
    assert seen == [("closed", MOST_REPORTS)] * 3 + [("open", FEW_REPORTS)]
    clock.advance(one.seconds())
    assert (one.circuit, one.most_reports) == ("half_open", FEW_REPORTS)
    one.failed()
    assert one.circuit == "open"
    clock.advance(one.seconds())
    one.answered()
    assert (one.circuit, one.most_reports) == ("closed", MOST_REPORTS)


def test_batches_shrink_and_grow_again() -> None:
    """A batch that was too large is halved down to one report; each one that is taken doubles it."""
    one, _ = made()
    sizes = []
    for _ in range(12):
        sizes.append(one.most_reports)
        one.too_many(one.most_reports)
    assert sizes == [1000, 500, 250, 125, 62, 31, 15, 7, 3, 1, 1, 1]
    one.answered()
    assert one.most_reports == 2


def test_a_batch_smaller_than_the_limit_was_too_large() -> None:
    """What is halved is what was sent, not what might have been."""
    one, _ = made()
    one.too_many(10)
    assert one.most_reports == 5


def test_haste() -> None:
    """Whoever waits for it overrides delays of our own, and never what the gate asked for."""
    one, clock = made()
    one.failed()
    one.hurry()
    assert one.seconds() == 0
    one.failed(50.0)
    one.hurry()
    assert one.seconds() >= 50
    clock.advance(one.seconds())
    one.found()
    assert one.seconds() == 0


def test_other_settings() -> None:
    """With other settings nothing is known of the gate, and it is asked at once."""
    one, _ = made()
    one.refused()
    one.restart()
    assert (one.seconds(), one.circuit) == (0, "closed")
