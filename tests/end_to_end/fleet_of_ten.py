"""Ten laptops whose answers can be added up by hand: each posts one report of the hour before, with two rows."""

from typing import Any

from tests.end_to_end.reports import HOUR_MS, Reports, this_hour
from tests.running_gate import RunningGate

DEVICES = 10
TASKS = {"on_device": 7, "managed_cloud": 3}
"""What every device did in its hour, by the route taken."""

MODEL = "assistant-small"
REGION = "eu-west"


def post_all(gate: RunningGate, *, fleet: int = 1) -> None:
    """Post the reports of all ten; those of another `fleet` are others, of other devices."""
    reports, hour = Reports(gate.catalogue, seed=fleet), this_hour() - HOUR_MS
    for number in range(DEVICES):
        message = _message(reports, f"laptop {number} of fleet {fleet}", hour)
        answer = gate.post("managed", "route_window", message)
        assert (answer.status, answer.document["accepted"]) == (202, 1)


def _message(reports: Reports, device: str, hour: int) -> bytes:
    """A report of some window of `hour`, which is the same for all ten even where it turns while they post."""
    made = reports.report()
    start, length = hour + made["window_start"] % HOUR_MS, made["window_end"] - made["window_start"]
    rows = [_row(made["rows"][0], route, tasks) for route, tasks in TASKS.items()]
    return reports.window(
        start, start + length, device_id=device, region=REGION, rows=rows, violations=[], first_of_hour=True
    )


def _row(row: dict[str, Any], route: str, tasks: int) -> dict[str, Any]:
    return row | {
        "planned_route": route,
        "actual_route": route,
        "model": MODEL,
        "tasks": tasks,
        "first_of_hour": True,
        "first_of_day": True,
    }
