"""A report as a row of the queue's file, and back: with a checksum, since nothing else would notice a changed byte."""

import json
import sqlite3
import zlib
from collections.abc import Iterator
from typing import Any

from reporter.messages import Message
from reporter.queue.nouns import Queued, Waiting
from reporter.reports import FINGERPRINTS, PURPOSES
from reporter.strip import TakenOff

ROW_BYTES = 192
"""What a row needs beside its message and its list of what was taken off: measured, about 160 with its two indices."""

COLUMNS = (
    "report_id, report, tier, policy_version, purposes, window_start, window_end, not_before_ms, taken_off,"
    " identifiers_at, message"
)
INSERT = f"""
INSERT OR IGNORE INTO reports ({COLUMNS}, size, checksum, tells) VALUES ({", ".join("?" * 14)})
"""  # noqa: S608  # names of columns, as above
SELECT = f"SELECT place, {COLUMNS}, checksum FROM reports"  # noqa: S608  # as above


def insert(connection: sqlite3.Connection, queued: Queued, tells: str | None) -> int:
    """Put a report in; how many that were: none where the same report is there already."""
    message, taken_off = queued.message, json.dumps(queued.taken_off)
    columns = (
        queued.report_id,
        queued.report,
        queued.tier,
        queued.policy_version,
        _purposes(queued.purposes),
        queued.window_start,
        queued.window_end,
        queued.not_before_ms,
        taken_off,
        message.identifiers_at,
        message.content,
    )
    size = len(message.content) + len(taken_off) + ROW_BYTES
    return connection.execute(INSERT, (*columns, size, _checksum(columns), tells)).rowcount


def read(found: sqlite3.Cursor) -> Iterator[Waiting | int]:
    """The rows of a `SELECT`; of one that is not what was put in, only its place."""
    for place, *columns, checksum in found:
        yield Waiting(place, _queued(columns)) if checksum == _checksum(tuple(columns)) else place


def _queued(columns: list[Any]) -> Queued:
    report_id, report, tier, version, purposes, start, end, not_before, taken_off, at, message = columns
    return Queued(
        report_id=report_id,
        report=report,
        tier=tier,
        policy_version=version,
        purposes=frozenset(purpose for purpose in PURPOSES if mark(purpose) in purposes),
        window_start=start,
        window_end=end,
        not_before_ms=not_before,
        message=Message(message, at),
        taken_off=tuple(TakenOff(*entry) for entry in json.loads(taken_off)),
    )


def _purposes(purposes: frozenset[str]) -> str:
    return "".join(mark(purpose) for purpose in sorted(purposes))


def mark(purpose: str) -> str:
    """How a row says that it rests on a purpose."""
    return f"<{purpose}>"


def _checksum(columns: tuple[Any, ...]) -> int | None:
    """Of all but the time before which it must not be sent, which changes; None for what was never put in."""
    *before, message = columns
    if not isinstance(message, bytes) or before[1] not in FINGERPRINTS:
        return None
    return zlib.crc32(repr([*before[:7], *before[8:]]).encode(), zlib.crc32(message))
