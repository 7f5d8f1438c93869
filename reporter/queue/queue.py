"""The queue: what closed windows put in, what is due, and what became of it. Every method may raise `Unavailable`."""

import json
import sqlite3
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from reporter.clock import Clock
from reporter.forking import FORKING
from reporter.policy import BadPolicy, Policy
from reporter.queue import counts, leaving, processes
from reporter.queue.file import QueueFile
from reporter.queue.nouns import (
    MS_PER_DAY,
    Depth,
    Limits,
    Queued,
    Status,
    Untold,
    Verdict,
    Waiting,
)
from reporter.queue.rows import SELECT, insert, mark, read
from reporter.queue.unavailable import Unavailable
from reporter.reports import PURPOSES

PRESENCE, POLICY, ANSWER = "presence", "policy", "answer"

TOO_FAR_MS = 2 * MS_PER_DAY
"""A clock that is corrected by more leaves reports behind that wait for a time which will not come."""

DUE = """
(tier IS NULL OR tier = :tier)
AND (not_before_ms <= :now OR (window_end <= :now AND not_before_ms > :now + :too_far))
"""
OLDEST = f"{SELECT} WHERE {DUE} ORDER BY window_start, size, place LIMIT :limit"
OVERALL = "SELECT count(*), coalesce(sum(size), 0), min(window_start) FROM reports"
PUT_FACT = "INSERT INTO facts (name, value) VALUES (?, ?) ON CONFLICT (name) DO UPDATE SET value = excluded.value"
NOT_OPEN = "DELETE FROM open_windows WHERE window = ?"
OPENED = "INSERT OR REPLACE INTO open_windows (window, window_start, process) VALUES (?, ?, ?)"


class Closing:
    """One window while it is closed: everything happens when the block ends, or nothing."""

    def __init__(self, presence: dict[str, Any] | None, untold: Mapping[str, int]) -> None:
        self.presence = presence
        """What the device said before, as `reporter.windows.presence.Firsts` writes it; set it to what that is then."""
        self.put_in: list[tuple[Queued, Untold | None]] = []
        self._untold = untold

    def put(self, queued: Queued, *, tells: Untold | None = None) -> None:
        """A report of the window; `tells` is what `untold` gave, if the report says it."""
        self.put_in.append((queued, tells))

    def untold(self) -> Untold:
        """What the trace_window of this window has to tell, the reports put in until now included."""
        return counts.as_untold(counts.plus(self._untold, [(counts.CLOSED, len(self.put_in))]))


class Queue:
    """The queue in the file at `path`, for any number of threads and processes."""

    def __init__(self, path: Path, *, clock: Clock, limits: Limits | None = None) -> None:
        self._clock = clock
        self._limits = limits or Limits()
        self._file = QueueFile(path, damaged_files=self._limits.damaged_files)
        self._unrecorded: Counter[str] = Counter()
        self._given_up: set[str] = set()
        self._policy: tuple[int, Policy | None] | None = None

    def opened(self, window: str, start_ms: int) -> None:
        """A window of that name, chosen by the caller, is being added up by this process."""
        with self._writing() as connection:
            connection.execute(OPENED, (window, start_ms, processes.this_process()))

    @contextmanager
    def closing(self, window: str) -> Iterator[Closing]:
        """Close a window in one transaction. If it raises nothing was changed, and it may be done again."""
        failed: Exception | None = None
        with self._writing() as connection:
            closing = Closing(_fact(connection, PRESENCE), counts.untold(connection))
            try:
                yield closing
            except Exception as error:  # noqa: BLE001  # the caller's own, which is no fault of the file
                failed = error
            else:
                self._close(connection, window, closing)
        if failed is not None:
            raise failed

    def _close(self, connection: sqlite3.Connection, window: str, closing: Closing) -> None:
        for queued, tells in closing.put_in:
            told = {} if tells is None else tells.by_name
            if insert(connection, queued, counts.written(told)):
                counts.add(connection, {counts.CLOSED: 1})
                counts.tell(connection, told)
        if closing.presence is not None:
            connection.execute(PUT_FACT, (PRESENCE, json.dumps(closing.presence)))
        connection.execute(NOT_OPEN, (window,))
        leaving.make_room(connection, self._limits.bytes)

    def give_up(self, window: str, cause: str, *, reports: int = 1) -> None:
        """A window will not be put in; raises nothing. What cannot be written now is counted with the next that can."""
        with FORKING.held():
            self._unrecorded.update({f"{counts.LOST}{cause}": reports, counts.CLOSED: reports})
            self._given_up.add(window)
            with suppress(Unavailable), self._writing():
                pass

    @contextmanager
    def _writing(self) -> Iterator[sqlite3.Connection]:
        """A transaction that also writes what could not be written before."""
        # Another thread must not write the same numbers before they are taken back here.
        with FORKING.held():
            unrecorded, given_up = dict(self._unrecorded), set(self._given_up)
            with self._file.writing() as connection:
                yield connection
                counts.add(connection, unrecorded)
                connection.executemany(NOT_OPEN, [(window,) for window in given_up])
            self._unrecorded.subtract(unrecorded)
            self._given_up -= given_up

    def sweep(self) -> int:
        """Count the windows of processes that have ended as lost; how many that were."""
        with self._writing() as connection:
            gone = list(self._orphaned(connection))
            connection.executemany(NOT_OPEN, [(window,) for window in gone])
            counts.add(connection, {f"{counts.LOST}killed": len(gone), counts.CLOSED: len(gone)})
        return len(gone)

    def _orphaned(self, connection: sqlite3.Connection) -> Iterator[str]:
        for window, start, process in connection.execute("SELECT window, window_start, process FROM open_windows"):
            gone = processes.is_gone(process)
            if gone or (gone is None and start < self._clock.now_ms() - MS_PER_DAY):
                yield window

    def due(
        self, tier: str | None, consents: frozenset[str], *, limit_bytes: int, limit_reports: int
    ) -> tuple[Waiting, ...]:
        """The oldest reports that may be sent to `tier` now.

        What rests on a consent that is not in `consents`, or is not what was put in, is given up on the way.
        """
        while True:
            found = self._oldest(tier, limit_reports)
            good = [one for one in found if isinstance(one, Waiting) and one.queued.purposes <= consents]
            if len(good) == len(found):
                return tuple(_within(good, limit_bytes))
            self._give_up_unfit(found, good)

    def _oldest(self, tier: str | None, limit: int) -> list[Waiting | int]:
        asked = {"tier": tier, "now": self._clock.now_ms(), "too_far": TOO_FAR_MS, "limit": limit}
        with self._file.reading() as connection:
            return list(read(connection.execute(OLDEST, asked)))

    def _give_up_unfit(self, found: Iterable[Waiting | int], good: Iterable[Waiting]) -> None:
        fit = {one.place for one in good}
        self.give_up_damaged([one for one in found if isinstance(one, int)])
        withdrawn = (one.place for one in found if isinstance(one, Waiting) and one.place not in fit)
        with self._writing() as connection:
            for place in withdrawn:
                leaving.give_up(connection, leaving.WITHDRAWN, "place = ?", place)

    def give_up_damaged(self, places: Iterable[int]) -> None:
        """These reports cannot be sent, whatever they were."""
        with self._writing() as connection:
            for place in places:
                leaving.give_up(connection, "damaged_row", "place = ?", place)

    def peek(self, tier: str | None, limit: int) -> list[Waiting]:
        """What would be sent next to `tier`, due or not, oldest first."""
        where = "WHERE tier IS NULL OR tier = ? ORDER BY window_start, size, place LIMIT ?"
        with self._file.reading() as connection:
            rows = read(connection.execute(f"{SELECT} {where}", (tier, limit)))
            return [row for row in rows if isinstance(row, Waiting)]

    def settle(self, batch: Sequence[Waiting], verdicts: Sequence[Verdict], *, uploaded: int) -> None:
        """What became of the reports of a batch, of which `uploaded` bytes were sent."""
        now = self._clock.now_ms()
        with self._writing() as connection:
            for one, verdict in zip(batch, verdicts, strict=True):
                leaving.settle(connection, one, verdict, now)
            counts.add(connection, {counts.UPLOADED: uploaded})

    def expire(self, horizon_days: int) -> None:
        """Give up what the gate would refuse for its age, or for a clock that was far ahead when it was made."""
        now = self._clock.now_ms()
        with self._writing() as connection:
            leaving.give_up(connection, "too_old", "window_start < ?", now - horizon_days * MS_PER_DAY)
            leaving.give_up(connection, "in_future", "window_end > ?", now + TOO_FAR_MS)

    def forget(self, purpose: str) -> None:
        """A consent was withdrawn: all that rests on it is deleted, and so are files that were set aside."""
        with self._writing() as connection:
            leaving.give_up(connection, leaving.WITHDRAWN, leaving.RESTS_ON, purpose)
        self._file.remove_damaged()

    def keep_only(self, consents: frozenset[str]) -> None:
        """`forget` every other purpose that something in the queue rests on, or in a file that was set aside."""
        with self._file.reading() as connection:
            resting = f"SELECT 1 FROM reports WHERE {leaving.RESTS_ON} LIMIT 1"  # noqa: S608  # no input in it
            others = [purpose for purpose in PURPOSES if purpose not in consents]
            found = [purpose for purpose in others if connection.execute(resting, (purpose,)).fetchone()]
        aside = [purpose for purpose in others if self._file.is_in_damaged(mark(purpose).encode())]
        for purpose in {*found, *aside}:
            self.forget(purpose)

    def discard_other_tiers(self, tier: str) -> None:
        """Give up what was made for another tier than this one."""
        with self._writing() as connection:
            leaving.give_up(connection, "tier_changed", "tier <> ?", tier)

    def empty(self) -> None:
        """Give up everything, at the wish of the owner."""
        with self._writing() as connection:
            leaving.give_up(connection, "emptied", "place > ?", -1)
        self._file.remove_damaged()

    def depth(self) -> Depth:
        """How much waits."""
        with self._file.reading() as connection:
            return Depth(*connection.execute(OVERALL).fetchone())

    def status(self) -> Status:
        """Everything that a person may want to know of the queue."""
        with self._file.reading() as connection:
            held = "SELECT held_for, count(*) FROM reports WHERE held_for IS NOT NULL GROUP BY held_for"
            return Status(
                depth=Depth(*connection.execute(OVERALL).fetchone()),
                held=dict(connection.execute(held)),
                open_windows=connection.execute("SELECT count(*) FROM open_windows").fetchone()[0],
                totals=counts.totals(connection),
                facts={name: _fact(connection, name) for name in (ANSWER,)},
            )

    def fact(self, name: str) -> Any:
        """A fact that was put down with `note`; None where there is none."""
        with self._file.reading() as connection:
            return _fact(connection, name)

    def note(self, name: str, value: Mapping[str, Any]) -> None:
        """Put down a fact for `status`: names, numbers and reasons, never a value of a report."""
        with self._writing() as connection:
            connection.execute(PUT_FACT, (name, json.dumps(dict(value))))

    def keep_policy(self, endpoint: str, document: bytes, etag: str | None) -> Policy:
        """Remember the policy of an endpoint; raises `BadPolicy`, and what was known before stays."""
        policy = Policy.from_document(document, etag=etag)
        self.note(POLICY, {"endpoint": endpoint, "etag": etag, "document": document.decode()})
        return policy

    def policy(self, endpoint: str) -> Policy | None:
        """The policy that the endpoint published when it was asked last; None where it is not known."""
        with self._file.reading() as connection:
            found = connection.execute("SELECT value FROM facts WHERE name = ?", (POLICY,)).fetchone()
        if found is None:
            return None
        # Not the fact itself, of which 100 KB would stay in memory.
        known = hash((found[0], endpoint))
        if self._policy is None or self._policy[0] != known:
            self._policy = (known, _policy(found[0], endpoint))
        return self._policy[1]


def _within(waiting: Sequence[Waiting], limit_bytes: int) -> Iterator[Waiting]:
    """The first of them that go into so many bytes, and one at least."""
    total = 0
    for number, one in enumerate(waiting):
        total += len(one.queued.message.content)
        if number and total > limit_bytes:
            return
        yield one


def _fact(connection: sqlite3.Connection, name: str) -> Any:
    """A fact that was put down; None where there is none, or it is damaged."""
    found = connection.execute("SELECT value FROM facts WHERE name = ?", (name,)).fetchone()
    try:
        value = json.loads(found[0]) if found else None
    except (ValueError, RecursionError):
        return None
    return value if isinstance(value, dict) else None


def _policy(fact: str, endpoint: str) -> Policy | None:
    try:
        found = json.loads(fact)
        if found["endpoint"] != endpoint:
            return None
        return Policy.from_document(found["document"].encode(), etag=found["etag"])
    except (BadPolicy, ValueError, KeyError, TypeError, AttributeError, RecursionError):
        return None
