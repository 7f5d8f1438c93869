"""Values made to fit the schemas: what each kind of field takes, and that every row of every report fits."""

import subprocess
import sys
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from reporter.reports import FINGERPRINTS, schema
from reporter.windows.numbers import GREATEST_INT, GREATEST_LONG, rounded_to_two, whole, within_int
from reporter.windows.vocabulary import fits, fitted

FITTED: list[Any] = [
    pytest.param("route_window", "rows", "data_class", "restricted", "restricted", id="a symbol"),
    pytest.param("route_window", "rows", "data_class", "mine", "other", id="an unknown symbol is other"),
    pytest.param("health_window", None, "battery", "full", "unknown", id="or unknown, where there is no other"),
    pytest.param("model_inventory", "rows", "removal", "soon", "not_revoked", id="or the default"),
    pytest.param("model_inventory", None, "manifest_age", "old", "never", id="or what says least"),
    pytest.param("route_window", "rows", "model", "small chat", "small chat", id="a name"),
    pytest.param("route_window", "rows", "model", None, None, id="no name"),
    pytest.param("route_window", "rows", "model", "", "other", id="an empty name"),
    pytest.param("route_window", "rows", "model", "\ud800", "other", id="a name that cannot be written"),
    pytest.param("route_window", "rows", "tasks", 1 << 31, GREATEST_INT, id="a large int"),
    pytest.param("route_window", "rows", "tokens_in", 1 << 63, GREATEST_LONG, id="a large long"),
    pytest.param("stability_window", None, "route_lifetime_min", None, None, id="no number"),
    pytest.param("stability_window", None, "route_lifetime_min", -1, 0, id="a number that may be missing"),
    pytest.param("model_inventory", "rows", "serving", "yes", False, id="a truth that is none"),
]


@pytest.mark.parametrize(("report", "array", "field", "said", "expected"), FITTED)
def test_values_are_made_to_fit(report: str, array: str | None, field: str, said: Any, expected: Any) -> None:
    """Each kind of field takes what it can and makes the rest fit."""
    assert fitted({field: said, "no_field": 1}, fits(report, array)) == {field: expected}


ANYTHING = st.none() | st.booleans() | st.integers() | st.floats() | st.text() | st.binary() | st.lists(st.text())


@given(st.sampled_from(sorted(FINGERPRINTS)), ANYTHING)
def test_anything_fits(report: str, said: Any) -> None:
    """Whatever is said of any field of any report below its header, its type takes what becomes of it."""
    for field in schema(report).fields[24:]:
        array = field.name if field.repeated else None
        for part in field.fields if field.repeated else (field,):
            made = fits(report, array)[part.name](said)
            if part.kind != "record":
                assert part.takes(made) or (part.nullable and made is None)


NUMBERS: list[Any] = [
    pytest.param(True, 1, id="a truth"),
    pytest.param(2.6, 3, id="the nearest"),
    pytest.param("7", 7, id="in quotes"),
    pytest.param(float("inf"), 0, id="without end"),
    pytest.param(b"7", 7, id="bytes are read as text"),
    pytest.param(object(), 0, id="no number"),
]


@pytest.mark.parametrize(("said", "expected"), NUMBERS)
def test_numbers_are_whole(said: Any, expected: int) -> None:
    """A number is whole and at least zero, whatever is said."""
    assert whole(said) == within_int(said) == expected


ROUNDED = [
    pytest.param(0, 0, id="nothing"),
    pytest.param(99, 99, id="two digits stay"),
    pytest.param(104, 100, id="below half"),
    pytest.param(105, 110, id="half goes up"),
    pytest.param(995, 1000, id="one digit more"),
    pytest.param(123_456_789, 120_000_000, id="large"),
    pytest.param(GREATEST_LONG, 92 * 10**17, id="the largest stays within its type"),
]


@pytest.mark.parametrize(("number", "expected"), ROUNDED)
def test_sums_are_rounded_to_two_digits(number: int, expected: int) -> None:
    """A sum keeps two significant digits."""
    assert rounded_to_two(number) == expected


def test_windows_do_not_need_avro() -> None:
    """Tasks are added up and told without Avro's library, for which a host application would have to wait."""
    program = (
        "import sys\n"
        "from reporter.windows.folding import Folding\n"
        "from reporter.windows.task import Task\n"
        "from reporter.windows.task_window import TaskWindow\n"
        "window = TaskWindow(0, 300_000)\n"
        "window.add(Task())\n"
        "assert window.route_values(Folding())['rows']\n"
        "print(sorted(name for name in sys.modules if name.partition('.')[0] in {'fastavro', 'ssl', 'sqlite3'}))\n"
    )
    ran = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True, timeout=60)
    assert ran.stdout.strip() == "[]"
