"""Tasks added up: what is counted, what becomes of odd words and numbers, and that sums do not depend on the way."""

import gc
import io
from collections import Counter
from collections.abc import Iterable, Sequence
from typing import Any
from weakref import ref

import fastavro
import pytest
from hypothesis import given
from hypothesis import strategies as st

from reporter.reports import for_avro
from reporter.windows import task_window
from reporter.windows.cell import SUMMED, cell_for
from reporter.windows.folding import Folding
from reporter.windows.numbers import GREATEST_INT
from reporter.windows.presence import Firsts, flagged
from reporter.windows.task import Facts, Task, facts_of
from reporter.windows.task_window import TaskWindow
from tests.reporter.windows.hand_made import NINE, task, tasks, window

FINE = Folding()

HEADER = {"report_id": bytes(16), "window_start": NINE, "window_end": NINE, "hardware_tier": "small",
          "network_context": "home"}  # fmt: skip


def encoded(report: str, values: dict[str, Any]) -> bytes:
    """What Avro's library makes of it, in its strict mode."""
    out = io.BytesIO()
    fastavro.schemaless_writer(out, for_avro(report), HEADER | values, strict_allow_default=True)
    return out.getvalue()


def test_a_row_is_the_sum_of_its_tasks() -> None:
    """Counts are added up, tokens and bytes rounded to two digits, times are in histograms."""
    one = task(attempts=2, tokens_in=104, latency_ms=3, cold_start=True, disclosures=frozenset({"residency"}))
    other = task(attempts=1, tokens_in=1, latency_ms=0, disclosures=frozenset({"residency"}))
    [row] = window([one, other]).route_values(FINE)["rows"]
    expected = {"tasks": 2, "attempts": 3, "succeeded": 2, "cold_starts": 1, "offline": 0, "tokens_in": 110}
    assert {name: row[name] for name in expected} == expected
    assert row["latency"] == {"zero_count": 1, "underflow": 0, "overflow": 0, "offset": 12, "counts": [1]}
    assert row["first_token"] is None
    assert row["disclosures"] == [{"disclosure": "residency", "tasks": 2}]


def test_sums_stand_under_their_names() -> None:
    """Each count of a task is added to the count of a row that has its name."""
    for place, name in enumerate(SUMMED):
        said = "cold_start" if name == "cold_starts" else name
        plain = dict.fromkeys(("attempts", "succeeded"), 0)
        [row] = window([task(**plain | {said: 7})]).route_values(FINE)["rows"]
        assert [row[other] for other in SUMMED] == [7 * (number == place) for number in range(len(SUMMED))]


def test_a_fallback_is_counted_in_both_reports() -> None:
    """A task that ran elsewhere than planned is in a row of each report, and every task is in the base of the rate."""
    left = task(actual_route="edge", fallback_reason="offline", bytes_moved=1234, seconds_in_fallback=9,
                returned_after_s=70, returned_by_canary=True, degraded=True)  # fmt: skip
    made = window([left, task(), task(planned_route="edge")])
    values = made.fallback_values(FINE)
    [row] = values["rows"]
    assert row["return_time"]["counts"] == [1]
    del row["return_time"]
    assert row == {
        "data_class": "internal", "planned_route": "on_device", "actual_route": "edge", "fallback_reason": "offline",
        "consent": "not_asked", "disclosed": "undisclosed", "tasks": 1, "succeeded": 1, "degraded": 1,
        "bytes_moved": 1200, "seconds_in_fallback": 9, "returns": 1, "canary_returns": 1,
    }  # fmt: skip
    assert values["planned"] == [{"planned_route": "edge", "tasks": 1}, {"planned_route": "on_device", "tasks": 2}]
    broken = made.route_values(FINE)["violations"]
    assert broken == [
        {"rule": "D5", "tasks": 1}, {"rule": "consent_not_asked", "tasks": 1}, {"rule": "undisclosed", "tasks": 1},
    ]  # fmt: skip


ODD: list[Any] = [
    pytest.param({"data_class": "top secret"}, {"data_class": "other"}, id="a symbol of nobody's"),
    pytest.param({"data_class": 5}, {"data_class": "other"}, id="a symbol that is no text"),
    pytest.param({"data_class": None}, {"data_class": "other"}, id="a dimension that was not said"),
    pytest.param({"model": "m" * 129}, {"model": "other"}, id="a name that is none"),
    pytest.param({"model": "größe"}, {"model": "other"}, id="a name that no manifest can hold"),
    pytest.param({"model": "a\nb"}, {"model": "other"}, id="a name of two lines"),
    pytest.param({"model": ["small-chat"]}, {"model": "other"}, id="a name in a list"),
    pytest.param({"precision": "int2"}, {"precision": "other"}, id="a precision that the schema lacks"),
    pytest.param({"offline": "yes"}, {"offline": 0}, id="a truth that is none"),
    pytest.param({"disclosures": None}, {"disclosures": []}, id="no set of disclosures"),
    pytest.param({"disclosures": {"whispered"}}, {"disclosures": []}, id="a disclosure of nobody's"),
    pytest.param({"disclosures": 5}, {"disclosures": []}, id="disclosures that are a number"),
    pytest.param({"tokens_in": "many"}, {"tokens_in": 0}, id="a number that is a word"),
    pytest.param({"tokens_in": "12"}, {"tokens_in": 12}, id="a number in quotes"),
    pytest.param({"tokens_in": float("nan")}, {"tokens_in": 0}, id="a number that is none"),
    pytest.param({"tokens_in": -5}, {"tokens_in": 0}, id="less than nothing"),
    pytest.param({"tokens_in": 1 << 70}, {"tokens_in": 92 * 10**17}, id="more than a long holds"),
    pytest.param({"attempts": 1 << 40}, {"attempts": GREATEST_INT}, id="more than an int holds"),
    pytest.param({"latency_ms": "soon"}, {"latency": {
        "zero_count": 1, "underflow": 0, "overflow": 0, "offset": 0, "counts": []}}, id="a time that is a word"),
    pytest.param({"latency_ms": 0.3}, {"latency": {
        "zero_count": 0, "underflow": 0, "overflow": 0, "offset": -14, "counts": [1]}}, id="less than a millisecond"),
]  # fmt: skip


@pytest.mark.parametrize(("said", "expected"), ODD)
def test_odd_words_and_numbers_do_no_harm(said: dict[str, Any], expected: dict[str, Any]) -> None:
    """What an application says is made to fit, alone and beside tasks that say it as they should."""
    [row] = window([task(**said)]).route_values(FINE)["rows"]
    assert {name: row[name] for name in expected} == expected
    assert encoded("route_window", {"rows": [row]})
    both = window([task(), task(**said), task(**said), task()]).route_values(FINE)["rows"]
    assert sum(row["tasks"] for row in both) == 4


def test_a_bad_number_changes_nothing_but_itself() -> None:
    """A task with one number that is none is counted once, and the tasks around it as they were."""
    made = window([task(tokens_in=10), task(tokens_in=10, bytes_sent="much"), task(tokens_in=10, bytes_sent=7)])
    [row] = made.route_values(FINE)["rows"]
    assert (row["tasks"], row["attempts"], row["tokens_in"], row["bytes_sent"]) == (3, 3, 30, 7)


def unrounded(rows: Iterable[dict[str, Any]]) -> list[dict[str, Any]]:
    """Rows without what is rounded, of which parts do not add up."""
    return [{name: said for name, said in row.items() if name not in {"tokens_in", "bytes_moved"}} for row in rows]


def added(parts: Sequence[TaskWindow], array: str) -> Counter[Any]:
    """Every count in the rows of some windows, by dimensions; those of histograms by bucket."""
    found: Counter[Any] = Counter()
    for part in parts:
        values = part.route_values(FINE) | {"fallbacks": part.fallback_values(FINE)["rows"]}
        for row in unrounded(values[array]):
            key = tuple(said for said in row.values() if isinstance(said, str | None))
            found.update({(*key, name): said for name, said in row.items() if isinstance(said, int)})
            for name, said in row.items():
                if isinstance(said, dict):
                    counts = {place + said["offset"]: number for place, number in enumerate(said["counts"])}
                    found.update({(*key, name, place): number for place, number in counts.items()})
                    found.update({(*key, name, place): said[place] for place in ("zero_count", "overflow")})
                if name == "disclosures":
                    found.update({(*key, one["disclosure"]): one["tasks"] for one in said})
    return +found


@given(st.lists(st.tuples(tasks(), st.integers(0, 2)), max_size=20))
def test_windows_add_up_however_tasks_are_dealt(dealt: list[tuple[Task, int]]) -> None:
    """Tasks dealt to three windows give the sums of all of them in one, row by row and rule by rule."""
    parts = [window(one for one, number in dealt if number == part) for part in range(3)]
    whole = window(one for one, _ in dealt)
    for array in ("rows", "violations", "fallbacks"):
        # A histogram that is null in one part and the dimension None are both left out of what is compared.
        assert plain(added(parts, array)) == plain(added([whole], array))


def plain(found: Counter[Any]) -> Counter[Any]:
    """The same counts, where keys that differ in None alone are one."""
    sums: Counter[Any] = Counter()
    for key, number in found.items():
        sums[tuple(part for part in key if part is not None)] += number
    return sums


@given(st.lists(tasks(), max_size=20), st.randoms(use_true_random=False))
def test_the_order_of_tasks_is_nowhere(some: list[Task], random: Any) -> None:
    """The same tasks in another order make the same report, order of rows included."""
    shuffled = list(some)
    random.shuffle(shuffled)
    for folding in (FINE, Folding(least=3)):
        assert window(some).route_values(folding) == window(shuffled).route_values(folding)
        assert window(some).fallback_values(folding) == window(shuffled).fallback_values(folding)


@given(st.lists(tasks(), max_size=20), st.integers(1, 6), st.integers(1, 4))
def test_folding_keeps_totals(some: list[Task], least: int, most: int) -> None:
    """However rows are folded, tasks, rules and planned routes are all there, and only the folded row may be small."""
    made, folding = window(some), Folding(least=least, most=most)
    routes, fallbacks = made.route_values(folding), made.fallback_values(folding)
    assert sum(row["tasks"] for row in routes["rows"]) == len(some)
    assert sum(row["tokens_in"] > 0 for row in routes["rows"]) <= len(routes["rows"]) <= most
    assert routes["violations"] == made.route_values(FINE)["violations"]
    assert fallbacks["planned"] == made.fallback_values(FINE)["planned"]
    assert sum(row["tasks"] for row in fallbacks["rows"]) == sum(
        row["tasks"] for row in made.fallback_values(FINE)["rows"]
    )
    for row in [*routes["rows"], *fallbacks["rows"]]:
        assert row["tasks"] >= least or row["actual_route"] == "other"


@given(st.lists(tasks(), max_size=12), st.integers(1, 3))
def test_every_window_can_be_written(some: list[Task], least: int) -> None:
    """Whatever the tasks, Avro's library writes the reports without filling in a field of theirs."""
    made, folding = window(some), Folding(least=least)
    for report, values in (
        ("route_window", made.route_values(folding)),
        ("fallback_window", made.fallback_values(folding)),
    ):
        assert encoded(report, flagged(report, values, NINE, Firsts()))


@given(st.lists(tasks(), min_size=1, max_size=25))
def test_a_full_window_still_counts_everything(some: list[Task]) -> None:
    """Beyond the greatest number of combinations tasks are counted under other; no rule, disclosure or plan is lost."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(task_window, "MOST_CELLS", 3)
        made = window(some)
    exact = window(some)
    assert len(made._cells) <= 3 + 2 * 2 * 2 * 8
    assert made.tasks == exact.tasks
    assert made.is_offline == exact.is_offline
    all_in_one = Folding(least=len(some) + 1)
    assert made.route_values(all_in_one) == exact.route_values(all_in_one)
    assert made.fallback_values(all_in_one) == exact.fallback_values(all_in_one)


def test_no_long_word_is_held() -> None:
    """A window holds the words of a combination in the form in which it posts them, if they are no names."""
    made = window([task(model="m" * 10_000), task(model="m" * 20_000)])
    assert all(len(word) < 200 for facts in made._cells for word in facts if isinstance(word, str))
    assert [row["tasks"] for row in made.route_values(FINE)["rows"]] == [2]


class Model:
    """Something that an application took for a name."""


def test_no_object_of_an_application_is_held() -> None:
    """What an application says in place of a word is free again once the task was added."""
    said = Model()
    made = window([task(model=said)])
    gone = ref(said)
    del said
    gc.collect()
    assert gone() is None
    assert made.tasks == 1


@pytest.mark.parametrize(
    "told", [pytest.param({"w" * 10_000}, id="a long text"), pytest.param(set(map(str, range(5000))), id="many texts")]
)
def test_no_long_disclosure_is_held(told: set[str]) -> None:
    """What was told to a person is no word of the schema, and is not held in memory."""
    made = window([task(disclosures=frozenset(told))])
    [key] = made._cells
    assert key[-1] == frozenset()


def test_what_is_reported_stays_so() -> None:
    """Facts in the words of the schemas are in the same words when they are looked at again."""
    odd = cell_for(Facts._make(facts_of(task(data_class="mine", actual_route="edge", model=None)))).facts
    assert cell_for(odd).facts == odd


OFFLINE = [
    pytest.param((), False, id="no task says nothing of the network"),
    pytest.param((True, True), True, id="all of them"),
    pytest.param((True, False), False, id="some of them"),
]


@pytest.mark.parametrize(("offline", "expected"), OFFLINE)
def test_a_window_is_offline_when_all_its_tasks_were(offline: tuple[bool, ...], *, expected: bool) -> None:
    """A window of tasks without a network was offline."""
    assert window(task(offline=was) for was in offline).is_offline == expected


def test_work_offline_is_told_apart() -> None:
    """Tasks without a network are counted for sync_window; those that need a centre only where they ran."""
    central = {"authority": "needs_central", "offline": True}
    made = window(
        [task(), task(offline=True), task(**central), task(**central, actual_route="queued", succeeded=False)]
    )
    assert made.offline_work() == {"offline_tasks": 3, "offline_succeeded": 2, "offline_central": 1}


def test_decisions_are_counted_for_the_trace() -> None:
    """A task with a reason was decided for a reason, and one that says everything left a complete trace."""
    made = window([task(), task(decision_reason=None), task(policy_version=None), task(data_class="mine")])
    assert made.decisions() == (4, 3, 1)


def test_rows_that_tell_the_same_are_one() -> None:
    """What a tier lets rows tell is applied before they are folded, so that rows may become large enough together."""

    def no_model(report: str, array: str, row: dict[str, Any]) -> dict[str, Any]:
        assert (report, array) == ("route_window", "rows")
        return row | {"model": None}

    made = window([task(model="one"), task(model="two")])
    [row] = made.route_values(Folding(least=2, telling=no_model))["rows"]
    assert (row["model"], row["data_class"], row["tasks"]) == (None, "internal", 2)
    assert [row["data_class"] for row in made.route_values(Folding(least=2))["rows"]] == ["other"]
