"""Answers: which published cells are read, how they are added up, and what is said beside them."""

import threading
import time
from collections.abc import Iterator
from dataclasses import replace
from datetime import datetime, timedelta

import duckdb
import pytest

from aggregators.answering.api import tell
from aggregators.answering.formats import CSV, JSON
from aggregators.answering.problems import Refusal, Refused
from aggregators.answering.reading import Reading
from aggregators.publication.measure import Answer, Measure
from tests.aggregators.published_cells import MEASURES, NOW, Source, empty_source, fill_every_cube, route

MIDNIGHT = NOW.replace(hour=0)
YESTERDAY = MIDNIGHT - timedelta(days=1)
HOUR = timedelta(hours=1)
GREATEST = 2**63 - 1
WIDE = {"from_": "2026-11-18", "to": "2026-11-21"}


@pytest.fixture
def source() -> Iterator[Source]:
    """A source without any cell."""
    made = empty_source()
    yield made
    made.connection.close()


def test_shares_are_of_everything_that_is_shown(source: Source) -> None:
    """A share is that of a route in all tasks of its span and tier, whatever is filtered by."""
    for tier, tasks in (("managed", 30), ("byod", 10)):
        route(source, YESTERDAY, "edge", tasks, grain="day", tier=tier)
        route(source, YESTERDAY, "refused", 10, grain="day", tier=tier)
    source.publish()
    assert source.rows("R1", by="route", **WIDE) == [
        {"route": "edge", "tasks": 40, "share": 40 / 60},
        {"route": "refused", "tasks": 20, "share": 20 / 60},
    ]
    assert source.rows("R1", by="tier", route="edge", **WIDE) == [
        {"tier": "byod", "route": "edge", "tasks": 10, "share": 0.5},
        {"tier": "managed", "route": "edge", "tasks": 30, "share": 0.75},
    ]
    assert source.rows("R1", by="route", tier="managed", route="edge,queued", **WIDE) == [
        {"route": "edge", "tier": "managed", "tasks": 30, "share": 0.75},
    ]


def test_cells_of_the_greatest_number_have_an_answer(source: Source) -> None:
    """Published sums that stand at the greatest number, for more was counted, are added up as any others."""
    for hour in (1, 2):
        row = {"route": "edge", "tasks": GREATEST, "attempts": GREATEST, "cold_starts": 0}
        full = {"latency": {3: 5, 1000: GREATEST}, "first_token": {}}
        source.cell("R4", YESTERDAY + hour * HOUR, {**row, **full}, cube="route")
    source.publish()
    [found] = source.rows("R4", by="route", from_="2026-11-19T00:00Z", to="2026-11-19T04:00Z")
    assert (found["tasks"], found["attempts_per_task"]) == (pytest.approx(2 * GREATEST), 1)
    assert found["beyond"] == "latency_p50 > 16777216, latency_p95 > 16777216, latency_p99 > 16777216"


@pytest.mark.parametrize("measure", MEASURES.values(), ids=MEASURES)
def test_no_cube_is_too_great_to_be_added_up(source: Source, measure: Measure) -> None:
    """Every question has an answer where all of its cells stand at the greatest number."""
    fill_every_cube(source, [YESTERDAY, YESTERDAY + HOUR])
    for one in (*measure.values, *measure.histograms):
        number = GREATEST if one in measure.values else {3: GREATEST, 1000: GREATEST}
        source.connection.execute(f'UPDATE {measure.table} SET "{one.name}" = $number', {"number": number})  # noqa: S608 - names of the measure
    for cube in measure.cubes:
        by = {"by": ",".join(cube.dimensions)} if cube.dimensions else {}
        assert source.rows(measure.name, **by, **WIDE), cube.name


def test_the_base_of_a_rate_is_not_filtered_away(source: Source) -> None:
    """A fallback rate filtered by the actual route has the planned tasks of all routes as its base."""
    for actual, reason, values in (("queued", "timeout", (5, 0)), ("(planned)", "(planned)", (0, 50))):
        names = {"planned_route": "edge", "actual_route": actual, "fallback_reason": reason}
        source.cell(
            "F1",
            YESTERDAY,
            {**names, "fallbacks": values[0], "planned": values[1]},
            cube="planned_route, actual_route, fallback_reason",
            grain="day",
        )
    source.publish()
    [row] = source.rows("F1", by="planned_route,fallback_reason", actual_route="queued", **WIDE)
    assert (row["fallbacks"], row["planned"], row["rate"]) == (5, 50, 0.1)


def test_a_rate_is_made_of_what_shows_its_base(source: Source) -> None:
    """Fallbacks of a tier or a day whose base is withheld are shown, and are no part of a rate; no base reads NULL."""
    cube = "planned_route, actual_route"
    for day, tier, actual, fallbacks, planned in (
        (YESTERDAY, "byod", "queued", 50, 0),
        (YESTERDAY, "managed", "queued", 5, 0),
        (YESTERDAY, "managed", "(planned)", 0, 40),
        (YESTERDAY - timedelta(days=1), "managed", "queued", 70, 0),
    ):
        row = {"planned_route": "edge", "actual_route": actual, "fallbacks": fallbacks, "planned": planned}
        source.cell("F1", day, row, cube=cube, grain="day", tier=tier)
    source.publish()
    names = ("fallbacks", "planned", "rate")
    for by, expected in (
        ("", [(125, 40, 0.125)]),
        ("tier,", [(50, None, None), (75, 40, 0.125)]),
    ):
        rows = source.rows("F1", by=f"{by}planned_route,actual_route", **WIDE)
        assert [tuple(row[name] for name in names) for row in rows] == expected


def test_whole_days_are_read_by_day_and_the_rest_by_hour(source: Source) -> None:
    """Without a bucket a day that lies in the range counts by its daily cell, and the hours beside it by theirs."""
    for day, tasks in ((YESTERDAY, 1_000), (MIDNIGHT, 1_000_000)):
        route(source, day, "edge", tasks, grain="day")
        for hour in range(24):
            route(source, day + hour * HOUR, "edge", 1)
    source.publish(complete_to=MIDNIGHT + timedelta(days=1))
    ranges = {
        ("2026-11-19", "2026-11-20"): 1_000,
        ("2026-11-18T22:00", "2026-11-20T03:00"): 1_003,
        ("2026-11-19T01:00", "2026-11-20"): 23,
        ("2026-11-19", "2026-11-21"): 1_001_000,
        ("2026-11-19T05:00", "2026-11-20T05:00"): 24,
        ("2026-11-19T05:00", "2026-11-21T05:00"): 1_000_019,
    }
    for (start, end), tasks in ranges.items():
        assert [row["tasks"] for row in source.rows("R1", by="route", from_=start, to=end)] == [tasks], (start, end)
    assert [row["tasks"] for row in source.rows("R1", bucket="day", **WIDE)] == [1_000, 1_000_000]
    assert [row["tasks"] for row in source.rows("R1", bucket="hour", from_="2026-11-19", to="2026-11-20")] == [1] * 24


def test_a_day_that_is_not_over_is_read_by_its_newer_hours(source: Source) -> None:
    """Today is read by its hourly cells as long as its daily ones are missing, or older than they are."""
    for hour in range(3):
        route(source, MIDNIGHT + hour * HOUR, "edge", 1)
    source.publish(complete_to=MIDNIGHT + 3 * HOUR)
    assert source.rows("R1", **WIDE)[0]["tasks"] == 3
    route(source, MIDNIGHT, "edge", 100, grain="day")
    assert source.rows("R1", **WIDE)[0]["tasks"] == 100
    source.cell("R1", MIDNIGHT + 3 * HOUR, {"route": "edge", "tasks": 1}, cube="route", publication=2)
    source.publish(number=2, complete_to=MIDNIGHT + 4 * HOUR)
    assert source.rows("R1", **WIDE)[0]["tasks"] == 4


def test_percentiles_are_those_of_the_added_histograms(source: Source) -> None:
    """Histograms of hours and tiers are added up before a percentile is read from them."""
    for hour, tier, histogram in ((0, "managed", {8: 60}), (1, "managed", {8: 10, 80: 20}), (1, "byod", {1000: 10})):
        row = {"route": "edge", "tasks": 1, "attempts": 1, "cold_starts": 0, "latency": histogram, "first_token": {}}
        source.cell("R4", MIDNIGHT + hour * HOUR, row, cube="route", tier=tier)
    source.publish()
    [row] = source.rows("R4", by="route", from_="2026-11-20", to="2026-11-20T02:00")
    assert row["latency_p50"] == pytest.approx(2 ** (8.5 / 8))
    assert (row["latency_p95"], row["latency_p99"], row["first_token_p50"]) == (None, None, None)
    assert row["beyond"] == "latency_p95 > 16777216, latency_p99 > 16777216"
    [row] = source.rows("R4", by="route", tier="managed", from_="2026-11-20", to="2026-11-20T02:00")
    assert row["latency_p95"] == pytest.approx(2 ** (80.5 / 8))


def rule(source: Source, day: datetime, *, tasks: int | None, band: str | None) -> None:
    """Publish a cell of silent fallbacks, as its values or as its band."""
    row = {"rule": "undisclosed", "tasks": tasks, "band": band}
    source.cell("F2", day, row, cube="rule", grain="day")


def test_a_band_is_shown_as_it_was_published(source: Source) -> None:
    """A cell of too few devices shows its band and no number."""
    rule(source, YESTERDAY, tasks=None, band="1 to 4")
    source.publish()
    [row] = source.rows("F2", by="rule", bucket="day", **WIDE)
    assert (row["tasks"], row["band"]) == (None, "1 to 4")


def test_a_sum_with_a_band_in_it_says_the_least(source: Source) -> None:
    """Days with and without a band add up to what is at least so, never to a number that passes for the whole."""
    rule(source, YESTERDAY, tasks=57, band=None)
    rule(source, MIDNIGHT, tasks=None, band="1 to 4")
    source.publish()
    [row] = source.rows("F2", by="rule", **WIDE)
    assert (row["tasks"], row["band"]) == (None, "58 or more")


def test_withheld_cells_are_counted_by_span_and_tier_only(source: Source) -> None:
    """The answer counts what its cube withheld in the spans that it read, of the tiers asked for."""
    route(source, YESTERDAY, "edge", 5, grain="day")
    source.withhold("R1", YESTERDAY, cube="route", grain="day", cells=3, waiting=1)
    source.withhold("R1", YESTERDAY, cube="route", grain="day", tier="byod", cells=4)
    source.withhold("R1", YESTERDAY, cube="route", cells=100)
    source.withhold("R1", YESTERDAY, cube="route, region", grain="day", cells=100)
    source.withhold("R1", YESTERDAY - timedelta(days=9), cube="route", grain="day", cells=100)
    source.publish()
    for parameters, counted in (({}, (7, 1)), ({"tier": "byod"}, (4, 0)), ({"tier": "x' OR 1=1 --"}, (0, 0))):
        answer = source.ask("R1", by="route", **WIDE, **parameters)
        assert (answer.withheld.cells, answer.withheld.waiting) == counted


HOSTILE = [
    "x' OR 'a'='a",
    "'; DROP TABLE cube_r1; --",
    '" OR 1=1 --',
    "$cube",
    "{answer}",
    "%",
    "\\'; SELECT 1",
    "é\0€",
    "edge') OR (1=1",
]


@pytest.mark.parametrize("value", HOSTILE)
@pytest.mark.parametrize("dimension", ["route", "tier"])
def test_hostile_values_are_values(source: Source, dimension: str, value: str) -> None:
    """A value with SQL in it is compared as a text: it finds nothing, harms nothing, and finds itself."""
    route(source, YESTERDAY, "edge", 5, grain="day")
    own = {"route": "edge", "tier": "managed", dimension: value}
    source.cell("R1", YESTERDAY, {"route": own["route"], "tasks": 7}, cube="route", grain="day", tier=own["tier"])
    source.publish()
    assert [row["tasks"] for row in source.rows("R1", **{dimension: value}, **WIDE)] == [7]
    assert source.rows("R1", **{dimension: f"{value}x"}, **WIDE) == []
    assert sum(row["tasks"] for row in source.rows("R1", **WIDE)) == 12


@pytest.mark.parametrize("measure", MEASURES)
def test_nothing_but_what_the_measure_declares_leaves(source: Source, measure: str) -> None:
    """Every answer has asked dimensions and declared columns alone, and the bound of the devices in none of them."""
    fill_every_cube(source, [YESTERDAY, MIDNIGHT])
    for cube in MEASURES[measure].cubes:
        for bucket in cube.grains:
            table = source.ask(measure, by=",".join(("tier", *cube.dimensions)), bucket=bucket, **WIDE).table
            allowed = {"start", "tier", *cube.dimensions, *MEASURES[measure].units}
            assert table.num_rows > 0
            assert set(table.column_names) <= allowed
            assert "987654321" not in repr(table.to_pylist())


def test_a_query_cannot_give_more_than_the_measure_declares(source: Source) -> None:
    """A column that a measure's query gives and its header does not declare stays here."""
    cube = MEASURES["R1"].cubes[0]
    careless = Answer("SELECT {asked}, tasks, 1.0 AS share, 17 AS devices FROM cells", "share")
    source.measures = {"R1": replace(MEASURES["R1"], answers={cube.name: careless})}
    route(source, YESTERDAY, "edge", 5, grain="day")
    source.publish()
    assert source.rows("R1", **WIDE) == [{"route": "edge", "tasks": 5, "share": 1.0}]


def pages(source: Source, **parameters: str) -> list[dict[str, object]]:
    """All rows, page by page."""
    rows, cursor = [], None
    while True:
        page = source.page("R1", **parameters, **({} if cursor is None else {"cursor": cursor}))
        rows += page.table.to_pylist()
        if page.next is None:
            return rows
        cursor = page.next.encode()


@pytest.mark.parametrize("limit", ["1", "7", "95", "96", "97"])
def test_pages_are_the_whole(source: Source, limit: str) -> None:
    """Pages of any size together are the rows of the whole answer, in its order."""
    fill_every_cube(source, [YESTERDAY, MIDNIGHT])
    asked = {"by": "tier,route,region,data_class", "bucket": "hour", **WIDE}
    whole = source.rows("R1", **asked)
    assert len(whole) == 32
    assert pages(source, limit=limit, **asked) == whole


def test_a_page_of_what_changed_is_refused(source: Source) -> None:
    """A cursor outlives a publication that leaves its cells alone, and is refused after one that does not."""
    fill_every_cube(source, [YESTERDAY, MIDNIGHT])
    asked = {"by": "route", "bucket": "hour", "limit": "1", "from_": "2026-11-19", "to": "2026-11-20"}
    first = source.page("R1", **asked)
    assert first.next is not None
    cursor = first.next.encode()
    source.publish(number=2)
    route(source, MIDNIGHT + 9 * HOUR, "edge", 5)
    second = source.page("R1", cursor=cursor, **asked)
    assert second.published is not None
    assert second.published.number == 1
    assert (
        second.table.to_pylist()
        == source.rows("R1", **{name: value for name, value in asked.items() if name != "limit"})[1:2]
    )
    source.cell("R1", YESTERDAY + HOUR, {"route": "edge", "tasks": 5}, cube="route", publication=2)
    with pytest.raises(Refused) as caught:
        source.page("R1", cursor=cursor, **asked)
    assert caught.value.reason is Refusal.PUBLICATION_CHANGED


def test_a_cursor_of_a_publication_that_never_was_is_refused(source: Source) -> None:
    """A cursor that names a publication that there is not is no cursor."""
    fill_every_cube(source, [YESTERDAY])
    question = source.question("R1", **WIDE)
    answer = source.page("R1", limit="1", **WIDE)
    assert answer.next is not None
    forged = type(answer.next)(9, 1, question.span, question.digest).encode()
    with pytest.raises(Refused) as caught:
        source.page("R1", cursor=forged, **WIDE)
    assert caught.value.reason is Refusal.BAD_CURSOR


ENDLESS = "SELECT count(*) AS n FROM range(10000000000) AS a, range(100000) AS b WHERE (a.range + b.range) % 7 = 9"


def test_a_question_that_takes_too_long_is_given_up(source: Source) -> None:
    """A query is interrupted at the deadline, and whoever asks again on the same database is answered."""
    with Reading(source.cursor(), seconds=0.1) as reading:
        with pytest.raises(Refused) as caught:
            reading.table(ENDLESS, {})
        with pytest.raises(Refused):
            reading.table("SELECT 1", {})
    assert caught.value.reason is Refusal.TOO_SLOW
    assert source.rows("R1", **WIDE) == []


def test_rollups_that_are_closed_under_a_question(source: Source) -> None:
    """A question whose cursor is interrupted and closed by somebody else is refused, not hung."""
    cursor = source.cursor()
    with Reading(cursor) as reading:
        closing = threading.Thread(target=_interrupt_until, args=(cursor, deadline := threading.Event()))
        closing.start()
        with pytest.raises(Refused) as caught:
            reading.table(ENDLESS, {})
        deadline.set()
        closing.join()
    assert caught.value.reason is Refusal.ROLLUPS_UNAVAILABLE


def _interrupt_until(cursor: duckdb.DuckDBPyConnection, done: threading.Event) -> None:
    while not done.is_set():
        cursor.interrupt()
        time.sleep(0.01)


def test_more_rows_than_an_answer_may_have(source: Source, monkeypatch: pytest.MonkeyPatch) -> None:
    """An answer that is not paged is refused when it has more rows than one may have."""
    monkeypatch.setattr("aggregators.answering.answers.whole_answer.__kwdefaults__", {"at_most": 3})
    fill_every_cube(source, [YESTERDAY])
    question = source.question("R1", by="route,region", **WIDE)
    with pytest.raises(Refused) as caught:
        tell(question, source, CSV)
    assert caught.value.reason is Refusal.TOO_MANY_ROWS
    assert tell(question, source, JSON).answer.table.num_rows == 4


def test_one_answer_is_one_snapshot(source: Source) -> None:
    """A publication that is committed while an answer is read is not in it."""
    route(source, YESTERDAY, "edge", 5, grain="day")
    source.publish()
    with Reading(source.cursor()) as reading:
        count = "SELECT count(*) AS n FROM cube_r1"
        assert reading.rows(count, {}) == [{"n": 1}]
        route(source, YESTERDAY, "queued", 5, grain="day")
        assert reading.rows(count, {}) == [{"n": 1}]
    assert len(source.rows("R1", **WIDE)) == 2
