"""The windows that do not count tasks by route: what each makes of its observations."""

import json
from typing import Any

import pytest

from reporter.windows.capability_window import CapabilityProbe, CapabilityWindow
from reporter.windows.degrees import (
    BATTERY,
    CERTIFICATE_DAYS,
    MANIFEST_AGE,
    QUEUE_DEPTH,
    REMOVAL,
    SATURATION,
    WINDOWS_LOST,
    Scale,
)
from reporter.windows.health_window import Health, HealthWindow
from reporter.windows.inventory_window import InventoryWindow, ModelFile
from reporter.windows.path_window import PathProbe, PathWindow
from reporter.windows.rows import MOST_ROWS
from reporter.windows.stability_window import MOST_SESSIONS, Sessions, StabilityWindow
from reporter.windows.sync_window import Sync, SyncWindow
from reporter.windows.task_window import Decisions
from reporter.windows.trace_window import TraceWindow
from reporter.windows.vocabulary import fits
from tests.reporter.windows.hand_made import NINE, task, window
from tests.reporter.windows.test_task_window import encoded

ONE_MS = {"zero_count": 0, "underflow": 0, "overflow": 0, "offset": -1, "counts": [1]}


def test_syncs_are_rows_by_store_and_route() -> None:
    """Syncs of one store over one route are one row; what is no store is other."""
    made = SyncWindow()
    made.add(Sync(store="index", memory_route="edge", conflicts=2, latency_ms=1))
    made.add(Sync(store="index", memory_route="edge", syncs=0, reads=5, stale_reads=1))
    made.add(Sync(store="attic", memory_route="edge"))
    rows = made.values({})["rows"]
    assert [(row["store"], row["syncs"], row["conflicts"], row["reads"]) for row in rows] == [
        ("index", 1, 2, 5), ("other", 1, 0, 0),
    ]  # fmt: skip
    assert rows[0]["latency"] == ONE_MS


def test_the_offline_queue_is_told_beside_them() -> None:
    """Of the depth the peak is told, of ages a histogram; replays and what expired are counts."""
    made = SyncWindow()
    for depth in (3, 7, 5):
        made.queued(depth)
    made.left_queue(1)
    made.count(expired=2, replays_asked=1)
    made.count(replays_unasked=4)
    values = made.values({"offline_tasks": 6, "offline_succeeded": 5, "offline_central": 1})
    assert values == {
        "rows": [], "queue_depth_peak": 7, "queue_expired": 2, "replays_asked": 1, "replays_unasked": 4,
        "queue_age": ONE_MS, "offline_tasks": 6, "offline_succeeded": 5, "offline_central": 1,
    }  # fmt: skip
    assert encoded("sync_window", values)


def test_capabilities_are_rows_by_both_tiers() -> None:
    """Probes that found another tier than before are in another row."""
    made = CapabilityWindow()
    for probed, failures in (("basic", 1), ("basic", 0), ("none", 1)):
        made.add(CapabilityProbe(capability="vision", declared_tier="standard", probed_tier=probed, failures=failures))
    rows = made.values()["rows"]
    assert [(row["probed_tier"], row["probes"], row["failures"]) for row in rows] == [("basic", 2, 1), ("none", 1, 1)]
    assert encoded("capability_probe", made.values())


PROBED: list[Any] = [
    pytest.param({"http_status": 204, "reached": "intended"}, {"http_2xx", "reached_intended"}, id="reached"),
    pytest.param({"http_status": 503, "reached": "fallback"}, {"http_5xx", "reached_fallback"}, id="elsewhere"),
    pytest.param({}, {"http_none"}, id="no response"),
    pytest.param({"http_status": 99}, {"http_none"}, id="a status that is none"),
    pytest.param({"dnssec": "bogus", "dns_failures": 1}, {"http_none", "dnssec_bogus", "dns_failures"}, id="lookup"),
    pytest.param({"dnssec": "maybe", "reached": "moon"}, {"http_none"}, id="words of nobody's"),
]


@pytest.mark.parametrize(("said", "expected"), PROBED)
def test_a_probe_counts_where_it_belongs(said: dict[str, Any], expected: set[str]) -> None:
    """A probe is in the counts of what it found, once each."""
    made = PathWindow()
    made.add(PathProbe(service_role="sync", network_context="home", **said))
    [row] = made.values()["rows"]
    assert {name for name, number in row.items() if number == 1} == expected | {"probes"}
    assert encoded("path_probe", made.values())


def test_a_certificate_may_end_today() -> None:
    """A certificate of no day left was seen, and is not expired yet."""
    made = PathWindow()
    made.add(PathProbe(service_role="sync", network_context="home", certificate_days_left=0))
    assert [row["certificate_left"] for row in made.values()["rows"]] == ["under_7d"]


def test_the_shortest_certificate_is_told() -> None:
    """Of several certificates on a path the one that ends first is told, in whatever order they were seen."""
    made = PathWindow()
    for days in (200, 5, 60):
        made.add(PathProbe(service_role="sync", network_context="home", certificate_days_left=days))
    assert [row["certificate_left"] for row in made.values()["rows"]] == ["under_7d"]


def test_paths_that_tell_the_same_are_one_row() -> None:
    """Where a tier takes the network off, probes over two networks are one row, with the worse certificate."""
    made = PathWindow()
    for network, days in (("home", 5), ("office", 60)):
        made.add(PathProbe(service_role="sync", network_context=network, certificate_days_left=days, connect_ms=1))
    [row] = made.values(lambda _report, _array, row: row | {"network_context": "other"})["rows"]
    assert (row["probes"], row["certificate_left"], row["connect"]["counts"]) == (2, "under_7d", [2])


def test_a_file_is_told_as_it_is_at_the_end() -> None:
    """What a file is stands as it was said last, what happened to it is added up, bytes are rounded."""
    made = InventoryWindow()
    made.add(ModelFile(model="small-chat", version="2", state="staged", serving=False, bytes_downloaded=1234))
    made.add(ModelFile(model="small-chat", version="2", state="active", serving=True, downloads=1))
    made.add(ModelFile(model="small-chat", version="2", removal=7200))
    values = made.values(90_000)
    [row] = values["rows"]
    expected = {"state": "active", "serving": True, "downloads": 1, "bytes_downloaded": 1200, "removal": "h1_to_24"}
    assert {name: row[name] for name in expected} == expected
    assert values["manifest_age"] == "d1_to_7"
    assert encoded("model_inventory", values)


def test_an_inventory_of_little_can_be_written() -> None:
    """A file of which only the name is known has a state of other, and a device without a manifest never had one."""
    made = InventoryWindow()
    made.add(ModelFile(model="small-chat", version=None))
    values = made.values(None)
    assert (values["rows"][0]["state"], values["manifest_age"]) == ("other", "never")
    assert encoded("model_inventory", values)


def test_health_keeps_the_worst() -> None:
    """Of charge the lowest is told, of saturation and queue the highest, of an update where it stands."""
    made = HealthWindow()
    made.add(Health(battery=60, memory=20, accelerator="absent", queue_depth=7, update_status="available", crashes=1))
    made.add(Health(battery=9, memory=80, queue_depth=0, update_status="current", crashes=1, cold_starts=2))
    made.add(Health(battery=30, memory=55))
    values = made.values()
    assert values == {
        "battery": "under_10pc", "memory": "pc75_to_90", "accelerator": "absent", "queue_depth": "n6_to_20",
        "update_status": "current", "crashes": 2, "cold_starts": 2,
    }  # fmt: skip
    assert encoded("health_window", values)


def test_a_measured_battery_is_not_absent() -> None:
    """A word that is no degree gives way to a measured one, whichever came first."""
    for looks in ((Health(battery="absent"), Health(battery=99)), (Health(battery=99), Health(battery="absent"))):
        made = HealthWindow()
        for look in looks:
            made.add(look)
        assert made.values()["battery"] == "over_50pc"


def test_a_trace_counts_decisions_and_reports() -> None:
    """Decisions come from closed windows, reports from the sender, violations from the device's own policy."""
    made = TraceWindow()
    made.decided(Decisions(tasks=5, with_reason=4, complete=3))
    made.decided(Decisions(tasks=1, with_reason=1, complete=1))
    made.count(closed=2, evidence_kept=1, bytes_uploaded=1234)
    made.accepted_late(1)
    made.violated("consent_missing")
    made.violated("bad manners", 2)
    values = made.values(3)
    assert values == {
        "windows_lost": "n2_to_5", "traces_expected": 6, "traces_complete": 4, "decisions": 6,
        "decisions_with_reason": 5, "windows_closed": 2, "evidence_kept": 1, "bytes_uploaded": 1200,
        "uploads_delayed": 1, "upload_delay": ONE_MS,
        "violations": [{"kind": "consent_missing", "count": 1}, {"kind": "other", "count": 2}],
    }  # fmt: skip
    assert encoded("trace_window", values)
    assert made.values(None)["windows_lost"] == "unknown"


ROUTES: list[Any] = [
    pytest.param(["edge", "edge"], (1, 0, 0, None), id="no change"),
    pytest.param(["edge", "on_device", "edge"], (1, 1, 2, 10), id="there and back"),
    pytest.param(["edge", "refused", "edge"], (1, 0, 0, None), id="failing closed is no route"),
]


@pytest.mark.parametrize(("routes", "expected"), ROUTES)
def test_sessions_switch_routes(routes: list[str], expected: tuple[Any, ...]) -> None:
    """A session's changes of route are counted, with the shortest time on a route."""
    made, sessions, tasks = StabilityWindow(), Sessions(), window()
    for number, route in enumerate(routes):
        made.ran("morning", tasks.add(task(planned_route=route)), NINE + number * 10_000, sessions)
    values = made.values()
    found = tuple(values[name] for name in ("sessions", "sessions_changed", "switches", "route_lifetime_min"))
    assert found == expected
    assert encoded("stability_window", values)


def test_a_session_goes_on_in_the_next_window() -> None:
    """A change of route against the last task of an earlier window is a change, until the session has ended."""
    sessions, tasks = Sessions(), window()
    StabilityWindow().ran("morning", tasks.add(task(planned_route="edge")), NINE, sessions)
    later = StabilityWindow()
    later.ran("morning", tasks.add(task()), NINE + 400_000, sessions)
    assert (later.values()["switches"], later.values()["route_lifetime_min"]) == (1, 400)
    sessions.ended("morning")
    later.ran("morning", tasks.add(task(planned_route="edge")), NINE + 500_000, sessions)
    assert later.values()["switches"] == 1


def test_what_is_said_of_a_session_counts() -> None:
    """Switches that the application counted stand in place of those that were seen, before and after."""
    made, sessions, tasks = StabilityWindow(), Sessions(), window()
    cells = [tasks.add(task(planned_route=route)) for route in ("edge", "on_device", "edge")]
    for number, cell in enumerate(cells[:2]):
        made.ran("morning", cell, NINE + number, sessions)
    made.said("morning", switches=5, shortest_s=2)
    made.ran("morning", cells[2], NINE + 9, sessions)
    made.count(held=3, bytes_redownloaded=1234)
    values = made.values()
    assert (values["switches"], values["switches_peak"], values["route_lifetime_min"]) == (5, 5, 2)
    assert (values["switches_held"], values["bytes_redownloaded"]) == (3, 1200)


def test_latencies_make_a_variance() -> None:
    """Latencies are counted with their sum and the sum of their squares, and of attempts the most are told."""
    made = StabilityWindow()
    for one in (task(latency_ms=3, attempts=2), task(latency_ms=4.4, attempts="two"), task()):
        made.add(one)
    values = made.values()
    found = tuple(values[f"latency_{name}"] for name in ("count", "sum", "sum_squares"))
    assert (*found, values["attempts_peak"]) == (2, 7, 25, 2)


def test_sessions_are_bounded() -> None:
    """However many sessions there are, a device remembers a bounded number, the last ones."""
    made, sessions, cell = StabilityWindow(), Sessions(), window().add(task())
    for number in range(MOST_SESSIONS + 5):
        made.ran(str(number), cell, NINE, sessions)
    assert made.values()["sessions"] == MOST_SESSIONS
    assert sessions.ran("0", "edge", NINE) is None
    assert sessions.ran(str(MOST_SESSIONS), "edge", NINE + 1) == 1


def test_rows_are_bounded() -> None:
    """Beyond the greatest number of combinations further ones are counted in one row that reads other."""
    made = InventoryWindow()
    for number in range(MOST_ROWS + 5):
        made.add(ModelFile(model=f"model-{number}", version="1", downloads=1))
    rows = made.values(0)["rows"]
    assert len(rows) == MOST_ROWS + 1
    assert [row["downloads"] for row in rows if row["model"] == "other"] == [5]


SCALES: list[Any] = [
    pytest.param("health_window", None, "battery", BATTERY, id="battery"),
    pytest.param("health_window", None, "memory", SATURATION, id="memory"),
    pytest.param("health_window", None, "queue_depth", QUEUE_DEPTH, id="queue"),
    pytest.param("trace_window", None, "windows_lost", WINDOWS_LOST, id="windows lost"),
    pytest.param("path_probe", "rows", "certificate_left", CERTIFICATE_DAYS, id="certificates"),
    pytest.param("model_inventory", None, "manifest_age", MANIFEST_AGE, id="manifest"),
    pytest.param("model_inventory", "rows", "removal", REMOVAL, id="removal"),
]


@pytest.mark.parametrize(("report", "array", "field", "scale"), SCALES)
def test_degrees_are_symbols_of_the_schema(report: str, array: str | None, field: str, scale: Scale) -> None:
    """Every degree is a symbol of its field, and a bound belongs to the degree that it begins."""
    assert [fits(report, array)[field](word) for word in scale.words] == list(scale.words)
    assert [scale.word(bound) for bound in scale.bounds] == list(scale.words[1:])
    assert scale.word(scale.bounds[0] - 1) == scale.words[0]
    assert scale.word(None) is None


def test_values_are_plain() -> None:
    """What windows give can be written as JSON, so that it can be shown to a person."""
    sync, trace = SyncWindow(), TraceWindow()
    sync.add(Sync(store="index", memory_route="edge", latency_ms=5))
    trace.accepted_late(5)
    made = [sync.values({}), trace.values(0), HealthWindow().values(), StabilityWindow().values()]
    assert json.loads(json.dumps(made)) == made
