"""What the bench found of the gate: the figures, what is asked of them, and the tables that they are printed in."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from rich.table import Table

from load.part import MIB, Target, table, with_range
from load.processes import Cores
from load.rounds import BATCHES, RAISED_LIMITS, Measured, Spread, ratio

MOST_OF_NAIVE = 0.6
"""The gate on the memory log may cost this part of the naive way, one report a request."""

MOST_GROWTH_MIB = 8.0
"""How far memory may grow between the first and the last step.

Were 30,000 reports kept, their bytes alone would take 29."""

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
    """Everything that was found, as `load.part.Part`.

    `resident` begins with the memory before the first report, then has every step.
    """

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
    def targets(self) -> Sequence[Target]:
        part = self.of_naive
        return (
            Target.of(
                "CPU of the gate, memory log, as a part of the naive way",
                f"{with_range(part, digits=2)}; at most {MOST_OF_NAIVE}",
                met=part.median <= MOST_OF_NAIVE,
                judged=self.run.judged,
            ),
            Target.of(
                f"memory from {self.resident[1].reports:,} to {self.resident[-1].reports:,} reports",
                f"{self.growth_mib:+.1f} MiB; at most {MOST_GROWTH_MIB:.0f}",
                met=self.growth_mib <= MOST_GROWTH_MIB,
                judged=self.run.judged,
            ),
        )

    @property
    def heading(self) -> str:
        run = self.run
        limits = ", ".join(f"{name} = {value}" for name, value in RAISED_LIMITS.items())
        return (
            f"gate: seed {run.seed}; {run.rounds} rounds of {run.reports_a_round:,} reports, {run.different_bodies:,} "
            f"different contents; servers on core {run.cores.server}, client on core {run.cores.client}\n"
            f"policies as they ship, but for the admission of the tier that is posted to: {limits}"
        )

    @property
    def tables(self) -> Sequence[Table]:
        return _single(self), _batches(self), _memory(self)

    def document(self) -> dict[str, Any]:
        """Everything, for a program."""
        return {
            "run": {**asdict(self.run), "raised_limits": RAISED_LIMITS},
            "cases": {name: one.document() for name, one in self.measured.items()},
            "part_of_naive": {
                "validated": self.of_naive.document(),
                "unvalidated": self.of_unvalidated.document(),
            },
            "memory": [{"reports": step.reports, "mib": round(step.mib, 1)} for step in self.resident],
        }


def _single(results: Results) -> Table:
    shown = table("one report a request", "CPU µs a report", "p50 ms", "p99 ms", "connections")
    for name, label in LABELS.items():
        one = results.measured[name]
        shown.add_row(
            label,
            with_range(one.cpu),
            f"{one.answer(0.5).median:.2f}",
            f"{one.answer(0.99).median:.2f}",
            str(one.case.connections),
        )
    return shown


def _batches(results: Results) -> Table:
    shown = table("reports a request", *(f"{LABELS[log]}, CPU µs a report" for log in ("memory", "embedded")))
    for batch in BATCHES:
        shown.add_row(
            str(batch),
            *(with_range(results.measured[f"{log}_batch_{batch}"].cpu) for log in ("memory", "embedded")),
        )
    return shown


def _memory(results: Results) -> Table:
    shown = table("memory of a gate, embedded log, after", "resident MiB")
    for step in results.resident:
        shown.add_row(f"{step.reports:,} reports", f"{step.mib:.1f}")
    return shown
