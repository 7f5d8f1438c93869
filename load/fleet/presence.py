"""Presence flags: whether something is the first of its kind in its hour, on its day and in its ISO week, all UTC."""

from collections.abc import Hashable

MS_PER_HOUR = 3_600_000
HOURS_A_DAY = 24
DAYS_A_WEEK = 7
THURSDAY = 3
"""1970-01-01 was one, and weeks begin on Mondays."""


class Firsts:
    """What one device remembers of what it has said; to be asked in order of time."""

    __slots__ = ("_seen",)

    def __init__(self) -> None:
        self._seen: dict[Hashable, tuple[int, int, int]] = {}

    def flags(self, key: Hashable, window_start: int) -> dict[str, bool]:
        """The flags for `key` in a window that begins at `window_start` (ms since the epoch), which is remembered."""
        hour = window_start // MS_PER_HOUR
        day = hour // HOURS_A_DAY
        now = (hour, day, (day + THURSDAY) // DAYS_A_WEEK)
        before = self._seen.get(key, (-1, -1, -1))
        self._seen[key] = now
        return {
            "first_of_hour": now[0] != before[0],
            "first_of_day": now[1] != before[1],
            "first_of_week": now[2] != before[2],
        }
