"""What is a mismatch and what is not."""

from typing import Any

import pytest

from load.fleet.findings import MOST_TEXTS, AtMost, Findings, Percentile, admits

TEN = tuple(range(10, 110, 10))


@pytest.mark.parametrize(
    ("percent", "rank"),
    [(50, 50), (95, 100), (99, 100), (10, 10), (11, 20)],
)
def test_percentiles_are_nearest_ranks(percent: int, rank: int) -> None:
    """Of ten observations the 50th percentile is the fifth, and the 95th the tenth."""
    assert Percentile(TEN, percent).nearest_rank == rank


@pytest.mark.parametrize(
    ("expected", "got", "is_admitted"),
    [
        pytest.param(3, 3, True, id="the same number"),
        pytest.param(3, 4, False, id="another number"),
        pytest.param(3, 3.0, False, id="a whole number is not a fraction"),
        pytest.param(0, False, False, id="a number is not a flag"),
        pytest.param(None, None, True, id="nothing"),
        pytest.param(None, 0, False, id="nothing is not zero"),
        pytest.param(1 / 3, 0.333333333333, True, id="a fraction, as near as it can be told"),
        pytest.param(1 / 3, 0.33333, False, id="a fraction that is not near"),
        pytest.param(0.5, None, False, id="no fraction"),
        pytest.param(Percentile((1000,), 50), 1044.0, True, id="within the error of the histogram"),
        pytest.param(Percentile((1000,), 50), 1046.0, False, id="above the error"),
        pytest.param(Percentile((1000,), 50), 954.0, False, id="below the error"),
        pytest.param(Percentile((0,), 50), 0.0, True, id="zero is exact"),
        pytest.param(Percentile((0,), 50), 0.001, False, id="zero is nothing else"),
        pytest.param(Percentile((), 50), None, True, id="no observations"),
        pytest.param(Percentile((1000,), 50), None, False, id="a percentile that is missing"),
        pytest.param(Percentile((2**24 + 1,), 50), None, True, id="beyond the greatest bucket"),
        pytest.param(Percentile((2**24 + 1,), 50), 2.0**24, False, id="a number for what is beyond"),
        pytest.param(AtMost(3), 3, True, id="at most three"),
        pytest.param(AtMost(3), 4, False, id="more than three"),
        pytest.param(AtMost(3), -1, False, id="less than nothing"),
    ],
)
def test_what_an_answer_may_read(expected: Any, got: Any, is_admitted: bool) -> None:
    """Counts are exact, quotients to nine digits, percentiles within the histogram's error."""
    assert admits(expected, got) is is_admitted


def test_each_kind_of_mismatch_is_told_with_its_cell() -> None:
    """A wrong value, a missing cell, a cell too many and a missing column each make one text."""
    findings = Findings()
    expected = {(0, "managed"): {"tasks": 1}, (1, "managed"): {"tasks": 1}, (2, "managed"): {"tasks": 1}}
    got = {(0, "managed"): {"tasks": 2}, (2, "managed"): {}, (3, "managed"): {"tasks": 1}}
    findings.rows("R1", "[route] hour", expected, got)
    assert findings.mismatches(["R1"]) == [
        "R1 [route] hour (0, managed): tasks is 2, expected 1",
        "R1 [route] hour (1, managed): missing",
        "R1 [route] hour (2, managed): no tasks",
        "R1 [route] hour (3, managed): should not be there",
    ]


def test_a_comparison_of_nothing_is_a_mismatch() -> None:
    """A measure of which no cell was compared is told."""
    findings = Findings()
    findings.rows("R1", "[route] hour", {(0, "managed"): {"tasks": 1}}, {(0, "managed"): {"tasks": 1}})
    findings.rows("R2", "[] hour", {}, {})
    assert findings.mismatches(["R1", "R2"]) == ["R2: nothing was compared"]


def test_very_many_mismatches_are_counted() -> None:
    """Texts beyond the first ones are a number."""
    findings = Findings()
    findings.rows("R1", "[] hour", {place: {"tasks": 1} for place in range(MOST_TEXTS + 7)}, {})
    told = findings.mismatches(["R1"])
    assert (len(told), told[-1]) == (MOST_TEXTS + 1, "and 7 more")
