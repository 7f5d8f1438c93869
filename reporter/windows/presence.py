"""Presence flags: whether something is the first of its kind in its hour, on its day and in its ISO week, all UTC.

Flags let a gate count devices without an identifier: at most one report of a device carries the flag for a span. They
are set last, on what the tier's policy has left of a report. Rows that differ only in what was taken off are one and
the same to everybody behind the gate, so only the first of them may be flagged; and what a device has to remember
then says nothing that a report does not.

Of what was said a device remembers a keyed hash, with one bit for each hour of the week in which it was said. Hours lie
within days and days within weeks, so that one number answers all three questions, in whatever order of time they are
asked. The key of the hash is drawn anew for each week and forgotten with it.
"""

from collections.abc import Callable, Mapping
from hashlib import blake2b
from os import urandom
from typing import Any

MS_PER_HOUR = 3_600_000
HOURS_A_DAY = 24
HOURS_A_WEEK = 7 * HOURS_A_DAY
MONDAY = 3 * HOURS_A_DAY
"""Hours from the Monday before 1970-01-01, a Thursday, to its midnight."""

WEEKS_KEPT = 3
"""The present one, one that a late report speaks of, and one to which a wrong clock may have jumped."""

KEY_BYTES = 16
HASH_BYTES = 8

ONE_DAY = (1 << HOURS_A_DAY) - 1

COMBINATIONS: Mapping[str, Mapping[str, tuple[str, ...]]] = {
    "route_window": {
        "rows": (
            "data_class", "task_kind", "input_size", "authority", "device_approved", "planned_route", "actual_route",
            "decision_reason", "precision", "served_region", "model", "model_version", "policy_version",
        ),
        "violations": ("rule",),
    },
    "fallback_window": {
        "rows": ("data_class", "planned_route", "actual_route", "fallback_reason", "consent", "disclosed"),
        "planned": ("planned_route",),
    },
    "model_inventory": {"rows": ("model", "version", "digest", "precision", "runtime")},
    "capability_probe": {"rows": ("capability", "declared_tier", "probed_tier")},
    "sync_window": {"rows": ("store", "memory_route")},
    "path_probe": {"rows": ("service_role", "network_context", "region_asked", "region_answered")},
    "trace_window": {"violations": ("kind",)},
}  # fmt: skip
"""Report -> array whose items carry flags -> what an item is the first of."""

Flags = dict[str, bool]


class Firsts:
    """What one device remembers of what it has said. `draw` gives so many random bytes."""

    __slots__ = ("_draw", "_weeks")

    def __init__(self, draw: Callable[[int], bytes] = urandom) -> None:
        self._draw = draw
        self._weeks: dict[int, _Week] = {}

    def flags(self, key: tuple[str | None, ...], start_ms: int) -> Flags:
        """The flags of `key`, said in a window that begins at `start_ms`, which is remembered."""
        week, hour = divmod(start_ms // MS_PER_HOUR + MONDAY, HOURS_A_WEEK)
        before = self._week(week).say(key, hour)
        day = ONE_DAY << hour // HOURS_A_DAY * HOURS_A_DAY
        return {
            "first_of_hour": not before & 1 << hour,
            "first_of_day": not before & day,
            "first_of_week": not before,
        }

    def state(self) -> dict[str, Any]:
        """All of it, for `json` to write."""
        return {str(number): week.state() for number, week in self._weeks.items()}

    @classmethod
    def restored(cls, state: Any, draw: Callable[[int], bytes] = urandom) -> "Firsts":
        """What `state` gave; raises ValueError for anything else, which says nothing of what stood there."""
        firsts = cls(draw)
        try:
            firsts._weeks = {int(number): _Week.restored(week) for number, week in state.items()}
        except (AttributeError, KeyError, TypeError, ValueError):
            raise ValueError("not a state of presence flags") from None
        return firsts

    def _week(self, number: int) -> "_Week":
        """The week, as the last one used; the one that was not used for longest is forgotten."""
        week = self._weeks.pop(number, None) or _Week(self._draw(KEY_BYTES))
        self._weeks[number] = week
        while len(self._weeks) > WEEKS_KEPT:
            del self._weeks[next(iter(self._weeks))]
        return week


class _Week:
    __slots__ = ("_key", "_said")

    def __init__(self, key: bytes) -> None:
        self._key = key
        self._said: dict[str, int] = {}

    def say(self, key: tuple[str | None, ...], hour: int) -> int:
        """The hours in which this was said before, one bit each; `hour` is added to them."""
        hashed = blake2b(repr(key).encode(), digest_size=HASH_BYTES, key=self._key).hexdigest()
        before = self._said.get(hashed, 0)
        self._said[hashed] = before | 1 << hour
        return before

    def state(self) -> dict[str, Any]:
        return {"key": self._key.hex(), "said": {hashed: f"{hours:x}" for hashed, hours in self._said.items()}}

    @classmethod
    def restored(cls, state: Any) -> "_Week":
        key = bytes.fromhex(state["key"])
        if len(key) != KEY_BYTES:
            raise ValueError
        week = cls(key)
        week._said = {str(hashed): int(hours, 16) for hashed, hours in state["said"].items()}
        return week


def flagged(report: str, values: Mapping[str, Any], start_ms: int, firsts: Firsts) -> dict[str, Any]:
    """The report with its own flags and those of its items; `start_ms` is that of its window."""
    arrays = {
        array: [item | firsts.flags((report, array, *map(item.get, key)), start_ms) for item in values[array]]
        for array, key in COMBINATIONS.get(report, {}).items()
        if values.get(array)
    }
    return {**values, **firsts.flags((report,), start_ms), **arrays}
