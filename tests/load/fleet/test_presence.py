"""Presence flags by the UTC hour, day and ISO week."""

from datetime import UTC, datetime

import pytest

from load.fleet.presence import Firsts


def ms(text: str) -> int:
    """A time in milliseconds."""
    return int(datetime.fromisoformat(text).replace(tzinfo=UTC).timestamp() * 1000)


STEPS = [
    pytest.param("2026-11-18T09:55", "2026-11-18T09:59", (False, False, False), id="same hour"),
    pytest.param("2026-11-18T09:55", "2026-11-18T10:00", (True, False, False), id="next hour"),
    pytest.param("2026-11-18T23:55", "2026-11-19T00:00", (True, True, False), id="next day"),
    pytest.param("2026-11-22T23:55", "2026-11-23T00:00", (True, True, True), id="Sunday to Monday"),
    pytest.param("2026-12-31T23:55", "2027-01-01T00:00", (True, True, False), id="a week goes on over the new year"),
]


@pytest.mark.parametrize(("before", "after", "expected"), STEPS)
def test_flags_follow_the_calendar(before: str, after: str, expected: tuple[bool, bool, bool]) -> None:
    """After a first report, a flag is set again where its hour, day or week has changed."""
    firsts = Firsts()
    assert set(firsts.flags("key", ms(before)).values()) == {True}
    assert tuple(firsts.flags("key", ms(after)).values()) == expected


def test_keys_are_apart() -> None:
    """Another key has its own first."""
    firsts = Firsts()
    firsts.flags("one", ms("2026-11-18T09:55"))
    assert firsts.flags("another", ms("2026-11-18T09:56"))["first_of_hour"]
