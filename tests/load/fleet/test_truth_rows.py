"""The truth of rows: folding, rounding, what tiers take away, and how many devices are proven."""

from typing import Any

import pytest

from load.fleet.truth_cells import Flags, Row, Window, devices
from load.fleet.truth_windows import round_to_two
from tests.load.fleet.hand_made import DAY, HOUR, MIDNIGHT, MINUTE, NINE, cube, device, fleet, proven, task, values


@pytest.mark.parametrize(
    ("number", "rounded"),
    [(0, 0), (9, 9), (99, 99), (104, 100), (105, 110), (994, 990), (995, 1000), (12_499, 12_000), (12_500, 13_000)],
)
def test_numbers_have_two_digits(number: int, rounded: int) -> None:
    """Whole numbers are rounded to two significant digits, halves up."""
    assert round_to_two(number) == rounded


def test_small_rows_fold_together_within_a_window() -> None:
    """A byod device folds rows of fewer than three tasks into one that reads other, in each window by itself."""
    tasks = [
        *(task(0, NINE + second) for second in (1, 2, 3)),
        task(0, NINE + 4, planned_route="edge"),
        task(0, NINE + 5, planned_route="edge", data_class="public"),
        *(task(0, NINE + 5 * MINUTE, planned_route="edge") for _ in range(3)),
    ]
    found = cube(fleet([device(0, "byod")], tasks), "R1", "route")
    assert values(found) == {
        (NINE, "byod", "on_device"): {"tasks": 3},
        (NINE, "byod", "other"): {"tasks": 2},
        (NINE, "byod", "edge"): {"tasks": 3},
    }


def test_a_managed_device_folds_nothing() -> None:
    """A single task is a row of its own where the tier asks for one task a row."""
    found = cube(fleet([device(0)], [task(0, planned_route="edge")]), "R1", "route")
    assert values(found) == {(NINE, "managed", "edge"): {"tasks": 1}}


def test_a_contractors_numbers_are_the_lower_ends_of_buckets() -> None:
    """Tokens of each row are added up, rounded, and then told as the lower end of their bucket."""
    tasks = [task(0, planned_route="managed_cloud", tokens_in=99, tokens_out=199) for _ in range(5)]
    found = cube(fleet([device(0, "contractor")], tasks), "R5", "route")
    # 495 is rounded to 500, which begins a bucket; 995 to 1000, which does as well.
    assert values(found)[NINE, "contractor", "managed_cloud"] == {
        "tasks": 5,
        "tokens_in": 500,
        "tokens_out": 1000,
        "cost": 500 * 2_500_000 + 1000 * 10_000_000,
        "unpriced_tasks": 0,
    }


def test_a_contractors_window_is_the_whole_hour() -> None:
    """Five tasks spread over the hour make one row of five, which is not folded."""
    tasks = [task(0, NINE + place * 10 * MINUTE) for place in range(5)]
    found = cube(fleet([device(0, "contractor")], tasks), "R1", "route")
    assert values(found) == {(NINE, "contractor", "on_device"): {"tasks": 5}}


@pytest.mark.parametrize(
    ("said", "reads"),
    [
        pytest.param({}, "small-chat", id="named in the manifest"),
        pytest.param({"model": "private-tune"}, "other", id="not named in the manifest"),
        pytest.param({"model": None, "model_version": None}, "none", id="no model ran"),
    ],
)
def test_models_read_as_the_manifest_names_them(said: dict[str, Any], reads: str) -> None:
    """A model that the manifest does not name reads other, and where none ran it reads none."""
    found = cube(fleet([device(0)], [task(0, **said)]), "R5", "model")
    assert list(found) == [(NINE, "managed", reads)]


def test_a_region_that_the_manifest_does_not_name_reads_other() -> None:
    """The header's names are held against the manifest as well."""
    found = cube(fleet([device(0, region="west")], [task(0)]), "R1", "route", "region")
    assert list(found) == [(NINE, "managed", "on_device", "other")]


def test_pseudonyms_prove_devices() -> None:
    """Managed devices are counted one by one, however different their rows are."""
    tasks = [task(0, data_class="public"), task(1), task(1, NINE + 10 * MINUTE), task(2, planned_route="edge")]
    found = cube(fleet([device(0), device(1), device(2)], tasks), "R1", "route")
    assert proven(found) == {(NINE, "managed", "on_device"): 2, (NINE, "managed", "edge"): 1}


def test_flags_prove_the_devices_of_one_combination() -> None:
    """Without pseudonyms the combination with most devices counts, not the sum over combinations."""
    tasks = [
        *(task(0, NINE + 1) for _ in range(3)),
        *(task(1, NINE + 20 * MINUTE) for _ in range(3)),
        *(task(1, NINE + 30 * MINUTE) for _ in range(3)),
        *(task(2, NINE + 2, data_class="public") for _ in range(3)),
    ]
    devices = [device(index, "byod") for index in range(3)]
    assert proven(cube(fleet(devices, tasks), "R1", "route")) == {(NINE, "byod", "on_device"): 2}


@pytest.mark.parametrize(
    ("version", "count"),
    [
        pytest.param("3.2.1", 2, id="as it is kept: the row's flag counts in a report that is not the first"),
        pytest.param("3.2.1.9", 1, id="shortened by the gate: only the flags of first reports count"),
    ],
)
def test_an_altered_combination_is_proven_by_first_reports_alone(version: str, count: int) -> None:
    """Two combinations may have become one, so their flags could count a device twice and prove nothing."""
    tasks = [
        *(task(0, NINE + 1, policy_version=version) for _ in range(3)),
        *(task(1, NINE + 1, planned_route="edge", policy_version=version) for _ in range(3)),
        *(task(1, NINE + 10 * MINUTE, policy_version=version) for _ in range(3)),
    ]
    found = cube(fleet([device(0, "byod"), device(1, "byod")], tasks), "R1", "route")
    assert proven(found) == {(NINE, "byod", "on_device"): count, (NINE, "byod", "edge"): 1}


@pytest.mark.parametrize(
    ("attributes", "count"),
    [pytest.param((), 2, id="none"), pytest.param((("asset", "blue"),), 1, id="a name that the agent made up")],
)
def test_names_that_an_agent_made_up_leave_first_reports_alone(
    attributes: tuple[tuple[str, str], ...], count: int
) -> None:
    """The device may tell its rows apart by what the gate does not know, so their flags prove nothing in any array."""
    tasks = [
        *(task(0, NINE + 1, planned_route="edge", actual_route="on_device") for _ in range(3)),
        *(task(1, NINE + 1, actual_route="edge") for _ in range(3)),
        *(task(1, NINE + 10 * MINUTE, planned_route="edge", actual_route="on_device") for _ in range(3)),
    ]
    of = fleet([device(index, "byod", attributes=attributes) for index in range(2)], tasks)
    assert proven(cube(of, "R1", "route"))[NINE, "byod", "on_device"] == count
    assert proven(cube(of, "F1", "planned_route"))[NINE, "byod", "edge"] == count


def test_a_report_proves_one_device_however_often_it_flags() -> None:
    """Rows of one report that are one combination count once, although each carries the flag; reports count apart."""
    always, never = Flags(hour=True, day=True), Flags(hour=False, day=False)
    rows = [
        Row(Window(of, "route_window", NINE), NINE, "byod", None, "same", {}, {}, key_first=always, report_first=never)
        for of in (0, 0, 0, 1)
    ]
    assert (devices(rows, "hour"), devices(rows, "day")) == (2, 2)


def test_a_day_proves_a_device_once() -> None:
    """Two hours of one device are one device in the day's cell, and the values of both."""
    tasks = [*(task(0) for _ in range(3)), *(task(0, NINE + HOUR) for _ in range(3))]
    of = fleet([device(0, "byod")], tasks)
    assert proven(cube(of, "R1", "route")) == {
        (NINE, "byod", "on_device"): 1,
        (NINE + HOUR, "byod", "on_device"): 1,
    }
    day = cube(of, "R1", "route", grain="day")
    assert (values(day), proven(day)) == (
        {(MIDNIGHT, "byod", "on_device"): {"tasks": 6}},
        {(MIDNIGHT, "byod", "on_device"): 1},
    )


def test_the_next_day_is_another_one() -> None:
    """A task after midnight, UTC, belongs to the next day's cell."""
    found = cube(fleet([device(0)], [task(0), task(0, MIDNIGHT + DAY)]), "R3", grain="day")
    assert set(found) == {(MIDNIGHT, "managed"), (MIDNIGHT + DAY, "managed")}


def test_a_report_that_has_not_arrived_takes_its_flags_with_it() -> None:
    """What is missing is neither counted nor proven, and the flags of what is there do not move."""
    tasks = [*(task(0) for _ in range(3)), *(task(0, NINE + 10 * MINUTE) for _ in range(4))]

    def arrived(of: int, report: str, start: int) -> bool:
        return (of, report, start) != (0, "route_window", NINE)

    of = fleet([device(0, "byod")], tasks)
    found = cube(of, "R1", "route", arrived=arrived)
    assert (values(found), proven(found)) == (
        {(NINE, "byod", "on_device"): {"tasks": 4}},
        {(NINE, "byod", "on_device"): 0},
    )
    assert values(cube(of, "F1", arrived=arrived)) == {(NINE, "byod"): {"fallbacks": 0, "planned": 7}}
