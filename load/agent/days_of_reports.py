"""`python -m load.agent.days_of_reports URL TOKEN FOLDER SECONDS ASKED`: days as the library tells.

The library's own work, queue, sender and connection without its thread: they are told what time it is.
Windows are closed when they are over, and what they give is sent at the library's pace, a minute or so later; but no
sooner than `SECONDS` after the last time, so that 0 is a device that is always on, and more one that sleeps. Prints the
CPU time of it as JSON: from setting up a device to its last answer, with all of its files; an application's own part is
in it as far as the library has to be handed every fact of every task.
"""

import json
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from random import Random
from shutil import rmtree
from typing import Any

from load.agent.days import Asked, DeviceDays
from load.fleet.windows import FACTS_OF_A_FILE, reported
from load.offline.clock import MovedClock
from reporter.clock import Clock
from reporter.directory import Directory
from reporter.observing.observation import ManifestAge, Note, Observation, ended
from reporter.parts import Parts, SettingsNow
from reporter.queue.queue import Queue
from reporter.reports import PURPOSES
from reporter.sending.connection import connection
from reporter.sending.sender import Sender
from reporter.sending.sender_lock import SenderLock
from reporter.state import Device as Facts
from reporter.state import Settings, SettingsFile, write
from reporter.survival import Survival
from reporter.windows.inventory_window import ModelFile
from reporter.work import Work

SEND_SECONDS = 120.0
"""After a window: the library begins within two minutes."""

MOST_STEPS = 500

BEFORE_MS = 300_000
"""It was set up so long before its first task."""


def observations(days: DeviceDays) -> list[Observation]:
    """What its applications tell, in order."""
    found: list[Observation] = [ended(reported(task), task.time) for task in days.tasks]
    for file in days.files:
        facts: dict[str, Any] = {name: getattr(file, name) for name in FACTS_OF_A_FILE}
        found.append(Note(file.hour, ModelFile(**facts)))
        found.append(Note(file.hour, ManifestAge(seconds=file.manifest_age)))  # type: ignore[arg-type]  # a word does
    return sorted(found, key=lambda observation: observation.at_ms)


class ReportingDevice:
    """One device that is always on, in a directory of its own."""

    def __init__(self, settings: Settings, folder: Path, at_ms: int, *, every_seconds: float) -> None:
        directory = Directory(folder)
        directory.make()
        write(directory.settings, settings)
        self._clock = MovedClock(at_ms)
        self._survival = Survival(lambda: None)
        self._work = Work(directory, SettingsFile(directory.settings), self._clock, self._survival, _parts)
        self._every_seconds = every_seconds
        self._sent_at = 0.0

    def tell(self, told: Sequence[Observation]) -> None:
        """Everything, until nothing is left to send."""
        self._work.begin()
        self._send()
        for observation in told:
            left = self._work.seconds_to_close()
            if left is not None and observation.at_ms > self._clock.now_ms() + left * 1000:
                self._end_window(left)
            self._clock.to(observation.at_ms)
            self._work.add(observation)
            self._work.close()
        self._end_window(self._work.seconds_to_close() or 0.0)
        for _ in range(MOST_STEPS):
            if not self._work.parts().queue.depth().reports:
                break
            self._clock.pass_seconds(self._work.step())
        self._work.end()
        if self._survival.errors:
            raise RuntimeError(f"the library counted errors: {dict(self._survival.errors)}")

    def _end_window(self, left: float) -> None:
        self._clock.pass_seconds(left)
        self._work.look()
        self._work.close()
        if self._clock.monotonic() >= self._sent_at + self._every_seconds:
            self._send()

    def _send(self) -> None:
        self._sent_at = self._clock.monotonic()
        until = self._sent_at + SEND_SECONDS
        while self._clock.monotonic() < until:
            self._work.look()
            self._work.close()
            self._clock.pass_seconds(self._work.step())


def _parts(directory: Directory, settings: SettingsNow, clock: Clock) -> Parts:
    queue = Queue(directory.queue, clock=clock)
    lock = SenderLock(directory.sender_lock)
    return Parts(queue, Sender(queue, settings, connection, lock=lock, clock=clock, random=Random(1)), None)


def settings_of(days: DeviceDays, url: str, token: str) -> Settings:
    """As its owner has set it up: with its id, and every consent."""
    device = days.device
    facts = {name: getattr(device, name) for name in Facts.__dataclass_fields__}
    return Settings(
        endpoint=f"{url}/t/{device.tier}",
        token=token,
        device=Facts(**facts),
        identifiers={"device_id": device.identifiers.device_id},
        consents=frozenset(PURPOSES),
    )


def run(url: str, token: str, folder: Path, seconds: float, every: Sequence[DeviceDays]) -> dict[str, Any]:
    """All devices, one after the other."""
    cpu = 0.0
    told = 0
    for number, days in enumerate(every):
        path = folder / str(number)
        began = time.process_time()
        observed = observations(days)
        settings, at_ms = settings_of(days, url, token), observed[0].at_ms - BEFORE_MS
        device = ReportingDevice(settings, path, at_ms, every_seconds=seconds)
        device.tell(observed)
        cpu += time.process_time() - began
        told += len(days.tasks) + len(days.files)
        rmtree(path)
    return {"cpu": cpu, "told": told}


if __name__ == "__main__":
    url, token, folder, seconds, *asked = sys.argv[1:]
    print(json.dumps(run(url, token, Path(folder), float(seconds), Asked.of(asked).days())))
