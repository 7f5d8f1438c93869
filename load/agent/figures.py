"""What the part about the device's library has found, and what was asked."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rich.table import Table

from load.part import Target, table, with_range
from load.rounds import MICROSECONDS, Spread

MOST_START_MS = 100.0
MOST_MIB = 30.0
MOST_TASK_US = 5.0

REPORTS = "reports"
WAYS: Mapping[str, str] = {
    REPORTS: "reports",
    "reports_1h": "reports, sent hourly",
    "spans_5s": "spans, every 5 s",
    "spans_300s": "spans, every 5 min",
}


@dataclass(frozen=True, slots=True)
class AgentSize:
    """How much is measured: the days of so many devices of all tiers, the first so many requests of the trace for the
    one machine, and in which ways; then tasks of the loop; and rounds of either.
    """

    fleet: int
    requests: int
    ways: Sequence[str]
    day_rounds: int
    tasks: int
    rounds: int
    judged: bool


AGENT_FULL = AgentSize(
    fleet=40, requests=1_000_000, ways=tuple(WAYS), day_rounds=3, tasks=20_000, rounds=5, judged=True
)
AGENT_QUICK = AgentSize(
    fleet=3, requests=500, ways=(REPORTS, "spans_5s"), day_rounds=1, tasks=2_000, rounds=1, judged=False
)


@dataclass(frozen=True, slots=True)
class DaysTold:
    """One account of the days: bytes both ways with all headers, connections, CPU seconds of the process."""

    sent: int
    received: int
    connections: int
    cpu: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Days:
    """Some devices' days, told in every way of `WAYS`, a round each."""

    title: str
    devices: int
    tasks: int
    files: int
    told: Mapping[str, Sequence[DaysTold]]

    def a_task(self, way: str, figure: Callable[[DaysTold], float]) -> Spread:
        """A figure of every round, divided by the tasks."""
        return Spread.of([figure(told) / self.tasks for told in self.told[way]])

    def times(self, way: str, figure: Callable[[DaysTold], float]) -> Spread:
        """How many times the library's own reports it is, round by round."""
        both = zip(self.told[way], self.told[REPORTS], strict=True)
        return Spread.of([figure(told) / figure(reports) for told, reports in both])

    def table(self) -> Table:
        """All ways side by side, medians; the document has the rounds."""
        shown = table(
            f"{self.title}: a task",
            "bytes sent",
            "received",
            "of reports",
            "CPU µs",
            "of reports",
            "connections in all",
        )
        for way in self.told:
            shown.add_row(
                WAYS[way],
                f"{self.a_task(way, _sent).median:,.0f}",
                f"{self.a_task(way, _received).median:,.0f}",
                f"{self.times(way, _bytes).median:.2f}",
                f"{self.a_task(way, _cpu_us).median:,.0f}",
                f"{self.times(way, _cpu_us).median:.2f}",
                f"{Spread.of([told.connections for told in self.told[way]]).median:,.0f}",
            )
        return shown

    def document(self) -> dict[str, Any]:
        """Everything, for a program."""
        return {
            "devices": self.devices,
            "tasks": self.tasks,
            "files": self.files,
            "ways": {
                way: {
                    "sent_bytes_a_task": self.a_task(way, _sent).document(),
                    "received_bytes_a_task": self.a_task(way, _received).document(),
                    "cpu_us_a_task": self.a_task(way, _cpu_us).document(),
                    "connections": Spread.of([told.connections for told in self.told[way]]).document(),
                    "times_bytes_of_reports": self.times(way, _bytes).document(),
                    "times_cpu_of_reports": self.times(way, _cpu_us).document(),
                }
                for way in self.told
            },
        }


def _sent(told: DaysTold) -> float:
    return told.sent


def _received(told: DaysTold) -> float:
    return told.received


def _bytes(told: DaysTold) -> float:
    return told.sent + told.received


def _cpu_us(told: DaysTold) -> float:
    return told.cpu * MICROSECONDS


@dataclass(frozen=True, slots=True, kw_only=True)
class AgentFigures:
    """Everything, as `load.part.Part`. `starts` and `loops` are by side, each value by name."""

    size: AgentSize
    seed: int
    trace: Path | None
    days: Mapping[str, Days]
    starts: Mapping[str, Mapping[str, Spread]]
    loops: Mapping[str, Mapping[str, Spread]]

    @property
    def heading(self) -> str:
        source = "a synthetic trace" if self.trace is None else self.trace.name
        told = "; ".join(
            f"{days.title}: {days.devices:,} devices, {days.tasks:,} tasks and {days.files:,} model files told"
            for days in self.days.values()
        )
        return (
            f"agent: seed {self.seed}, {source}; {self.size.day_rounds} rounds of days, {self.size.rounds} of "
            f"{self.size.tasks:,} tasks\n{told}\n"
            "what arrived was counted out each time: tasks and times by route, fallbacks by routes and reason, and\n"
            "model files are from every way what the devices did"
        )

    @property
    def tables(self) -> Sequence[Table]:
        return *(days.table() for days in self.days.values()), self._loops(), self._starts()

    def _loops(self) -> Table:
        shown = table("one application, many tasks", "µs a task in its thread", "µs behind its back", "peak MiB")
        for name, loop in self.loops.items():
            shown.add_row(name, *(with_range(loop[what], digits=1) for what in ("application", "behind", "peak")))
        return shown

    def _starts(self) -> Table:
        shown = table("import and set-up in a process", "ms by the clock", "CPU ms", "peak MiB")
        for name, start in self.starts.items():
            shown.add_row(name, *(with_range(start[what], digits=1) for what in ("elapsed", "cpu", "peak")))
        return shown

    @property
    def targets(self) -> Sequence[Target]:
        start, loop = self.starts["reporter"], self.loops["reporter"]
        asked = (
            ("µs of an application for a task", loop["application"], MOST_TASK_US),
            ("CPU ms to import and configure the library", start["cpu"], MOST_START_MS),
            ("peak MiB of a process that has configured it", start["peak"], MOST_MIB),
            ("MiB above a bare interpreter's while tasks run", _above(loop["peak"], self.starts["nothing"]), MOST_MIB),
        )
        return [
            Target.of(
                name,
                f"{with_range(found, digits=1)}; under {most:.0f}",
                met=found.median < most,
                judged=self.size.judged,
            )
            for name, found, most in asked
        ]

    def document(self) -> dict[str, Any]:
        return {
            "seed": self.seed,
            "trace": None if self.trace is None else self.trace.name,
            "days": {name: days.document() for name, days in self.days.items()},
            "starts": _documents(self.starts),
            "loops": _documents(self.loops),
        }


def _above(peak: Spread, nothing: Mapping[str, Spread]) -> Spread:
    bare = nothing["peak"].median
    return Spread(peak.median - bare, peak.lowest - bare, peak.highest - bare)


def _documents(sides: Mapping[str, Mapping[str, Spread]]) -> dict[str, Any]:
    return {side: {name: spread.document() for name, spread in of_one.items()} for side, of_one in sides.items()}
