"""The bench of the follower end to end, small: every figure is there, and the parts add up to the whole."""

from pathlib import Path
from typing import Any

import pytest

from load.children import ChildFailedError
from load.fleet_log import StoredFleet, store_fleet
from load.follow_once import STAGES
from load.follower_part import FollowerFigures, FollowerRound, follow_and_publish
from load.processes import choose_cores
from tests.load.running_bench import SEED, measured

pytestmark = pytest.mark.bench

FLEET = StoredFleet(devices=1, seed=1, reports=1_000, value_bytes=300_000, start_ms=0, end_ms=1)


@pytest.fixture(scope="module")
def document(tmp_path_factory: pytest.TempPathFactory) -> Any:
    """What a small run prints as JSON."""
    return measured("follower", folder=tmp_path_factory.mktemp("follower"))["follower"]


def test_every_stage_has_its_figure(document: Any) -> None:
    """Every stage has CPU of its own, for it was gone through."""
    stages = document["stages_us_a_report"]
    assert list(stages) == list(STAGES)
    assert all(spread["lowest"] > 0 for spread in stages.values())


def test_rate_is_what_the_cpu_says(document: Any) -> None:
    """Reports a second and CPU per report are the same figure, the lowest of one being the highest of the other."""
    rate, cpu = document["reports_a_second_of_cpu"], document["cpu_us_a_report"]
    assert rate["lowest"] == pytest.approx(1e6 / cpu["highest"], rel=1e-3)
    assert rate["highest"] == pytest.approx(1e6 / cpu["lowest"], rel=1e-3)


def test_rounds_have_fleets_of_their_own(document: Any) -> None:
    """Each round has a seed of its own, which is printed, and other reports."""
    assert document["seeds"] == [SEED, SEED + 1]
    assert len(set(document["value_bytes"])) == len(document["seeds"]) == len(document["reports"])


def test_publication_is_measured(document: Any) -> None:
    """The publication has its times, what it published and held back, and its memory."""
    publication = document["publication"]
    assert set(publication) == {"cpu_s", "elapsed_s", "cells", "withheld", "peak_mib"}
    assert all(spread["lowest"] > 0 for spread in publication.values())


def test_reports_that_are_not_counted_are_no_figure(tmp_path: Path) -> None:
    """A round in which fewer reports were counted than were stored fails, and says how many."""
    fleet = store_fleet(tmp_path, devices=2, seed=SEED)
    more = StoredFleet(
        devices=fleet.devices,
        seed=fleet.seed,
        reports=fleet.reports + 1,
        value_bytes=fleet.value_bytes,
        start_ms=fleet.start_ms,
        end_ms=fleet.end_ms,
    )
    with pytest.raises(ChildFailedError, match=f"of {more.reports} reports {fleet.reports} were counted"):
        follow_and_publish(tmp_path, more, core=choose_cores().server)


@pytest.mark.parametrize(
    ("seconds", "verdict"),
    [
        pytest.param(0.25, "met", id="4,000 in a second"),
        pytest.param(0.26, "not met", id="a little less"),
    ],
)
def test_target_is_judged_by_cpu(seconds: float, verdict: str) -> None:
    """The target is met from 4,000 reports in a second of CPU on, however long it took by the clock."""
    cpu = dict.fromkeys(STAGES, seconds / len(STAGES))
    one = FollowerRound(FLEET, {"cpu": cpu, "elapsed": 9.0, "peak": 1}, {})
    figures = FollowerFigures(rounds=[one], core=0, judged=True)
    assert [target.verdict for target in figures.targets] == [verdict]
