"""What the device's library costs beside one OpenTelemetry span for each task, from which the same could be learned.

Rules held here:

* each side is a process of its own on one core; what it talks to is on the other, behind a counter of bytes;
* the same devices do the same tasks in both, and what arrived is counted out: an answer that differs is an error and
  no figure (`load.agent.learned`);
* spans are exported every five seconds, as the SDK does by itself, and every five minutes, as late as reports are;
  reports are sent after each window, and once an hour, as from a device that sleeps;
* all ways take turns, round by round.
"""

import asyncio
from collections.abc import Callable, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from shutil import rmtree
from typing import Any

from ingest.clock import SystemClock
from ingest.operator_documents import FILE_NAME as OPERATOR_FILE
from ingest.operator_documents import OperatorDocuments
from load.agent.counting import counting
from load.agent.days import TIER, Asked
from load.agent.figures import WAYS, AgentFigures, AgentSize, Days, DaysTold
from load.agent.learned import Learned, of_fleet, of_log, of_spans, require_same
from load.agent.sink import Sink
from load.children import measured
from load.fleet.models import manifest_document
from load.fleet_log import LOG_NAME
from load.part import MIB
from load.processes import Cores, gate
from load.rounds import MICROSECONDS, MILLISECONDS, Spread
from schemas.catalogue import TIERS_DIRECTORY

SECONDS_BETWEEN = {"reports": 0, "reports_1h": 3_600, "spans_5s": 5, "spans_300s": 300}
"""Of either side, by way."""

NOWHERE = "http://127.0.0.1:9"
"""Nothing listens there; the library may talk to its own machine without TLS."""


def measure_agent(
    size: AgentSize, *, seed: int, trace: Path | None, cores: Cores, folder: Path, progress: Callable[[str], None]
) -> AgentFigures:
    """All of it; `cores.server` runs what is measured. Raises `ChildFailedError`, `ServerFailed`, `TraceError`."""
    part = _AgentPart(size, cores, folder, progress)
    now_ms = SystemClock().now_ms()
    return AgentFigures(
        size=size,
        seed=seed,
        trace=trace,
        days={
            "people": part.days("three days of people", Asked(size.fleet, seed, now_ms, trace, size.requests)),
            "machine": part.days("an hour of one machine", Asked(1, seed, now_ms, trace, size.requests)),
        },
        starts=part.starts(),
        loops=part.loops(),
    )


@dataclass(frozen=True, slots=True)
class _AgentPart:
    """One run."""

    size: AgentSize
    cores: Cores
    folder: Path
    progress: Callable[[str], None]

    def days(self, title: str, asked: Asked) -> Days:
        """The devices' days in every way, in turns."""
        every = asked.days()
        truth = of_fleet(every)
        told: dict[str, list[DaysTold]] = {way: [] for way in self.size.ways}
        for number in range(self.size.day_rounds):
            for way, rounds in told.items():
                self.progress(f"{title}, round {number + 1} of {self.size.day_rounds}: {WAYS[way]}")
                tell = self._reports if way.startswith("reports") else self._spans
                rounds.append(tell(asked, truth, SECONDS_BETWEEN[way]))
        return Days(
            title=title,
            devices=len(every),
            tasks=sum(len(one.tasks) for one in every),
            files=sum(len(one.files) for one in every),
            told=told,
        )

    def _reports(self, asked: Asked, truth: Learned, seconds: int) -> DaysTold:
        folder = self.folder / "reports"
        data = folder / "data"
        data.mkdir(parents=True)
        with closing(OperatorDocuments(data / OPERATOR_FILE, SystemClock())) as documents:
            documents.put("manifest", manifest_document(), 0)
        with (
            gate(folder, tiers=TIERS_DIRECTORY, log="embedded", tier=TIER, core=self.cores.client) as server,
            counting(*server.address) as counted,
        ):
            arguments = [counted.url, server.token, str(folder / "devices"), str(seconds), *asked.arguments()]
            found = measured("load.agent.days_of_reports", *arguments, core=self.cores.server)
        require_same("reports", asyncio.run(of_log(data / LOG_NAME)), truth)
        rmtree(folder)
        return DaysTold(counted.sent, counted.received, counted.connections, found["cpu"])

    def _spans(self, asked: Asked, truth: Learned, seconds: int) -> DaysTold:
        sink = Sink()
        with sink.listening(), counting("127.0.0.1", sink.port) as counted:
            arguments = [counted.url, str(seconds), *asked.arguments()]
            found = measured("load.agent.days_of_spans", *arguments, core=self.cores.server)
        require_same("spans", of_spans(sink.spans()), truth)
        return DaysTold(counted.sent, counted.received, found["connections"], found["cpu"])

    def starts(self) -> Mapping[str, Mapping[str, Spread]]:
        """A process that begins with neither, with the library, with the SDK."""
        self.progress(f"starts, {self.size.rounds} rounds")
        found: dict[str, list[dict[str, Any]]] = {"nothing": [], "reporter": [], "spans": []}
        for number in range(self.size.rounds):
            for side, taken in found.items():
                arguments = [side, str(self.folder / f"start-{side}-{number}")]
                taken.append(measured("load.agent.start_once", *arguments, core=self.cores.server))
        return _spreads(found, {"elapsed": MILLISECONDS, "cpu": MILLISECONDS, "peak": 1 / MIB})

    def loops(self) -> Mapping[str, Mapping[str, Spread]]:
        """An application with many tasks: with the library, with one that is not configured, with the SDK."""
        self.progress(f"many tasks of one application, {self.size.rounds} rounds")
        found: dict[str, list[dict[str, Any]]] = {"reporter": [], "unconfigured": [], "spans": []}
        sink = Sink()
        with sink.listening():
            urls = {"reporter": NOWHERE, "unconfigured": "", "spans": f"http://127.0.0.1:{sink.port}"}
            for number in range(self.size.rounds):
                for side, taken in found.items():
                    arguments = [side, str(self.folder / f"loop-{side}-{number}"), urls[side], str(self.size.tasks)]
                    taken.append(measured("load.agent.tasks_once", *arguments, core=self.cores.server))
        return _spreads(found, {"application": MICROSECONDS, "behind": MICROSECONDS, "peak": 1 / MIB})


def _spreads(
    found: Mapping[str, Sequence[Mapping[str, float]]], units: Mapping[str, float]
) -> Mapping[str, Mapping[str, Spread]]:
    """Side -> name -> the rounds, in units for people."""
    return {
        side: {name: Spread.of([one[name] for one in taken]).scaled(unit) for name, unit in units.items()}
        for side, taken in found.items()
    }
