"""The disclosure table: which rule speaks of a task, what it asks for, and whether what happened breaks it.

    D1  restricted, device approved    on_device, edge; else refused, private_cloud; nothing to the vendor
    D2  confidential, retrieval        private_cloud; else refused, queued; residency, source_references are told
    D3  public, document, large        managed_cloud; else on_device, edge, degraded; quality_difference is told
    D4  field, offline                 on_device; else queued; offline_model_version is told
    D5  interactive, device capable    on_device; else managed_cloud with consent; fallback_shown, telemetry_path
    D6  needs_central, offline         queued, refused

Two things are added to it: to fail closed (`refused`, `queued`) breaks no rule, and where several rules speak of one
task all of them hold. That the device is capable is what a planned
route of on_device says.
"""

from collections.abc import Iterator
from collections.abc import Set as AbstractSet
from typing import Protocol

ZONES = {"on_device": "device", "edge": "site", "private_cloud": "private", "managed_cloud": "vendor"}
"""Route -> zone; the other routes lead nowhere."""

FAILED_CLOSED = frozenset({"refused", "queued"})
CONSENTED = frozenset({"granted", "approved_by_admin"})


class Facts(Protocol):
    """What of a task the table looks at: a `Task`, or one that is still being made."""

    @property
    def data_class(self) -> str: ...
    @property
    def task_kind(self) -> str: ...
    @property
    def input_size(self) -> str: ...
    @property
    def authority(self) -> str: ...
    @property
    def device_approved(self) -> str: ...
    @property
    def offline(self) -> bool: ...
    @property
    def planned_route(self) -> str: ...
    @property
    def actual_route(self) -> str: ...
    @property
    def degraded(self) -> bool: ...
    @property
    def consent(self) -> str: ...
    @property
    def disclosed(self) -> str: ...
    @property
    def disclosures(self) -> AbstractSet[str]: ...


def crosses_zone(planned: str, actual: str) -> bool:
    """The task ran in another zone than planned, and not nowhere."""
    return actual in ZONES and ZONES.get(planned) != ZONES[actual]


def rules_for(task: Facts) -> Iterator[str]:
    """The rules that speak of a task."""
    if task.data_class == "restricted" and task.device_approved == "approved":
        yield "D1"
    if task.data_class == "confidential" and task.task_kind == "retrieval":
        yield "D2"
    if (task.data_class, task.task_kind, task.input_size) == ("public", "document", "large"):
        yield "D3"
    if task.task_kind == "field" and task.offline:
        yield "D4"
    if task.task_kind == "interactive" and task.planned_route == "on_device":
        yield "D5"
    if task.authority == "needs_central" and task.offline:
        yield "D6"


def violations_of(task: Facts) -> frozenset[str]:
    """Every rule that the task broke, silent fallbacks included."""
    return frozenset({rule for rule in rules_for(task) if not KEPT[rule](task)} | set(silences_of(task)))


def silences_of(task: Facts) -> Iterator[str]:
    """What makes a fallback into another zone a silent one."""
    if not crosses_zone(task.planned_route, task.actual_route):
        return
    if task.consent in ("not_asked", "denied"):
        yield f"consent_{task.consent}"
    if task.disclosed == "undisclosed":
        yield "undisclosed"


def _d1(task: Facts) -> bool:
    return task.actual_route in FAILED_CLOSED | {"on_device", "edge", "private_cloud"}


def _d2(task: Facts) -> bool:
    if task.actual_route in FAILED_CLOSED:
        return True
    return task.actual_route == "private_cloud" and {"residency", "source_references"} <= task.disclosures


def _d3(task: Facts) -> bool:
    if task.actual_route in FAILED_CLOSED | {"managed_cloud"}:
        return True
    return task.actual_route in ("on_device", "edge") and task.degraded and "quality_difference" in task.disclosures


def _d4(task: Facts) -> bool:
    if task.actual_route in FAILED_CLOSED:
        return True
    return task.actual_route == "on_device" and "offline_model_version" in task.disclosures


def _d5(task: Facts) -> bool:
    if task.actual_route in FAILED_CLOSED | {"on_device"}:
        return True
    told = {"fallback_shown", "telemetry_path"} <= task.disclosures
    return task.actual_route == "managed_cloud" and task.consent in CONSENTED and told


def _d6(task: Facts) -> bool:
    return task.actual_route in FAILED_CLOSED


KEPT = {"D1": _d1, "D2": _d2, "D3": _d3, "D4": _d4, "D5": _d5, "D6": _d6}


def owed(facts: Facts) -> frozenset[str]:
    """What has to be told to the person for what happened."""
    told: set[str] = set()
    if facts.actual_route != facts.planned_route:
        told.add("fallback_shown")
    if facts.degraded:
        told.add("quality_difference")
    for rule in rules_for(facts):
        told |= OWED.get((rule, facts.actual_route), frozenset())
    return frozenset(told)


OWED = {
    ("D2", "private_cloud"): frozenset({"residency", "source_references"}),
    ("D3", "on_device"): frozenset({"quality_difference"}),
    ("D3", "edge"): frozenset({"quality_difference"}),
    ("D4", "on_device"): frozenset({"offline_model_version"}),
    ("D5", "managed_cloud"): frozenset({"fallback_shown", "telemetry_path"}),
}
"""(rule, route that the task took) -> what the rule wants told."""
