"""How steady routing is: what stability_window is made of.

A session changes its route where one of its tasks runs on another route than its task before; tasks that failed closed
ran nowhere and change nothing. What is said of a session by the application counts instead of what is seen.
"""

from reporter.reports import OTHER
from reporter.windows.cell import Cell
from reporter.windows.disclosure import FAILED_CLOSED
from reporter.windows.numbers import whole
from reporter.windows.sums import Sums
from reporter.windows.task import Task
from reporter.windows.vocabulary import Row, fits, fitted

MOST_SESSIONS = 1_000
"""Sessions whose route is remembered; one is forgotten once so many others have had a task since."""

MS = 1000


class Sessions:
    """The routes that a device's sessions are on. A session's name stays in memory and is never said."""

    __slots__ = ("_routes",)

    def __init__(self) -> None:
        self._routes: dict[str, tuple[str, int]] = {}

    def ran(self, session: str, route: str, at_ms: int) -> int | None:
        """A task of the session ran; for how many ms it had been on the route that it left, None if it left none."""
        before, since_ms = self._routes.pop(session, (route, at_ms))
        self._routes[session] = route, since_ms if route == before else at_ms
        if len(self._routes) > MOST_SESSIONS:
            del self._routes[next(iter(self._routes))]
        return None if route == before else max(at_ms - since_ms, 0)

    def ended(self, session: str) -> None:
        """The session will not be heard of again."""
        self._routes.pop(session, None)


class _Seen:
    """One session within one window."""

    __slots__ = ("is_said", "shortest_ms", "switches")

    def __init__(self) -> None:
        self.switches = 0
        self.shortest_ms: int | None = None
        self.is_said = False

    def left(self, after_ms: int) -> None:
        """It left a route on which it had been for so long."""
        self.switches += 1
        self.shortest_ms = after_ms if self.shortest_ms is None else min(self.shortest_ms, after_ms)


class StabilityWindow:
    """The sessions of one window; those beyond `MOST_SESSIONS` are not counted."""

    __slots__ = ("_attempts", "_latencies", "_seen", "_squares", "_sum", "_sums")

    def __init__(self) -> None:
        self._sums = Sums()
        self._seen: dict[str, _Seen] = {}
        self._attempts = self._latencies = self._sum = self._squares = 0

    def add(self, task: Task) -> None:
        """Counts a task, whether it belongs to a session or not."""
        self._attempts = max(self._attempts, whole(task.attempts))
        if task.latency_ms is not None:
            latency = whole(task.latency_ms)
            self._latencies += 1
            self._sum += latency
            self._squares += latency * latency

    def ran(self, session: str, cell: Cell, at_ms: int, sessions: Sessions) -> None:
        """A task of the session went to `cell` when it ended at `at_ms`."""
        seen = self._session(session)
        route = cell.facts.actual_route or OTHER
        if route in FAILED_CLOSED:
            return
        left_after = sessions.ran(session, route, at_ms)
        if seen and left_after is not None and not seen.is_said:
            seen.left(left_after)

    def said(self, session: str, *, switches: int, shortest_s: float | None = None) -> None:
        """What the application itself knows of a session in this window, in place of what was seen and will be."""
        seen = self._session(session)
        if seen:
            seen.is_said = True
            seen.switches = whole(switches)
            seen.shortest_ms = None if shortest_s is None else whole(shortest_s) * MS

    def count(self, *, held: int = 0, bytes_redownloaded: int = 0) -> None:
        """Changes of route that hysteresis held back, and bytes of model files that were downloaded again."""
        self._sums.add(switches_held=held, bytes_redownloaded=bytes_redownloaded)

    def values(self) -> Row:
        """What a stability_window says below its header."""
        switches = [seen.switches for seen in self._seen.values()]
        shortest = [seen.shortest_ms for seen in self._seen.values() if seen.shortest_ms is not None]
        values = {
            "sessions": len(switches),
            "sessions_changed": sum(number > 0 for number in switches),
            "switches": sum(switches),
            "switches_peak": max(switches, default=0),
            "attempts_peak": self._attempts,
            "route_lifetime_min": min(shortest) // MS if shortest else None,
            "latency_count": self._latencies,
            "latency_sum": self._sum,
            "latency_sum_squares": self._squares,
        }
        return fitted(values | self._sums.values(("bytes_redownloaded",)), fits("stability_window"))

    def _session(self, name: str) -> _Seen | None:
        if name not in self._seen and len(self._seen) >= MOST_SESSIONS:
            return None
        return self._seen.setdefault(name, _Seen())
