"""What answers read, worked out by hand from published cells."""

from load.fleet.expected_answers import Shown, expected_rows, of_all_tiers
from load.fleet.findings import Percentile, Row
from load.fleet.truth_cells import Cell, CellKey, CubeName

K = {"managed": 5, "byod": 10}


def cell(observations: dict[str, list[int]] | None = None, **values: int) -> Cell:
    """A published cell."""
    return Cell(values, observations or {}, 5)


def rows(measure: str, dims: tuple[str, ...], shown: Shown) -> dict[CellKey, Row]:
    """The rows of the answer that shows it."""
    return expected_rows(CubeName(measure, dims, "hour"), shown, k=K, currency="EUR")


def test_shares_come_to_one_over_what_they_are_shares_of() -> None:
    """The share of a route is that in its own hour, tier and region, of what is shown."""
    found = rows(
        "R1",
        ("route", "region"),
        {
            (0, "managed", "edge", "north"): cell(tasks=1),
            (0, "managed", "on_device", "north"): cell(tasks=3),
            (0, "managed", "edge", "south"): cell(tasks=5),
            (0, "byod", "edge", "north"): cell(tasks=7),
            (9, "managed", "edge", "north"): cell(tasks=9),
        },
    )
    assert [row["share"] for row in found.values()] == [0.25, 0.75, 1, 1, 1]


def test_nothing_has_no_share_in_nothing() -> None:
    """A quotient of nothing is absent and not zero."""
    found = rows("V2", ("status",), {(0, "managed", "stale"): cell(installations=0, tasks=4)})
    assert found == {(0, "managed", "stale"): {"installations": 0, "tasks": 4, "share": None}}


def test_a_fallback_rate_has_its_base_in_a_cell_of_its_own() -> None:
    """The base is no row of the answer; without it there is no rate."""
    shown: Shown = {
        (0, "managed", "edge", "managed_cloud"): cell(fallbacks=2, planned=0),
        (0, "managed", "edge", "(planned)"): cell(fallbacks=0, planned=8),
        (0, "managed", "non_ai", "managed_cloud"): cell(fallbacks=2, planned=0),
    }
    assert rows("F1", ("planned_route", "actual_route"), shown) == {
        (0, "managed", "edge", "managed_cloud"): {"fallbacks": 2, "planned": 8, "rate": 0.25},
        (0, "managed", "non_ai", "managed_cloud"): {"fallbacks": 2, "planned": None, "rate": None},
    }


def test_fallbacks_without_their_base_are_in_no_rate_of_all_tiers() -> None:
    """A tier whose base is withheld is in the sum of fallbacks and not in the rate."""
    name = CubeName("F1", ("planned_route", "actual_route"), "hour")
    shown: Shown = {
        (0, "byod", "edge", "queued"): cell(fallbacks=50, planned=0),
        (0, "managed", "edge", "queued"): cell(fallbacks=5, planned=0),
        (0, "managed", "edge", "(planned)"): cell(fallbacks=0, planned=40),
    }
    assert rows("F1", name.dims, of_all_tiers(name, shown)) == {
        (0, "all", "edge", "queued"): {"fallbacks": 55, "planned": 40, "rate": 0.125}
    }


def test_costs_are_in_the_currency() -> None:
    """Costs are kept in 1e-12 of the currency."""
    priced = cell(tasks=4, tokens_in=1, tokens_out=2, unpriced_tasks=3, cost=2_000_000_000_000)
    assert rows("R5", ("route",), {(0, "managed", "edge"): priced}) == {
        (0, "managed", "edge"): {
            "tasks": 4,
            "tokens_in": 1,
            "tokens_out": 2,
            "unpriced_tasks": 3,
            "cost": 2.0,
            "cost_per_1000_tasks": 500.0,
            "currency": "EUR",
        }
    }


def test_a_band_has_no_number() -> None:
    """A silent fallback of too few devices reads as a band of its tier."""
    shown: Shown = {(0, "managed", "undisclosed"): None, (0, "byod", "undisclosed"): None}
    found = rows("F2", ("rule",), shown)
    assert [row["band"] for row in found.values()] == ["1 to 4", "1 to 9"]
    assert {row["tasks"] for row in found.values()} == {None}


def test_what_is_beyond_the_greatest_bucket_is_named() -> None:
    """A percentile above the histogram's range is absent, and said to be."""
    seen = {"return_time": [10, 2**24 + 1]}
    found = rows("F5", (), {(0, "managed"): cell(seen, tasks=2, seconds_in_fallback=9, returns=2, canary_returns=1)})
    row = found[0, "managed"]
    assert (row["beyond"], row["seconds_per_fallback"], row["canary_share"]) == ("return_p95 > 16777216", 4.5, 0.5)
    assert row["return_p50"] == Percentile((10, 2**24 + 1), 50)


def test_tiers_are_added_up() -> None:
    """Without the tier, values are summed and observations put together."""
    added = of_all_tiers(
        CubeName("R4", ("route",), "hour"),
        {
            (0, "managed", "edge"): cell({"latency": [1]}, tasks=1),
            (0, "byod", "edge"): cell({"latency": [2]}, tasks=2),
            (0, "byod", "on_device"): cell({"latency": []}, tasks=4),
        },
    )
    edge = added[0, "all", "edge"]
    assert edge is not None
    assert (edge.values, edge.observations) == ({"tasks": 3}, {"latency": [1, 2]})
    assert set(added) == {(0, "all", "edge"), (0, "all", "on_device")}
