"""The fleet: the same for the same seed, shaped as it says, its rules broken at the rates that it says."""

from collections import Counter
from pathlib import Path

import pytest

from load.fleet.breaches import BREACH_RATE, SILENT_RATE
from load.fleet.disclosure import crosses_zone
from load.fleet.nouns import Fleet, Task
from load.fleet.scenario import make_fleet
from schemas.manifest import Manifest
from schemas.prices import Prices
from tests.load.fleet.conftest import NOW

HOUR = 3_600_000


def test_same_seed_same_fleet() -> None:
    """A seed makes one fleet, wherever within an hour it is asked for, and another seed another one."""
    first, second = (make_fleet(devices=20, seed=5, now_ms=NOW + later) for later in (0, 900_000))
    assert first == second
    assert make_fleet(devices=20, seed=6, now_ms=NOW).tasks != first.tasks


def test_span_is_three_days_to_the_hour(fleet: Fleet) -> None:
    """A fleet covers the three days up to the hour of now, in order of time."""
    assert fleet.end_ms == NOW - NOW % HOUR
    assert fleet.end_ms - fleet.start_ms == 72 * HOUR
    times = [task.time for task in fleet.tasks]
    assert times == sorted(times)
    assert fleet.start_ms <= times[0] <= times[-1] < fleet.end_ms


def test_population(fleet: Fleet) -> None:
    """Three quarters are laptops, all five regions and three tiers are there, about 60 tasks fall to a device."""
    kinds, tiers = Counter(one.kind for one in fleet.devices), Counter(one.tier for one in fleet.devices)
    assert kinds["laptop"] == round(0.75 * len(fleet.devices))
    assert 0.55 < tiers["managed"] / len(fleet.devices) < 0.65
    assert 0.20 < tiers["byod"] / len(fleet.devices) < 0.30
    assert 0.10 < tiers["contractor"] / len(fleet.devices) < 0.20
    assert len({one.region for one in fleet.devices}) == 5
    assert len(fleet.tasks) == 60 * len(fleet.devices)
    assert [one.index for one in fleet.devices] == list(range(len(fleet.devices)))


def test_operators_documents_are_valid(fleet: Fleet) -> None:
    """The fleet's manifest and prices are documents that an operator could post, and name what the devices use."""
    manifest = Manifest.model_validate(fleet.manifest)
    assert Prices.model_validate(fleet.prices).rows()
    names = manifest.names()
    unknown = {task.device for task in fleet.tasks if task.model and task.model.encode() not in names["model"]}
    unknown |= {one.device for one in fleet.installations if one.version.encode() not in names["model_version"]}
    assert 0 < len(unknown) <= 0.03 * len(fleet.devices)
    assert {one.region.encode() for one in fleet.devices} <= names["region"]
    assert {one.site.encode() for one in fleet.devices} <= names["site"]


def test_trace_gives_the_minutes(tmp_path: Path) -> None:
    """Tasks come at the minute and second of the trace's requests, whatever the hour, with their tokens."""
    lines = [f"2023-11-16 18:{15 + number}:46.5000000,{300 + number},{40 + number}" for number in range(40)]
    file = tmp_path / "trace.csv"
    file.write_text("\n".join(["TIMESTAMP,ContextTokens,GeneratedTokens", *lines]), encoding="utf-8")
    fleet = make_fleet(devices=10, seed=5, now_ms=NOW, trace=file)
    places = {task.time % HOUR for task in fleet.tasks}
    assert places <= {(15 + number) * 60_000 + 46_500 for number in range(40)}
    assert {(task.tokens_in, task.tokens_out) for task in fleet.tasks if task.tokens_in} <= {
        (300 + number, 40 + number) for number in range(40)
    }


def broken(task: Task) -> set[str]:
    """The rules of the disclosure table that a task breaks, read from the table a second time."""
    closed, route, told = task.actual_route in ("refused", "queued"), task.actual_route, task.disclosures
    agreed = task.consent in ("granted", "approved_by_admin")
    speaks = {
        "D1": task.data_class == "restricted" and task.device_approved == "approved",
        "D2": task.data_class == "confidential" and task.task_kind == "retrieval",
        "D3": (task.data_class, task.task_kind, task.input_size) == ("public", "document", "large"),
        "D4": task.task_kind == "field" and task.offline,
        "D5": task.task_kind == "interactive" and task.planned_route == "on_device",
        "D6": task.authority == "needs_central" and task.offline,
    }
    kept = {
        "D1": route in ("on_device", "edge", "private_cloud"),
        "D2": route == "private_cloud" and "residency" in told and "source_references" in told,
        "D3": route == "managed_cloud"
        or (route in ("on_device", "edge") and task.degraded and "quality_difference" in told),
        "D4": route == "on_device" and "offline_model_version" in told,
        "D5": route == "on_device"
        or (route == "managed_cloud" and agreed and "fallback_shown" in told and "telemetry_path" in told),
        "D6": False,
    }
    return {rule for rule in speaks if speaks[rule] and not (kept[rule] or closed)}


def silent(task: Task) -> set[str]:
    """What makes a fallback of a task a silent one, read from the vocabulary a second time."""
    zones = {"on_device": 1, "edge": 2, "private_cloud": 3, "managed_cloud": 4}
    if task.actual_route not in zones or zones.get(task.planned_route) == zones[task.actual_route]:
        return set()
    found = {f"consent_{task.consent}"} & {"consent_not_asked", "consent_denied"}
    return found | ({"undisclosed"} if task.disclosed == "undisclosed" else set())


def test_claims_are_what_happened(fleet: Fleet) -> None:
    """The violations of every task are exactly those that its other facts show."""
    assert [task.violations for task in fleet.tasks] == [broken(task) | silent(task) for task in fleet.tasks]


def test_rules_are_broken_at_the_known_rate() -> None:
    """Of the tasks that a rule speaks of, and of the fallbacks into another zone, the shares that are said are bad."""
    fleet = make_fleet(devices=600, seed=2, now_ms=NOW)
    ruled = [task for task in fleet.tasks if speaks_a_rule(task)]
    crossing = [task for task in fleet.tasks if crosses_zone(task.planned_route, task.actual_route)]
    meant = BREACH_RATE * len(ruled) + SILENT_RATE * len(crossing)
    found = sum(bool(task.violations) for task in fleet.tasks)
    print(f"seed 2: {found} tasks with violations, {meant:.0f} meant")
    assert 0.6 * meant < found < 1.3 * meant
    assert {rule for task in fleet.tasks for rule in task.violations} >= {
        "D1", "D2", "D5", "consent_not_asked", "consent_denied", "undisclosed",
    }  # fmt: skip


def speaks_a_rule(task: Task) -> bool:
    """Any rule of the table speaks of the task."""
    return bool(
        (task.data_class == "restricted" and task.device_approved == "approved")
        or (task.data_class == "confidential" and task.task_kind == "retrieval")
        or (task.data_class, task.task_kind, task.input_size) == ("public", "document", "large")
        or (task.offline and (task.task_kind == "field" or task.authority == "needs_central"))
        or (task.task_kind == "interactive" and task.planned_route == "on_device")
    )


def test_facts_of_a_task_agree(fleet: Fleet) -> None:
    """What a task says of itself holds together, and nothing is where nothing ran."""
    for task in fleet.tasks:
        ran = task.actual_route in ("on_device", "edge", "private_cloud", "managed_cloud")
        assert (task.fallback_reason == "none") == (task.planned_route == task.actual_route)
        assert task.refused == (task.actual_route == "refused")
        assert not (task.succeeded and task.actual_route in ("refused", "queued"))
        assert (task.model is not None) == ran
        assert (task.served_region is not None) == (ran and task.actual_route != "on_device")
        assert ran or task.tokens_in == task.tokens_out == task.bytes_sent == task.bytes_moved == 0
        assert task.citations_present <= task.citations_expected
        assert task.contract_checked or not task.contract_valid
        assert not (task.offline and task.actual_route in ("edge", "private_cloud", "managed_cloud"))
        assert task.first_token_ms is None or (task.latency_ms is not None and task.first_token_ms <= task.latency_ms)


def test_time_in_fallback_stays_in_its_window(fleet: Fleet) -> None:
    """Seconds in fallback never reach beyond the window of the task, and only fallbacks have any."""
    for task in fleet.tasks:
        length = HOUR if fleet.devices[task.device].tier == "contractor" else 300_000
        assert 0 <= task.seconds_in_fallback * 1000 <= length - task.time % length
        assert task.planned_route != task.actual_route or task.seconds_in_fallback == 0
        assert task.returned_after_s is None or task.returned_after_s >= 0


@pytest.mark.parametrize("devices", [pytest.param(1, id="one device"), pytest.param(7, id="too few for every region")])
def test_small_fleets_are_whole(devices: int) -> None:
    """A fleet of a few devices has its tasks and reports as any other."""
    fleet = make_fleet(devices=devices, seed=1, now_ms=NOW, days=1)
    assert len(fleet.devices) == devices
    assert len(fleet.tasks) == 20 * devices
    assert fleet.installations
