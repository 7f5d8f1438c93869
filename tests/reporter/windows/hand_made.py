"""Tasks and windows by hand, and any tasks at all: everything has a plain default, a test says what it is about."""

from collections.abc import Iterable
from typing import Any

from hypothesis import strategies as st

from reporter.windows.task import Task
from reporter.windows.task_window import TaskWindow

HOUR = 3_600_000
MINUTE = 60_000

NINE = 1_795_046_400_000 // (24 * HOUR) * 24 * HOUR + 9 * HOUR
"""Nine o'clock in the morning, UTC, on some day."""

ROUTES = ("on_device", "edge", "private_cloud", "managed_cloud", "non_ai", "queued", "refused")


def task(**said: Any) -> Task:
    """A question answered on the device itself, at once."""
    made = Task()
    plain = {
        "data_class": "internal",
        "task_kind": "interactive",
        "input_size": "small",
        "authority": "local_safe",
        "device_approved": "approved",
        "planned_route": "on_device",
        "actual_route": said.get("planned_route", "on_device"),
        "decision_reason": "default",
        "precision": "int4",
        "model": "small-chat",
        "model_version": "1.0",
        "policy_version": "3.2",
        "succeeded": True,
    }
    for name, value in (plain | said).items():
        setattr(made, name, value)
    return made


def window(tasks: Iterable[Task] = (), *, start_ms: int = NINE, length_ms: int = 5 * MINUTE) -> TaskWindow:
    """A window of these tasks."""
    made = TaskWindow(start_ms, length_ms)
    for one in tasks:
        made.add(one)
    return made


def tasks() -> st.SearchStrategy[Task]:
    """Tasks with few enough differences to share rows, of every route and consent; now and then a word of nobody's."""
    count = st.integers(0, 3)
    large = st.integers(0, 1 << 40)
    return st.builds(
        task,
        data_class=st.sampled_from(["confidential", "restricted", "mine", None]),
        task_kind=st.sampled_from(["interactive", "retrieval", "field"]),
        authority=st.sampled_from(["local_safe", "needs_central"]),
        planned_route=st.sampled_from([*ROUTES[:4], None]),
        actual_route=st.sampled_from([*ROUTES, "elsewhere", None]),
        model=st.sampled_from(["small-chat", "x" * 500, None]),
        fallback_reason=st.sampled_from(["offline", "capability", None]),
        consent=st.sampled_from(["granted", "denied", "not_asked", None]),
        disclosed=st.sampled_from(["disclosed", "undisclosed", None]),
        offline=st.booleans(),
        degraded=st.booleans(),
        disclosures=st.frozensets(st.sampled_from(["fallback_shown", "residency", "telemetry_path", "whispered"])),
        attempts=count,
        succeeded=st.booleans(),
        tokens_in=large,
        bytes_moved=large,
        latency_ms=st.none() | st.integers(0, 1 << 26) | st.floats(0, 1e9),
        seconds_in_fallback=st.none() | count,
        returned_after_s=st.none() | count,
        returned_by_canary=st.booleans(),
    )
