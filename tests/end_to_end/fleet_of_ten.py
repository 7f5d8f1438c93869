"""Ten laptops whose answers can be added up by hand: each posts one report of the hour before, with two rows."""

from typing import Any

from tests.end_to_end.reports import Reports
from tests.running_gate import RunningGate

DEVICES = 10
TASKS = {"on_device": 7, "managed_cloud": 3}
"""What every device did in its hour, by the route taken."""

MODEL = "assistant-small"
REGION = "eu-west"


def post_all(gate: RunningGate, *, fleet: int = 1) -> None:
    """Post the reports of all ten; those of another `fleet` are others, of other devices."""
    reports = Reports(gate.catalogue, seed=fleet)
    for number in range(DEVICES):
        message = _message(reports, f"laptop {number} of fleet {fleet}")
        answer = gate.post("managed", "route_window", message)
        assert (answer.status, answer.document["accepted"]) == (202, 1)


def _message(reports: Reports, device: str) -> bytes:
    row = reports.report()["rows"][0]
    rows = [_row(row, route, tasks) for route, tasks in TASKS.items()]
    return reports.message(device_id=device, region=REGION, rows=rows, violations=[], first_of_hour=True)


def _row(row: dict[str, Any], route: str, tasks: int) -> dict[str, Any]:
    return row | {
        "planned_route": route,
        "actual_route": route,
        "model": MODEL,
        "tasks": tasks,
        "first_of_hour": True,
        "first_of_day": True,
    }
