"""Windows begin and end by the clock on the wall, which real processes read for themselves."""

import time

from reporter.clock import SystemClock
from tests.reporter.made_up import HOUR_MS

MINUTES_MS = 5 * 60_000
"""The window of the managed tier. Where no policy is known it is an hour."""


def keep_away_from_a_border(*, seconds: float, window_ms: int = HOUR_MS) -> None:
    """Returns at once, or, where the window ends within so many seconds, when it has."""
    left = (window_ms - SystemClock().now_ms() % window_ms) / 1000
    if left < seconds:
        time.sleep(left)
