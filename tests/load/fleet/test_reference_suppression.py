"""The reference of the rule of publication, case by case; k is 5."""

import pytest

from load.fleet.reference_suppression import Published, Withheld, publish
from load.fleet.truth_cells import Cell, CubeName, Truth

PLAIN = CubeName("R3", (), "hour")
BANDED = CubeName("F2", ("rule",), "day")
DAILY = CubeName("R3", (), "day")
DAY_MS = 86_400_000


def said(name: CubeName, tasks: int, devices: int, *, seen: tuple[int, ...] = ()) -> Truth:
    """A truth of one cell."""
    return {name: {(0, "managed"): Cell({"tasks": tasks}, {"latency": list(seen)}, devices)}}


def published(*phases: Truth) -> Published:
    """What is published after these, one after the other."""
    return publish(phases, {"managed": 5, "byod": 10}, complete_to=[DAY_MS] * len(phases))


@pytest.mark.parametrize(
    ("phases", "tasks", "withheld"),
    [
        pytest.param([said(PLAIN, 9, 5)], 9, (0, 0), id="k devices are enough"),
        pytest.param([said(PLAIN, 9, 4)], None, (1, 0), id="one fewer is not"),
        pytest.param([said(PLAIN, 9, 4), said(PLAIN, 12, 5)], 12, (0, 0), id="late data can be what was missing"),
        pytest.param([said(PLAIN, 9, 5), said(PLAIN, 12, 9)], 9, (0, 1), id="four more devices have to wait"),
        pytest.param([said(PLAIN, 9, 5), said(PLAIN, 12, 10)], 12, (0, 0), id="five more do not"),
        pytest.param([said(PLAIN, 9, 5), said(PLAIN, 9, 8)], 9, (0, 0), id="the same values wait for nothing"),
        pytest.param(
            [said(PLAIN, 9, 5), said(PLAIN, 12, 8), said(PLAIN, 14, 10)],
            14,
            (0, 0),
            id="what waited is counted from what was published",
        ),
        pytest.param(
            [said(PLAIN, 9, 5, seen=(1, 2)), said(PLAIN, 9, 6, seen=(1, 2, 3))],
            9,
            (0, 1),
            id="another observation is another value",
        ),
        pytest.param(
            [said(PLAIN, 9, 5, seen=(1, 2)), said(PLAIN, 9, 6, seen=(2, 1))],
            9,
            (0, 0),
            id="another order of observations is not",
        ),
    ],
)
def test_a_cell_is_shown_and_changed_by_k_devices(
    phases: list[Truth], tasks: int | None, withheld: tuple[int, int]
) -> None:
    """A cell appears with k devices, and changes with k more; what is kept back is counted."""
    found = published(*phases)
    cell = found.cells[PLAIN].get((0, "managed"))
    assert (cell.values["tasks"] if cell else None) == tasks
    assert found.withheld[PLAIN, "managed"] == Withheld(*withheld)


def test_k_is_that_of_the_tier() -> None:
    """Nine devices are enough for one tier and not for another."""
    truth: Truth = {PLAIN: {(0, tier): Cell({"tasks": 9}, {}, 9) for tier in ("managed", "byod")}}
    found = published(truth)
    assert set(found.cells[PLAIN]) == {(0, "managed")}
    assert found.withheld == {(PLAIN, "managed"): Withheld(0, 0), (PLAIN, "byod"): Withheld(1, 0)}


def test_a_silent_fallback_is_shown_as_a_band() -> None:
    """The alarm of F2 is never withheld: below k the cell is there without its number."""
    found = published(said(BANDED, 1, 1))
    assert found.cells[BANDED] == {(0, "managed"): None}
    assert found.withheld[BANDED, "managed"] == Withheld(0, 0)


def test_a_band_becomes_a_number() -> None:
    """Once k devices are in it the band gives way."""
    found = published(said(BANDED, 1, 1), said(BANDED, 7, 5))
    cell = found.cells[BANDED][0, "managed"]
    assert cell is not None
    assert cell.values == {"tasks": 7}


def test_a_day_is_published_once_it_is_over() -> None:
    """Before that it has no cell and nothing is counted as withheld; an hour is shown at any time."""
    hour, few = said(PLAIN, 9, 5), said(DAILY, 9, 4)
    before = publish([hour | few], {"managed": 5}, complete_to=[DAY_MS - 1])
    assert (set(before.cells[PLAIN]), set(before.cells[DAILY])) == ({(0, "managed")}, set())
    assert (DAILY, "managed") not in before.withheld
    after = publish([said(DAILY, 9, 5), said(DAILY, 12, 7)], {"managed": 5}, complete_to=[DAY_MS - 1, DAY_MS])
    cell = after.cells[DAILY][0, "managed"]
    assert cell is not None
    assert cell.values == {"tasks": 12}
