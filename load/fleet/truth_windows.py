"""What devices say: tasks and files added up by window, before any gate has seen them.

A second and plainer account of what `reporter.windows` does: windows, folding of small rows, rounding, presence flags.
It reads tasks and the limits of the tier and shares no code with that package.
"""

from collections import defaultdict
from collections.abc import Callable, Hashable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from operator import attrgetter
from types import MappingProxyType
from typing import Any, NamedTuple, Protocol

from load.fleet.nouns import Device, Installation, Task
from load.fleet.truth_cells import Flags, Window
from load.fleet.truth_policy import HOUR_MS, OTHER, Policy, policies

DAY_MS = 24 * HOUR_MS

ROUTE_KEY = (
    "data_class", "task_kind", "input_size", "authority", "device_approved", "planned_route", "actual_route",
    "decision_reason", "precision", "served_region", "model", "model_version", "policy_version",
)  # fmt: skip

FALLBACK_KEY = ("data_class", "planned_route", "actual_route", "fallback_reason", "consent", "disclosed")

INVENTORY_KEY = ("model", "version", "digest", "precision", "runtime")

INVENTORY_REST = ("state", "removal", "wanted_version", "serving")

INVENTORY_COUNTS = ("tasks", "fallbacks", "crashes", "downloads")

Key = tuple[Hashable, ...]

Sums = Mapping[str, int]

Observed = Mapping[str, Sequence[int]]


Tell = Callable[[Device, str, str, Key], Key]
"""(device, report, array, combination) -> what the device lets out of the combination."""


def in_full(device: Device, report: str, array: str, key: Key) -> Key:  # noqa: ARG001  # as every `Tell`
    """All of it: an old agent, which leaves the stripping to the gate."""
    return key


class Fleet(Protocol):
    """What the truth needs to know of a made-up fleet. Times in milliseconds since the epoch, UTC."""

    @property
    def devices(self) -> Sequence[Device]: ...
    @property
    def tasks(self) -> Sequence[Task]: ...
    @property
    def installations(self) -> Sequence[Installation]: ...
    @property
    def manifest(self) -> Mapping[str, Any]: ...
    @property
    def prices(self) -> Mapping[str, Any]: ...


class SaidRow(NamedTuple):
    """One row of a report as the device posts it: its combination, whether it is its first, and what it counts."""

    key: Key
    first: Flags
    counts: Sums
    observed: Observed = MappingProxyType({})
    rest: Key = ()
    """What is said beside the combination: state, removal, wanted version and use of a model file."""


@dataclass(frozen=True, slots=True)
class SaidReport:
    """One report as the device posts it: rows by the array of the report that holds them."""

    window: Window
    device: Device
    first: Flags
    arrays: Mapping[str, Sequence[SaidRow]]
    manifest_age: str | None = None


class Firsts:
    """Sets presence flags: whether something is said for the first time in the hour, and on the day."""

    def __init__(self) -> None:
        self._said: set[tuple[Hashable, int, int]] = set()

    def of(self, what: Hashable, time: int) -> Flags:
        """The flags of `what`, said in a window that begins at `time`. To be asked in the order of time."""
        return Flags(self._once(what, time, HOUR_MS), self._once(what, time, DAY_MS))

    def _once(self, what: Hashable, time: int, span: int) -> bool:
        said = (what, span, time // span)
        first = said not in self._said
        self._said.add(said)
        return first


def reports(fleet: Fleet, tell: Tell = in_full) -> Iterator[SaidReport]:
    """All reports of routes, fallbacks and models that the devices make, each device's in the order of time."""
    firsts = Firsts()
    for (index, start), tasks in sorted(_windows(fleet).items()):
        device = fleet.devices[index]
        yield _route(device, start, tasks, firsts, tell)
        if device.consent_fallback_reports:
            yield _fallback(device, start, tasks, firsts, tell)
    for (index, hour), held in sorted(_holdings(fleet).items()):
        yield _inventory(fleet.devices[index], hour, held, firsts, tell)


def _windows(fleet: Fleet) -> dict[tuple[int, int], list[Task]]:
    """Tasks by device and beginning of the window."""
    length = {tier: policy.window_ms for tier, policy in policies().items()}
    windows: dict[tuple[int, int], list[Task]] = defaultdict(list)
    for task in fleet.tasks:
        start = task.time - task.time % length[fleet.devices[task.device].tier]
        windows[task.device, start].append(task)
    return windows


def _holdings(fleet: Fleet) -> dict[tuple[int, int], list[Installation]]:
    """Files by device and hour."""
    holdings: dict[tuple[int, int], list[Installation]] = defaultdict(list)
    for installation in fleet.installations:
        holdings[installation.device, installation.hour].append(installation)
    return holdings


def _route(device: Device, start: int, tasks: list[Task], firsts: Firsts, tell: Tell) -> SaidReport:
    window = Window(device.index, "route_window", start)
    broken = [rule for task in tasks for rule in task.violations]
    told = partial(tell, device, "route_window", "rows")
    arrays = {
        "rows": [
            SaidRow(key, firsts.of((window[:2], key), start), _route_sums(part), _latencies(part))
            for key, part in _folded(tasks, ROUTE_KEY, _policy(device).min_tasks_per_row, told)
        ],
        "violations": list(_counted(window, broken, firsts, partial(tell, device, "route_window", "violations"))),
    }
    return SaidReport(window, device, firsts.of(window[:2], start), arrays)


def _fallback(device: Device, start: int, tasks: list[Task], firsts: Firsts, tell: Tell) -> SaidReport:
    window = Window(device.index, "fallback_window", start)
    left = [task for task in tasks if task.actual_route != task.planned_route]
    planned = [task.planned_route for task in tasks]
    told = partial(tell, device, "fallback_window", "rows")
    arrays = {
        "rows": [
            SaidRow(
                key, firsts.of((window[:2], key), start), _fallback_sums(part), {"return_time": _return_times(part)}
            )
            for key, part in _folded(left, FALLBACK_KEY, _policy(device).min_tasks_per_row, told)
        ],
        "planned": list(_counted(window, planned, firsts, partial(tell, device, "fallback_window", "planned"))),
    }
    return SaidReport(window, device, firsts.of(window[:2], start), arrays)


def _inventory(device: Device, hour: int, held: list[Installation], firsts: Firsts, tell: Tell) -> SaidReport:
    """The window of the report on files is the whole hour in every tier."""
    window = Window(device.index, "model_inventory", hour)
    files: dict[Key, list[Installation]] = defaultdict(list)
    for one in held:
        files[tell(device, "model_inventory", "rows", attrgetter(*INVENTORY_KEY)(one))].append(one)
    rows = [
        SaidRow(
            key,
            firsts.of((window[:2], key), hour),
            {name: sum([getattr(one, name) for one in alike]) for name in INVENTORY_COUNTS},
            rest=tuple(_said_last(alike, name) for name in INVENTORY_REST),
        )
        for key, alike in files.items()
    ]
    return SaidReport(window, device, firsts.of(window[:2], hour), {"rows": rows}, held[0].manifest_age)


def _said_last(alike: Sequence[Installation], name: str) -> Hashable:
    """What stands of files that a report tells as one."""
    said: list[Hashable] = [getattr(one, name) for one in alike if getattr(one, name) is not None]
    return said[-1] if said else None


def _policy(device: Device) -> Policy:
    return policies()[device.tier]


def _folded(
    tasks: list[Task], names: tuple[str, ...], least: int, told: Callable[[Key], Key]
) -> Iterator[tuple[Key, list[Task]]]:
    """Tasks by combination; those of combinations with too few tasks together, under one that reads `other` only."""
    combinations: dict[Key, list[Task]] = defaultdict(list)
    combination = attrgetter(*names)
    for task in tasks:
        combinations[told(combination(task))].append(task)
    small: list[Task] = []
    for key, alike in combinations.items():
        if len(alike) < least:
            small += alike
        else:
            yield key, alike
    if small:
        yield told((OTHER,) * len(names)), small


def _counted(window: Window, items: list[str], firsts: Firsts, told: Callable[[Key], Key]) -> Iterator[SaidRow]:
    """Rows of an array that counts tasks by one symbol."""
    for item in sorted(set(items)):
        key = told((item,))
        yield SaidRow(key, firsts.of((window[:2], key), window.start), {"tasks": items.count(item)})


def _route_sums(tasks: list[Task]) -> Sums:
    return {
        "tasks": len(tasks),
        "attempts": sum([task.attempts for task in tasks]),
        "refused": sum([task.refused for task in tasks]),
        "cold_starts": sum([task.cold_start for task in tasks]),
        "tokens_in": round_to_two(sum([task.tokens_in for task in tasks])),
        "tokens_out": round_to_two(sum([task.tokens_out for task in tasks])),
        "bytes_sent": round_to_two(sum([task.bytes_sent for task in tasks])),
    }


def _latencies(tasks: list[Task]) -> Observed:
    return {
        "latency": [task.latency_ms for task in tasks if task.latency_ms is not None],
        "first_token": [task.first_token_ms for task in tasks if task.first_token_ms is not None],
    }


def _fallback_sums(tasks: list[Task]) -> Sums:
    return {
        "tasks": len(tasks),
        "succeeded": sum([task.succeeded for task in tasks]),
        "degraded": sum([task.degraded for task in tasks]),
        "bytes_moved": round_to_two(sum([task.bytes_moved for task in tasks])),
        "seconds_in_fallback": sum([task.seconds_in_fallback for task in tasks]),
        "returns": len(_return_times(tasks)),
        "canary_returns": sum([task.returned_by_canary for task in tasks if task.returned_after_s is not None]),
    }


def _return_times(tasks: list[Task]) -> list[int]:
    return [task.returned_after_s for task in tasks if task.returned_after_s is not None]


def round_to_two(number: int) -> int:
    """A whole number to two significant digits, halves up."""
    unit = int(10 ** max(len(str(number)) - 2, 0))
    return (number + unit // 2) // unit * unit
