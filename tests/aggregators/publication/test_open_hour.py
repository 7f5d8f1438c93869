"""A publication that takes in the open hour."""

from datetime import timedelta
from pathlib import Path

from tests.aggregators.hand_made import HOUR, MEASURES, Publisher, Row, fresh_rollups, insert

ONE_HOUR = timedelta(hours=1)
DAY = HOUR.replace(hour=0)


def five(**columns: object) -> list[Row]:
    """A row of three tasks on the edge for each of five pseudonyms."""
    return [{"device": device, "actual_route": "edge", "tasks": 3, **columns} for device in "abcde"]


def test_open_hour_is_published_when_asked_and_its_day_when_it_is_over(tmp_path: Path) -> None:
    """Looking at the morning takes nothing from the day: its cells come once, of all its hours, when it is over."""
    measures = {name: MEASURES[name] for name in ("A3", "R1")}
    publisher = Publisher(tmp_path / "published", fresh_rollups(), measures=measures, at=HOUR)
    insert(publisher.connection, "route_rows", *five())
    insert(publisher.connection, "receipts", {"report": "route_window", "schema_version": 1, "accepted": 1})
    publisher.publish()
    assert [cell["start"] for cell in publisher.cells("R1", "route")] == [HOUR]
    assert publisher.cells("R1", "route", grain="day") == publisher.cells("A3", grain="day") == []
    insert(publisher.connection, "route_rows", *five(hour=HOUR + ONE_HOUR))
    publisher.publish(closed_to=DAY + timedelta(days=1))
    assert [cell["tasks"] for cell in publisher.cells("R1", "route", grain="day")] == [30]
    assert [cell["stored"] for cell in publisher.cells("A3", grain="day")] == [1]
