"""Publications read back from their files: however many are taken in at once, the tables are as they were."""

from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path
from tempfile import TemporaryDirectory
from unittest import mock

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from aggregators.publication import publish
from tests.aggregators.hand_made import MEASURES, ROUTED, OfK, Publisher, Row, fresh_rollups, insert

FEW = {"managed": OfK(2), "byod": OfK(3)}
"""So small a k that a handful of rows has cells that appear, wait, and are held back."""


@pytest.fixture(name="publisher")
def _publisher(tmp_path: Path) -> Iterator[Publisher]:
    with fresh_rollups() as connection:
        measures = {name: MEASURES[name] for name in ("R1", "R4", "V1", "V2")}
        yield Publisher(tmp_path / "published", connection, tiers=FEW, measures=measures)


def test_every_kind_of_cell_comes_back_from_the_files(publisher: Publisher) -> None:
    """Histograms, bands, counts of what is withheld and several publications read back as they were."""
    insert(publisher.connection, "route_rows", *({"device": one, "tasks": 3} for one in "ab"))
    insert(publisher.connection, "route_rows", {"tier": "byod", "actual_route": "edge", "tasks": 8, "key_hour": 2})
    insert(publisher.connection, "route_latency", {"actual_route": "edge", "signal": "latency", "observations": 3})
    insert(publisher.connection, "violation_rows", {"rule": "undisclosed", "device": "a", "tasks": 7})
    first = publisher.publish()
    assert first.cells > 0
    assert first.withheld > 0
    insert(publisher.connection, "route_rows", *({"device": one, "tasks": 3} for one in "cd"))
    insert(publisher.connection, "route_rows", {"tier": "byod", "actual_route": "edge", "tasks": 2, "key_hour": 1})
    assert publisher.publish().cells > 0
    before = publisher.everything()
    publisher.forget()
    assert publisher.load() == 2
    assert publisher.everything() == before


@settings(max_examples=15, deadline=None)
@given(rows=st.lists(ROUTED, min_size=1, max_size=30), data=st.data())
def test_publications_may_be_taken_in_together(rows: list[Row], data: st.DataObject) -> None:
    """The newest publication says what a cell is and what a span held back, in groups of any size."""
    cuts = data.draw(st.lists(st.integers(1, len(rows)), max_size=6), label="where one publication ends")
    at_once = data.draw(st.sampled_from((1, 2, 3, 200)), label="taken in together")
    with TemporaryDirectory() as directory, fresh_rollups() as connection:
        publisher = Publisher(Path(directory), connection, tiers=FEW, measures={"R3": MEASURES["R3"]})
        made = 0
        for start, end in pairwise(sorted({0, *cuts, len(rows)})):
            insert(connection, "route_rows", *rows[start:end])
            publisher.publish()
            made += 1
        before = publisher.everything()
        publisher.forget()
        with mock.patch.object(publish, "LOADED_AT_ONCE", at_once):
            assert publisher.load() == made
        assert publisher.everything() == before
