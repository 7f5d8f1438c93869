"""The reports without rows: how a device is, and how complete its own record is. No measure of tasks rests on them."""

from random import Random
from typing import Any

from load.fleet.devices import drawn
from load.fleet.nouns import Device
from reporter.windows.health_window import Health, HealthWindow
from reporter.windows.task_window import Decisions
from reporter.windows.trace_window import TraceWindow

BATTERY = {"over_50pc": 0.6, "pc25_to_50": 0.25, "pc10_to_25": 0.1, "under_10pc": 0.05}
SATURATION = {"under_50pc": 0.5, "pc50_to_75": 0.3, "pc75_to_90": 0.15, "over_90pc": 0.05}
QUEUE = {"empty": 0.8, "n1_to_5": 0.15, "n6_to_20": 0.05}
UPDATE = {"current": 0.8, "available": 0.1, "pending_restart": 0.07, "failed": 0.03}
LOST = {"none": 0.9, "n1": 0.06, "n2_to_5": 0.04}

UNEXPLAINED = 0.01
DELAYED = 0.1


def pulse_fields(random: Random, report: str, device: Device) -> dict[str, Any]:
    """The fields below the header of a health_window or a trace_window."""
    return _health(random, device) if report == "health_window" else _trace(random)


def _health(random: Random, device: Device) -> dict[str, Any]:
    look = Health(
        battery=drawn(random, BATTERY) if device.kind == "laptop" else "absent",
        memory=drawn(random, SATURATION),
        accelerator=drawn(random, SATURATION) if device.hardware_tier != "small" else "absent",
        queue_depth=drawn(random, QUEUE),
        update_status=drawn(random, UPDATE),
        crashes=int(random.random() < 0.02),
        cold_starts=random.randrange(4),
    )
    window = HealthWindow()
    window.add(look)
    return window.values()


def _trace(random: Random) -> dict[str, Any]:
    tasks = random.randrange(5, 120)
    unexplained = sum(random.random() < UNEXPLAINED for _ in range(tasks))
    delays = [random.randrange(300, 20_000) for _ in range(random.randrange(1, 4))] if random.random() < DELAYED else []
    window = TraceWindow()
    window.decided(Decisions(tasks=tasks, with_reason=tasks - unexplained, complete=tasks - unexplained))
    for delay in delays:
        window.accepted_late(delay)
    lost = drawn(random, LOST)
    window.count(closed=random.randrange(4, 60), evidence_kept=tasks // 10)
    window.count(bytes_uploaded=random.randrange(10, 99) * 1000)
    return window.values(lost)
