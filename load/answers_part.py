"""What an answer takes over ninety days of hourly cells, in time and memory, at one and ten times the cells.

Rules held here:

* every question is asked by a process of its own, several times, with the file in the system's cache and nothing in
  that of DuckDB;
* a figure is the median over the askings; memory is the peak of the whole process;
* an answer that was refused has its reason in place of figures.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rich.table import Table

from aggregators.publication.measures import load_measures
from load.answer_once import QUESTIONS
from load.children import measured
from load.fleet_log import ROLLUPS_NAME, StoredFleet, store_fleet
from load.follower_part import follow_and_publish
from load.ninety_days import DAYS, FACTORS, repeat_days, repeat_tiers
from load.part import MIB, Target, table
from load.processes import Cores
from load.rounds import Spread


@dataclass(frozen=True, slots=True)
class AnswersSize:
    """How much is measured."""

    askings: int
    devices: int


ANSWERS_FULL = AnswersSize(askings=7, devices=2_000)
ANSWERS_QUICK = AnswersSize(askings=1, devices=60)


@dataclass(frozen=True, slots=True)
class Answered:
    """One question at one size: what `load.answer_once` says of each asking."""

    question: str
    factor: int
    askings: Sequence[dict[str, Any]]

    def figure(self, name: str) -> Spread:
        return Spread.of([one[name] for one in self.askings])

    @property
    def refused(self) -> str | None:
        """Why there was no answer, in any of the askings."""
        return next((one["refused"] for one in self.askings if one["refused"]), None)

    def document(self) -> dict[str, Any]:
        newest = self.askings[-1]
        return {
            "question": self.question,
            "times_the_cells": self.factor,
            "cells": newest["cells"],
            "rows": newest["rows"],
            "bytes": newest["bytes"],
            "refused": self.refused,
            "cpu_s": self.figure("cpu").document(),
            "elapsed_s": self.figure("elapsed").document(),
            "peak_mib": self.figure("peak").scaled(1 / MIB).document(),
            "before_mib": self.figure("before").scaled(1 / MIB).document(),
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class AnswersFigures:
    """All questions at all sizes, as `load.part.Part`."""

    fleet: StoredFleet
    answered: Sequence[Answered]
    askings: int
    core: int

    @property
    def heading(self) -> str:
        return (
            f"answers: seed {self.fleet.seed}; the published cells of three days of {self.fleet.devices:,} devices, "
            f"repeated over {DAYS} days;\n"
            f"ten times the cells by ten times the tiers; median of {self.askings} askings, each by a new process, "
            f"on core {self.core}"
        )

    @property
    def tables(self) -> Sequence[Table]:
        figures = ("times", "cells read", "rows", "CPU s", "clock s", "peak MiB", "MiB before")
        shown = table("answer", *figures)
        for one in self.answered:
            shown.add_row(QUESTIONS[one.question].label, *_figures(one))
        return (shown,)

    @property
    def targets(self) -> Sequence[Target]:
        return ()

    def document(self) -> dict[str, Any]:
        return {
            "seed": self.fleet.seed,
            "devices": self.fleet.devices,
            "days": DAYS,
            "askings": self.askings,
            "answers": [one.document() for one in self.answered],
        }


def _figures(one: Answered) -> Iterator[str]:
    newest = one.askings[-1]
    yield str(one.factor)
    yield f"{newest['cells']:,}"
    yield f"{newest['rows']:,}" if one.refused is None else f"refused: {one.refused}"
    yield f"{one.figure('cpu').median:.2f}"
    yield f"{one.figure('elapsed').median:.2f}"
    yield from (f"{one.figure(name).scaled(1 / MIB).median:.0f}" for name in ("peak", "before"))


def measure_answers(
    size: AnswersSize, *, seed: int, cores: Cores, folder: Path, progress: Callable[[str], None]
) -> AnswersFigures:
    """Every question at every size; raises `ChildFailedError`."""
    data = folder / "answers"
    measures = load_measures()
    asked = [measures[question.measure] for question in QUESTIONS.values()]
    progress(f"answers: publishing three days of {size.devices:,} devices")
    fleet = store_fleet(data, devices=size.devices, seed=seed)
    follow_and_publish(data, fleet, core=cores.server)
    repeat_days(data, asked)
    answered: list[Answered] = []
    for factor in FACTORS:
        progress(f"answers: {DAYS} days, {factor} times the cells")
        if factor > 1:
            repeat_tiers(data, asked, times=factor)
        answered += (_answered(data, fleet, name, factor, askings=size.askings, cores=cores) for name in QUESTIONS)
    return AnswersFigures(fleet=fleet, answered=answered, askings=size.askings, core=cores.server)


def _answered(data: Path, fleet: StoredFleet, question: str, factor: int, *, askings: int, cores: Cores) -> Answered:
    _into_the_cache(data / ROLLUPS_NAME)
    return Answered(
        question,
        factor,
        [
            measured("load.answer_once", str(data), str(fleet.end_ms), question, core=cores.server)
            for _ in range(askings)
        ],
    )


def _into_the_cache(directory: Path) -> None:
    """Read the file once, so that no asking waits for the disk and another does not."""
    for file in directory.glob("*.duckdb"):
        with file.open("rb") as opened:
            while opened.read(MIB):
                pass
