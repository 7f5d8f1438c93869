"""What a run of the bench found: the figures, what is asked of them, and how they are printed."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from rich import box
from rich.console import Console
from rich.table import Table

from load.machine import describe
from load.processes import Cores
from load.rounds import BATCHES, RAISED_LIMITS, Measured, Spread, ratio

MOST_OF_NAIVE = 0.6
"""The gate on the memory log may cost this part of the naive way, one report a request."""

MOST_GROWTH_MIB = 8.0
"""How far memory may grow between the first and the last step.

Were 30,000 reports kept, their bytes alone would take 29."""

MIB = 1024 * 1024
PRINTED_COLUMNS = 112

LABELS = {
    "bare": "bare ASGI application",
    "memory": "gate, memory log",
    "embedded": "gate, embedded log",
    "naive": "naive way",
    "naive_unvalidated": "naive way without validate",
    "embedded_alone": "gate, embedded log, one connection",
}


@dataclass(frozen=True, slots=True)
class Resident:
    """The memory of a gate after so many reports, in bytes."""

    reports: int
    resident: int

    @property
    def mib(self) -> float:
        return self.resident / MIB


@dataclass(frozen=True, slots=True)
class Target:
    """Something that was asked; the verdict is met, not met, or not judged."""

    name: str
    found: str
    verdict: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Run:
    """What was run: `different_bodies` are those that were measured, report ids left out of the comparison."""

    seed: int
    rounds: int
    reports_a_round: int
    different_bodies: int
    cores: Cores
    judged: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Results:
    """Everything that was found; `resident` begins with the memory before the first report, then has every step."""

    measured: Mapping[str, Measured]
    resident: Sequence[Resident]
    run: Run

    @property
    def of_naive(self) -> Spread:
        """The gate on the memory log as a part of the naive way."""
        return ratio(self.measured["memory"], self.measured["naive"])

    @property
    def of_unvalidated(self) -> Spread:
        """The same against the naive way that does without validation."""
        return ratio(self.measured["memory"], self.measured["naive_unvalidated"])

    @property
    def growth_mib(self) -> float:
        """From the first step of reports to the last; what the gate takes before is what it needs to work at all."""
        return self.resident[-1].mib - self.resident[1].mib

    @property
    def targets(self) -> Sequence["Target"]:
        part = self.of_naive
        return (
            Target(
                "CPU of the gate, memory log, as a part of the naive way",
                f"{part.median:.2f} ({part.lowest:.2f} to {part.highest:.2f}); at most {MOST_OF_NAIVE}",
                self._judge(part.median <= MOST_OF_NAIVE),
            ),
            Target(
                f"memory from {self.resident[1].reports:,} to {self.resident[-1].reports:,} reports",
                f"{self.growth_mib:+.1f} MiB; at most {MOST_GROWTH_MIB:.0f}",
                self._judge(self.growth_mib <= MOST_GROWTH_MIB),
            ),
        )

    @property
    def missed(self) -> bool:
        """Whether anything that was asked is not so; never where nothing is judged."""
        return any(target.verdict == "not met" for target in self.targets)

    def _judge(self, met: bool) -> str:  # noqa: FBT001  # the outcome of a comparison
        if not self.run.judged:
            return "not judged"
        return "met" if met else "not met"

    def document(self) -> dict[str, Any]:
        """Everything, for a program."""
        return {
            "machine": describe(),
            "run": {**asdict(self.run), "raised_limits": RAISED_LIMITS},
            "cases": {name: one.document() for name, one in self.measured.items()},
            "part_of_naive": {
                "validated": self.of_naive.document(),
                "unvalidated": self.of_unvalidated.document(),
            },
            "memory": [{"reports": step.reports, "mib": round(step.mib, 1)} for step in self.resident],
            "targets": [asdict(target) for target in self.targets],
        }


def show(results: Results) -> None:
    """Print everything for a person, on stdout."""
    console = Console(markup=False, highlight=False, emoji=False, width=PRINTED_COLUMNS)
    machine, run = describe(), results.run
    libraries = ", ".join(f"{name} {number}" for name, number in machine["libraries"].items())
    console.print(
        f"{machine['processor']}, {machine['cores']} cores, {machine['system']}, Python {machine['python']}\n"
        f"{libraries}\n"
        f"seed {run.seed}; {run.rounds} rounds of {run.reports_a_round:,} reports, {run.different_bodies:,} different "
        f"contents; servers on core {run.cores.server}, client on core {run.cores.client}\n"
        f"policies as they ship, but for the admission of the tier that is posted to: "
        f"{', '.join(f'{name} = {value}' for name, value in RAISED_LIMITS.items())}"
    )
    for table in (_single(results), _batches(results), _memory(results), _targets(results)):
        console.print(table)


def _single(results: Results) -> Table:
    table = _table("one report a request", "CPU µs a report", "p50 ms", "p99 ms", "connections")
    for name, label in LABELS.items():
        one = results.measured[name]
        table.add_row(
            label,
            _spread(one.cpu),
            f"{one.answer(0.5).median:.2f}",
            f"{one.answer(0.99).median:.2f}",
            str(one.case.connections),
        )
    return table


def _batches(results: Results) -> Table:
    table = _table("reports a request", *(f"{LABELS[log]}, CPU µs a report" for log in ("memory", "embedded")))
    for batch in BATCHES:
        table.add_row(
            str(batch),
            *(_spread(results.measured[f"{log}_batch_{batch}"].cpu) for log in ("memory", "embedded")),
        )
    return table


def _memory(results: Results) -> Table:
    table = _table("memory of a gate, embedded log, after", "resident MiB")
    for step in results.resident:
        table.add_row(f"{step.reports:,} reports", f"{step.mib:.1f}")
    return table


def _targets(results: Results) -> Table:
    table = _table("target", "found", "")
    for target in results.targets:
        table.add_row(target.name, target.found, target.verdict)
    return table


def _table(first: str, *others: str) -> Table:
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    table.add_column(first)
    for name in others:
        table.add_column(name, justify="right")
    return table


def _spread(spread: Spread) -> str:
    """The median, and between which values the rounds lay."""
    return f"{spread.median:.0f} ({spread.lowest:.0f} to {spread.highest:.0f})"
