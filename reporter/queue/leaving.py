"""How a report leaves the queue: accepted, discarded by the gate, or given up here. Each is counted."""

import sqlite3
from bisect import bisect_left
from typing import Any

from reporter.queue import counts
from reporter.queue.nouns import MS_PER_DAY, Accepted, Discarded, Held, Queued, SetAside, Verdict, Waiting
from reporter.windows.histogram import BORDERS

WITHDRAWN = "consent_withdrawn"
RESTS_ON = "instr(purposes, '<' || ? || '>')"
"""Which reports rest on a consent, as `reporter.queue.rows` writes it."""

PART_OF_AGE = 4
SHORTEST_ASIDE_MS = 60_000
"""How long a report is set aside: a fourth of its age, at least a minute, at most a day."""

OLDEST = "SELECT place, size FROM reports ORDER BY window_start, size, place"
HOLD = "UPDATE reports SET not_before_ms = ?, held_for = ? WHERE place = ? AND report_id = ?"


def give_up(connection: sqlite3.Connection, cause: str, which: str, value: Any) -> None:
    """Delete the reports that `which`, a condition with one parameter, is true of, and count them as lost."""
    remove(connection, f"{counts.LOST}{cause}", which, (value,))


def remove(connection: sqlite3.Connection, name: str, which: str, values: tuple[Any, ...]) -> None:
    """Delete reports that will not arrive, and count them under `name`; what they told is to be told again."""
    gone = connection.execute(f"DELETE FROM reports WHERE {which} RETURNING tells", values).fetchall()  # noqa: S608  # conditions of this package
    for (tells,) in gone:
        counts.hand_back(connection, tells)
    if gone:
        counts.add(connection, {name: len(gone)})


def make_room(connection: sqlite3.Connection, limit: int) -> None:
    """Give up the oldest reports until the others have room."""
    (over,) = connection.execute("SELECT coalesce(sum(size), 0) FROM reports").fetchone()
    over -= limit
    if over <= 0:
        return
    for place, size in connection.execute(OLDEST).fetchall():
        give_up(connection, "queue_full", "place = ?", place)
        over -= size
        if over <= 0:
            return


def settle(connection: sqlite3.Connection, one: Waiting, verdict: Verdict, now_ms: int) -> None:
    """What the gate said of one report; nothing, where it is gone or another one stands in its place."""
    which, values = "place = ? AND report_id = ?", (one.place, one.queued.report_id)
    match verdict:
        case Accepted():
            gone = connection.execute(f"DELETE FROM reports WHERE {which}", values).rowcount  # noqa: S608  # as above
            counts.add(connection, _arrived(one.queued, now_ms) if gone else {})
        case Discarded(reason):
            remove(connection, f"{counts.DISCARDED}{reason}", which, values)
        case Held(reason, seconds):
            connection.execute(HOLD, (now_ms + int(seconds * 1000), reason, *values))
        case SetAside(reason):
            aside = (now_ms - one.queued.window_end) // PART_OF_AGE
            until = now_ms + min(max(aside, SHORTEST_ASIDE_MS), MS_PER_DAY)
            connection.execute(HOLD, (until, reason, *values))


def _arrived(queued: Queued, now_ms: int) -> dict[str, int]:
    """An accepted report, which was late if more than a window's length went by after its end."""
    delay_ms = now_ms - queued.window_end
    if delay_ms <= queued.window_end - queued.window_start:
        return {counts.ACCEPTED: 1}
    place = bisect_left(BORDERS, delay_ms / 1000)
    return {counts.ACCEPTED: 1, counts.DELAYED: 1, f"{counts.DELAY}{place}": 1}
