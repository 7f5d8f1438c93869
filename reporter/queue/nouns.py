"""The nouns of the queue."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from reporter.messages import Message
from reporter.strip import TakenOff

MS_PER_DAY = 86_400_000


@dataclass(frozen=True, slots=True)
class Limits:
    """How much may wait: `bytes` of the file, about; and how many files that were damaged are kept beside it."""

    bytes: int = 16 << 20
    damaged_files: int = 2


@dataclass(frozen=True, slots=True)
class Queued:
    """A stripped report as it waits. Times are milliseconds since the epoch, UTC.

    `tier` is None for one that was made while no policy was known; it may go to any tier. `purposes` are the consents
    it rests on. It must not be sent before `not_before_ms`: a window that was coarsened to whole hours ends later.
    """

    report_id: bytes
    report: str
    tier: str | None
    policy_version: int | None
    purposes: frozenset[str]
    window_start: int
    window_end: int
    not_before_ms: int
    message: Message = field(repr=False)
    taken_off: tuple[TakenOff, ...] = ()


@dataclass(frozen=True, slots=True)
class Waiting:
    """A report in the queue and its place there."""

    place: int
    queued: Queued


@dataclass(frozen=True, slots=True)
class Accepted:
    """The gate has it."""


@dataclass(frozen=True, slots=True)
class Discarded:
    """The gate will never take it; `reason` is the gate's own."""

    reason: str


@dataclass(frozen=True, slots=True)
class Held:
    """Not now: it waits for `seconds`, and those behind it do not wait for it."""

    reason: str
    seconds: float


@dataclass(frozen=True, slots=True)
class SetAside:
    """Not now, as far as can be told for its own sake: it waits for a part of its age, so ever longer."""

    reason: str


@dataclass(frozen=True, slots=True)
class Untouched:
    """Nothing is known of it: the request as a whole came to nothing."""


Verdict = Accepted | Discarded | Held | SetAside | Untouched
"""What became of one report of a batch."""


@dataclass(frozen=True, slots=True)
class Untold:
    """What the next trace_window has to tell, in reports unless it says otherwise.

    `lost` is None where a damaged file hid how many. `delays` are places of `reporter.windows.histogram`, of seconds.
    """

    closed: int = 0
    lost: int | None = 0
    bytes_uploaded: int = 0
    uploads_delayed: int = 0
    delays: Mapping[int, int] = field(default_factory=dict)
    by_name: Mapping[str, int] = field(default_factory=dict, repr=False)


@dataclass(frozen=True, slots=True)
class Depth:
    """What waits: how many reports, their bytes, and the start of the oldest window."""

    reports: int
    bytes: int
    oldest_ms: int | None


@dataclass(frozen=True, slots=True)
class Status:
    """For `tidegate agent status`: every number by its name, the last answer and the policy in words of the queue."""

    depth: Depth
    held: Mapping[str, int]
    open_windows: int
    totals: Mapping[str, int]
    facts: Mapping[str, Any]
