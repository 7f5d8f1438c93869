"""The main answers of a demonstration, asked over HTTP as anyone may ask them, each beside what is true."""

import math
import urllib.request
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from ingest.clock import iso_utc
from load.fleet.search import Place
from load.fleet.truth_cells import CubeName
from tidegate.child_gate import ChildGate
from tidegate.cli.answers_client import AnswersClient
from tidegate.demo.run import Run

REQUEST_SECONDS = 30
CONTROL = "complete_to"
"""What every answer says, so that a search has to find it."""


UNTOLD = "-"
"""In the place of a true number where there is none: an answer should not have told of it."""


@dataclass(frozen=True, slots=True)
class Beside:
    """One answer and the truth, as texts that a person reads. In each row the last `numbers` columns are numbers.

    `why` says what the words mean, and why shown and true differ.
    """

    title: str
    measure: str
    columns: tuple[str, ...]
    numbers: int
    rows: tuple[tuple[str, ...], ...]
    why: str


def main_answers(product: ChildGate, run: Run) -> Sequence[Beside]:
    """Ask them, and note what was said among the outputs of the run."""
    asker = _Asker(product, run)
    return [
        asker.routes(),
        asker.latency(),
        asker.fallbacks(),
        asker.parity(),
        asker.silent(),
        asker.taken_off(),
        asker.account(),
    ]


class _Asker:
    def __init__(self, product: ChildGate, run: Run) -> None:
        self._run = run
        self._trial = run.trial
        self._clients = {role: AnswersClient(product.url, token) for role, token in run.stage.readers.items()}

    def routes(self) -> Beside:
        document, true = self._of_windows("R1", "route"), self._sums("R1", "route")
        tasks = Counter({key: values["tasks"] for key, values in true.items()})
        return Beside(
            title="Where did tasks run?",
            measure=document["measure"],
            columns=("route", "tasks shown", "share", "true tasks", "share"),
            numbers=4,
            rows=tuple(
                (
                    row["route"],
                    _number(row["tasks"]),
                    _percent(row["share"]),
                    _number(tasks[row["route"]]),
                    _percent(_quotient(tasks[row["route"]], tasks.total())),
                )
                for row in sorted(document["rows"], key=lambda row: -row["tasks"])
            ),
            why="A device adds up small rows as `other` before it posts them, so the truth has it too."
            + _left_out(document),
        )

    def latency(self) -> Beside:
        document = self._of_windows("R4", "route")
        seen: dict[str, list[int]] = {}
        for key, cell in self._trial.truths.whole[CubeName("R4", ("route",), "day")].items():
            seen.setdefault(str(key[2]), []).extend(cell.observations["latency"])
        return Beside(
            title="How long did 19 of 20 tasks take at most? (95th percentile)",
            measure=document["measure"],
            columns=("route", "shown", "true"),
            numbers=2,
            rows=tuple(
                (row["route"], _milliseconds(row["latency_p95"]), _milliseconds(_nearest_rank(seen.get(row["route"]))))
                for row in document["rows"]
                if row["latency_p95"] is not None
            ),
            why="Devices post histograms, which tell a percentile within 4.4 %." + _left_out(document),
        )

    def fallbacks(self) -> Beside:
        return self._rates(
            "F1",
            "planned_route",
            ("rate", "fallbacks", "planned"),
            title="How often did a task end on another route than the planned one?",
            why="The rate is that of the cells that are shown.",
        )

    def parity(self) -> Beside:
        return self._rates(
            "V1",
            "model",
            ("parity", "on_wanted", "installations"),
            title="Which share of devices runs the version that the operator wants?",
            why="What is wanted is in the manifest of the operator.",
        )

    def _rates(self, measure: str, by: str, names: tuple[str, str, str], *, title: str, why: str) -> Beside:
        """A rate for each value of `by`; `names` are its column, what it counts, and of what."""
        document, true = self._of_windows(measure, by), self._sums(measure, by)
        shown, counted, of = names
        return Beside(
            title=title,
            measure=document["measure"],
            columns=(by.replace("_", " "), "shown", "true"),
            numbers=2,
            rows=tuple(
                (row[by], _percent(row[shown]), _rate(true, row[by], counted, of))
                for row in document["rows"]
                if row[shown] is not None
            ),
            why=why + _left_out(document),
        )

    def silent(self) -> Beside:
        document = self._of_windows("F2", "tier,rule", bucket="day", role="auditor")
        true = self._trial.truths.whole[CubeName("F2", ("rule",), "day")]
        by_day = {
            (iso_utc(int(key[0]))[:10], str(key[1]), str(key[2])): cell.values["tasks"] for key, cell in true.items()
        }
        days = Counter(row["start"][:10] for row in document["rows"])
        day = max(days, key=lambda one: (days[one], one), default=iso_utc(self._trial.fleet.start_ms)[:10])
        return Beside(
            title=f"Which fallbacks happened without asking or telling the person, on {day}?",
            measure=document["measure"],
            columns=("tier", "rule that was broken", "tasks shown", "true"),
            numbers=2,
            rows=tuple(
                (
                    row["tier"],
                    row["rule"],
                    f"{row['band']} devices" if row["band"] else _number(row["tasks"]),
                    _number(by_day.get((day, row["tier"], row["rule"]))),
                )
                for row in document["rows"]
                if row["start"][:10] == day
            ),
            why="Claimed by the devices themselves. Never left out: below k the number of devices is told as a range."
            + _left_out(document),
        )

    def taken_off(self) -> Beside:
        document = self._of_receipts("A1", "tier,field,action")
        true = self._trial.truths.remarks.by(("field", "action"))
        identifiers = [row for row in document["rows"] if row["action"] in ("drop", "pseudonymise")]
        return Beside(
            title="What did the gate take off most?",
            measure=document["measure"],
            columns=("tier", "field", "what was done", "values shown", "true"),
            numbers=2,
            rows=tuple(
                (
                    row["tier"],
                    row["field"],
                    row["action"],
                    _number(row["values"]),
                    _number(true.get((row["tier"], row["field"], row["action"]), {}).get("values")),
                )
                for row in sorted(identifiers, key=lambda row: -row["values"])[:8]
            ),
            why="`unknown` is whatever no schema names; a pseudonym cannot be led back without the key of its month."
            + _left_out(document),
        )

    def account(self) -> Beside:
        document = self._of_receipts("A3", "tier")
        receipts = self._trial.truths.receipts
        return Beside(
            title="Is every report accounted for?",
            measure=document["measure"],
            columns=("tier", "outcome", "reports shown", "true"),
            numbers=2,
            rows=tuple(
                (row["tier"], name, _number(row[name]), _number(true))
                for row in document["rows"]
                if row["tier"] in receipts
                for name, true in (
                    ("accepted", receipts[row["tier"]].stored),
                    ("duplicate", receipts[row["tier"]].duplicates),
                    ("unaccounted", 0),
                )
            ),
            why="Nothing is left out here: these are counts of requests and not of devices, and have to be equal.",
        )

    def _of_windows(self, measure: str, by: str, *, role: str = "analyst", bucket: str | None = None) -> dict[str, Any]:
        fleet = self._trial.fleet
        end = fleet.end_ms if bucket is None else -(-fleet.end_ms // 86_400_000) * 86_400_000
        start = fleet.start_ms if bucket is None else fleet.start_ms // 86_400_000 * 86_400_000
        span = [("from", iso_utc(start)), ("to", iso_utc(end)), *([("bucket", bucket)] if bucket else [])]
        return self._ask(measure, by, span, role)

    def _of_receipts(self, measure: str, by: str) -> dict[str, Any]:
        return self._ask(measure, by, [], "auditor")

    def _ask(self, measure: str, by: str, span: list[tuple[str, str]], role: str) -> dict[str, Any]:
        document = self._clients[role].document(f"/v1/answers/{measure}", [("by", by), *span])
        self._run.outputs[f"answer {measure}"] = Place(document, CONTROL)
        return document

    def _sums(self, measure: str, dim: str) -> dict[str, Counter[str]]:
        """The true values of all days and tiers, by one dimension."""
        sums: dict[str, Counter[str]] = {}
        for key, cell in self._trial.truths.whole[CubeName(measure, (dim,), "day")].items():
            sums.setdefault(str(key[2]), Counter()).update(cell.values)
        return sums


def other_outputs(product: ChildGate) -> Iterator[tuple[str, Place]]:
    """What the product says to operators and devices; each has to name a tier, or its state."""
    for name, path, control in (
        ("metrics", "/metrics", "contractor"),
        ("policy", "/t/contractor/v1/policy", "contractor"),
        ("readiness", "/readyz/answers", "following"),
    ):
        with urllib.request.urlopen(f"{product.url}{path}", timeout=REQUEST_SECONDS) as response:  # noqa: S310  # loopback
            yield name, Place(response.read(), control)


def _left_out(document: Mapping[str, Any]) -> str:
    """How many cells are not in an answer as they are in the truth, and why."""
    cells, waiting = document["withheld"]["cells"], document["withheld"]["waiting"]
    left_out = f" {cells:,} cells of fewer than k devices are left out" if cells else ""
    late = f"{waiting:,} wait for k more devices since late reports came" if waiting else ""
    if left_out and late:
        return f"{left_out}, and {late}."
    return f"{left_out}." if left_out else f" {late}." if late else ""


def _number(value: int | None) -> str:
    return UNTOLD if value is None else f"{value:,}"


def _percent(value: float | None) -> str:
    return UNTOLD if value is None else f"{value:.1%}"


def _milliseconds(value: float | None) -> str:
    return UNTOLD if value is None else f"{value:,.0f} ms"


def _rate(sums: Mapping[str, Mapping[str, int]], key: str, part: str, whole: str) -> str:
    values = sums.get(key)
    return UNTOLD if values is None else _percent(_quotient(values[part], values[whole]))


def _quotient(part: int, whole: int) -> float | None:
    return part / whole if whole else None


def _nearest_rank(seen: list[int] | None) -> int | None:
    """The 95th percentile of raw observations."""
    return sorted(seen)[math.ceil(len(seen) * 95 / 100) - 1] if seen else None
