"""The parts of a run, who is offline when, and in which order everything comes back."""

from collections import Counter

from load.offline.fleet import let_out, make_part
from load.offline.plan import START_MS, Part, Plan, outages
from load.offline.replay import TIMES, three_times_in_random_order
from load.offline.wire import Arrived
from reporter.reports import IDENTIFIERS

PLAN = Plan(devices=23, days=30, tasks=4, seed=3, part=10)
ARRIVED = [Arrived(number, "managed", b"") for number in range(100)]


def test_parts_are_the_whole() -> None:
    """Every device is in one part."""
    numbers = [part.first + number for part in PLAN.parts() for number in range(part.devices)]
    assert numbers == list(range(PLAN.devices))


def test_size_of_parts_follows_from_the_fleet_alone() -> None:
    """Small runs have several parts and large ones no large part, whatever machine they run on."""
    sizes = {devices: Plan.of(devices=devices, days=1, tasks=1, seed=1).part for devices in (1, 50, 300, 10_000)}
    assert sizes == {1: 1, 50: 7, 300: 38, 10_000: 100}


def test_parts_have_seeds_of_their_own() -> None:
    """Two parts draw differently, and the same part draws the same."""
    first, second, _ = PLAN.parts()
    assert first.random("x").random() == first.random("x").random() != second.random("x").random()


def test_some_devices_are_offline_all_the_time() -> None:
    """Outages lie within the days, and some last as long as these."""
    drawn = [outages(Part(PLAN, number, 1).random("outages"), PLAN) for number in range(200)]
    assert all(START_MS <= start <= end <= PLAN.end_ms for spans in drawn for start, end in spans)
    assert 20 < sum(spans == [(START_MS, PLAN.end_ms)] for spans in drawn) < 120


def test_every_report_comes_thrice_and_mixed() -> None:
    """In random order means that copies are not behind each other, nor in the order of time."""
    places = list(three_times_in_random_order(ARRIVED, 1))
    assert set(Counter(places).values()) == {TIMES}
    assert places != sorted(places)
    assert len(set(places[: len(ARRIVED)])) < len(ARRIVED)
    assert places == list(three_times_in_random_order(ARRIVED, 1)) != list(three_times_in_random_order(ARRIVED, 2))


def test_identifiers_are_of_one_device_alone() -> None:
    """Every device of every part has a value of its own in every field."""
    fleets = [make_part(part) for part in PLAN.parts()]
    planted = [getattr(one.identifiers, name) for fleet in fleets for one in fleet.devices for name in IDENTIFIERS]
    assert len(set(planted)) == len(planted) == PLAN.devices * len(IDENTIFIERS)


def test_few_tasks_are_over_all_days() -> None:
    """Sessions are short, lie within the days, and are of many devices."""
    (part,) = Plan(devices=50, days=30, tasks=8, seed=1, part=50).parts()
    fleet = make_part(part)
    assert 200 < len(fleet.tasks) < 800
    assert all(fleet.start_ms <= task.time < fleet.end_ms for task in fleet.tasks)
    assert len({task.device for task in fleet.tasks}) > 30
    assert len({task.time // 86_400_000 for task in fleet.tasks}) > 25


def test_devices_let_out_less_than_they_know() -> None:
    """A contractor's combination loses what that tier takes off, while names of the manifest stay for the gate."""
    devices = {one.tier: one for part in PLAN.parts() for one in make_part(part).devices}
    key = ("pocket-chat", "2.1.0", "sha256:0", "int4", "llama_cpp")
    managed, contractor = (let_out(devices[tier], "model_inventory", "rows", key) for tier in ("managed", "contractor"))
    assert managed[0] == "pocket-chat"
    assert sum(value is None for value in contractor) > sum(value is None for value in managed)
