"""The disclosure table: of what tasks a rule speaks, where they may run, and what has to hold there.

A task that failed closed (`refused`, `queued`) breaks no rule. Where several rules speak of a task all of them hold.
That the device is capable of a task (D5) is what a planned route of `on_device` says. Beside D1 to D6 there are three
marks of a silent fallback, one that left its zone unasked, against a denial, or undisclosed.
"""

from collections.abc import Callable, Iterator, Mapping
from typing import NamedTuple, Protocol

ZONES: Mapping[str | None, str] = {
    "on_device": "device",
    "edge": "site",
    "private_cloud": "private",
    "managed_cloud": "vendor",
}
"""Route -> zone. The other routes lead nowhere."""

FAILED_CLOSED = frozenset({"refused", "queued"})
AGREED = frozenset({"granted", "approved_by_admin"})


class Judged(Protocol):
    """What the table looks at."""

    @property
    def data_class(self) -> str | None: ...
    @property
    def task_kind(self) -> str | None: ...
    @property
    def input_size(self) -> str | None: ...
    @property
    def authority(self) -> str | None: ...
    @property
    def device_approved(self) -> str | None: ...
    @property
    def planned_route(self) -> str | None: ...
    @property
    def actual_route(self) -> str | None: ...
    @property
    def offline(self) -> bool: ...
    @property
    def degraded(self) -> bool: ...
    @property
    def consent(self) -> str | None: ...
    @property
    def disclosed(self) -> str | None: ...
    @property
    def disclosures(self) -> frozenset[str]: ...


Condition = Callable[[Judged], bool]


def _always(_: Judged) -> bool:
    return True


def _told(*disclosures: str) -> Condition:
    return lambda task: task.disclosures.issuperset(disclosures)


def _degraded_and_told(task: Judged) -> bool:
    return task.degraded and "quality_difference" in task.disclosures


def _agreed_and_told(task: Judged) -> bool:
    return task.consent in AGREED and task.disclosures.issuperset(("fallback_shown", "telemetry_path"))


class Rule(NamedTuple):
    """`speaks` says whether the rule is about a task; `routes` are those it may take, and under which condition."""

    speaks: Condition
    routes: Mapping[str, Condition]


TABLE: Mapping[str, Rule] = {
    "D1": Rule(
        lambda task: task.data_class == "restricted" and task.device_approved == "approved",
        dict.fromkeys(("on_device", "edge", "private_cloud"), _always),
    ),
    "D2": Rule(
        lambda task: task.data_class == "confidential" and task.task_kind == "retrieval",
        {"private_cloud": _told("residency", "source_references")},
    ),
    "D3": Rule(
        lambda task: (task.data_class, task.task_kind, task.input_size) == ("public", "document", "large"),
        {"managed_cloud": _always, "on_device": _degraded_and_told, "edge": _degraded_and_told},
    ),
    "D4": Rule(
        lambda task: task.task_kind == "field" and task.offline,
        {"on_device": _told("offline_model_version")},
    ),
    "D5": Rule(
        lambda task: task.task_kind == "interactive" and task.planned_route == "on_device",
        {"on_device": _always, "managed_cloud": _agreed_and_told},
    ),
    "D6": Rule(lambda task: task.authority == "needs_central" and task.offline, {}),
}


def crosses_zone(planned: str | None, actual: str | None) -> bool:
    """Whether a task ran in another zone than planned, and not nowhere."""
    return actual in ZONES and ZONES[actual] != ZONES.get(planned)


def broken_rules(task: Judged) -> tuple[str, ...]:
    """Every rule of the table that the task broke, then every mark of a silent fallback."""
    return (*_broken(task), *_silences(task))


def _broken(task: Judged) -> Iterator[str]:
    if task.actual_route in FAILED_CLOSED:
        return
    for name, rule in TABLE.items():
        if rule.speaks(task) and not rule.routes.get(task.actual_route or "", _never)(task):
            yield name


def _never(_: Judged) -> bool:
    return False


def _silences(task: Judged) -> Iterator[str]:
    if crosses_zone(task.planned_route, task.actual_route):
        if task.consent in ("not_asked", "denied"):
            yield f"consent_{task.consent}"
        if task.disclosed == "undisclosed":
            yield "undisclosed"
