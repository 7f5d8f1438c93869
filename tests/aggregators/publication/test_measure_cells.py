"""One small golden case per measure: rows by hand, the cells that they make, and what the measure answers from them.

Every tier has a k of 1 here, so that a cell appears as soon as one device is in it.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from tests.aggregators.hand_made import HOUR, MEASURES, OPEN_TIERS, Documents, Publisher, Row, fresh_rollups, insert

NEXT = HOUR + timedelta(hours=1)
INSIDE = HOUR + timedelta(minutes=20)


@dataclass(frozen=True, slots=True)
class Case:
    """Rows by table and documents of the operator; then what one cube's answer shows, one mapping per row."""

    measure: str
    cube: tuple[str, ...]
    rows: Mapping[str, list[Row]]
    answer: list[Mapping[str, Any]]
    documents: Documents = field(default_factory=Documents)
    grain: str = "hour"


def routed(**columns: Any) -> Row:
    """A route row: one task planned for the edge that ran there."""
    return {"device": "a", "planned_route": "edge", "actual_route": "edge", "tasks": 1, **columns}


def fell(**columns: Any) -> Row:
    """A fallback row: one task from managed cloud to the edge."""
    return {
        "device": "a", "planned_route": "managed_cloud", "actual_route": "edge", "fallback_reason": "timeout",
        "tasks": 1, **columns,
    }  # fmt: skip


def held(**columns: Any) -> Row:
    """An inventory row: a file in use, reported for the first time in its hour and day."""
    return {
        "device": "a", "model": "m", "version": "2.1", "state": "active", "removal": "not_revoked", "serving": True,
        "region": "north", "first_of_hour": 1, "first_of_day": 1, **columns,
    }  # fmt: skip


def wants(version: str, *more: tuple[str, str, float], revoked: tuple[str, ...] = ()) -> dict[str, Any]:
    """A manifest that wants `version` of the model m everywhere, and `more` as (region, version, share)."""
    wanted = [{"region": region, "version": one, "share": share} for region, one, share in (("*", version, 1.0), *more)]
    versions = [{"version": one} for one in ("2.1", "2.2", "2.3")]
    model = {"name": "m", "versions": versions, "wanted": wanted, "revoked": revoked}
    return {"regions": ["north", "south"], "models": [model]}


def costs(*prices: tuple[str, str, str, str]) -> dict[str, Any]:
    """A price list of (route, model, input, output)."""
    names = ("route", "model", "input_per_million", "output_per_million")
    return {"currency": "EUR", "price": [dict(zip(names, price, strict=True)) for price in prices]}


def said(sequence: int, place: int, *, outcome: str = "received", reports: int = 1, **columns: Any) -> Row:
    """One count of a record of a gate."""
    return {"gate": "g", "sequence": sequence, "place": place, "outcome": outcome, "reports": reports, **columns}


def span(sequence: int, place: int) -> Row:
    """One record of a gate."""
    return {"gate": "g", "sequence": sequence, "place": place, "from_time": HOUR, "to_time": INSIDE}


CASES = {
    "R1: shares of the routes within each region": Case(
        "R1", ("route", "region"),
        {"route_rows": [
            routed(tasks=3, region="north"), routed(tasks=1, region="north", actual_route="on_device"),
            routed(tasks=5, region="south"),
        ]},
        [
            {"route": "edge", "region": "north", "tasks": 3, "share": 0.75},
            {"route": "edge", "region": "south", "tasks": 5, "share": 1.0},
            {"route": "on_device", "region": "north", "tasks": 1, "share": 0.25},
        ],
    ),
    "R2: shares of the reasons in all tasks": Case(
        "R2", ("decision_reason", "route"),
        {"route_rows": [routed(tasks=3, decision_reason="cost"), routed(tasks=1, decision_reason="quality")]},
        [
            {"decision_reason": "cost", "route": "edge", "tasks": 3, "share": 0.75},
            {"decision_reason": "quality", "route": "edge", "tasks": 1, "share": 0.25},
        ],
    ),
    "R3: refused tasks of all": Case(
        "R3", (),
        {"route_rows": [routed(tasks=3), routed(tasks=1, refused=1, actual_route="refused")]},
        [{"refused": 1, "tasks": 4, "rate": 0.25}],
    ),
    "R4: percentiles, those past the buckets by name": Case(
        "R4", ("route",),
        {
            "route_rows": [routed(tasks=2, attempts=5, cold_starts=1)],
            "route_latency": [
                {"actual_route": "edge", "signal": "latency", "bucket": 8, "observations": 90},
                {"actual_route": "edge", "signal": "latency", "bucket": 1000, "observations": 10},
                {"actual_route": "edge", "signal": "first_token", "bucket": -1000, "observations": 1},
            ],
        },
        [{
            "tasks": 2, "attempts_per_task": 2.5, "cold_starts": 1, "latency_p50": pytest.approx(2 ** (8.5 / 8)),
            "latency_p95": None, "latency_p99": None, "first_token_p50": 0.0, "first_token_p99": 0.0,
            "beyond": "latency_p95 > 16777216, latency_p99 > 16777216",
        }],
    ),
    "R5: the price of the hour, a model's own before the general one, and tasks without one": Case(
        "R5", ("route", "model"),
        {"route_rows": [
            routed(tasks=1, tokens_in=1_000_000, tokens_out=500_000, model="m"),
            routed(tasks=1, tokens_in=1_000_000, model="n"),
            routed(tasks=1, tokens_in=1_000_000, model="m", hour=NEXT),
            routed(tasks=4, tokens_in=7, actual_route="on_device"),
        ]},
        [
            {"start": HOUR, "route": "edge", "model": "m", "cost": 4.5, "cost_per_1000_tasks": 4500.0,
             "unpriced_tasks": 0, "currency": "EUR"},
            {"start": HOUR, "route": "edge", "model": "n", "cost": 1.0},
            {"start": HOUR, "route": "on_device", "model": "none", "cost": 0.0, "unpriced_tasks": 4},
            {"start": NEXT, "route": "edge", "model": "m", "cost": 8.0},
        ],
        # The second list comes within the hour, so it counts from the next one on.
        Documents(prices=[
            (HOUR, costs(("edge", "m", "2", "5"), ("edge", "*", "1", "1"))),
            (INSIDE, costs(("edge", "*", "8", "8"))),
        ]),
    ),
    "R5: a day adds up hours of different prices": Case(
        "R5", ("route",),
        {"route_rows": [routed(tokens_in=1_000_000), routed(tokens_in=1_000_000, hour=NEXT)]},
        [{"tasks": 2, "tokens_in": 2_000_000, "cost": 10.0}],
        Documents(prices=[(HOUR, costs(("edge", "*", "2", "0"))), (NEXT, costs(("edge", "*", "8", "0")))]),
        "day",
    ),
    "F1: the base stands in cells of its own where route or reason are asked, and is not shown": Case(
        "F1", ("planned_route", "actual_route"),
        {
            "fallback_rows": [
                fell(tasks=2), fell(tasks=1, actual_route="on_device"),
                fell(tasks=9, actual_route="managed_cloud", fallback_reason="none"),  # no fallback
            ],
            "fallback_planned": [{"device": "a", "planned_route": "managed_cloud", "tasks": 12}],
        },
        [
            {"planned_route": "managed_cloud", "actual_route": "edge", "fallbacks": 2, "planned": 12,
             "rate": pytest.approx(1 / 6)},
            {"planned_route": "managed_cloud", "actual_route": "on_device", "fallbacks": 1, "planned": 12,
             "rate": pytest.approx(1 / 12)},
        ],
    ),
    "F1: in the same cell where they are not": Case(
        "F1", (),
        {
            "fallback_rows": [fell(tasks=3)],
            "fallback_planned": [{"device": "a", "planned_route": "managed_cloud", "tasks": 12}],
        },
        [{"fallbacks": 3, "planned": 12, "rate": 0.25}],
    ),
    "F2: consent and disclosure as shares of the fallbacks": Case(
        "F2", ("consent", "disclosed"),
        {
            "fallback_rows": [
                fell(tasks=3, consent="granted", disclosed="disclosed"),
                fell(tasks=1, consent="denied", disclosed="undisclosed"),
            ],
            "violation_rows": [{"rule": "undisclosed", "device": "a", "tasks": 9}],
        },
        [
            {"consent": "denied", "disclosed": "undisclosed", "tasks": 1, "share": 0.25, "band": None},
            {"consent": "granted", "disclosed": "disclosed", "tasks": 3, "share": 0.75, "band": None},
        ],
    ),
    "F2: silent fallbacks by rule, other rules not": Case(
        "F2", ("rule",),
        {"violation_rows": [
            {"rule": rule, "device": "a", "tasks": tasks}
            for rule, tasks in (("undisclosed", 2), ("consent_denied", 1), ("D1", 5))
        ]},
        [{"rule": "consent_denied", "tasks": 1}, {"rule": "undisclosed", "tasks": 2}],
        grain="day",
    ),
    "F3: as planned from the device, by fallback from zone to zone, nothing within one": Case(
        "F3", ("kind", "from_zone", "to_zone"),
        {
            "route_rows": [
                routed(tasks=2, bytes_sent=10), routed(bytes_sent=5, planned_route="managed_cloud"),
                routed(bytes_sent=7, planned_route="on_device", actual_route="on_device"),
                routed(planned_route="queued", actual_route="queued"),
            ],
            "fallback_rows": [
                fell(bytes_moved=20), fell(bytes_moved=3, planned_route="edge"), fell(actual_route="refused"),
            ],
        },
        [
            {"kind": "fallback", "from_zone": "vendor", "to_zone": "site", "bytes": 20, "tasks": 1},
            {"kind": "planned", "from_zone": "device", "to_zone": "site", "bytes": 10, "tasks": 2},
        ],
    ),
    "F4: how fallbacks ended": Case(
        "F4", ("disclosed",),
        {"fallback_rows": [
            fell(tasks=4, succeeded=3, degraded=1, disclosed="disclosed"),
            fell(tasks=2, succeeded=1, disclosed="undisclosed"),
        ]},
        [
            {"disclosed": "disclosed", "tasks": 4, "success_rate": 0.75, "degraded_rate": 0.25},
            {"disclosed": "undisclosed", "tasks": 2, "success_rate": 0.5, "degraded_rate": 0.0},
        ],
    ),
    "F5: time in fallback and the way back": Case(
        "F5", ("region",),
        {
            "fallback_rows": [fell(tasks=4, seconds_in_fallback=60, returns=2, canary_returns=1, region="north")],
            "fallback_return": [{"region": "north", "bucket": 0, "observations": 2}],
        },
        [{
            "region": "north", "tasks": 4, "seconds_per_fallback": 15.0, "returns": 2, "canary_share": 0.5,
            "return_p50": pytest.approx(2 ** (0.5 / 8)), "return_p95": pytest.approx(2 ** (0.5 / 8)), "beyond": None,
        }],
    ),
    "V1: a region's own entry replaces the general one, even with a share of 0": Case(
        "V1", ("region",),
        {"inventory_rows": [
            held(region="north"), held(region="south"), held(region="south", version="2.2", wanted_version="2.1"),
            held(region="south", serving=False), held(region="south", model="unnamed"),
        ]},
        [
            {"region": "north", "installations": 1, "parity": 0.0, "agreement": 0.0},
            {"region": "south", "installations": 2, "parity": 0.5, "agreement": 0.5},
        ],
        Documents(manifest=[(HOUR, wants("2.1", ("north", "2.1", 0.0)))]),
    ),
    "V1: the manifest of the hour, one that changes within it from the next hour on": Case(
        "V1", (),
        {"inventory_rows": [held(), held(hour=NEXT), held(hour=NEXT, version="2.2")]},
        [
            {"start": HOUR, "installations": 1, "parity": 1.0},
            {"start": NEXT, "installations": 2, "parity": 0.5},
        ],
        Documents(manifest=[(HOUR, wants("2.1")), (INSIDE, wants("2.2"))]),
    ),
    "V1: a day under two manifests": Case(
        "V1", ("model",),
        {"inventory_rows": [held(), held(hour=NEXT), held(hour=NEXT, version="2.2")]},
        [{"model": "m", "installations": 3, "parity": pytest.approx(2 / 3)}],
        Documents(manifest=[(HOUR, wants("2.1")), (NEXT, wants("2.2"))]),
        "day",
    ),
    "V1: two manifests of one moment, the later one counts": Case(
        "V1", (),
        {"inventory_rows": [held()]},
        [{"installations": 1, "parity": 0.0}],
        Documents(manifest=[(HOUR, wants("2.1")), (HOUR, wants("2.2"))]),
    ),
    "V1: without a manifest nothing is wanted and nothing is named": Case(
        "V1", (), {"inventory_rows": [held()]}, []
    ),
    "V2: revoked by the manifest or by the device, stale by the device": Case(
        "V2", ("status",),
        {"inventory_rows": [
            held(tasks=4), held(version="2.2", tasks=3), held(state="revoked", version="2.3", tasks=2),
            held(state="stale", version="2.3", tasks=1), held(version="2.2", serving=False),
        ]},
        [
            {"status": "current", "installations": 1, "tasks": 4, "share": 0.25},
            {"status": "revoked", "installations": 2, "tasks": 5, "share": 0.5},
            {"status": "stale", "installations": 1, "tasks": 1, "share": 0.25},
        ],
        Documents(manifest=[(HOUR, wants("2.1", revoked=("2.2",)))]),
    ),
    "V2: time to removal of what is revoked, in use or not": Case(
        "V2", ("removal",),
        {"inventory_rows": [
            held(state="revoked", removal="under_1h", serving=False), held(state="revoked", removal="not_removed"),
            held(),
        ]},
        [
            {"removal": "not_removed", "installations": 1, "share": 0.5},
            {"removal": "under_1h", "installations": 1, "share": 0.5},
        ],
    ),
    "A1: by the hour of receipt, the agent's version as major.minor": Case(
        "A1", ("field", "action", "agent_version"),
        {"remarks": [
            {"received": NEXT, "report": "route_window", "schema_version": 1, "agent_version": "4.2.7",
             "field": "user_email", "action": "drop", "values": 3, "reports": 3, "report_hour": 2},
            {"received": NEXT, "report": "sync_window", "schema_version": 1, "agent_version": "4.2",
             "field": "user_email", "action": "drop", "values": 1, "reports": 1, "report_hour": 1},
        ]},
        [{"start": NEXT, "field": "user_email", "action": "drop", "agent_version": "4.2", "values": 4, "reports": 4}],
    ),
    "A3: what was received, against what became of it": Case(
        "A3", (),
        {
            "gate_spans": [span(0, 1), span(1, 2)],
            "gate_outcomes": [
                said(0, 1, reports=10), said(0, 1, outcome="accepted", reports=6),
                said(0, 1, outcome="too_old", reports=2), said(1, 2, outcome="in_doubt", reports=1),
            ],
            "receipts": [{"report": "route_window", "schema_version": 1, "accepted": 5, "duplicates": 1}],
        },
        [{
            "tier": "managed", "received": 10, "accepted": 5, "duplicate": 1, "rejected": 2, "in_doubt": 1,
            "unaccounted": 1, "unknown_spans": 0,
        }],
    ),
    "A3: by outcome": Case(
        "A3", ("outcome",),
        {"gate_spans": [span(0, 1)], "gate_outcomes": [said(0, 1, reports=3), said(0, 1, outcome="too_old")]},
        [{"outcome": "received", "reports": 3}, {"outcome": "too_old", "reports": 1}],
    ),
    "A3: of one number the record that was appended last, and what is missing between two is unknown": Case(
        "A3", (),
        {
            "gate_spans": [span(1, 1), span(1, 2), span(4, 3)],
            "gate_outcomes": [said(1, 1, reports=5), said(1, 2, reports=7), said(4, 3, reports=1)],
        },
        [
            {"tier": "all", "received": 0, "unknown_spans": 3},
            {"tier": "managed", "received": 8, "unknown_spans": 0},
        ],
    ),
}  # fmt: skip


@pytest.fixture(name="publisher")
def _publisher(tmp_path: Path) -> Iterator[Publisher]:
    with fresh_rollups() as connection:
        yield Publisher(tmp_path / "published", connection, tiers=dict(OPEN_TIERS))


@pytest.mark.parametrize("case", [pytest.param(case, id=reason) for reason, case in CASES.items()])
def test_rows_become_the_answer(publisher: Publisher, case: Case) -> None:
    """The rows of a case, published, are answered as the case says, in every column that it names."""
    publisher.documents = case.documents
    publisher.measures = {case.measure: MEASURES[case.measure]}
    for table, rows in case.rows.items():
        insert(publisher.connection, table, *rows)
    publisher.publish()
    found = publisher.answer(case.measure, *case.cube, grain=case.grain)
    assert len(found) == len(case.answer)
    assert [{name: row[name] for name in expected} for row, expected in zip(found, case.answer, strict=True)] == [
        dict(expected) for expected in case.answer
    ]


def test_every_measure_has_a_case() -> None:
    """No measure is without one."""
    assert {case.measure for case in CASES.values()} == set(MEASURES)


def test_gates_record_that_replaces_one_of_the_hour_before_changes_that_hour(publisher: Publisher) -> None:
    """A count whose append was not confirmed at the end of an hour, and repeated in the next, counts once."""
    publisher.measures = {"A3": MEASURES["A3"]}
    insert(publisher.connection, "gate_spans", span(0, 1))
    insert(publisher.connection, "gate_outcomes", said(0, 1, reports=5))
    publisher.publish()
    insert(publisher.connection, "gate_spans", {**span(0, 2), "to_time": NEXT})
    insert(publisher.connection, "gate_outcomes", said(0, 2, reports=7, received=NEXT))
    publisher.publish()
    assert [(row["start"], row["received"]) for row in publisher.answer("A3")] == [(HOUR, 0), (NEXT, 7)]
