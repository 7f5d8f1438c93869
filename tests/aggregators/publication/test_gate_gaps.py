"""A3: numbers of a gate's records that never came, found without reading everything that is kept."""

from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest

from tests.aggregators.hand_made import HOUR, MEASURES, OPEN_TIERS, Publisher, fresh_rollups, insert
from tests.aggregators.publication.test_measure_cells import INSIDE, NEXT, said, span


@pytest.fixture(name="publisher")
def _publisher(tmp_path: Path) -> Iterator[Publisher]:
    with fresh_rollups() as connection:
        measures = {"A3": MEASURES["A3"]}
        yield Publisher(tmp_path / "published", connection, tiers=dict(OPEN_TIERS), measures=measures)


def test_only_what_hours_looked_at_tell_is_compared_with_what_was_kept_before(publisher: Publisher) -> None:
    """A number missing at the turn of the hour is found by the record kept before it, whichever hour that is of."""
    insert(publisher.connection, "gate_spans", span(0, 1))
    insert(publisher.connection, "gate_outcomes", said(0, 1, reports=5))
    publisher.publish()
    later = {"from_time": NEXT, "to_time": NEXT}
    insert(publisher.connection, "gate_spans", {**span(1, 2), **later}, {**span(4, 3), **later})
    insert(publisher.connection, "gate_outcomes", said(1, 2, received=NEXT), said(4, 3, received=NEXT))
    publisher.publish()
    found = {row["start"]: row["unknown_spans"] for row in publisher.answer("A3") if row["tier"] == "all"}
    assert found == {NEXT: 2}


@pytest.mark.parametrize("places", [(1, 2), (2, 1)], ids=["in order", "the first try landed last"])
@pytest.mark.parametrize("together", [True, False], ids=["found at once", "with a publication between them"])
def test_of_the_tries_of_a_number_the_one_that_ends_last_counts(
    publisher: Publisher, places: tuple[int, int], together: bool
) -> None:
    """A record and its repetition, which says more and ends later, count once, in whatever order they came to lie."""
    told = sorted(zip(places, [(5, INSIDE), (7, INSIDE + timedelta(seconds=1))], strict=True))
    for place, (reports, end) in told:
        insert(publisher.connection, "gate_spans", {**span(0, place), "to_time": end})
        insert(publisher.connection, "gate_outcomes", said(0, place, reports=reports))
        if not together:
            publisher.publish()
    publisher.publish()
    assert [(row["received"], row["unknown_spans"]) for row in publisher.answer("A3") if row["received"]] == [(7, 0)]


@pytest.mark.parametrize(
    ("days", "unknown"),
    [pytest.param(20, {0: 7, 20: 3}, id="nothing is let go of yet"), pytest.param(40, {40: 3}, id="perhaps it was")],
)
def test_what_was_let_go_of_is_not_unknown(publisher: Publisher, days: int, unknown: dict[int, int]) -> None:
    """A gate's first record kept is no gap where older days were let go of; a gate of later must begin with 0."""
    end = HOUR + timedelta(days=days)
    insert(
        publisher.connection, "gate_spans", {**span(7, 1), "final": True}, {**span(3, 2), "gate": "h", "to_time": end}
    )
    insert(publisher.connection, "gate_outcomes", said(7, 1), {**said(3, 2, received=end), "gate": "h"})
    publisher.publish()
    found = {(row["start"] - HOUR).days: row["unknown_spans"] for row in publisher.answer("A3") if row["tier"] == "all"}
    assert found == unknown
