"""The devices' histograms: every border exact, whatever a logarithm would say."""

from fractions import Fraction

import pytest

from load.fleet.histogram import GREATEST_BUCKET, bucket, histogram

BORDERS = [
    pytest.param(1, -1, id="one is the upper border of the bucket below zero"),
    pytest.param(2, 7, id="two is a border"),
    pytest.param(3, 12, id="between borders"),
    pytest.param(1024, 79, id="a border further up"),
    pytest.param(1025, 80, id="just above it"),
    pytest.param(1 << 24, GREATEST_BUCKET, id="the last border"),
]


@pytest.mark.parametrize(("value", "expected"), BORDERS)
def test_borders_belong_below(value: int, expected: int) -> None:
    """A value on an upper border belongs to the bucket below the border."""
    assert bucket(value) == expected


def test_every_value_lies_in_its_bucket() -> None:
    """A value lies above the lower border of its bucket and not above the upper one, by exact arithmetic."""
    values = {1 << bits for bits in range(25)} | {(1 << bits) + 1 for bits in range(1, 24)} | set(range(1, 5000, 7))
    for value in values:
        eighth_power, index = Fraction(value) ** 8, bucket(value)
        assert Fraction(2) ** index < eighth_power <= Fraction(2) ** (index + 1)


def test_nothing_observed_is_none() -> None:
    """A histogram of nothing is null, and so is one of tasks that were not measured."""
    assert histogram([]) is None
    assert histogram([None, None]) is None


def test_counts_are_dense() -> None:
    """Counts run without gaps from the least bucket to the greatest; zero and what is beyond are counted apart."""
    made = histogram([0, 2, 2, 3, None, (1 << 24) + 1])
    assert made == {"zero_count": 1, "underflow": 0, "overflow": 1, "offset": 7, "counts": [2, 0, 0, 0, 0, 1]}


def test_only_beyond() -> None:
    """Where nothing lies in a bucket there are no counts."""
    assert histogram([0, 1 << 30]) == {"zero_count": 1, "underflow": 0, "overflow": 1, "offset": 0, "counts": []}
