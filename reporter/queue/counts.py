"""What the queue counts: since its file was begun for `status`, and since a trace_window told it last.

A trace_window that is given up hands back what it told, so that every loss is told once, and by a report that arrived.
"""

import json
import sqlite3
from collections.abc import Iterable, Mapping

from reporter.queue.nouns import Untold

CLOSED, ACCEPTED, UPLOADED, DELAYED = "windows_closed", "accepted", "bytes_uploaded", "uploads_delayed"
DAMAGED = "queue_damaged"
LOST, DISCARDED, DELAY = "lost.", "discarded.", "delay."

ADD = """
INSERT INTO counts (name, total, untold) VALUES (?1, ?2, ?2)
ON CONFLICT (name) DO UPDATE SET total = total + ?2, untold = untold + ?2
"""
HAND_BACK = "UPDATE counts SET untold = untold + ? WHERE name = ?"


def add(connection: sqlite3.Connection, numbers: Mapping[str, int]) -> None:
    """Count these, by name."""
    connection.executemany(ADD, numbers.items())


def tell(connection: sqlite3.Connection, told: Mapping[str, int]) -> None:
    """These numbers are in a report that was put into the queue."""
    connection.executemany(HAND_BACK, [(-number, name) for name, number in told.items()])


def hand_back(connection: sqlite3.Connection, tells: str | None) -> None:
    """The report that told these numbers, as `written` has them, will not arrive."""
    connection.executemany(HAND_BACK, [(number, name) for name, number in _read(tells).items()])


def written(told: Mapping[str, int]) -> str:
    """The numbers as a report's row has them."""
    return json.dumps(dict(told))


def totals(connection: sqlite3.Connection) -> dict[str, int]:
    """Every number since the file was begun."""
    return dict(connection.execute("SELECT name, total FROM counts WHERE total <> 0 ORDER BY name"))


def untold(connection: sqlite3.Connection) -> dict[str, int]:
    """What no trace_window has told yet, by name."""
    return dict(connection.execute("SELECT name, untold FROM counts WHERE untold > 0"))


def as_untold(numbers: Mapping[str, int]) -> Untold:
    """Those numbers as a trace_window has them."""
    lost = sum(number for name, number in numbers.items() if name.startswith((LOST, DISCARDED)))
    delays = ((name.removeprefix(DELAY), number) for name, number in numbers.items() if name.startswith(DELAY))
    return Untold(
        closed=numbers.get(CLOSED, 0),
        lost=None if DAMAGED in numbers else lost,
        bytes_uploaded=numbers.get(UPLOADED, 0),
        uploads_delayed=numbers.get(DELAYED, 0),
        delays={int(place): number for place, number in delays if place.isdigit()},
        by_name=dict(numbers),
    )


def plus(numbers: Mapping[str, int], more: Iterable[tuple[str, int]]) -> dict[str, int]:
    """The numbers with others added."""
    found = dict(numbers)
    for name, number in more:
        found[name] = found.get(name, 0) + number
    return found


def _read(tells: str | None) -> dict[str, int]:
    try:
        found = json.loads(tells or "{}")
    except (ValueError, RecursionError):
        return {}
    numbers = found.items() if isinstance(found, dict) else ()
    return {name: number for name, number in numbers if type(number) is int and 0 < number < 2**31}
