"""The truth of F1 to F5, by hand."""

from typing import Any

import pytest

from load.fleet.nouns import Task
from load.fleet.truth_cells import Cell
from tests.load.fleet.hand_made import MIDNIGHT, MINUTE, NINE, cube, device, fleet, proven, task, values


def fallback(of: int, time: int = NINE, **said: Any) -> Task:
    """A task planned for the edge that ran in the managed cloud, because the edge took too long."""
    return task(
        of,
        time,
        **{
            "planned_route": "edge",
            "actual_route": "managed_cloud",
            "fallback_reason": "timeout",
            "consent": "granted",
            **said,
        },
    )


def test_f1_has_fallbacks_beside_the_tasks_that_were_planned() -> None:
    """The base counts every task of the planned route, whether or not it fell back."""
    of = fleet([device(0)], [task(0, planned_route="edge"), fallback(0), task(0)])
    assert values(cube(of, "F1", "planned_route")) == {
        (NINE, "managed", "edge"): {"fallbacks": 1, "planned": 2},
        (NINE, "managed", "on_device"): {"fallbacks": 0, "planned": 1},
    }
    assert values(cube(of, "F1", "planned_route", "actual_route", "fallback_reason")) == {
        (NINE, "managed", "edge", "managed_cloud", "timeout"): {"fallbacks": 1, "planned": 0},
        (NINE, "managed", "edge", "(planned)", "(planned)"): {"fallbacks": 0, "planned": 2},
        (NINE, "managed", "on_device", "(planned)", "(planned)"): {"fallbacks": 0, "planned": 1},
    }


def test_who_declined_fallback_reports_is_not_in_them() -> None:
    """Neither fallbacks nor planned tasks of such a device are known; its violations are."""
    of = fleet(
        [device(0, consent_fallback_reports=False), device(1)],
        [fallback(0, violations=frozenset({"undisclosed"})), task(1, planned_route="edge")],
    )
    assert values(cube(of, "F1")) == {(NINE, "managed"): {"fallbacks": 0, "planned": 1}}
    assert values(cube(of, "F2", "rule", grain="day")) == {(MIDNIGHT, "managed", "undisclosed"): {"tasks": 1}}


def test_f2_counts_silent_fallbacks_by_rule() -> None:
    """Three rules make a fallback a silent one; those of the disclosure table are another measure's."""
    tasks = [
        fallback(0, consent="denied", disclosed="undisclosed", violations=frozenset({"consent_denied", "undisclosed"})),
        fallback(1, violations=frozenset({"D1", "consent_denied"})),
    ]
    of = fleet([device(0), device(1)], tasks)
    rules = cube(of, "F2", "rule", grain="day")
    assert (values(rules), proven(rules)) == (
        {
            (MIDNIGHT, "managed", "consent_denied"): {"tasks": 2},
            (MIDNIGHT, "managed", "undisclosed"): {"tasks": 1},
        },
        {(MIDNIGHT, "managed", "consent_denied"): 2, (MIDNIGHT, "managed", "undisclosed"): 1},
    )
    assert values(cube(of, "F2", "consent", "disclosed")) == {
        (NINE, "managed", "denied", "undisclosed"): {"tasks": 1},
        (NINE, "managed", "granted", "disclosed"): {"tasks": 1},
    }


def test_f3_counts_bytes_where_they_cross_a_border() -> None:
    """What was planned to leave left the device's zone; a fallback moved from the planned zone to the actual one."""
    tasks = [
        task(0, bytes_sent=700),
        task(0, planned_route="edge", bytes_sent=104),
        task(0, planned_route="non_ai", bytes_sent=9),
        fallback(0, bytes_sent=80, bytes_moved=1234),
        fallback(0, actual_route="refused", bytes_moved=0, refused=True),
    ]
    found = cube(fleet([device(0)], tasks), "F3", "kind", "from_zone", "to_zone")
    assert values(found) == {
        (NINE, "managed", "planned", "device", "site"): {"bytes": 100, "tasks": 1},
        (NINE, "managed", "fallback", "site", "vendor"): {"bytes": 1200, "tasks": 1},
    }


def test_f4_counts_how_fallbacks_ended() -> None:
    """Degraded and successful fallbacks are counted among all of their kind."""
    tasks = [fallback(0, degraded=True), fallback(0), fallback(0, succeeded=False), task(0)]
    found = cube(fleet([device(0)], tasks), "F4", "planned_route", "actual_route")
    assert values(found) == {
        (NINE, "managed", "edge", "managed_cloud"): {"tasks": 3, "succeeded": 2, "degraded": 1},
    }


@pytest.mark.parametrize(
    ("tier", "seconds", "times"),
    [
        pytest.param("managed", 130, [40, 600], id="as sent"),
        pytest.param("contractor", 60, [], id="the lower end of a bucket, and no time to return"),
    ],
)
def test_f5_tells_of_the_way_back_what_the_tier_lets_through(tier: str, seconds: int, times: list[int]) -> None:
    """Returns are counted in every tier; how long they took is for those that keep it."""
    tasks = [
        fallback(0, seconds_in_fallback=50, returned_after_s=40, returned_by_canary=True),
        fallback(0, seconds_in_fallback=80, returned_after_s=600),
        *(fallback(0) for _ in range(3)),
    ]
    assert cube(fleet([device(0, tier)], tasks), "F5") == {
        (NINE, tier): Cell(
            values={"tasks": 5, "seconds_in_fallback": seconds, "returns": 2, "canary_returns": 1},
            observations={"return_time": times},
            devices=1,
        )
    }


def test_folded_fallbacks_count_but_cross_no_border() -> None:
    """Two fallbacks of a byod device fold into other, which leads to no zone."""
    of = fleet([device(0, "byod")], [fallback(0, bytes_moved=500), fallback(0, NINE + MINUTE, bytes_moved=500)])
    assert values(cube(of, "F1", "planned_route", "actual_route")) == {
        (NINE, "byod", "other", "other"): {"fallbacks": 2, "planned": 0},
        (NINE, "byod", "edge", "(planned)"): {"fallbacks": 0, "planned": 2},
    }
    assert cube(of, "F3", "kind", "from_zone", "to_zone") == {}
