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


@dataclass(frozen=True, slots=True)
class Beside:
    """One answer and the truth: a row is (label, answered, true), texts as a person reads them; `ask` asks it again."""

    title: str
    told: str
    columns: tuple[str, str, str]
    rows: tuple[tuple[str, str, str], ...]
    withheld: int
    ask: str


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
        return self._beside(
            document,
            "Where did tasks run?",
            ("route", "tasks shown", "true"),
            [
                (
                    row["route"],
                    _share(row["tasks"], row["share"]),
                    _share(tasks[row["route"]], tasks[row["route"]] / tasks.total()),
                )
                for row in sorted(document["rows"], key=lambda row: -row["tasks"])
            ],
        )

    def latency(self) -> Beside:
        document = self._of_windows("R4", "route")
        seen: dict[str, list[int]] = {}
        for key, cell in self._trial.truths.whole[CubeName("R4", ("route",), "day")].items():
            seen.setdefault(str(key[2]), []).extend(cell.observations["latency"])
        rows = [
            (row["route"], _milliseconds(row["latency_p95"]), _milliseconds(_nearest_rank(seen[row["route"]], 95)))
            for row in document["rows"]
            if row["latency_p95"] is not None
        ]
        return self._beside(
            document, "How long did they take? (95th percentile)", ("route", "shown, within 4.4 %", "true"), rows
        )

    def fallbacks(self) -> Beside:
        document, true = self._of_windows("F1", "planned_route"), self._sums("F1", "planned_route")
        rows = [
            (
                row["planned_route"],
                _percent(row["rate"]),
                _percent(_ratio(true[row["planned_route"]], "fallbacks", "planned")),
            )
            for row in document["rows"]
            if row["rate"] is not None
        ]
        return self._beside(
            document, "How often did a planned route fall back?", ("planned route", "shown", "true"), rows
        )

    def parity(self) -> Beside:
        document, true = self._of_windows("V1", "model"), self._sums("V1", "model")
        rows = [
            (row["model"], _percent(row["parity"]), _percent(_ratio(true[row["model"]], "on_wanted", "installations")))
            for row in document["rows"]
            if row["parity"] is not None
        ]
        return self._beside(
            document, "Which share of devices runs the wanted version?", ("model", "shown", "true"), rows
        )

    def silent(self) -> Beside:
        document = self._of_windows("F2", "tier,rule", bucket="day", role="auditor")
        true = self._trial.truths.whole[CubeName("F2", ("rule",), "day")]
        by_day = {
            (iso_utc(int(key[0]))[:10], str(key[1]), str(key[2])): cell.values["tasks"] for key, cell in true.items()
        }
        rows = [
            (
                f"{row['start'][:10]} {row['tier']} {row['rule']}",
                row["band"] or _number(row["tasks"]),
                _number(by_day[row["start"][:10], row["tier"], row["rule"]]),
            )
            for row in document["rows"]
        ]
        return self._beside(
            document, "Which fallbacks were silent? (claimed; never hidden)", ("day, tier, rule", "shown", "true"), rows
        )

    def taken_off(self) -> Beside:
        document = self._of_receipts("A1", "tier,field,action")
        true = self._trial.truths.remarks.by(("field", "action"))
        identifiers = [row for row in document["rows"] if row["action"] in ("drop", "pseudonymise")]
        rows = [
            (
                f"{row['tier']} {row['field']} {row['action']}",
                _number(row["values"]),
                _number(true[row["tier"], row["field"], row["action"]]["values"]),
            )
            for row in sorted(identifiers, key=lambda row: -row["values"])[:8]
        ]
        return self._beside(document, "What was taken off most?", ("tier, field, action", "values shown", "true"), rows)

    def account(self) -> Beside:
        document = self._of_receipts("A3", "tier")
        receipts = self._trial.truths.receipts
        rows = [
            (f"{row['tier']} {name}", _number(row[name]), _number(true))
            for row in document["rows"]
            if row["tier"] in receipts
            for name, true in (
                ("accepted", receipts[row["tier"]].stored),
                ("duplicate", receipts[row["tier"]].duplicates),
                ("unaccounted", 0),
            )
        ]
        return self._beside(document, "Is every report accounted for?", ("tier, outcome", "shown", "true"), rows)

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

    def _beside(
        self, document: dict[str, Any], title: str, columns: tuple[str, str, str], rows: list[tuple[str, str, str]]
    ) -> Beside:
        by = ",".join(document["by"])
        return Beside(
            title=title,
            told=f"{document['measure']}, {document['title']}",
            columns=columns,
            rows=tuple(rows),
            withheld=document["withheld"]["cells"],
            ask=f"ask {document['measure']} --by {by}"
            + (f" --bucket {document['bucket']}" if document["bucket"] else ""),
        )


def other_outputs(product: ChildGate) -> Iterator[tuple[str, Place]]:
    """What the product says to operators and devices; each has to name a tier, or its state."""
    for name, path, control in (
        ("metrics", "/metrics", "contractor"),
        ("policy", "/t/contractor/v1/policy", "contractor"),
        ("readiness", "/readyz/answers", "following"),
    ):
        with urllib.request.urlopen(f"{product.url}{path}", timeout=REQUEST_SECONDS) as response:  # noqa: S310  # loopback
            yield name, Place(response.read(), control)


def _share(number: int, share: float) -> str:
    return f"{number:,} ({share:.1%})"


def _number(value: int) -> str:
    return f"{value:,}"


def _percent(value: float) -> str:
    return f"{value:.2%}"


def _milliseconds(value: float) -> str:
    return f"{value:,.0f} ms"


def _ratio(values: Mapping[str, int], part: str, whole: str) -> float:
    return values[part] / values[whole]


def _nearest_rank(seen: list[int], percent: int) -> int:
    return sorted(seen)[math.ceil(len(seen) * percent / 100) - 1]
