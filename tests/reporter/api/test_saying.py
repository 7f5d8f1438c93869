"""What an application says is in the reports that its gate gets."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from reporter.reporter import Reporter
from reporter.windows.task import Task
from tests.reporter.api.device import PATIENCE_SECONDS, only_row, reporter_in, sent
from tests.reporter.sending.made_up_gate import MadeUpGate


def told(folder: Path, tell: Callable[[Reporter], None]) -> MadeUpGate:
    """The gate after an application told this."""
    gate = MadeUpGate()
    reporter = reporter_in(folder, gate, consents={"fallback_reports": True, "diagnostics": True})
    tell(reporter)
    assert reporter.flush(PATIENCE_SECONDS)
    reporter.close()
    status = reporter.status()
    assert (status["errors"], status["misused"]) == ({}, {})
    return gate


def a_plain_task(reporter: Reporter) -> None:
    """Everything that may be said of a task."""
    asked = {"data_class": "internal", "task_kind": "document", "input_size": "large", "authority": "local_safe"}
    with reporter.task(**asked, planned="edge", reason="cost", policy="7.1", approved=True) as task:  # type: ignore[arg-type]
        task.ran_on("edge", model="pocket-chat", version="2.1", precision="int8", region="eu-west")
        task.first_token()
        task.tokens(100, 20)
        task.tokens(written=5)
        task.sent(990)
        task.attempt()
        task.cold_start()
        task.contract(valid=True)
        task.citations(expected=3, present=2)
        task.degraded()
        task.disclosed("residency")


ROW = {
    "data_class": "internal", "task_kind": "document", "input_size": "large", "authority": "local_safe",
    "device_approved": "approved", "planned_route": "edge", "actual_route": "edge", "decision_reason": "cost",
    "precision": "int8", "served_region": "eu-west", "model": "pocket-chat", "model_version": "2.1",
    "policy_version": "7.1", "tasks": 1, "attempts": 2, "succeeded": 1, "refused": 0, "degraded": 1, "offline": 0,
    "cold_starts": 1, "contract_checked": 1, "contract_valid": 1, "citations_expected": 3, "citations_present": 2,
    "tokens_in": 100, "tokens_out": 25, "bytes_sent": 990, "disclosures": [{"disclosure": "residency", "tasks": 1}],
    "first_of_hour": True, "first_of_day": True, "first_of_week": True,
}  # fmt: skip


def test_everything_of_a_task(tmp_path: Path) -> None:
    """Each thing that is told of a task stands in its row."""
    row = only_row(sent(told(tmp_path, a_plain_task), "route_window")[0])
    assert (row.pop("latency")["zero_count"], row.pop("first_token")["zero_count"]) == (1, 1)
    assert row == ROW


def fails_with_an_exception(reporter: Reporter) -> None:
    """An exception leaves the block."""
    with pytest.raises(ZeroDivisionError), reporter.task(planned="edge"):
        raise ZeroDivisionError


def fails_by_itself(reporter: Reporter) -> None:
    """The application says so."""
    with reporter.task(planned="edge") as task:
        task.failed()


def is_refused(reporter: Reporter) -> None:
    """It fails closed."""
    with reporter.task(planned="managed_cloud") as task:
        task.refused()


def ran_nowhere(reporter: Reporter) -> None:
    """It waits for a network."""
    with reporter.task(planned="managed_cloud") as task:
        task.ran_on("queued")


def ends_by_hand(reporter: Reporter) -> None:
    """Without a block, ended twice, and told of after that."""
    task = reporter.task(planned="edge")
    task.end()
    task.end()
    task.tokens(5, 5)


def is_taken(reporter: Reporter) -> None:
    """Somebody else filled it in."""
    task = Task()
    task.planned_route, task.succeeded = "edge", True
    reporter.take(task)


@pytest.mark.parametrize(
    ("tell", "expected"),
    [
        pytest.param(fails_with_an_exception, {"succeeded": 0, "actual_route": "edge"}, id="an exception"),
        pytest.param(fails_by_itself, {"succeeded": 0, "refused": 0}, id="failed"),
        pytest.param(is_refused, {"succeeded": 0, "refused": 1, "actual_route": "refused"}, id="refused"),
        pytest.param(ran_nowhere, {"succeeded": 0, "refused": 0, "actual_route": "queued"}, id="queued"),
        pytest.param(ends_by_hand, {"succeeded": 1, "tasks": 1, "tokens_in": 0}, id="by hand, and ended twice"),
        pytest.param(is_taken, {"succeeded": 1, "tasks": 1}, id="filled in by somebody else"),
    ],
)
def test_how_a_task_ends(tmp_path: Path, tell: Callable[[Reporter], None], expected: dict[str, Any]) -> None:
    """A task has succeeded unless an exception left its block, or it was said to have failed, or it ran nowhere."""
    row = only_row(sent(told(tmp_path, tell), "route_window")[0])
    assert {name: row[name] for name in expected} == expected


def falls_back(reporter: Reporter) -> None:
    """A fallback that was agreed to and shown."""
    with reporter.task(planned="on_device") as task:
        task.fell_back("capacity", consent="granted", disclosed=True)
        task.ran_on("managed_cloud")
        task.sent(5000)
        task.returned(90, by_canary=True)


def test_a_fallback(tmp_path: Path) -> None:
    """A fallback is told with its consent, and moved what it sent unless something else was said."""
    row = only_row(sent(told(tmp_path, falls_back), "fallback_window")[0])
    expected = {
        "planned_route": "on_device", "actual_route": "managed_cloud", "fallback_reason": "capacity",
        "consent": "granted", "disclosed": "disclosed", "bytes_moved": 5000, "returns": 1, "canary_returns": 1,
    }  # fmt: skip
    assert {name: row[name] for name in expected} == expected


def changes_route_in_a_session(reporter: Reporter) -> None:
    """Two sessions that change their route once each."""
    for _ in range(2):
        with reporter.session() as session:
            for route in ("on_device", "managed_cloud"):
                with session.task(planned="on_device") as task:
                    task.ran_on(route)
            session.held(3)


def notes_a_sync(reporter: Reporter) -> None:
    """A sync, and the offline queue."""
    reporter.sync(store="memory", memory_route="device", conflicts=2, latency_ms=12)
    reporter.offline_queue(depth=4, left_after_s=3, expired=1, replays_asked=1)


def notes_a_path(reporter: Reporter) -> None:
    """A path that was tried."""
    reporter.path_probe(service_role="manifest", network_context="office", reached="intended", http_status=200)


def notes_a_capability(reporter: Reporter) -> None:
    """A capability that was tried."""
    reporter.capability_probe(capability="chat", declared_tier="high", probed_tier="basic", tasks=3, mismatched=1)


def notes_a_file(reporter: Reporter) -> None:
    """A model file and the manifest's age."""
    reporter.inventory(manifest_age_s=30, model="pocket-chat", version="2.1", state="active", serving=True)


def notes_health(reporter: Reporter) -> None:
    """A look at the device."""
    reporter.health(battery=80, crashes=1)


def notes_a_violation(reporter: Reporter) -> None:
    """Two violations."""
    reporter.violation("consent_missing", 2)


@pytest.mark.parametrize(
    ("tell", "report", "expected"),
    [
        pytest.param(
            changes_route_in_a_session,
            "stability_window",
            {"sessions": 2, "sessions_changed": 2, "switches": 2, "switches_held": 6, "latency_count": 4},
            id="sessions",
        ),
        pytest.param(
            notes_a_sync,
            "sync_window",
            {"queue_depth_peak": 4, "queue_expired": 1, "replays_asked": 1, "rows.conflicts": 2, "rows.syncs": 1},
            id="sync",
        ),
        pytest.param(notes_a_path, "path_probe", {"rows.probes": 1, "rows.http_2xx": 1}, id="path"),
        pytest.param(notes_a_capability, "capability_probe", {"rows.tasks": 3, "rows.mismatched": 1}, id="capability"),
        pytest.param(
            notes_a_file,
            "model_inventory",
            {"manifest_age": "under_1h", "rows.model": "pocket-chat", "rows.state": "active"},
            id="inventory",
        ),
        pytest.param(notes_health, "health_window", {"battery": "over_50pc", "crashes": 1}, id="health"),
        pytest.param(notes_a_violation, "trace_window", {"violations.count": 2}, id="violation"),
    ],
)
def test_other_observations(
    tmp_path: Path, tell: Callable[[Reporter], None], report: str, expected: dict[str, Any]
) -> None:
    """What is noted beside tasks is in the report that is about it."""
    (values,) = sent(told(tmp_path, tell), report)
    flat = {
        f"{array}.{name}": value
        for array in ("rows", "violations")
        for item in values.get(array, [])
        for name, value in item.items()
    }
    found = values | flat
    assert {name: found[name] for name in expected} == expected
