"""Days of managed devices, the same for both sides: from the fleet of `load.fleet`, over a trace if there is one.

Two cases: the laptops and workstations of many people, some twenty tasks a day each; and one machine that handles every
request of the trace, as they arrived, within an hour.
"""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from random import Random
from typing import NamedTuple

from load.fleet.dealing import TASKS_A_SESSION, Session
from load.fleet.devices import Profile
from load.fleet.nouns import Device, Fleet, Installation, Task
from load.fleet.scenario import make_fleet
from load.fleet.trace import MS_PER_HOUR, Request, within_the_hour

TIER = "managed"
DAYS = 3


class DeviceDays(NamedTuple):
    """What one device did, in order of time."""

    device: Device
    tasks: Sequence[Task]
    files: Sequence[Installation]


@dataclass(frozen=True, slots=True)
class Asked:
    """What a process is asked for: the days up to the hour of `now_ms`, the same in every process.

    `fleet` is the number of devices of all tiers, of which it takes one tier's. A single device is the machine that
    handles the first `requests` of the trace itself.
    """

    fleet: int
    seed: int
    now_ms: int
    trace: Path | None
    requests: int

    def arguments(self) -> list[str]:
        """For a command line."""
        return [str(self.fleet), str(self.seed), str(self.now_ms), str(self.requests), str(self.trace or "")]

    @classmethod
    def of(cls, arguments: Sequence[str]) -> "Asked":
        """From a command line."""
        fleet, seed, now_ms, requests, trace = arguments
        return cls(int(fleet), int(seed), int(now_ms), Path(trace) if trace else None, int(requests))

    def days(self) -> list[DeviceDays]:
        """The devices with anything to tell. Raises `TraceError`."""
        fleet = self._fleet()
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

    def _fleet(self) -> Fleet:
        if self.fleet > 1:
            return make_fleet(devices=self.fleet, seed=self.seed, now_ms=self.now_ms, trace=self.trace, days=DAYS)
        return make_fleet(
            devices=1,
            seed=self.seed,
            now_ms=self.now_ms,
            trace=self.trace,
            days=1,
            deal=partial(_all_to_one, self.requests),
        )


def _all_to_one(  # noqa: PLR0913  # but for the first as `load.fleet.dealing.deal`
    most: int,
    random: Random,
    profiles: Sequence[Profile],
    trace: Sequence[Request],
    *,
    start: int,
    end: int,
    tasks: int,
) -> list[Session]:
    del random, start, tasks
    requests = [one._replace(time=end - MS_PER_HOUR + one.time) for one in within_the_hour(trace)[:most]]
    places = range(0, len(requests), TASKS_A_SESSION)
    return [Session(profiles[0], 0, requests[at : at + TASKS_A_SESSION]) for at in places]
