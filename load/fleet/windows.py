"""What the devices of a fleet post: tasks added up into windows by the library that runs on devices (`reporter`).

    for report in reports(fleet): ...   # device by device, each in order of time

A task belongs to the window that holds its time: five minutes, or a whole hour for contractors. The devices here are
old ones: they do not strip, so that the gate has something to take off, and they add what their agents know of them.
"""

from collections import defaultdict
from collections.abc import Iterator, Sequence
from operator import attrgetter
from random import Random
from typing import Any, NamedTuple

from load.fleet.nouns import Device, Fleet, Installation, Pulse, Task
from load.fleet.pulses import pulse_fields
from reporter.windows.folding import Folding
from reporter.windows.inventory_window import InventoryWindow, ModelFile
from reporter.windows.presence import Firsts, flagged
from reporter.windows.task import Task as ReportedTask
from reporter.windows.task_window import TaskWindow
from schemas.catalogue import load_catalogue
from schemas.tier import Tier

MS_PER_MINUTE = 60_000
MS_PER_HOUR = 3_600_000

FACTS_OF_A_TASK = ReportedTask.__slots__
FACTS_OF_A_FILE = ModelFile.__slots__

Row = dict[str, Any]

_task_facts = attrgetter(*FACTS_OF_A_TASK)
_file_facts = attrgetter(*FACTS_OF_A_FILE)


class DeviceReport(NamedTuple):
    """One report of one device: `values` is what fastavro takes; `start` and `end` of its window in ms."""

    device: int
    tier: str
    report: str
    start: int
    end: int
    values: Row


def reports(fleet: Fleet) -> Iterator[DeviceReport]:
    """Every report of a fleet, each once; the same for the same fleet."""
    tiers = load_catalogue().tiers
    ids = Random(f"{fleet.seed}/report ids")
    tasks, installations, pulses = _by_device(fleet.tasks), _by_device(fleet.installations), _by_device(fleet.pulses)
    for device in fleet.devices:
        agent = _Agent(device, tiers[device.tier], ids, refused_fields(tiers[device.tier], fleet.end_ms))
        yield from agent.task_windows(tasks[device.index])
        yield from agent.inventories(installations[device.index])
        yield from agent.pulses(pulses[device.index])


def _by_device(items: Sequence[Any]) -> dict[int, list[Any]]:
    found: dict[int, list[Any]] = defaultdict(list)
    for item in items:
        found[item.device].append(item)
    return found


class _Agent:
    """What runs on one device: it adds up, and remembers what it has said of the hour, day and week."""

    def __init__(self, device: Device, tier: Tier, ids: Random, refused: frozenset[str]) -> None:
        self._device = device
        self._ids = ids
        self._firsts = Firsts()
        self._folding = Folding(least=tier.min_tasks_per_row)
        self._window_ms = tier.window_minutes * MS_PER_MINUTE
        self._header = header(device) | dict.fromkeys(refused)

    def task_windows(self, tasks: Sequence[Task]) -> Iterator[DeviceReport]:
        """route_window for every window with tasks, and fallback_window from those who agreed to it."""
        windows: dict[int, TaskWindow] = {}
        for task in tasks:
            start = task.time - task.time % self._window_ms
            windows.setdefault(start, TaskWindow(start, self._window_ms)).add(reported(task))
        for start, window in sorted(windows.items()):
            network = {"network_context": "offline"} if window.is_offline else {}
            routes = window.route_values(self._folding)
            yield self._report("route_window", start, self._window_ms, network | routes)
            if self._device.consent_fallback_reports:
                fallbacks = window.fallback_values(self._folding)
                yield self._report("fallback_window", start, self._window_ms, network | fallbacks)

    def inventories(self, installations: Sequence[Installation]) -> Iterator[DeviceReport]:
        """model_inventory over the whole hour, for every hour that has installations."""
        hours: dict[int, list[Installation]] = defaultdict(list)
        for installation in installations:
            hours[installation.hour].append(installation)
        for hour, files in sorted(hours.items()):
            window = InventoryWindow()
            for file in files:
                window.add(ModelFile(**dict(zip(FACTS_OF_A_FILE, _file_facts(file), strict=True))))
            yield self._report("model_inventory", hour, MS_PER_HOUR, window.values(files[0].manifest_age))

    def pulses(self, pulses: Sequence[Pulse]) -> Iterator[DeviceReport]:
        """health_window and trace_window over the whole hour."""
        for pulse in pulses:
            values = pulse_fields(self._ids, pulse.report, self._device)
            yield self._report(pulse.report, pulse.hour, MS_PER_HOUR, values)

    def _report(self, report: str, start: int, length: int, values: Row) -> DeviceReport:
        header = self._header | {
            "report_id": self._ids.randbytes(16),
            "window_start": start,
            "window_end": start + length,
        }
        said = flagged(report, header | values, start, self._firsts)
        return DeviceReport(self._device.index, self._device.tier, report, start, start + length, said)


def reported(task: Task) -> ReportedTask:
    """The task as an application tells it to the library."""
    told = ReportedTask()
    for name, fact in zip(FACTS_OF_A_TASK, _task_facts(task), strict=True):
        setattr(told, name, fact)
    return told


def refused_fields(tier: Tier, at: int) -> frozenset[str]:
    """The fields whose presence the tier refuses by the end of the hour of `at` (ms): its agents leave them out."""
    return frozenset(rule.field for rule in tier.refuse_if_present if rule.since_ms <= at + MS_PER_HOUR)


def header(device: Device) -> Row:
    """What every report of a device says of it: its own facts, and whatever else its agent sends."""
    identifiers = device.identifiers
    return {
        "consent_fallback_reports": device.consent_fallback_reports,
        "consent_diagnostics": device.consent_diagnostics,
        "consent_location": device.consent_location,
        "region": device.region,
        "device_id": identifiers.device_id,
        "user_id": identifiers.user_id,
        "user_email": identifiers.user_email,
        "serial": identifiers.serial,
        "hostname": identifiers.hostname,
        "ip_address": identifiers.ip_address,
        "os": device.os,
        "os_version": device.os_version,
        "hardware_model": device.hardware_model,
        "hardware_tier": device.hardware_tier,
        "agent_version": device.agent_version,
        "site": device.site,
        "network_context": device.network_context,
        "attributes": dict(identifiers.attributes),
    }
