"""The nouns of the gate, once: what a device's bytes become on their way into the log.

    bytes --decode--> Report --strip--> StrippedReport --record--> Entry --append--> Position

Each is frozen. What crosses from HTTP into these types has no place for an address, a header or a token, so none can be
stored by mistake. `StrippedReport` is built by `ingest.strip` alone and `Entry` by `ingest.records` alone; the log
takes nothing but entries. `tests/test_architecture.py` holds both.
"""

from dataclasses import dataclass
from typing import NamedTuple

from schemas.plan import Action, Plan
from schemas.report_schema import ReportSchema


@dataclass(frozen=True, slots=True)
class Report:
    """A message whose schema is known and whose preamble was read; the rest of `message` has not been looked at yet.

    `window_start` and `window_end` are milliseconds since the epoch, UTC; `consents` the purposes whose flag is set.
    """

    schema: ReportSchema
    report_id: bytes
    window_start: int
    window_end: int
    consents: frozenset[str]
    region: str | None
    message: bytes


class Remark(NamedTuple):
    """What was not kept: the field's id in its report schema, the action, and how many values met it. Never a value."""

    field: int
    action: Action
    values: int


@dataclass(frozen=True, slots=True)
class StrippedReport:
    """What the tier's policy lets through: `body` is Avro under `plan.output`, remarks included."""

    plan: Plan
    report_id: bytes
    body: bytes
    remarks: tuple[Remark, ...]


class Partition(NamedTuple):
    """One ordered part of a topic."""

    topic: str
    number: int


class Extent(NamedTuple):
    """What a partition holds: every offset with `first <= offset < end`; the next entry gets `end` or a later one."""

    first: int
    end: int


class Position(NamedTuple):
    """Where the log put an entry."""

    partition: Partition
    offset: int


@dataclass(frozen=True, slots=True)
class Entry:
    """One record for the log: `value` is Avro, framed (`schemas.framing`); times are milliseconds since the epoch, UTC.

    Everything here leaves the gate, so everything here comes from a stripped report and the tier's allow-list.
    """

    topic: str
    key: bytes
    value: bytes
    timestamp: int
    headers: tuple[tuple[str, bytes], ...] = ()


class StoredEntry(NamedTuple):
    """An entry as read back from a partition of the log."""

    offset: int
    entry: Entry
