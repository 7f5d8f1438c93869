"""An application that says planted values wherever it can say anything; what it does next it is told on stdin.

    python -m tests.reporter.planted_application      # first line: {place of a value: value}; then [action, ...] a line

It prints what it has done, and nothing else: no call of the reporter may raise, print or log. The log is at DEBUG.
"""

import json
import logging
import os
import resource
import signal
import sys
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from typing import Any, Never, get_type_hints

import reporter
from reporter.observing.said import CapabilitySaid, FileSaid, HealthSaid, PathSaid, QueueSaid, SyncSaid, TaskSaid
from reporter.reports import IDENTIFIERS

FACTS = ("region", "site", "os", "os_version", "hardware_model", "agent_version")
OF_ROUTES = ("route", "model", "version", "precision", "region")
OF_FALLBACKS = ("reason", "consent")
SAID: Mapping[str, type] = {
    "sync": SyncSaid, "offline_queue": QueueSaid, "path_probe": PathSaid, "capability_probe": CapabilitySaid,
    "inventory": FileSaid, "health": HealthSaid,
}  # fmt: skip
OTHERS = ("token", "unknown name", "unknown value", "error", "session", "disclosure", "violation", "hostile", "purpose")
ENOUGH = 5
"""Tasks that are alike: as many as make a row in any tier."""


def texts(said: type) -> list[str]:
    """The names under which a text may be said."""
    return [name for name, kind in get_type_hints(said).items() if "str" in str(kind)]


def slots() -> Iterable[str]:
    """Every place where an application can say a text."""
    yield from (f"device.{fact}" for fact in FACTS)
    yield from (f"identifiers.{name}" for name in IDENTIFIERS)
    yield from (f"task.{name}" for name in texts(TaskSaid))
    yield from (f"ran_on.{name}" for name in OF_ROUTES)
    yield from (f"fell_back.{name}" for name in OF_FALLBACKS)
    yield from (f"{call}.{name}" for call, said in SAID.items() for name in texts(said))
    yield from OTHERS


class Raised(Exception):
    """An error of the application's own."""


class Hostile:
    """Something that cannot be compared, hashed, added or written down; its errors carry a value."""

    def __init__(self, value: str) -> None:
        self.value = value

    def fail(self, *_: object) -> Never:
        raise Raised(self.value)

    __eq__ = __add__ = __radd__ = __lt__ = __str__ = __repr__ = fail
    __hash__ = fail


class Application:
    """Says what is in `planted`, by its slots."""

    def __init__(self, planted: Mapping[str, str]) -> None:
        self.planted = planted

    def configure(self, endpoint: str) -> None:
        """The device is told where it reports to, what it is and whose, and that all is agreed to."""
        reporter.configure(
            endpoint,
            self.planted["token"],
            device=self._said("device", FACTS),
            identifiers=self._said("identifiers", IDENTIFIERS),
            consents=dict.fromkeys(("fallback_reports", "diagnostics", "location"), True),
        )

    def observe(self, model: str) -> None:
        """Tasks of a model whose name is a good one, and everything else with planted values."""
        for _ in range(ENOUGH):
            with reporter.task(data_class="internal", planned="on_device") as task:
                task.ran_on("on_device", model=model, version="1.2.3")
            with reporter.task(data_class="internal", planned="on_device") as task:
                task.fell_back("timeout", consent="granted", disclosed=True)
                task.ran_on("managed_cloud", model=model, version="1.2.3")
        for _ in range(ENOUGH):
            self._plant_tasks(reporter)
        for call, said in SAID.items():
            getattr(reporter, call)(**self._said(call, texts(said)))
            getattr(reporter, call)(**{self.planted["unknown name"]: self.planted["unknown value"]})
        reporter.violation(self.planted["violation"])
        reporter.consent(self.planted["purpose"], True)  # noqa: FBT003  # what a person answered
        self._be_hostile()

    def _plant_tasks(self, asked: Any) -> None:
        said = self._said("task", texts(TaskSaid))
        unknown = {self.planted["unknown name"]: self.planted["unknown value"]}
        with suppress(Raised), asked.task(session=self.planted["session"], **said, **unknown) as task:
            task.fell_back(**self._said("fell_back", OF_FALLBACKS), disclosed=True)
            task.ran_on(**self._said("ran_on", OF_ROUTES), **unknown)
            task.disclosed(self.planted["disclosure"])
            task.tokens(self.planted["unknown value"])
            raise Raised(self.planted["error"])

    def _be_hostile(self) -> None:
        thing: Any = Hostile(self.planted["hostile"])
        with reporter.task(data_class=thing, planned=thing) as task:
            task.ran_on(thing, model=thing)
            task.disclosed("residency", thing)
            task.took(thing, first_token_ms=thing)
        reporter.sync(store=thing, memory_route=thing, latency_ms=thing)

    def _said(self, group: str, names: Iterable[str]) -> dict[str, Any]:
        return {name: self.planted[f"{group}.{name}"] for name in names}

    def flush(self) -> None:
        """All windows are closed, and sent if they may be."""
        reporter.flush(30)

    def withdraw(self, purpose: str) -> None:
        """A person no longer agrees."""
        reporter.consent(purpose, False)  # noqa: FBT003  # what a person answered

    def disk(self, most: int) -> None:
        """No file may become larger from now on; -1 takes that back."""
        resource.setrlimit(resource.RLIMIT_FSIZE, (most, resource.RLIM_INFINITY))

    def status(self) -> None:
        """Everything that the library tells about itself."""
        print(json.dumps(reporter.status()))

    def kill(self) -> None:
        """The host dies."""
        os.kill(os.getpid(), signal.SIGKILL)


def main() -> None:
    """Do what stdin says, line by line."""
    logging.basicConfig(level=logging.DEBUG, stream=sys.stdout)
    application = Application(json.loads(sys.stdin.readline()))
    for line in sys.stdin:
        action, *arguments = json.loads(line)
        call: Callable[..., None] = getattr(application, action)
        call(*arguments)
        print("done", flush=True)


if __name__ == "__main__":
    main()
