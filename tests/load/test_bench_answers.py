"""The bench of the answers end to end, small: every figure is there, over cells that are as many as it says."""

from pathlib import Path
from typing import Any

import pytest

from aggregators.publication.measures import load_measures
from aggregators.rollups.rollups import Rollups
from aggregators.times import naive_utc
from load.answer_once import QUESTIONS, ask
from load.answers_part import Answered, AnswersFigures
from load.fleet_log import ROLLUPS_NAME, StoredFleet, store_fleet
from load.follower_part import follow_and_publish
from load.ninety_days import repeat_days, repeat_tiers
from load.processes import choose_cores
from tests.load.running_bench import SEED, measured

pytestmark = pytest.mark.bench

MEASURES = load_measures()
ASKED = [MEASURES[question.measure] for question in QUESTIONS.values()]
SPANS = "SELECT count(*), count(DISTINCT start), count(DISTINCT tier), max(start) FROM cube_r4 WHERE grain = 'day'"


@pytest.fixture(scope="module")
def document(tmp_path_factory: pytest.TempPathFactory) -> Any:
    """What a small run prints as JSON."""
    return measured("answers", folder=tmp_path_factory.mktemp("answers"))["answers"]


def test_every_question_is_asked_at_both_sizes(document: Any) -> None:
    """Each question has its figures at one and at ten times the cells, and was answered."""
    found = [(one["times_the_cells"], one["question"], one["refused"]) for one in document["answers"]]
    assert found == [(factor, question, None) for factor in (1, 10) for question in QUESTIONS]
    for one in document["answers"]:
        assert one["elapsed_s"]["lowest"] > 0
        assert one["cpu_s"]["lowest"] > 0
        assert one["peak_mib"]["lowest"] >= one["before_mib"]["lowest"] > 0


def test_ten_times_the_cells_are_read(document: Any) -> None:
    """At ten times the cells each question reads ten times as many, and has the same rows."""
    half = len(QUESTIONS)
    for one, ten in zip(document["answers"][:half], document["answers"][half:], strict=True):
        assert (ten["cells"], ten["rows"]) == (10 * one["cells"], one["rows"])


@pytest.fixture(scope="module")
def published(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, StoredFleet]:
    """Three published days of a small fleet."""
    data = tmp_path_factory.mktemp("published")
    fleet = store_fleet(data, devices=60, seed=SEED)
    follow_and_publish(data, fleet, core=choose_cores().server)
    return data, fleet


@pytest.fixture(scope="module")
def counted(published: tuple[Path, StoredFleet]) -> list[tuple[Any, ...]]:
    """Cells, days, tiers and newest day: as published, over ninety days, and with twice the tiers."""
    data, _ = published
    found = [_spans(data)]
    repeat_days(data, ASKED)
    found.append(_spans(data))
    repeat_tiers(data, ASKED, times=2)
    return [*found, _spans(data)]


def test_three_days_become_ninety(counted: list[tuple[Any, ...]]) -> None:
    """Cells of three whole days are there thirty times, and the newest day stays the newest."""
    three, ninety, _ = counted
    assert three[0] > 0
    assert ninety == (30 * three[0], 90, three[2], three[3])


def test_tiers_are_repeated(counted: list[tuple[Any, ...]]) -> None:
    """Every cell is there as often as every tier is."""
    _, ninety, twice = counted
    assert twice == (2 * ninety[0], ninety[1], 2 * ninety[2], ninety[3])


@pytest.mark.usefixtures("counted")
def test_answer_is_the_products_own(published: tuple[Path, StoredFleet]) -> None:
    """What is timed ends with rows of an answer and their bytes."""
    data, fleet = published
    taken = ask(data, QUESTIONS["latency"], end=naive_utc(fleet.end_ms))
    assert taken["refused"] is None
    assert taken["rows"] >= 90
    assert taken["bytes"] > taken["rows"]


def test_refused_answer_is_no_figure() -> None:
    """Where any asking was refused, the table has its reason in place of the rows."""
    taken = {"cells": 1, "rows": 0, "bytes": 0, "cpu": 20.0, "elapsed": 20.0, "peak": 1, "before": 1, "refused": None}
    answered = Answered("routes", 10, [{**taken, "refused": "too_slow"}, taken])
    fleet = StoredFleet(devices=1, seed=1, reports=1, value_bytes=1, start_ms=0, end_ms=1)
    (shown,) = AnswersFigures(fleet=fleet, answered=[answered], askings=2, core=0).tables
    assert "refused: too_slow" in list(shown.columns[3].cells)
    assert answered.document()["refused"] == "too_slow"


def _spans(data: Path) -> tuple[Any, ...]:
    rollups = Rollups.open(data / ROLLUPS_NAME)
    try:
        with rollups.cursor() as cursor:
            [found] = cursor.execute(SPANS).fetchall()
            return tuple(found)
    finally:
        rollups.close()
