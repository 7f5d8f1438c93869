"""The truth of R1 to R5, by hand."""

from load.fleet.truth_cells import Cell
from tests.load.fleet.hand_made import NINE, cube, device, fleet, task, values


def test_r1_counts_tasks_by_the_route_on_which_they_ran() -> None:
    """A task that fell back is counted where it ran."""
    tasks = [task(0), task(0, planned_route="edge", actual_route="on_device"), task(1, planned_route="edge")]
    found = cube(fleet([device(0), device(1, region="south")], tasks), "R1", "route", "region", "data_class")
    assert values(found) == {
        (NINE, "managed", "on_device", "north", "internal"): {"tasks": 2},
        (NINE, "managed", "edge", "south", "internal"): {"tasks": 1},
    }


def test_r2_counts_tasks_by_reason_and_policy() -> None:
    """Decisions are told apart by reason and by version of the routing policy."""
    tasks = [task(0), task(0, policy_version="3.3", decision_reason="cost"), task(0, decision_reason="cost")]
    found = cube(fleet([device(0)], tasks), "R2", "decision_reason", "policy_version")
    assert values(found) == {
        (NINE, "managed", "default", "3.2"): {"tasks": 1},
        (NINE, "managed", "cost", "3.3"): {"tasks": 1},
        (NINE, "managed", "cost", "3.2"): {"tasks": 1},
    }


def test_r3_counts_what_was_refused() -> None:
    """Tasks that failed closed stand beside all tasks of their planned route."""
    tasks = [task(0, planned_route="edge", actual_route="refused", refused=True), task(0, planned_route="edge")]
    found = cube(fleet([device(0)], tasks), "R3", "planned_route")
    assert values(found) == {(NINE, "managed", "edge"): {"refused": 1, "tasks": 2}}


def test_r4_gathers_latencies_attempts_and_cold_starts() -> None:
    """The raw latencies of a cell are kept, and tasks without any add none."""
    tasks = [
        task(0, planned_route="edge", served_region="south", latency_ms=120, first_token_ms=30, attempts=2),
        task(0, planned_route="edge", served_region="south", latency_ms=480, cold_start=True),
        task(0, planned_route="edge", served_region="south"),
    ]
    assert cube(fleet([device(0)], tasks), "R4", "route", "served_region") == {
        (NINE, "managed", "edge", "south"): Cell(
            values={"tasks": 3, "attempts": 4, "cold_starts": 1},
            observations={"latency": [120, 480], "first_token": [30]},
            devices=1,
        )
    }


def test_r5_prices_the_rounded_tokens_of_each_row() -> None:
    """A model's own price goes before that of all models; what has no price on its route is counted as unpriced."""
    tasks = [
        task(0, planned_route="managed_cloud", model="large-chat", model_version="7", tokens_in=1234, tokens_out=5),
        task(0, planned_route="managed_cloud", model="unheard-of", tokens_in=1000, tokens_out=100),
        task(0, planned_route="edge", model="large-chat", model_version="7", tokens_in=10),
        task(0, planned_route="edge", tokens_in=10, tokens_out=20),
    ]
    found = cube(fleet([device(0)], tasks), "R5", "route", "model")
    assert values(found) == {
        # 1234 is posted as 1200, at a millionth of the currency for a million tokens.
        (NINE, "managed", "managed_cloud", "large-chat"): _counts(tokens_in=1200, tokens_out=5, cost=1200),
        (NINE, "managed", "managed_cloud", "other"): _counts(
            tokens_in=1000, tokens_out=100, cost=1000 * 2_500_000 + 100 * 10_000_000
        ),
        (NINE, "managed", "edge", "large-chat"): _counts(tokens_in=10, tokens_out=0, cost=0, unpriced_tasks=1),
        (NINE, "managed", "edge", "small-chat"): _counts(tokens_in=10, tokens_out=20, cost=30_000_000),
    }


def _counts(**said: int) -> dict[str, int]:
    return {"tasks": 1, "unpriced_tasks": 0, **said}
