"""What devices post of their tasks: windows, folding, rounding, presence flags, and that the real gate takes it."""

from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator
from typing import Any

import pytest

from ingest.json_reports import Message
from ingest.pipeline import AVRO, Rules, Submission, strip_message
from load.fleet.nouns import Fleet
from load.fleet.windows import DeviceReport, header, reports
from load.reports import encode
from reporter.windows.presence import COMBINATIONS
from schemas.catalogue import load_catalogue
from schemas.manifest import Manifest
from tests.load.fleet.conftest import NOW

CATALOGUE = load_catalogue()


def test_every_task_is_posted_once(fleet: Fleet, posted: list[DeviceReport]) -> None:
    """The rows of route_window add up to the tasks, and those of fallback_window to the fallbacks of who agreed."""
    agreed = {device.index for device in fleet.devices if device.consent_fallback_reports}
    fallbacks = [task for task in fleet.tasks if task.planned_route != task.actual_route and task.device in agreed]
    assert total(posted, "route_window", "rows", "tasks") == len(fleet.tasks)
    assert total(posted, "fallback_window", "rows", "tasks") == len(fallbacks)
    assert total(posted, "fallback_window", "planned", "tasks") == sum(task.device in agreed for task in fleet.tasks)
    assert total(posted, "route_window", "violations", "tasks") == sum(len(task.violations) for task in fleet.tasks)


def total(posted: Iterable[DeviceReport], report: str, array: str, field: str) -> int:
    """The sum of a field over the rows of an array."""
    return sum(row[field] for one in posted if one.report == report for row in one.values[array])


def test_every_observation_is_in_a_histogram(fleet: Fleet, posted: list[DeviceReport]) -> None:
    """Latencies and ways back are counted as often as there are any."""
    agreed = {device.index for device in fleet.devices if device.consent_fallback_reports}
    assert observed(posted, "route_window", "latency") == sum(task.latency_ms is not None for task in fleet.tasks)
    assert observed(posted, "route_window", "first_token") == sum(
        task.first_token_ms is not None for task in fleet.tasks
    )
    assert observed(posted, "fallback_window", "return_time") == sum(
        task.returned_after_s is not None and task.device in agreed for task in fleet.tasks
    )


def observed(posted: Iterable[DeviceReport], report: str, field: str) -> int:
    """How many observations are in the histograms of a field."""
    histograms = [row[field] for one in posted if one.report == report for row in one.values["rows"] if row[field]]
    return sum(one["zero_count"] + one["overflow"] + sum(one["counts"]) for one in histograms)


def test_windows_are_those_of_the_tier(posted: list[DeviceReport]) -> None:
    """Windows are aligned, and as long as the tier says: whole hours for contractors, five minutes for the others."""
    for one in posted:
        length = (
            3_600_000 if one.tier == "contractor" or one.report not in ("route_window", "fallback_window") else 300_000
        )
        assert one.end - one.start == length
        assert one.start % length == 0
        assert one.end <= NOW


def test_rows_are_large_enough(posted: list[DeviceReport]) -> None:
    """No row but the folded one counts fewer tasks than its tier asks for, and none appears twice in a report."""
    for one in posted:
        if one.report not in ("route_window", "fallback_window"):
            continue
        least = CATALOGUE.tiers[one.tier].min_tasks_per_row
        reasons = [(row["data_class"], row["tasks"]) for row in one.values["rows"]]
        assert all(tasks >= least for data_class, tasks in reasons if data_class != "other")
        assert sum(data_class == "other" for data_class, _ in reasons) <= 1


SPANS: list[Any] = [
    pytest.param("first_of_hour", lambda start: start // 3_600_000, id="hour"),
    pytest.param("first_of_day", lambda start: start // 86_400_000, id="day"),
    pytest.param("first_of_week", lambda start: (start // 86_400_000 + 3) // 7, id="week"),
]


@pytest.mark.parametrize(("flag", "span"), SPANS)
def test_flags_count_each_device_once(flag: str, span: Callable[[int], int], posted: list[DeviceReport]) -> None:
    """Per span, the flags of a type of report or of a combination add up to the devices that have it."""
    flags: Counter[Any] = Counter()
    devices: dict[Any, set[int]] = defaultdict(set)
    for one in posted:
        for key, carrier in keyed(one):
            flags[key, span(one.start)] += carrier[flag]
            devices[key, span(one.start)].add(one.device)
    assert flags == {key: len(found) for key, found in devices.items()}


def keyed(one: DeviceReport) -> Iterator[tuple[Any, dict[str, Any]]]:
    """Everything in a report that carries presence flags, with the key that it is the first of."""
    yield one.report, one.values
    for array, dimensions in COMBINATIONS.get(one.report, {}).items():
        for row in one.values[array]:
            yield (one.report, array, *(row[name] for name in dimensions)), row


def test_every_report_passes_the_gate(fleet: Fleet, posted: list[DeviceReport]) -> None:
    """The gate's own core takes every report for the tier of its device."""
    names = Manifest.model_validate(fleet.manifest).names()
    rules = Rules(CATALOGUE, names, "here", lambda *_: bytes(32))
    for one in posted:
        message = Message(encode(CATALOGUE.latest[one.report], one.values))
        stripped = strip_message(message, Submission(one.tier, one.report, AVRO, "", b""), rules, now=NOW)
        assert stripped.report_id == one.values["report_id"]


def test_what_the_agent_sends_is_in_every_report(fleet: Fleet, posted: list[DeviceReport]) -> None:
    """Identifiers and attributes of a device are in each of its reports, but for a contractor's serial, in none."""
    for one in posted:
        said = header(fleet.devices[one.device])
        refused = {"serial", "user_email"} if one.tier == "contractor" else set()
        for name in ("device_id", "user_id", "user_email", "hostname", "serial", "ip_address", "attributes"):
            assert one.values[name] == (None if name in refused else said[name])
    contractors = [device for device in fleet.devices if device.tier == "contractor"]
    assert any(device.identifiers.serial for device in contractors)


def test_reports_have_ids_of_their_own(fleet: Fleet, posted: list[DeviceReport]) -> None:
    """No two reports share an id, and making them again gives the same ones."""
    ids = [one.values["report_id"] for one in posted]
    assert len(set(ids)) == len(ids)
    assert [one.values for one in reports(fleet)] == [one.values for one in posted]
