"""The arrivals: what is read of a trace's file, how a broken one is told, and the shape of the synthetic one."""

from collections import Counter
from pathlib import Path
from random import Random
from statistics import fmean, median, pvariance

import pytest

from load.fleet.trace import Request, TraceError, read_trace, synthetic_trace, within_the_hour

HEADER = "TIMESTAMP,ContextTokens,GeneratedTokens"
GOOD = "2023-11-16 18:15:46.6805900,374,44"
AT = 1_700_158_546_680


def file(folder: Path, content: str | bytes) -> Path:
    """A trace's file."""
    written = folder / "trace.csv"
    written.write_bytes(content if isinstance(content, bytes) else content.encode())
    return written


READ = [
    pytest.param(f"{HEADER}\n{GOOD}\n", [Request(AT, 374, 44)], id="seven decimals"),
    pytest.param(f"{HEADER}\r\n{GOOD}\r\n", [Request(AT, 374, 44)], id="lines that end as on Windows"),
    pytest.param(f"{HEADER}\n{GOOD}", [Request(AT, 374, 44)], id="last line without an end"),
    pytest.param(f"\ufeff{HEADER}\n{GOOD}\n", [Request(AT, 374, 44)], id="byte order mark"),
    pytest.param(f"{HEADER}\n2023-11-16 18:15:46,0,1\n\n", [Request(AT - 680, 0, 1)], id="whole second, blank line"),
    pytest.param(
        f"{HEADER}\n2023-11-16 18:15:46.7,1,1\n{GOOD}\n", [Request(AT, 374, 44), Request(AT + 20, 1, 1)], id="order"
    ),
]


@pytest.mark.parametrize(("content", "expected"), READ)
def test_trace_is_read(content: str, expected: list[Request], tmp_path: Path) -> None:
    """Requests are read in order of time, to the millisecond."""
    assert list(read_trace(file(tmp_path, content))) == expected


BAD = [
    pytest.param("", "trace.csv: is empty", id="empty"),
    pytest.param(f"{HEADER}\n", "holds no request", id="header alone"),
    pytest.param(f"{GOOD}\n", "line 1: the header is not", id="no header"),
    pytest.param("TIMESTAMP,TokensIn,TokensOut\n", "line 1: the header is not", id="another header"),
    pytest.param(f"{HEADER}\n{GOOD}\n2023-11-16 18:15:47,12\n", "line 3: 2 columns", id="column missing"),
    pytest.param(f"{HEADER}\n16.11.2023 18:15,1,1\n", "line 2: TIMESTAMP '16.11.2023 18:15'", id="another time"),
    pytest.param(f"{HEADER}\n2023-02-30 18:15:46,1,1\n", "line 2: TIMESTAMP", id="no such day"),
    pytest.param(f"{HEADER}\n2023-11-16 18:15:46,-1,1\n", "line 2: ContextTokens '-1'", id="negative"),
    pytest.param(f"{HEADER}\n2023-11-16 18:15:46,1,1.5\n", "line 2: GeneratedTokens '1.5'", id="a part of a token"),
    pytest.param(f"{HEADER}\n2023-11-16 18:15:46,1,1_0\n", "line 2: GeneratedTokens", id="what only Python reads"),
    pytest.param(f"{HEADER}\n2023-11-16 18:15:46,99999999,1\n", "10,000,000", id="more than any model reads"),
    pytest.param(f'{HEADER}\n"{GOOD}\n', "no CSV", id="open quote"),
    pytest.param(b"\x1f\x8b\x08\x00\xff\xff", "not UTF-8", id="compressed"),
    pytest.param(f"{HEADER}\n{'x' * 500},1,1\n", "...'", id="long nonsense is not repeated whole"),
]


@pytest.mark.parametrize(("content", "said"), BAD)
def test_bad_trace_is_told(content: str | bytes, said: str, tmp_path: Path) -> None:
    """What is wrong with a trace is said with its file, its line, and what to do, in less than three lines."""
    with pytest.raises(TraceError) as error:
        read_trace(file(tmp_path, content))
    assert said in str(error.value)
    assert "trace.csv" in str(error.value)
    assert len(str(error.value)) < 100 + len(str(tmp_path)) + 160


def test_missing_trace_is_told(tmp_path: Path) -> None:
    """A trace that is not there is said with its name."""
    with pytest.raises(TraceError, match=r"nowhere\.csv: cannot be read"):
        read_trace(tmp_path / "nowhere.csv")


def test_synthetic_trace_has_the_shape_of_the_real_one() -> None:
    """Tokens have the quantiles of the real trace, and arrivals are burstier than a Poisson process, as there."""
    trace = synthetic_trace(Random(3))
    assert len(trace) == 19_366
    assert [request.time for request in trace] == sorted(request.time for request in trace)
    assert median(request.context for request in trace) == pytest.approx(1020, rel=0.03)
    assert sorted(request.context for request in trace)[round(0.9 * len(trace))] == pytest.approx(2735, rel=0.05)
    assert median(request.generated for request in trace) == pytest.approx(129, rel=0.05)
    assert max(request.generated for request in trace) <= 1000
    per_ten_seconds = Counter(request.time // 10_000 for request in trace)
    counts = [per_ten_seconds[slot] for slot in range(360)]
    assert 2 < pvariance(counts) / fmean(counts) < 8


def test_trace_is_moved_by_whole_hours() -> None:
    """What is kept of a time is its place within its hour, and the order is that of the hour."""
    hour = 3_600_000
    trace = [Request(5 * hour + 10, 1, 1), Request(5 * hour + 30, 2, 2), Request(6 * hour + 20, 3, 3)]
    assert [request.time for request in within_the_hour(trace)] == [10, 20, 30]
