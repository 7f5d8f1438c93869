"""Which reports were counted already.

A report is known by the hour of its window, its topic and its id: the first of a kind counts, every further one is a
duplicate, whatever it says. Ids are kept as 64 bits of a keyed hash. Among the reports of one hour, the only ones that
an id is compared with, two different ones share a hash once in 37 million hours of a million reports each.

The hour is part of it so that only the hours of a batch need be looked at. A retry repeats the report, window and all;
an id that a device uses again in another hour is another report to us, in whatever order the two arrive.
"""

from collections.abc import Sequence
from hashlib import blake2b

from duckdb import DuckDBPyConnection

from aggregators.database import statements
from aggregators.rollups.arrow import NUMBER, TIME, UNSIGNED, Columns
from aggregators.rollups.relations import relation
from aggregators.rollups.stripped import StrippedRecord
from aggregators.times import naive_utc

KEY_BYTES = 32

Identity = tuple[int, int]
"""Hour of the window in milliseconds, hash of topic and id."""

COLUMNS: Columns = {"ordinal": NUMBER, "hour": TIME, "id": UNSIGNED}
(PROBE,) = statements("load/seen")


def identities(records: Sequence[StrippedRecord], *, key: bytes) -> list[Identity]:
    """What each record is known by."""
    return [(record.hour, _hash(record, key)) for record in records]


def _hash(record: StrippedRecord, key: bytes) -> int:
    # A topic's name has no zero byte, so no two pairs of topic and id run together to the same bytes.
    named = f"{record.topic.tier}.{record.topic.label}\0".encode() + record.report_id
    return int.from_bytes(blake2b(named, digest_size=8, key=key).digest(), "little")


def duplicates(connection: DuckDBPyConnection, identities: Sequence[Identity]) -> list[bool]:
    """Whether each was counted before: in an earlier batch, or as an earlier one of these."""
    if not identities:
        return []
    counted = _counted(connection, identities)
    met: set[Identity] = set()
    answers = []
    for ordinal, identity in enumerate(identities):
        answers.append(ordinal in counted or identity in met)
        met.add(identity)
    return answers


def _counted(connection: DuckDBPyConnection, identities: Sequence[Identity]) -> set[int]:
    hours = [hour for hour, _ in identities]
    rows = ({"ordinal": ordinal, "hour": hour, "id": id_} for ordinal, (hour, id_) in enumerate(identities))
    with relation(connection, "arrivals", COLUMNS, rows):
        found = connection.execute(PROBE, {"first": naive_utc(min(hours)), "last": naive_utc(max(hours))})
        return {ordinal for (ordinal,) in found.fetchall()}
