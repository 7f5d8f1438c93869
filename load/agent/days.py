"""Days of managed devices, the same for both sides: from the fleet of `load.fleet`, over a trace if there is one."""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from ingest.clock import SystemClock
from load.fleet.nouns import Device, Installation, Task
from load.fleet.scenario import make_fleet

TIER = "managed"
DAYS = 3


class DeviceDays(NamedTuple):
    """What one device did, in order of time."""

    device: Device
    tasks: Sequence[Task]
    files: Sequence[Installation]


@dataclass(frozen=True, slots=True)
class Asked:
    """What a child process is asked for. `fleet` is the number of devices of all tiers; it takes one tier's."""

    fleet: int
    seed: int
    trace: Path | None

    def arguments(self) -> list[str]:
        """For a command line."""
        return [str(self.fleet), str(self.seed), "" if self.trace is None else str(self.trace)]

    @classmethod
    def of(cls, arguments: Sequence[str]) -> "Asked":
        """From a command line."""
        fleet, seed, trace = arguments
        return cls(int(fleet), int(seed), Path(trace) if trace else None)

    def days(self) -> list[DeviceDays]:
        """The devices with anything to tell; ends with the present hour. Raises `TraceError`."""
        fleet = make_fleet(
            devices=self.fleet, seed=self.seed, now_ms=SystemClock().now_ms(), trace=self.trace, days=DAYS
        )
        tasks: dict[int, list[Task]] = defaultdict(list)
        files: dict[int, list[Installation]] = defaultdict(list)
        for task in fleet.tasks:
            tasks[task.device].append(task)
        for file in fleet.installations:
            files[file.device].append(file)
        return [
            DeviceDays(device, tasks[device.index], files[device.index])
            for device in fleet.devices
            if device.tier == TIER and tasks[device.index]
        ]
