"""What a report costs the follower, stage by stage, and what a publication costs: rounds over fleets of their own.

Rules held here:

* each round has a fleet of its own seed and a process of its own, which finds the log whole and the rollups empty;
* CPU is user and system time of that process, all threads; a figure is the median over the rounds, with the lowest and
  the highest;
* a round in which any report was parked, taken for a duplicate or not counted is an error and no figure.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from shutil import rmtree
from typing import Any

from rich.table import Table

from load.children import ChildFailedError, measured
from load.fleet_log import StoredFleet, store_fleet
from load.follow_once import STAGES
from load.part import MIB, Target, table, with_range
from load.processes import Cores
from load.rounds import MICROSECONDS, Spread

LEAST_A_SECOND = 4_000
"""Reports that the follower has to take in a second, on one core."""


@dataclass(frozen=True, slots=True)
class FollowerSize:
    """How much is measured."""

    rounds: int
    devices: int
    judged: bool


FOLLOWER_FULL = FollowerSize(rounds=5, devices=2_000, judged=True)
FOLLOWER_QUICK = FollowerSize(rounds=2, devices=20, judged=False)


@dataclass(frozen=True, slots=True)
class FollowerRound:
    """One fleet: what was in its log, and what `load.follow_once` says of it."""

    fleet: StoredFleet
    follower: dict[str, Any]
    publication: dict[str, Any]

    @property
    def cpu(self) -> float:
        """Seconds of the follower, all stages."""
        return float(sum(self.follower["cpu"].values()))


@dataclass(frozen=True, slots=True, kw_only=True)
class FollowerFigures:
    """All rounds, as `load.part.Part`."""

    rounds: Sequence[FollowerRound]
    core: int
    judged: bool

    @property
    def a_second(self) -> Spread:
        """Reports in a second of CPU."""
        return Spread.of([one.fleet.reports / one.cpu for one in self.rounds])

    @property
    def elapsed_a_second(self) -> Spread:
        """Reports in a second by the clock, waiting for the disk and for the core included."""
        return Spread.of([one.fleet.reports / one.follower["elapsed"] for one in self.rounds])

    @property
    def cpu(self) -> Spread:
        """CPU a report in µs, all stages."""
        return Spread.of([one.cpu / one.fleet.reports for one in self.rounds]).scaled(MICROSECONDS)

    def stage(self, name: str) -> Spread:
        """CPU a report in µs of one stage."""
        found = [one.follower["cpu"][name] / one.fleet.reports for one in self.rounds]
        return Spread.of(found).scaled(MICROSECONDS)

    def published(self, name: str) -> Spread:
        """One figure of the publications."""
        return Spread.of([one.publication[name] for one in self.rounds])

    @property
    def peak_mib(self) -> Spread:
        """The most memory of the process by the end of the log."""
        return Spread.of([one.follower["peak"] for one in self.rounds]).scaled(1 / MIB)

    @property
    def heading(self) -> str:
        first = self.rounds[0].fleet
        reports = Spread.of([one.fleet.reports for one in self.rounds])
        size = Spread.of([one.fleet.value_bytes / one.fleet.reports for one in self.rounds])
        return (
            f"follower: seeds {', '.join(str(one.fleet.seed) for one in self.rounds)}; three days of {first.devices:,} "
            f"devices a round, {with_range(reports)} reports of {size.median:.0f} bytes; one process a round, "
            f"on core {self.core}"
        )

    @property
    def tables(self) -> Sequence[Table]:
        return self._rates(), self._stages(), self._publications()

    def _rates(self) -> Table:
        shown = table("the follower", "median (rounds)")
        shown.add_row("reports in a second of CPU", with_range(self.a_second))
        shown.add_row("reports in a second by the clock", with_range(self.elapsed_a_second))
        shown.add_row("peak memory, MiB", with_range(self.peak_mib))
        return shown

    def _stages(self) -> Table:
        shown = table("stage of the follower", "CPU µs a report")
        for name in STAGES:
            shown.add_row(name, with_range(self.stage(name), digits=1))
        shown.add_row("all", with_range(self.cpu, digits=1))
        return shown

    def _publications(self) -> Table:
        shown = table("publication of the three days", "median (rounds)")
        shown.add_row("CPU s", with_range(self.published("cpu"), digits=1))
        shown.add_row("s by the clock", with_range(self.published("elapsed"), digits=1))
        shown.add_row("cells published", with_range(self.published("cells")))
        shown.add_row("cells withheld", with_range(self.published("withheld")))
        shown.add_row("peak memory of the process, MiB", with_range(self.published("peak").scaled(1 / MIB)))
        return shown

    @property
    def targets(self) -> Sequence[Target]:
        found = self.a_second
        return (
            Target.of(
                "reports of the follower in a second of CPU",
                f"{with_range(found)}; at least {LEAST_A_SECOND:,}",
                met=found.median >= LEAST_A_SECOND,
                judged=self.judged,
            ),
        )

    def document(self) -> dict[str, Any]:
        return {
            "seeds": [one.fleet.seed for one in self.rounds],
            "devices": self.rounds[0].fleet.devices,
            "reports": [one.fleet.reports for one in self.rounds],
            "value_bytes": [one.fleet.value_bytes for one in self.rounds],
            "reports_a_second_of_cpu": self.a_second.document(),
            "reports_a_second_by_the_clock": self.elapsed_a_second.document(),
            "cpu_us_a_report": self.cpu.document(),
            "stages_us_a_report": {name: self.stage(name).document() for name in STAGES},
            "peak_mib": self.peak_mib.document(),
            "publication": {
                "cpu_s": self.published("cpu").document(),
                "elapsed_s": self.published("elapsed").document(),
                "cells": self.published("cells").document(),
                "withheld": self.published("withheld").document(),
                "peak_mib": self.published("peak").scaled(1 / MIB).document(),
            },
        }


def measure_follower(
    size: FollowerSize, *, seed: int, cores: Cores, folder: Path, progress: Callable[[str], None]
) -> FollowerFigures:
    """All rounds, the first with `seed`, each of the others with the next; `folder` is empty again afterwards."""
    rounds = []
    for number in range(size.rounds):
        progress(f"follower, round {number + 1} of {size.rounds}: making three days of {size.devices:,} devices")
        rounds.append(_round(folder / "follower", devices=size.devices, seed=seed + number, core=cores.server))
    return FollowerFigures(rounds=rounds, core=cores.server, judged=size.judged)


def _round(data: Path, *, devices: int, seed: int, core: int) -> FollowerRound:
    fleet = store_fleet(data, devices=devices, seed=seed)
    found = follow_and_publish(data, fleet, core=core)
    rmtree(data)
    return found


def follow_and_publish(data: Path, fleet: StoredFleet, *kafka: str, core: int) -> FollowerRound:
    """What `load.follow_once` says of the log in `data`, or in `kafka`: bootstrap and prefix of the topics.

    Raises `ChildFailedError`.
    """
    found = measured("load.follow_once", str(data), str(fleet.end_ms), *kafka, core=core)
    counted, not_counted = found["follower"]["reports"], found["follower"]["not_counted"]
    if (counted, not_counted) != (fleet.reports, 0):
        raise ChildFailedError(
            f"of {fleet.reports} reports {counted} were counted, and {not_counted} were parked or taken for duplicates"
        )
    return FollowerRound(fleet, found["follower"], found["publication"])
