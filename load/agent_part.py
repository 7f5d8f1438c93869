"""What the device's library costs beside one OpenTelemetry span for each task, from which the same could be learned.

Rules held here:

* each side is a process of its own on one core; what it talks to is on the other, behind a counter of bytes;
* the same devices do the same tasks in both, and what arrived is counted out: an answer that differs is an error;
* spans are exported every five seconds, as the SDK does by itself, and every five minutes, as late as reports are.
"""

import asyncio
from collections.abc import Callable, Mapping, Sequence
from contextlib import closing
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from rich.table import Table

from ingest.clock import SystemClock
from ingest.operator_documents import FILE_NAME as OPERATOR_FILE
from ingest.operator_documents import OperatorDocuments
from load.agent.counting import Counted, counting
from load.agent.days import TIER, Asked, DeviceDays
from load.agent.learned import Learned, of_fleet, of_log, of_spans, require_same
from load.agent.sink import Sink
from load.children import measured
from load.fleet.models import manifest_document
from load.part import MIB, Target, table, with_range
from load.processes import Cores, gate
from load.rounds import MICROSECONDS, MILLISECONDS, Spread
from schemas.catalogue import TIERS_DIRECTORY
from tidegate.settings import LOG_DIRECTORY

MOST_START_MS = 100.0
MOST_MIB = 30.0
MOST_TASK_US = 5.0

LABELS = {
    "reports": "the library's reports",
    "spans_5s": "spans, exported every 5 s",
    "spans_300s": "spans, exported every 5 min",
}
DELAYS = {"spans_5s": 5, "spans_300s": 300}


@dataclass(frozen=True, slots=True)
class AgentSize:
    """How much is measured: devices of all tiers, tasks of the loop, rounds of it and of starting."""

    fleet: int
    tasks: int
    rounds: int
    judged: bool


AGENT_FULL = AgentSize(fleet=200, tasks=20_000, rounds=5, judged=True)
AGENT_QUICK = AgentSize(fleet=8, tasks=400, rounds=2, judged=False)


@dataclass(frozen=True, slots=True)
class DaysTold:
    """One side's account of the days: bytes both ways, connections, requests where they were counted, CPU seconds."""

    sent: int
    received: int
    connections: int
    cpu: float
    peak: int


@dataclass(frozen=True, slots=True, kw_only=True)
class AgentFigures:
    """Everything, as `load.part.Part`. `starts` and `loops` are by side, each value by name."""

    size: AgentSize
    seed: int
    trace: Path | None
    devices: int
    tasks: int
    files: int
    days: Mapping[str, DaysTold]
    starts: Mapping[str, Mapping[str, Spread]]
    loops: Mapping[str, Mapping[str, Spread]]

    @property
    def heading(self) -> str:
        source = "a synthetic trace" if self.trace is None else self.trace.name
        return (
            f"agent: seed {self.seed}; three days of {self.devices:,} {TIER} devices over {source}, "
            f"{self.tasks:,} tasks and {self.files:,} model files told; then {self.size.rounds} rounds of "
            f"{self.size.tasks:,} tasks"
        )

    @property
    def tables(self) -> Sequence[Table]:
        return self._days(), self._loops(), self._starts()

    def _days(self) -> Table:
        shown = table("the same answers from", "bytes sent a task", "bytes received", "CPU µs a task", "connections")
        for name, told in self.days.items():
            shown.add_row(
                LABELS[name],
                f"{told.sent / self.tasks:,.0f}",
                f"{told.received / self.tasks:,.0f}",
                f"{told.cpu / self.tasks * MICROSECONDS:,.0f}",
                f"{told.connections:,}",
            )
        return shown

    def _loops(self) -> Table:
        shown = table("one application, many tasks", "µs a task in its thread", "µs behind its back", "peak MiB")
        for name, loop in self.loops.items():
            shown.add_row(
                name,
                with_range(loop["application"], digits=1),
                with_range(loop["behind"], digits=1),
                with_range(loop["peak"], digits=1),
            )
        return shown

    def _starts(self) -> Table:
        shown = table("start of a process", "ms by the clock", "CPU ms", "peak MiB")
        for name, start in self.starts.items():
            shown.add_row(
                name,
                with_range(start["elapsed"], digits=1),
                with_range(start["cpu"], digits=1),
                with_range(start["peak"], digits=1),
            )
        return shown

    @property
    def targets(self) -> Sequence[Target]:
        start, loop = self.starts["reporter"], self.loops["reporter"]
        judged = self.size.judged
        return (
            Target.of(
                "µs of an application for a task",
                f"{with_range(loop['application'], digits=1)}; under {MOST_TASK_US:.0f}",
                met=loop["application"].median < MOST_TASK_US,
                judged=judged,
            ),
            Target.of(
                "CPU ms to import and configure the library",
                f"{with_range(start['cpu'], digits=1)}; under {MOST_START_MS:.0f}",
                met=start["cpu"].median < MOST_START_MS,
                judged=judged,
            ),
            Target.of(
                "peak MiB of a process that has configured it",
                f"{with_range(start['peak'], digits=1)}; under {MOST_MIB:.0f}",
                met=start["peak"].median < MOST_MIB,
                judged=judged,
            ),
        )

    def document(self) -> dict[str, Any]:
        return {
            "seed": self.seed,
            "trace": None if self.trace is None else self.trace.name,
            "devices": self.devices,
            "tasks": self.tasks,
            "files": self.files,
            "days": {name: asdict(told) for name, told in self.days.items()},
            "starts": _documents(self.starts),
            "loops": _documents(self.loops),
        }


def _documents(sides: Mapping[str, Mapping[str, Spread]]) -> dict[str, Any]:
    return {side: {name: spread.document() for name, spread in of_one.items()} for side, of_one in sides.items()}


def measure_agent(
    size: AgentSize, *, seed: int, trace: Path | None, cores: Cores, folder: Path, progress: Callable[[str], None]
) -> AgentFigures:
    """All of it; `cores.server` runs what is measured. Raises `ChildFailedError`."""
    asked = Asked(size.fleet, seed, trace)
    every = asked.days()
    truth = of_fleet(every)
    days: dict[str, DaysTold] = {}
    progress(f"agent: three days of {len(every):,} devices through the library")
    days["reports"] = _reports(asked, truth, cores, folder / "reports")
    for name, seconds in DELAYS.items():
        progress(f"agent: the same as {LABELS[name]}")
        days[name] = _spans(asked, truth, cores, seconds)
    progress("agent: starts, and many tasks of one application")
    return AgentFigures(
        size=size,
        seed=seed,
        trace=trace,
        devices=len(every),
        tasks=_tasks(every),
        files=sum(len(one.files) for one in every),
        days=days,
        starts={side: _started(side, size, cores, folder) for side in ("nothing", "reporter", "spans")},
        loops=_looped(size, cores, folder),
    )


def _tasks(every: Sequence[DeviceDays]) -> int:
    return sum(len(one.tasks) for one in every)


def _reports(asked: Asked, truth: Learned, cores: Cores, folder: Path) -> DaysTold:
    data = folder / "data"
    data.mkdir(parents=True)
    with closing(OperatorDocuments(data / OPERATOR_FILE, SystemClock())) as documents:
        documents.put("manifest", manifest_document(), 0)
    with (
        gate(folder, tiers=TIERS_DIRECTORY, log="embedded", tier=TIER, core=cores.client) as server,
        counting(*server.address) as counted,
    ):
        arguments = [counted.url, server.token, str(folder / "devices"), *asked.arguments()]
        found = measured("load.agent.days_of_reports", *arguments, core=cores.server)
    require_same("reports", asyncio.run(of_log(data / LOG_DIRECTORY)), truth)
    return _told(counted, found)


def _spans(asked: Asked, truth: Learned, cores: Cores, seconds: int) -> DaysTold:
    sink = Sink()
    with sink.listening(), counting("127.0.0.1", sink.port) as counted:
        arguments = [counted.url, str(seconds), *asked.arguments()]
        found = measured("load.agent.days_of_spans", *arguments, core=cores.server)
    require_same("spans", of_spans(sink.spans()), truth)
    return _told(counted, found)


def _told(counted: Counted, found: Mapping[str, Any]) -> DaysTold:
    return DaysTold(counted.sent, counted.received, counted.connections, found["cpu"], found["peak"])


def _started(side: str, size: AgentSize, cores: Cores, folder: Path) -> Mapping[str, Spread]:
    taken = [
        measured("load.agent.start_once", side, str(folder / f"start-{side}-{number}"), core=cores.server)
        for number in range(size.rounds)
    ]
    return {
        "elapsed": Spread.of([one["elapsed"] for one in taken]).scaled(MILLISECONDS),
        "cpu": Spread.of([one["cpu"] for one in taken]).scaled(MILLISECONDS),
        "peak": Spread.of([one["peak"] for one in taken]).scaled(1 / MIB),
    }


def _looped(size: AgentSize, cores: Cores, folder: Path) -> Mapping[str, Mapping[str, Spread]]:
    sink = Sink()
    found: dict[str, list[dict[str, Any]]] = {"reporter": [], "unconfigured": [], "spans": []}
    with sink.listening():
        # Nothing listens at port 9; the settings make the library talk to this machine, without TLS.
        urls = {"reporter": "http://127.0.0.1:9", "unconfigured": "", "spans": f"http://127.0.0.1:{sink.port}"}
        for number in range(size.rounds):
            for side, taken in found.items():
                arguments = [side, str(folder / f"loop-{side}-{number}"), urls[side], str(size.tasks)]
                taken.append(measured("load.agent.tasks_once", *arguments, core=cores.server))
    return {
        side: {
            "application": Spread.of([one["application"] for one in taken]).scaled(MICROSECONDS),
            "behind": Spread.of([one["behind"] for one in taken]).scaled(MICROSECONDS),
            "peak": Spread.of([one["peak"] for one in taken]).scaled(1 / MIB),
        }
        for side, taken in found.items()
    }
