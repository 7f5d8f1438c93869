"""What a record in a topic must say of a report of the made-up fleet, by the fleet's own truth.

    differences(record, ...)      # names of fields, never what is in them

The truth (`load.fleet.truth_rows`) knows the tasks and files of the fleet and reads the policy files as they stand; it
shares no code with what encoded, stripped or stored the report. What it has no account of is in no table here: the rows
of the reports that `load.fleet.pulses` makes, of which the header is looked at.
"""

from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import fields
from datetime import datetime
from typing import Any

from load.fleet.nouns import Device, Identifiers
from load.fleet.truth_cells import Row, Window
from load.fleet.truth_policy import PSEUDONYM, manifest_names, policies
from load.fleet.truth_rows import DIMENSIONS, View, consents
from load.fleet.truth_windows import INVENTORY_REST, SaidReport
from load.fleet.truth_windows import reports as said_reports
from load.fleet.windows import DeviceReport
from load.fleet.windows import reports as made_reports
from tests.end_to_end.fleet_on_kafka import FleetRun

OF_A_DEVICE = (
    "consent_fallback_reports", "consent_diagnostics", "consent_location", "region", "os", "os_version",
    "hardware_model", "hardware_tier", "agent_version", "site",
)  # fmt: skip
"""Fields of every report that are the same in all those of a device, and identify nobody by themselves."""

FLAGS = ("first_of_hour", "first_of_day")
"""Counted in the truth of model_inventory, where other reports have them as flags."""

Record = Mapping[str, Any]


class FleetTruth:
    """All reports of a fleet by their ids, and what the policies of a run leave of each."""

    def __init__(self, run: FleetRun) -> None:
        self._run = run
        self._made = {report.values["report_id"]: report for report in made_reports(run.fleet)}
        self._said = {report.window: report for report in said_reports(run.fleet)}
        self._names = manifest_names(run.fleet.manifest)

    def knows(self, report_id: bytes) -> bool:
        """Whether it is a report of the fleet."""
        return report_id in self._made

    def differences(self, record: Record) -> Iterator[str]:
        """Where a record does not say what it should: its topic's tier, type and policy version, and the field."""
        made = self._made[record["report_id"]]
        version = record["policy_version"]
        device = self._run.fleet.devices[made.device]
        policy = policies(self._run.policies[version])[made.tier]
        view = View(policy, made.report, consents(device), self._names)
        said = self._said.get(Window(made.device, made.report, made.start))
        wrong = [*_header(record, made, device, view), *(_arrays(record, said, view) if said else ())]
        yield from (f"{made.tier} {made.report} under version {version}: {field}" for field in wrong)


def _header(record: Record, made: DeviceReport, device: Device, view: View) -> Iterator[str]:
    said: dict[str, Any] = {name: getattr(device, name) for name in OF_A_DEVICE}
    said |= {field.name: getattr(device.identifiers, field.name) for field in fields(Identifiers)}
    said |= {"attributes": dict(device.identifiers.attributes), "window_start": made.start, "window_end": made.end}
    for name, value in said.items():
        left, found = view.kept(name, value), _plain(record.get(name))
        as_it_should_be = found not in (None, value) if left == PSEUDONYM else found == left
        if not as_it_should_be:
            yield name


def _arrays(record: Record, said: SaidReport, view: View) -> Iterator[str]:
    """Arrays whose rows are not those of the truth, in whatever order."""
    for array, rows in said.arrays.items():
        expected = list(view.rows(said, array, rows))
        found = record.get(array) or []
        names = _names(said.window.report, array)
        counted = [name for name in (expected[0].counts if expected else ()) if name not in FLAGS]
        observed = list(expected[0].observed if expected else ())
        if Counter(_expected(row, counted, observed) for row in expected) != Counter(
            _found(row, array, names, counted, observed) for row in found
        ):
            yield array


def _names(report: str, array: str) -> tuple[str, ...]:
    """The dimensions of an array's rows in the order of the truth's keys."""
    return DIMENSIONS[report, array] + (INVENTORY_REST if report == "model_inventory" else ())


def _expected(row: Row, counted: list[str], observed: list[str]) -> tuple[Any, ...]:
    return row.key, *(row.counts[name] for name in counted), *(len(row.observed[name]) for name in observed)


def _found(row: Record, array: str, names: tuple[str, ...], counted: list[str], observed: list[str]) -> tuple[Any, ...]:
    key = (array, *(row.get(name) for name in names))
    return key, *(row.get(name) or 0 for name in counted), *(_observations(row.get(name)) for name in observed)


def _observations(histogram: Record | None) -> int:
    """How many there are in a histogram; none in one that was not kept."""
    if histogram is None:
        return 0
    ends = sum(histogram[name] for name in ("zero_count", "underflow", "overflow"))
    return int(ends) + sum(histogram["counts"])


def _plain(value: Any) -> Any:
    """Times as the truth has them, milliseconds since the epoch."""
    return round(value.timestamp() * 1000) if isinstance(value, datetime) else value
