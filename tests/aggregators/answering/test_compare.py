"""`compare=previous`: what moved against the span before, and what changed in the two."""

from collections.abc import Iterator
from datetime import datetime, timedelta

import pytest

from tests.aggregators.published_cells import NOW, Source, document, empty_source, route, told

YESTERDAY = NOW.replace(hour=0) - timedelta(days=1)
HOUR = timedelta(hours=1)


@pytest.fixture
def source() -> Iterator[Source]:
    """A source without any cell."""
    made = empty_source()
    yield made
    made.connection.close()


def test_comparison(source: Source) -> None:
    """The cells that moved stand by how far, with those of one span only counted, and changes in order of time."""
    for name, before, now in (("edge", 50, 10), ("on_device", 40, 50), ("queued", 10, 10), ("refused", None, 30)):
        for day, tasks in ((YESTERDAY - timedelta(days=1), before), (YESTERDAY, now)):
            if tasks is not None:
                route(source, day, name, tasks, grain="day")
    for hour, version in ((2, "r1"), (30, "r2"), (31, "r2"), (60, "r3")):
        row = {"policy_version": version, "tasks": 5}
        source.cell("R2", YESTERDAY - timedelta(days=1) + hour * HOUR, row, cube="policy_version")
    source.documents = [document("manifest", 1, YESTERDAY - 40 * HOUR), document("manifest", 2, YESTERDAY + HOUR)]
    receipt(source, YESTERDAY - 50 * HOUR, version=1)
    receipt(source, YESTERDAY + 5 * HOUR, version=1)
    receipt(source, YESTERDAY + 3 * HOUR, version=2)
    source.publish()
    compared = told(source, "R1", from_="2026-11-19", to="2026-11-20", bucket="hour", compare="previous").comparison
    assert compared is not None
    assert compared.primary == "share"
    assert [(one.cell, one.before, one.now) for one in compared.moved] == [
        (("edge",), 0.5, 0.1),
        (("on_device",), 0.4, 0.5),
    ]
    assert (compared.only_before, compared.only_now) == (0, 1)
    assert [(one.what, one.tier, one.version, one.time - YESTERDAY) for one in compared.changes] == [
        ("routing_policy", None, "r1", -22 * HOUR),
        ("manifest", None, "2", HOUR),
        ("policy", "managed", "2", 3 * HOUR),
        ("routing_policy", None, "r2", 6 * HOUR),
    ]


def receipt(source: Source, hour: datetime, *, version: int) -> None:
    """Note that a gate stored a report by a version of the managed tier's policy."""
    source.connection.execute(
        "INSERT INTO receipts VALUES (0, ?, 'managed', 'route_window', 1, ?, 5, 0)", [hour, version]
    )


def test_the_same_number_has_not_moved(source: Source) -> None:
    """A cell that reads the same in both spans is not among those that moved."""
    for day in (YESTERDAY - timedelta(days=1), YESTERDAY):
        route(source, day, "edge", 10, grain="day")
    source.publish()
    compared = told(source, "R1", from_="2026-11-19", to="2026-11-20", compare="previous").comparison
    assert compared is not None
    assert compared.moved == ()


def test_a_routing_policy_appears_in_its_first_hour(source: Source) -> None:
    """The day's cell says nothing about the hour, unless no hour of that day has a cell of the version."""
    for version, hours in (("r1", (1, 9)), ("r2", (9, 10)), ("r3", ())):
        row = {"policy_version": version, "tasks": 20}
        source.cell("R2", YESTERDAY, row, cube="policy_version", grain="day")
        for hour in hours:
            source.cell("R2", YESTERDAY + hour * HOUR, row, cube="policy_version")
    source.publish()
    compared = told(
        source, "R2", by="policy_version", from_="2026-11-19", to="2026-11-20", compare="previous"
    ).comparison
    assert compared is not None
    found = {one.version: one.time - YESTERDAY for one in compared.changes if one.what == "routing_policy"}
    assert found == {"r1": HOUR, "r2": 9 * HOUR, "r3": 0 * HOUR}
