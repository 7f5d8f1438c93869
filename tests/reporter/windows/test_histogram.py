"""Histograms as a device fills them: every border exact, whatever a logarithm would say."""

from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from reporter.windows.histogram import (
    BORDERS,
    FIRST,
    GREATEST_BUCKET,
    LEAST_BUCKET,
    OVERFLOW,
    UNDERFLOW,
    ZERO,
    Places,
    as_posted,
    joined,
    observe,
)
from tests.reporter.windows import reference_histogram


def filled(*values: float) -> Places:
    """The places of these values."""
    places: Places = {}
    for value in values:
        observe(places, value)
    return places


def place(value: float) -> int:
    """Where one value is counted."""
    [found] = filled(value)
    return found


PLACES = [
    pytest.param(0, ZERO, id="zero has a count of its own"),
    pytest.param(-3, ZERO, id="a negative time was never measured"),
    pytest.param(0.1, UNDERFLOW, id="below an eighth"),
    pytest.param(0.125, UNDERFLOW, id="an eighth is the upper border of the underflow"),
    pytest.param(0.126, FIRST, id="just above it"),
    pytest.param(1, FIRST - LEAST_BUCKET - 1, id="one is the upper border of the bucket below zero"),
    pytest.param(2, FIRST - LEAST_BUCKET + 7, id="two is a border"),
    pytest.param(1024, FIRST - LEAST_BUCKET + 79, id="a border further up"),
    pytest.param(1024.0000001, FIRST - LEAST_BUCKET + 80, id="just above a border"),
    pytest.param(1 << 24, FIRST - LEAST_BUCKET + GREATEST_BUCKET, id="the last border"),
    pytest.param((1 << 24) + 1, OVERFLOW, id="beyond the last border"),
    pytest.param(float("inf"), OVERFLOW, id="without end"),
]


@pytest.mark.parametrize(("value", "expected"), PLACES)
def test_values_find_their_place(value: float, expected: int) -> None:
    """A value on an upper border belongs below it, and what no bucket holds is counted apart."""
    assert place(value) == expected


@given(st.floats(min_value=2.0**-3, max_value=2.0**24, exclude_min=True) | st.sampled_from(BORDERS[2:]))
def test_every_value_lies_in_its_bucket(value: float) -> None:
    """A value lies above the lower border of its bucket and not above the upper one, by exact arithmetic."""
    eighth_power, index = Fraction(value) ** 8, place(value) - FIRST + LEAST_BUCKET
    assert Fraction(2) ** index < eighth_power <= Fraction(2) ** (index + 1)


@given(st.lists(st.integers(0, 1 << 30) | st.integers(0, 30)))
def test_it_is_the_histogram_of_the_reference(values: list[int]) -> None:
    """Whole numbers give what another way of making histograms gives."""
    assert as_posted(filled(*values)) == reference_histogram.histogram(values)


@given(st.lists(st.lists(st.floats(0, 1e9), max_size=9), max_size=5))
def test_joining_is_filling_one(parts: list[list[float]]) -> None:
    """Histograms joined are the histogram of all their values."""
    together = filled(*(value for part in parts for value in part))
    assert joined(filled(*part) for part in parts) == together


def test_counts_are_dense() -> None:
    """Counts run without gaps from the least bucket to the greatest; zero and both ends are counted apart."""
    made = as_posted(filled(0, 0.05, 2, 2, 3, 1 << 25))
    assert made == {"zero_count": 1, "underflow": 1, "overflow": 1, "offset": 7, "counts": [2, 0, 0, 0, 0, 1]}
