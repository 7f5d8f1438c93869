"""The arrivals that the fleet replays: a real trace from a CSV file, or a seeded synthetic one of the same shape.

The real one is the conversation half of the Azure LLM inference trace 2023 (TIMESTAMP, ContextTokens, GeneratedTokens):
19,366 requests over 58 minutes, CC-BY 4.0, from P. Patel et al., "Splitwise: Efficient Generative LLM Inference Using
Phase Splitting", ISCA 2024. It is read from wherever its reader put it and is no part of this project; what is
here of it are quantiles.

A trace is moved by whole hours only, so what counts of a time is its place within its hour.
"""

import csv
import math
import re
from bisect import bisect_right
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from pathlib import Path
from random import Random
from typing import NamedTuple

MS_PER_HOUR = 3_600_000

COLUMNS = ("TIMESTAMP", "ContextTokens", "GeneratedTokens")
TIMESTAMP = re.compile(
    r"(?P<second>[0-9]{4}-[0-9]{2}-[0-9]{2} [0-9]{2}:[0-9]{2}:[0-9]{2})(?:\.(?P<fraction>[0-9]{1,9}))?"
)
MAX_TOKENS = 10_000_000
"""Ten times the largest context that any model reads; what is above is a mistake in the file."""

LONGEST_SHOWN = 40
"""Characters of a wrong cell that an error repeats."""

CSV_HINT = "it is the CSV with the columns TIMESTAMP,ContextTokens,GeneratedTokens"

SYNTHETIC_REQUESTS = 19_366
"""As many as in the real trace."""

CONTEXT_QUANTILES = (
    (0.0, 2), (0.01, 29), (0.05, 181), (0.1, 207), (0.25, 396), (0.5, 1020), (0.75, 1189), (0.9, 2735), (0.95, 4083),
    (0.99, 4142), (0.999, 6212), (1.0, 14_050),
)  # fmt: skip
GENERATED_QUANTILES = (
    (0.0, 7), (0.01, 16), (0.05, 41), (0.1, 54), (0.25, 85), (0.5, 129), (0.75, 395), (0.9, 424), (0.95, 451),
    (0.99, 601), (0.999, 954), (1.0, 1000),
)  # fmt: skip
"""(share, tokens) of the real trace, as above. The two columns are drawn apart: their logarithms correlate by 0.09."""

MINUTE_SPREAD = 0.22
"""Standard deviation of the logarithm of a minute's rate: in the real trace the count of requests in 10 s varies 3.9
times as much as a Poisson count of its mean (55) would, and 1 + 55 * 0.22^2 is about that."""

MINUTE_MEMORY = 0.9
"""Share of a minute's deviation that the next one keeps: the real rate drifts slowly (191 to 507 a minute)."""


class Request(NamedTuple):
    """One request of a trace: milliseconds since the epoch or since the trace's beginning, and its tokens."""

    time: int
    context: int
    generated: int


class TraceError(Exception):
    """A trace that cannot be used; the message names file and line, and what to do."""


def read_trace(file: Path) -> tuple[Request, ...]:
    """The requests of a CSV file in order of time; raises `TraceError`."""
    try:
        with file.open(encoding="utf-8-sig", newline="") as lines:
            found = tuple(_requests(file, csv.reader(lines, strict=True)))
    except OSError as error:
        raise TraceError(f"{file}: cannot be read ({error.strerror}); check --trace") from None
    except UnicodeDecodeError:
        raise TraceError(f"{file}: not UTF-8 text; {CSV_HINT}, not compressed") from None
    if not found:
        raise TraceError(f"{file}: holds no request below its header; take the whole file")
    return tuple(sorted(found))


def _requests(file: Path, rows: "Iterator[list[str]]") -> Iterator[Request]:
    number = 0
    try:
        for number, row in enumerate(rows, start=1):
            if number == 1:
                _require_header(file, row)
            elif row:
                yield _request(f"{file}, line {number}", row)
    except csv.Error as error:
        raise TraceError(f"{file}, line {number + 1}: no CSV ({error}); {CSV_HINT}") from None
    if number == 0:
        raise TraceError(f"{file}: is empty; {CSV_HINT}")


def _require_header(file: Path, row: Sequence[str]) -> None:
    if tuple(row) != COLUMNS:
        raise TraceError(f"{file}, line 1: the header is not {','.join(COLUMNS)}; take the file as it was published")


def _request(place: str, row: Sequence[str]) -> Request:
    if len(row) != len(COLUMNS):
        raise TraceError(f"{place}: {len(row)} columns where {len(COLUMNS)} belong; mend or delete the line")
    return Request(_milliseconds(place, row[0]), _tokens(place, COLUMNS[1], row[1]), _tokens(place, COLUMNS[2], row[2]))


def _milliseconds(place: str, text: str) -> int:
    parts = TIMESTAMP.fullmatch(text)
    try:
        if parts is None:
            raise ValueError
        second = datetime.fromisoformat(parts["second"]).replace(tzinfo=UTC)
    except ValueError:
        raise TraceError(
            f"{place}: TIMESTAMP {_shown(text)} is no time like 2023-11-16 18:15:46.6805900; mend or delete the line"
        ) from None
    return int(second.timestamp()) * 1000 + int((parts["fraction"] or "0").ljust(3, "0")[:3])


def _tokens(place: str, column: str, text: str) -> int:
    # ASCII digits only: int() takes signs, blanks, underscores and digits of any script.
    if not re.fullmatch("[0-9]{1,12}", text) or int(text) > MAX_TOKENS:
        raise TraceError(
            f"{place}: {column} {_shown(text)} is no whole number of 0 to {MAX_TOKENS:,}; mend or delete the line"
        )
    return int(text)


def _shown(text: str) -> str:
    return repr(text if len(text) <= LONGEST_SHOWN else text[:LONGEST_SHOWN] + "...")


def synthetic_trace(random: Random, *, requests: int = SYNTHETIC_REQUESTS) -> tuple[Request, ...]:
    """An hour of requests with the burstiness and the tokens of the real trace, in order of time."""
    return tuple(
        Request(time, _quantile(CONTEXT_QUANTILES, random.random()), _quantile(GENERATED_QUANTILES, random.random()))
        for time in _arrivals(random, requests)
    )


def _arrivals(random: Random, requests: int) -> list[int]:
    """Times in milliseconds: a Poisson process whose rate drifts from minute to minute."""
    rates, deviation = [], 0.0
    for _ in range(60):
        deviation = MINUTE_MEMORY * deviation + random.gauss(0, MINUTE_SPREAD * math.sqrt(1 - MINUTE_MEMORY**2))
        rates.append(math.exp(deviation))
    minutes = random.choices(range(60), rates, k=requests)
    return sorted(minute * 60_000 + random.randrange(60_000) for minute in minutes)


def _quantile(table: Sequence[tuple[float, int]], share: float) -> int:
    """The value at `share`, on a straight line between the logarithms of the table's values."""
    after = min(bisect_right(table, share, key=lambda point: point[0]), len(table) - 1)
    (low, at_low), (high, at_high) = table[after - 1], table[after]
    return round(at_low * math.pow(at_high / at_low, (share - low) / (high - low)))


def within_the_hour(requests: Sequence[Request]) -> tuple[Request, ...]:
    """The trace as one hour, in order: each time reduced to its place in its own hour."""
    return tuple(sorted(request._replace(time=request.time % MS_PER_HOUR) for request in requests))
