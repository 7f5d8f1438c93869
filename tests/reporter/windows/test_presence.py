"""Presence flags by the UTC hour, day and ISO week, and what a device remembers for them."""

import json
from collections import Counter
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from reporter.reports import schema
from reporter.windows.cell import FALLBACK_DIMENSIONS
from reporter.windows.presence import COMBINATIONS, Firsts, flagged
from reporter.windows.task import DIMENSIONS
from tests.reporter.windows.hand_made import HOUR, NINE


def ms(text: str) -> int:
    """A time in milliseconds."""
    return int(datetime.fromisoformat(text).replace(tzinfo=UTC).timestamp() * 1000)


STEPS = [
    pytest.param("2026-11-18T09:55", "2026-11-18T09:59", (False, False, False), id="same hour"),
    pytest.param("2026-11-18T09:55", "2026-11-18T10:00", (True, False, False), id="next hour"),
    pytest.param("2026-11-18T23:55", "2026-11-19T00:00", (True, True, False), id="next day"),
    pytest.param("2026-11-22T23:55", "2026-11-23T00:00", (True, True, True), id="Sunday to Monday"),
    pytest.param("2026-12-31T23:55", "2027-01-01T00:00", (True, True, False), id="a week goes on over the new year"),
    pytest.param("2026-11-18T09:55", "2026-11-18T08:55", (True, False, False), id="an hour back is another hour"),
    pytest.param("2026-11-18T09:55", "2020-01-01T00:00", (True, True, True), id="a clock that lost its battery"),
]


@pytest.mark.parametrize(("before", "after", "expected"), STEPS)
def test_flags_follow_the_calendar(before: str, after: str, expected: tuple[bool, bool, bool]) -> None:
    """After a first report, a flag is set again where its hour, day or week is another one."""
    firsts = Firsts()
    assert set(firsts.flags(("key",), ms(before)).values()) == {True}
    assert tuple(firsts.flags(("key",), ms(after)).values()) == expected


SPANS = {
    "first_of_hour": lambda start: start // HOUR,
    "first_of_day": lambda start: start // (24 * HOUR),
    "first_of_week": lambda start: (start // (24 * HOUR) + 3) // 7,
}


@given(st.lists(st.tuples(st.sampled_from("ab"), st.integers(0, 21 * 24 - 1)), max_size=60))
def test_a_flag_is_set_once_for_each_span(said: list[tuple[str, int]]) -> None:
    """Whatever the order of times within three weeks, each key has exactly one flag for each of its spans."""
    monday, flags = ms("2026-11-16T00:00"), Counter[Any]()
    firsts = Firsts()
    for key, hour in said:
        start = monday + hour * HOUR
        # A device ends at any moment: what it remembers is written and read between any two windows.
        firsts = Firsts.restored(json.loads(json.dumps(firsts.state())))
        for flag, is_first in firsts.flags((key,), start).items():
            flags[key, flag, SPANS[flag](start)] += is_first
    assert set(flags.values()) <= {1}


def test_what_is_remembered_says_nothing() -> None:
    """The state holds no word of what was said, and the same words look different on another device and next week."""
    one, another = Firsts(), Firsts()
    for firsts, start in ((one, NINE), (one, NINE + 7 * 24 * HOUR), (another, NINE)):
        firsts.flags(("route_window", "rows", "restricted", "alices-model"), start)
    text = json.dumps([one.state(), another.state()])
    assert "alices" not in text
    assert "restricted" not in text
    hashes = [hashed for state in (one.state(), another.state()) for week in state.values() for hashed in week["said"]]
    assert len(set(hashes)) == 3


def test_old_weeks_are_forgotten() -> None:
    """A device remembers three weeks, the ones that it used last."""
    firsts = Firsts()
    for week in (0, 1, 2, 1, 0, 3):
        firsts.flags(("key",), NINE + week * 7 * 24 * HOUR)
    assert len(firsts.state()) == 3
    assert not any(firsts.flags(("key",), NINE).values())
    assert all(firsts.flags(("key",), NINE + 2 * 7 * 24 * HOUR).values())


DAMAGED = [
    pytest.param(None, id="nothing"),
    pytest.param([], id="a list"),
    pytest.param({"week": {}}, id="no number of a week"),
    pytest.param({"1": {"said": {}}}, id="no key"),
    pytest.param({"1": {"key": "alice", "said": {}}}, id="a key that is none"),
    pytest.param({"1": {"key": "00", "said": {"ab": "alice"}}}, id="hours that are none"),
    pytest.param({"1": {"key": "00", "said": {"ab": 5}}}, id="hours that are not in base 16"),
    pytest.param({"1": {"key": "00" * 65, "said": {}}}, id="a key too long to hash with"),
]


@pytest.mark.parametrize("state", DAMAGED)
def test_a_damaged_state_is_refused(state: Any) -> None:
    """What was not written by a device is refused, in words that repeat nothing of it."""
    with pytest.raises(ValueError, match=r"^not a state of presence flags$"):
        Firsts.restored(state)


def test_flags_go_by_what_is_told() -> None:
    """Of two rows that tell the same, only the first is flagged; the report and its other arrays have their own."""
    row = {"data_class": "other", "planned_route": "on_device"}
    values = {"rows": [row | {"tasks": 3}, row | {"tasks": 4}], "planned": [{"planned_route": "edge", "tasks": 7}]}
    made = flagged("fallback_window", values, NINE, Firsts())
    assert [item["first_of_hour"] for item in made["rows"]] == [True, False]
    assert [item["first_of_week"] for item in made["planned"]] == [True]
    assert made["first_of_day"]
    assert "first_of_hour" not in row


@pytest.mark.parametrize("report", sorted(COMBINATIONS))
def test_every_array_with_flags_is_known(report: str) -> None:
    """The arrays whose items have flags in the schema are those that get some, by fields that the items have."""
    arrays = {
        field.name: {item.name for item in field.fields}
        for field in schema(report).fields
        if any(item.name == "first_of_hour" for item in field.fields)
    }
    assert arrays.keys() == COMBINATIONS[report].keys()
    assert all(set(names) <= arrays[array] for array, names in COMBINATIONS[report].items())


def test_combinations_are_those_of_rows() -> None:
    """Rows of tasks are flagged by all the dimensions that they are by."""
    assert COMBINATIONS["route_window"]["rows"] == DIMENSIONS
    assert COMBINATIONS["fallback_window"]["rows"] == FALLBACK_DIMENSIONS
