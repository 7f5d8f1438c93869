"""The range of a question: from its two times to whole hours, or whole days where it is read by day.

Rules held here:

* times are UTC and naive, as DuckDB stores them; a range takes in its beginning and not its end;
* a range is widened to whole hours (days), never narrowed, because the published cells are no finer; the answer says
  which range it is about;
* nothing here repeats what was sent: a time that cannot be read is refused in words of our own.
"""

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import NamedTuple

from aggregators.answering.problems import Refusal, Refused
from aggregators.publication.measure import Grain
from aggregators.times import EPOCH

HOUR = timedelta(hours=1)
DAY = timedelta(days=1)
LENGTH: dict[Grain, timedelta] = {"hour": HOUR, "day": DAY}

DEFAULT_DAYS = 3
MAX_DAYS = 400
"""As long as the tiers that ship keep anything (`retention_days`)."""

FIRST_YEAR, LAST_YEAR = 2000, 2099
"""Years far from where datetime ends, so that a span before or after one of these is a time as well."""

LONGEST_TEXT = 40


@dataclass(frozen=True, slots=True)
class Span:
    """From `start` up to, and without, `end`: naive UTC, whole hours, at most `MAX_DAYS` apart. Raises `Refused`."""

    start: datetime
    end: datetime

    def __post_init__(self) -> None:
        if not self.start < self.end <= self.start + timedelta(days=MAX_DAYS):
            raise Refused(Refusal.BAD_RANGE, detail="from is a time before to; to itself is not in the range")

    @property
    def previous(self) -> "Span":
        """The span of the same length just before."""
        return Span(self.start - (self.end - self.start), self.start)


class Asked(NamedTuple):
    """A span, and whether it is wider than what was asked."""

    span: Span
    widened: bool


def asked_span(
    start: datetime | None, end: datetime | None, *, unit: Grain, now: datetime, last: Span | None = None
) -> Asked:
    """The span from `start` to `end` in whole units; what is not given is that of `last`, else the last three days."""
    until = end if end is not None else last.end if last is not None else ceiling(now, unit)
    since = start if start is not None else last.start if last is not None else until - DEFAULT_DAYS * DAY
    span = Span(floor(since, unit), ceiling(until, unit))
    return Asked(span, widened=(start or span.start, end or span.end) != (span.start, span.end))


def parse_time(text: str) -> datetime:
    """A date (its beginning) or a time in ISO 8601; UTC where no offset is given. Raises `Refused`."""
    try:
        time = datetime.fromisoformat(text) if len(text) <= LONGEST_TEXT else None
        if time is not None and time.tzinfo is not None:
            time = time.astimezone(UTC).replace(tzinfo=None)
    except (ValueError, OverflowError):  # their texts repeat what was sent
        time = None
    if time is None or not FIRST_YEAR <= time.year <= LAST_YEAR:
        raise Refused(Refusal.BAD_TIME, detail="write 2026-11-20, or 2026-11-20T08:00Z; a + in a URL is written %2B")
    return time


def floor(time: datetime, unit: Grain) -> datetime:
    """The beginning of the hour or day that `time` is in."""
    return EPOCH + (time - EPOCH) // LENGTH[unit] * LENGTH[unit]


def ceiling(time: datetime, unit: Grain) -> datetime:
    """The end of the hour or day that `time` is in; a border stays where it is."""
    return -((EPOCH - time) // LENGTH[unit]) * LENGTH[unit] + EPOCH


def iso(time: datetime) -> str:
    """A time as answers show it: `2026-11-20T08:00:00Z`."""
    return time.strftime("%Y-%m-%dT%H:%M:%SZ")
