"""What the devices of a fleet post: tasks added up into windows, folded, rounded and flagged as their tier asks.

    for report in reports(fleet): ...   # device by device, each in order of time

A task belongs to the window that holds its time: five minutes, or a whole hour for contractors. Rows with fewer tasks
than the tier's `min_tasks_per_row` become one row whose dimensions all read `other`. Tokens and bytes are rounded to
two significant digits once they are added up. Nothing is stripped here: taking off is the gate's work.
"""

from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from operator import attrgetter
from random import Random
from typing import Any, NamedTuple

from load.fleet.histogram import histogram
from load.fleet.nouns import Device, Fleet, Installation, Pulse, Task
from load.fleet.presence import Firsts
from load.fleet.pulses import pulse_fields
from schemas.catalogue import load_catalogue
from schemas.tier import Tier

MS_PER_MINUTE = 60_000
MS_PER_HOUR = 3_600_000

ROUTE_DIMENSIONS = (
    "data_class", "task_kind", "input_size", "authority", "device_approved", "planned_route", "actual_route",
    "decision_reason", "precision", "served_region", "model", "model_version", "policy_version",
)  # fmt: skip
FALLBACK_DIMENSIONS = ("data_class", "planned_route", "actual_route", "fallback_reason", "consent", "disclosed")
FILE_DIMENSIONS = ("model", "version", "digest", "precision", "runtime")
FILE_FIELDS = (
    "state", "removal", "wanted_version", "wanted_mirror", "used_mirror", "serving", "tasks", "fallbacks", "crashes",
    "downloads", "signature_failures", "checksum_failures",
)  # fmt: skip

COUNTS = (
    "attempts", "succeeded", "refused", "degraded", "offline", "contract_checked", "contract_valid",
    "citations_expected", "citations_present",
)  # fmt: skip
ROUNDED = ("tokens_in", "tokens_out", "bytes_sent")

OTHER = "other"

Key = tuple[Any, ...]
Row = dict[str, Any]

_route_key = attrgetter(*ROUTE_DIMENSIONS)
_fallback_key = attrgetter(*FALLBACK_DIMENSIONS)
_file_key = attrgetter(*FILE_DIMENSIONS)


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
        self._tier = tier
        self._ids = ids
        self._firsts = Firsts()
        self._window_ms = tier.window_minutes * MS_PER_MINUTE
        self._header = header(device) | dict.fromkeys(refused)

    def task_windows(self, tasks: Sequence[Task]) -> Iterator[DeviceReport]:
        """route_window for every window with tasks, and fallback_window from those who agreed to it."""
        windows: dict[int, list[Task]] = defaultdict(list)
        for task in tasks:
            windows[task.time - task.time % self._window_ms].append(task)
        for start, within in sorted(windows.items()):
            network = "offline" if all(task.offline for task in within) else self._device.network_context
            common = {"network_context": network}
            yield self._report("route_window", start, self._window_ms, common | self._routes(within, start))
            if self._device.consent_fallback_reports:
                yield self._report("fallback_window", start, self._window_ms, common | self._fallbacks(within, start))

    def inventories(self, installations: Sequence[Installation]) -> Iterator[DeviceReport]:
        """model_inventory over the whole hour, for every hour that has installations."""
        hours: dict[int, list[Installation]] = defaultdict(list)
        for installation in installations:
            hours[installation.hour].append(installation)
        for hour, files in sorted(hours.items()):
            rows = [_file_row(file) | self._flags("model_inventory", _file_key(file), hour) for file in files]
            yield self._report(
                "model_inventory", hour, MS_PER_HOUR, {"manifest_age": files[0].manifest_age, "rows": rows}
            )

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
        flags = self._firsts.flags(report, start)
        return DeviceReport(
            self._device.index, self._device.tier, report, start, start + length, header | flags | values
        )

    def _flags(self, report: str, key: Key, start: int) -> dict[str, bool]:
        return self._firsts.flags((report, key), start)

    def _routes(self, tasks: Sequence[Task], start: int) -> Row:
        rows = [
            dict(zip(ROUTE_DIMENSIONS, key, strict=True))
            | self._flags("route_window", key, start)
            | _route_sums(of_key)
            for key, of_key in folded(tasks, _route_key, self._tier.min_tasks_per_row).items()
        ]
        return {"rows": rows, "violations": self._counted(tasks, "violations", "rule", start)}

    def _counted(self, tasks: Sequence[Task], attribute: str, name: str, start: int) -> list[Row]:
        """How many tasks have each symbol of a set, with its presence flags."""
        return [
            {name: symbol, "tasks": number} | self._flags(attribute, (symbol,), start)
            for symbol, number in symbols(tasks, attribute).items()
        ]

    def _fallbacks(self, tasks: Sequence[Task], start: int) -> Row:
        fell_back = [task for task in tasks if task.planned_route != task.actual_route]
        rows = [
            dict(zip(FALLBACK_DIMENSIONS, key, strict=True))
            | self._flags("fallback_window", key, start)
            | _fallback_sums(of_key)
            for key, of_key in folded(fell_back, _fallback_key, self._tier.min_tasks_per_row).items()
        ]
        planned: dict[str, int] = defaultdict(int)
        for task in tasks:
            planned[task.planned_route] += 1
        return {
            "rows": rows,
            "planned": [
                {"planned_route": route, "tasks": number} | self._flags("planned", (route,), start)
                for route, number in planned.items()
            ],
        }


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


def folded(tasks: Sequence[Task], key_of: Callable[[Task], Key], least: int) -> dict[Key, list[Task]]:
    """The tasks by their dimensions; rows of fewer than `least` tasks together as one that reads `other` throughout."""
    rows: dict[Key, list[Task]] = defaultdict(list)
    for task in tasks:
        rows[key_of(task)].append(task)
    small = [key for key, of_key in rows.items() if len(of_key) < least]
    if small:
        other = (OTHER,) * len(small[0])
        rows[other] = [task for key in small for task in rows.pop(key)]
    return dict(rows)


def round_to_two(number: int) -> int:
    """A whole number of at least zero, rounded to two significant digits; half of the last one goes up."""
    unit = int(10 ** max(len(str(number)) - 2, 0))
    return (number + unit // 2) // unit * unit


def symbols(tasks: Sequence[Task], attribute: str) -> dict[str, int]:
    """How many tasks have each symbol in a set of theirs."""
    found: dict[str, int] = {}
    for task in tasks:
        for symbol in sorted(getattr(task, attribute)):
            found[symbol] = found.get(symbol, 0) + 1
    return found


def _route_sums(tasks: Sequence[Task]) -> Row:
    sums: Row = {name: sum(getattr(task, name) for task in tasks) for name in COUNTS}
    sums |= {name: round_to_two(sum(getattr(task, name) for task in tasks)) for name in ROUNDED}
    return sums | {
        "tasks": len(tasks),
        "cold_starts": sum(task.cold_start for task in tasks),
        "disclosures": [
            {"disclosure": symbol, "tasks": number} for symbol, number in symbols(tasks, "disclosures").items()
        ],
        "latency": histogram(task.latency_ms for task in tasks),
        "first_token": histogram(task.first_token_ms for task in tasks),
    }


def _fallback_sums(tasks: Sequence[Task]) -> Row:
    returned = [task for task in tasks if task.returned_after_s is not None]
    return {
        "tasks": len(tasks),
        "succeeded": sum(task.succeeded for task in tasks),
        "degraded": sum(task.degraded for task in tasks),
        "bytes_moved": round_to_two(sum(task.bytes_moved for task in tasks)),
        "seconds_in_fallback": sum(task.seconds_in_fallback for task in tasks),
        "returns": len(returned),
        "canary_returns": sum(task.returned_by_canary for task in returned),
        "return_time": histogram(task.returned_after_s for task in returned),
    }


def _file_row(file: Installation) -> Row:
    row = {name: getattr(file, name) for name in (*FILE_DIMENSIONS, *FILE_FIELDS)}
    return row | {name: round_to_two(getattr(file, name)) for name in ("bytes_downloaded", "bytes_wasted")}
