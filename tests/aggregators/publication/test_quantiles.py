"""Percentiles read from histograms are within the stated error of those of a plain sorted list."""

import math
from collections import Counter
from collections.abc import Iterable, Iterator

import duckdb
import pytest
from hypothesis import given
from hypothesis import strategies as st

from aggregators.publication.cubes import prepare
from tests.aggregators.hand_made import fresh_rollups

SCALE = 8
ZERO, UNDERFLOW, OVERFLOW = -1000, -999, 1000
LEAST, GREATEST = 2.0**-3, 2.0**24

TOO_GREAT = 2 ** (1 / 16) - 1
TOO_SMALL = 1 - 2 ** (-1 / 16)


@pytest.fixture(name="connection", scope="module")
def _connection() -> Iterator[duckdb.DuckDBPyConnection]:
    with fresh_rollups() as connection:
        prepare(connection)
        yield connection


def bucket_of(value: float) -> int:
    """The bucket of a value, as docs/reports.md says it: i counts values above 2^(i/8) and up to 2^((i+1)/8)."""
    if value == 0:
        return ZERO
    if value <= LEAST:
        return UNDERFLOW
    if value > GREATEST:
        return OVERFLOW
    index = math.ceil(math.log2(value) * SCALE) - 1
    while value <= 2 ** (index / SCALE):
        index -= 1
    while value > 2 ** ((index + 1) / SCALE):
        index += 1
    return index


def nearest_rank(values: Iterable[float], percent: int) -> float:
    """The least value that at least `percent` of a hundred do not exceed."""
    ordered = sorted(values)
    return ordered[-(-len(ordered) * percent // 100) - 1]


def reading(connection: duckdb.DuckDBPyConnection, histogram: dict[int, int], percent: int) -> float | None:
    """What the macro reads; the map is built in an order of its own on purpose."""
    buckets = sorted(histogram, key=lambda bucket: (bucket % 7, bucket))
    row = connection.execute(
        "SELECT percentile(MAP($buckets::SMALLINT[], $counts::BIGINT[]), $percent)",
        {"buckets": buckets, "counts": [histogram[bucket] for bucket in buckets], "percent": percent},
    ).fetchone()
    assert row is not None
    return None if row[0] is None else float(row[0])


def test_the_stated_error_is_that_of_the_middle_of_a_bucket() -> None:
    """The middle of a bucket lies at most 4.5 % above and 4.3 % below whatever the bucket counts."""
    assert 0.044 < TOO_GREAT < 0.045
    assert 0.042 < TOO_SMALL < 0.043


@given(
    values=st.lists(
        st.one_of(st.floats(0, 4 * GREATEST), st.floats(0, 300), st.integers(0, 20).map(float)), min_size=1, max_size=60
    ),
    percent=st.sampled_from((1, 50, 95, 99, 100)),
)
def test_percentile_is_that_of_the_sorted_list(
    connection: duckdb.DuckDBPyConnection, values: list[float], percent: int
) -> None:
    """The reading is within the stated error of the nearest rank, or says that it is beyond the buckets."""
    found = reading(connection, Counter(map(bucket_of, values)), percent)
    true = nearest_rank(values, percent)
    if true == 0:
        assert found == 0
    elif true <= LEAST:
        assert found == LEAST
    elif true > GREATEST:
        assert found is None
    else:
        assert found is not None
        assert -TOO_SMALL - 1e-12 <= found / true - 1 <= TOO_GREAT + 1e-12


@pytest.mark.parametrize(
    ("histogram", "percent", "bucket"),
    [
        pytest.param({}, 50, None, id="nothing was observed"),
        pytest.param({4: 1}, 50, 4, id="the only one is every percentile"),
        pytest.param({4: 1, 9: 1}, 50, 4, id="the lower of two is the middle"),
        pytest.param({4: 95, 9: 5}, 95, 4, id="95 of 100 are the 95th"),
        pytest.param({4: 94, 9: 6}, 95, 9, id="94 of 100 are not"),
        pytest.param({-24: 1, -1000: 1}, 50, -1000, id="zero comes before everything"),
        pytest.param({-24: 1, -999: 1}, 50, -999, id="what is too small comes before the first bucket"),
        pytest.param({191: 1, 1000: 1}, 100, 1000, id="what is too great comes last"),
        pytest.param({0: 2**62, 1: 2**62}, 99, 1, id="counts that would not fit when multiplied"),
    ],
)
def test_rank_falls_into_the_bucket(
    connection: duckdb.DuckDBPyConnection, histogram: dict[int, int], percent: int, bucket: int | None
) -> None:
    """The nearest rank is counted without fractions, in the order of what the buckets stand for."""
    found = reading(connection, histogram, percent)
    row = connection.execute("SELECT bucket_reading($bucket::SMALLINT)", {"bucket": bucket}).fetchone()
    assert row == (found,)


def test_only_the_overflow_is_past_the_range(connection: duckdb.DuckDBPyConnection) -> None:
    """A percentile in the overflow is named with the bound that it exceeds, any other is not."""
    sql = "SELECT past_range('p50', MAP {3: 2, 1000: 1}, 50), past_range('p99', MAP {3: 2, 1000: 1}, 99)"
    assert connection.execute(sql).fetchone() == (None, "p99 > 16777216")
