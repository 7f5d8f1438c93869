"""What is left of what devices say: rows as each tier's policy lets them through.

A second and plainer account of the gate: buckets, names that the manifest does not have, fields that the tier drops.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from load.fleet.nouns import Device
from load.fleet.truth_cells import NONE, Flags, Row
from load.fleet.truth_policy import HOUR_MS, Names, Policy, after, manifest_names, policies, under
from load.fleet.truth_windows import (
    FALLBACK_KEY,
    INVENTORY_KEY,
    INVENTORY_REST,
    ROUTE_KEY,
    Fleet,
    Key,
    SaidReport,
    SaidRow,
    Tell,
    in_full,
    reports,
)

NEVER = Flags(hour=False, day=False)

DIMENSIONS: Mapping[tuple[str, str], tuple[str, ...]] = {
    ("route_window", "rows"): ROUTE_KEY,
    ("route_window", "violations"): ("rule",),
    ("fallback_window", "rows"): FALLBACK_KEY,
    ("fallback_window", "planned"): ("planned_route",),
    ("model_inventory", "rows"): INVENTORY_KEY,
}
"""The combination that a row of each array stands for."""


HEADER = ("region", "hardware_tier", "manifest_age")
"""Dimensions that a whole report shares."""


Arrived = Callable[[int, str, int], bool]
"""Whether a report arrived: asked with the device's index, the report's name and the beginning of its window in ms."""


@dataclass(slots=True)
class KeptRows:
    """All rows of a fleet, by the array of the report that they come from."""

    route: list[Row] = field(default_factory=list)
    violations: list[Row] = field(default_factory=list)
    fallback: list[Row] = field(default_factory=list)
    planned: list[Row] = field(default_factory=list)
    inventory: list[Row] = field(default_factory=list)

    def of(self, report: str, array: str) -> list[Row]:
        """The list that the rows of an array belong in."""
        return {
            ("route_window", "rows"): self.route,
            ("route_window", "violations"): self.violations,
            ("fallback_window", "rows"): self.fallback,
            ("fallback_window", "planned"): self.planned,
            ("model_inventory", "rows"): self.inventory,
        }[report, array]

    def only(self, arrived: Arrived) -> "KeptRows":
        """The rows of the reports that arrived."""

        def here(rows: list[Row]) -> list[Row]:
            return [row for row in rows if arrived(*row.window)]

        return KeptRows(
            here(self.route), here(self.violations), here(self.fallback), here(self.planned), here(self.inventory)
        )


def kept_rows(fleet: Fleet, tell: Tell = in_full) -> KeptRows:
    """The rows of all reports that the devices make, which let out what `tell` says."""
    rows = KeptRows()
    names = manifest_names(fleet.manifest)
    views: dict[Any, View] = {}
    for report in reports(fleet, tell):
        kind = (report.device.tier, report.window.report, consents(report.device))
        view = views.setdefault(kind, View(policies()[kind[0]], *kind[1:], names))
        for array, said in report.arrays.items():
            rows.of(report.window.report, array).extend(view.rows(report, array, said))
    return rows


class View:
    """One type of report under one tier's policy, from devices that gave the same consents.

    What is left of one combination is worked out once and remembered, for there are few combinations and many rows.
    """

    def __init__(self, policy: Policy, report: str, consents: frozenset[str], names: Names) -> None:
        self._policy = policy
        self._report = report
        self._consents = consents
        self._names = names
        self._rules: dict[str, Mapping[str, Any]] = {}
        self._combinations: dict[tuple[str, Key], Key] = {}
        self._dims: dict[tuple[str, Key], dict[str, str]] = {}

    def kept(self, path: str, value: Any) -> Any:
        """What the policy leaves of a value; None where nothing is left."""
        rule = self._rules.get(path)
        if rule is None:
            rule = self._rules[path] = under(self._policy.governing(self._report, path), self._consents)
        return after(rule, value, self._names)

    def rows(self, report: SaidReport, array: str, said: Sequence[SaidRow]) -> Iterator[Row]:
        """What is left of an array. One altered dimension in it takes the meaning from the flags of all its rows.

        So does a name that the agent made up: nobody knows whether it tells rows apart by it.
        """
        kept = [self._combination(array, row.key) for row in said]
        made_up = bool(report.device.identifiers.attributes)
        altered = made_up or any(left != row.key for left, row in zip(kept, said, strict=True))
        header = self._header(report)
        pseudonym = self.kept("device_id", report.device.identifiers.device_id)
        for row, left in zip(said, kept, strict=True):
            rest = tuple(
                self.kept(f"rows.{name}", value) for name, value in zip(INVENTORY_REST, row.rest, strict=False)
            )
            yield Row(
                window=report.window,
                hour=report.window.start - report.window.start % HOUR_MS,
                tier=self._policy.tier,
                device=None if pseudonym is None else report.device.index,
                key=(array, *left, *rest),
                dims=self._named(array, (*left, *rest, *header)),
                counts=self._counts(array, row),
                key_first=NEVER if altered else row.first,
                report_first=report.first,
                observed={name: self.kept(f"{array}.{name}", seen) or () for name, seen in row.observed.items()},
            )

    def _header(self, report: SaidReport) -> Key:
        said = (report.device.region, report.device.hardware_tier, report.manifest_age)
        return tuple(self.kept(name, value) for name, value in zip(HEADER, said, strict=True))

    def _combination(self, array: str, key: Key) -> Key:
        left = self._combinations.get((array, key))
        if left is None:
            paths = [f"{array}.{name}" for name in DIMENSIONS[self._report, array]]
            left = tuple([self.kept(path, value) for path, value in zip(paths, key, strict=True)])
            self._combinations[array, key] = left
        return left

    def _named(self, array: str, values: Key) -> dict[str, str]:
        """The dimensions by name; what is absent reads `none`. Equal rows share one."""
        dims = self._dims.get((array, values))
        if dims is None:
            rest = INVENTORY_REST if self._report == "model_inventory" else ()
            names = (*DIMENSIONS[self._report, array], *rest, *HEADER)
            dims = {name: NONE if value is None else str(value) for name, value in zip(names, values, strict=True)}
            dims["route"] = dims.get("actual_route", NONE)
            self._dims[array, values] = dims
        return dims

    def _counts(self, array: str, row: SaidRow) -> dict[str, int]:
        """The counts that are left, 0 for one that is not; and the device's flags, counted."""
        counts = {name: self.kept(f"{array}.{name}", number) or 0 for name, number in row.counts.items()}
        if self._report == "model_inventory":
            counts |= {"first_of_hour": int(row.first.hour), "first_of_day": int(row.first.day)}
        return counts


def consents(device: Device) -> frozenset[str]:
    """The purposes to which the person on a device has agreed."""
    purposes = {
        "fallback_reports": device.consent_fallback_reports,
        "diagnostics": device.consent_diagnostics,
        "location": device.consent_location,
    }
    return frozenset(purpose for purpose, given in purposes.items() if given)
