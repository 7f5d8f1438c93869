"""The tasks and model files of a part of the fleet, as its devices' applications tell them, and what devices let out.

The tasks are those of `load.fleet`. Two things are as they are for the sake of a truth that can be summed up plainly:

* a task that left its route says itself how it found back, for else the library measures that from task to task;
* an agent of today adds no attributes of its own.
"""

from collections.abc import Iterator, Sequence
from dataclasses import replace
from functools import cache
from random import Random
from typing import Any

from load.fleet.dealing import BY_HOUR_OF_DAY, Session
from load.fleet.devices import UTC_OFFSET_HOURS, Profile
from load.fleet.nouns import Device, Fleet, Identifiers, Installation, Task
from load.fleet.scenario import make_fleet
from load.fleet.trace import Request, within_the_hour
from load.fleet.truth_policy import after, policies, under
from load.fleet.truth_rows import DIMENSIONS, consents
from load.fleet.truth_windows import Key
from load.fleet.windows import FACTS_OF_A_FILE, reported
from load.offline.plan import HOUR_MS, Part
from reporter.observing.observation import ManifestAge, Note, Observation, ended
from reporter.reports import IDENTIFIERS
from reporter.windows.inventory_window import ModelFile
from reporter.windows.ways_back import LASTING

FILES_TOLD_EVERY = 360
"""Hours."""

TASKS_A_SESSION = 4
BETWEEN = 100
"""Requests of the trace from one of a session to its next: some 20 seconds."""

WITHIN_THE_HOUR_MS = 1_234_567
"""When in their hour a device tells of its files."""


def make_part(part: Part) -> Fleet:
    """The fleet of a part; its devices are numbered from 0."""
    fleet = make_fleet(
        devices=part.devices,
        seed=part.random("fleet").getrandbits(32),
        now_ms=part.plan.end_ms,
        days=part.plan.days,
        tasks=part.devices * part.plan.tasks,
        files_told_every=FILES_TOLD_EVERY,
        deal=deal_sparsely,
    )
    devices = tuple(
        replace(device, identifiers=_planted(device, part.first + device.index)) for device in fleet.devices
    )
    return replace(fleet, devices=devices, tasks=tuple(_with_its_way_back(task) for task in fleet.tasks))


def deal_sparsely(
    random: Random, profiles: Sequence[Profile], trace: Sequence[Request], *, start: int, end: int, tasks: int
) -> list[Session]:
    """As `load.fleet.dealing.deal`, for few tasks over many days: short sessions at each device's hours of work."""
    hour_of_trace = within_the_hour(trace)
    sessions = []
    for _ in range(round(tasks / TASKS_A_SESSION)):
        profile = random.choice(profiles)
        number = 1 + round(random.expovariate(1 / (TASKS_A_SESSION - 1)))
        first = random.randrange(len(hour_of_trace))
        requests = hour_of_trace[first : first + number * BETWEEN : BETWEEN]
        hour = _hour(random, profile, start, end)
        sessions.append(Session(profile, 0, [one._replace(time=hour + one.time) for one in requests]))
    return sorted(sessions, key=lambda session: session.requests[0].time)


def _hour(random: Random, profile: Profile, start: int, end: int) -> int:
    while True:
        hour = random.randrange(start, end, HOUR_MS)
        clock = (hour // HOUR_MS + UTC_OFFSET_HOURS[profile.device.region]) % 24
        if random.random() < BY_HOUR_OF_DAY[clock] / max(BY_HOUR_OF_DAY):
            return hour


def _planted(device: Device, number: int) -> Identifiers:
    """An identifier in every field, which no other device of the whole fleet has."""
    mark = f"{number:06d}-{device.identifiers.device_id}"
    return Identifiers(**{name: f"{name}-{mark}" for name in IDENTIFIERS}, attributes=())


def _with_its_way_back(task: Task) -> Task:
    if task.fallback_reason in LASTING and task.returned_after_s is None:
        return replace(task, returned_after_s=task.seconds_in_fallback)
    return task


def observations(fleet: Fleet) -> dict[int, list[Observation]]:
    """What each device's applications tell, in order of time."""
    found: dict[int, list[Observation]] = {device.index: [] for device in fleet.devices}
    for task in fleet.tasks:
        told = ended(reported(task), task.time)
        # A name of a session is only ever in memory, whatever an application takes for it.
        told.session = fleet.devices[task.device].identifiers.user_email
        found[task.device].append(told)
    for installation in fleet.installations:
        found[installation.device].extend(_of_file(installation))
    for told_by_one in found.values():
        told_by_one.sort(key=lambda observation: observation.at_ms)
    return found


def _of_file(file: Installation) -> Iterator[Observation]:
    at_ms = file.hour + WITHIN_THE_HOUR_MS
    facts: dict[str, Any] = {name: getattr(file, name) for name in FACTS_OF_A_FILE}
    yield Note(at_ms, ModelFile(**facts))
    yield Note(at_ms, ManifestAge(seconds=file.manifest_age))  # type: ignore[arg-type]  # a word of the schema does as well


def numbered(fleet: Fleet, first: int) -> Fleet:
    """The same with the numbers that its devices have in the whole fleet; `devices` holds these alone."""
    return replace(
        fleet,
        devices=tuple(replace(device, index=first + device.index) for device in fleet.devices),
        tasks=tuple(replace(task, device=first + task.device) for task in fleet.tasks),
        installations=tuple(replace(file, device=first + file.device) for file in fleet.installations),
    )


def together(fleets: list[Fleet]) -> Fleet:
    """The whole fleet of parts that are numbered."""
    return replace(
        fleets[0],
        devices=tuple(device for fleet in fleets for device in fleet.devices),
        tasks=tuple(task for fleet in fleets for task in fleet.tasks),
        installations=tuple(file for fleet in fleets for file in fleet.installations),
    )


def let_out(device: Device, report: str, array: str, key: Key) -> Key:
    """What a device that strips by its tier's policy lets out of a combination; None for what it takes off.

    `load.fleet.truth_windows.Tell`. The manifest's names are the gate's own, so what has to be `known` leaves the
    device as it is.
    """
    return _let_out(device.tier, consents(device), report, array, key)


@cache
def _let_out(tier: str, given: frozenset[str], report: str, array: str, key: Key) -> Key:
    policy = policies()[tier]
    rules = [under(policy.governing(report, f"{array}.{name}"), given) for name in DIMENSIONS[report, array]]
    return tuple(
        value if rule.get("by") == "known" else after(rule, value, {}) for rule, value in zip(rules, key, strict=True)
    )
