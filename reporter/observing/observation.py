"""What has been observed and waits to be added up: a task that ended, or something else that was noted.

Both have `at_ms`, the wall clock's time at which it happened, and no name of a person or machine.
"""

from dataclasses import dataclass
from typing import Any

from reporter.windows.capability_window import CapabilityProbe
from reporter.windows.health_window import Health
from reporter.windows.inventory_window import ModelFile
from reporter.windows.path_window import PathProbe
from reporter.windows.sync_window import Sync
from reporter.windows.task import Task


class EndedTask(Task):
    """A task that ended at `at_ms`. `session` is a made-up name of its session, if it belongs to one."""

    __slots__ = ("at_ms", "session")

    at_ms: int
    session: str | None

    def __init__(self) -> None:
        Task.__init__(self)
        self.at_ms = 0
        self.session = None


@dataclass(slots=True, kw_only=True)
class OfflineQueue:
    """What happened to the tasks that wait for a network; `depth` is how many wait now, times in seconds."""

    depth: int | None = None
    left_after_s: float | None = None
    expired: int = 0
    replays_asked: int = 0
    replays_unasked: int = 0


@dataclass(slots=True, kw_only=True)
class ManifestAge:
    """How old the device's own idea of the manifest is; None where it has none."""

    seconds: float | None


@dataclass(slots=True, kw_only=True)
class Steadiness:
    """What an application knows of the routes of a session, which then counts instead of what is seen."""

    session: str
    switches: int | None = None
    shortest_s: float | None = None
    held: int = 0
    bytes_redownloaded: int = 0
    ended: bool = False


@dataclass(slots=True, kw_only=True)
class Violation:
    """Something that the device's own policy does not allow."""

    kind: str
    count: int = 1


Noted = Sync | OfflineQueue | PathProbe | CapabilityProbe | ModelFile | ManifestAge | Health | Steadiness | Violation


@dataclass(slots=True)
class Note:
    """Something other than a task, and when it was noted."""

    at_ms: int
    what: Noted


Observation = EndedTask | Note

NOTED: dict[str, type[Any]] = {
    "sync": Sync,
    "offline_queue": OfflineQueue,
    "path_probe": PathProbe,
    "capability_probe": CapabilityProbe,
    "model_file": ModelFile,
    "manifest_age": ManifestAge,
    "health": Health,
    "steadiness": Steadiness,
    "violation": Violation,
}
"""What may be noted, by the name under which it is handed over."""


def ended(task: Task, at_ms: int) -> EndedTask:
    """A task of no session that somebody else filled in."""
    if isinstance(task, EndedTask):
        task.at_ms = task.at_ms if type(task.at_ms) is int and task.at_ms else at_ms
        return task
    copy = EndedTask()
    for name in Task.__slots__:
        setattr(copy, name, getattr(task, name))
    copy.at_ms = at_ms
    return copy
