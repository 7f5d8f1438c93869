"""The rule of suppression: what the pure functions say, and that publication in SQL says the same."""

from collections import defaultdict
from collections.abc import Hashable, Iterator, Mapping
from itertools import product
from pathlib import Path
from tempfile import TemporaryDirectory

import duckdb
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from aggregators.publication.cubes import prepare
from tests.aggregators.hand_made import OfK, Publisher, Row, fresh_rollups, insert
from tests.aggregators.suppression import Cell, Evidence, Round, Shown, lower_bound, next_round, verdict

K = 3
RULES = ("undisclosed", "consent_denied")
DEVICES = ("a", "b", "c", "d", "e", "f", "g")


@pytest.fixture(name="connection", scope="module")
def _connection() -> Iterator[duckdb.DuckDBPyConnection]:
    with fresh_rollups() as connection:
        prepare(connection)
        yield connection


@pytest.mark.parametrize(
    ("rows", "bound"),
    [
        pytest.param([], 0, id="no row"),
        pytest.param([Evidence("a", 1, 0, 0), Evidence("a", 2, 0, 0), Evidence("b", 1, 0, 0)], 2, id="pseudonyms"),
        pytest.param([Evidence(None, 1, 1, 0), Evidence(None, 1, 1, 0)], 2, id="flags of one key add up"),
        pytest.param([Evidence(None, 1, 2, 0), Evidence(None, 2, 2, 0)], 2, id="flags of two keys may be one device's"),
        pytest.param([Evidence(None, 1, 0, 2), Evidence(None, 1, 0, 1)], 3, id="first reports of one key add up"),
        pytest.param([Evidence(None, 1, 2, 0), Evidence(None, 1, 0, 3)], 3, id="the greatest kind, not the sum"),
        pytest.param(
            [Evidence("a", 1, 0, 0), Evidence(None, 1, 1, 1)], 1, id="a pseudonym and a flag may be one device"
        ),
    ],
)
def test_lower_bound_counts_no_device_twice(rows: list[Evidence], bound: int) -> None:
    """The bound is the greatest single count of devices that the rows allow."""
    assert lower_bound(rows) == bound


@pytest.mark.parametrize(
    ("cell", "shown", "banded", "expected"),
    [
        pytest.param(Cell(1, 2), None, False, Round({}, 1, 0), id="too few devices"),
        pytest.param(Cell(1, 3), None, False, Round({"x": Shown(Cell(1, 3))}, 0, 0), id="just enough"),
        pytest.param(Cell(1, 9), Shown(Cell(1, 3)), False, Round({}, 0, 0), id="nothing to say that is not said"),
        pytest.param(Cell(2, 5), Shown(Cell(1, 3)), False, Round({}, 0, 1), id="too few devices wait"),
        pytest.param(Cell(2, 3), Shown(Cell(1, 3)), False, Round({}, 0, 1), id="other values of the same devices"),
        pytest.param(Cell(2, 6), Shown(Cell(1, 3)), False, Round({"x": Shown(Cell(2, 6))}, 0, 0), id="enough wait"),
        pytest.param(Cell(2, 0), Shown(Cell(1, 3)), False, Round({}, 0, 1), id="the bound fell; nothing is taken back"),
        pytest.param(Cell(1, 2), None, True, Round({"x": Shown(None)}, 0, 0), id="a band in place of values"),
        pytest.param(Cell(2, 2), Shown(None), True, Round({}, 0, 0), id="the band says it already"),
        pytest.param(Cell(2, 3), Shown(None), True, Round({"x": Shown(Cell(2, 3))}, 0, 0), id="values behind a band"),
    ],
)
def test_one_cell_goes_one_way(cell: Cell, shown: Shown | None, banded: bool, expected: Round) -> None:
    """A cell appears, changes, stays, waits or is withheld as the rule says."""
    before: dict[Hashable, Shown] = {} if shown is None else {"x": shown}
    assert next_round({"x": cell}, before, k=K, banded=banded) == expected


def test_verdict_in_sql_is_the_one_in_python(connection: duckdb.DuckDBPyConnection) -> None:
    """The SQL gives the pure function's verdict in every case of bounds up to 9 and k up to 5."""
    flags = (False, True)
    for bound, k, shown, differs, banded, band_shown in product(
        range(10), range(6), (None, *range(10)), flags, flags, flags
    ):
        row = connection.execute(
            "SELECT verdict($bound, $k, $shown::BIGINT, $differs, $banded, $band_shown)",
            {
                "bound": bound,
                "k": k,
                "shown": shown,
                "differs": differs,
                "banded": banded,
                "band_shown": band_shown,
            },
        ).fetchone()
        said = verdict(bound, k, shown, differs=differs, banded=banded, band_shown=band_shown)
        assert row == (said,), (bound, k, shown, differs, banded, band_shown)


violations = st.fixed_dictionaries(
    {
        "rule": st.sampled_from(RULES),
        "device": st.sampled_from((None, *DEVICES)),
        "tasks": st.integers(0, 2),
        "key_day": st.integers(0, 3),
        "report_day": st.integers(0, 3),
    }
)


@settings(max_examples=25, deadline=None)
@given(batches=st.lists(st.lists(violations, min_size=1, max_size=8), min_size=1, max_size=4))
def test_publication_is_the_rule_over_plain_rows(batches: list[list[Row]]) -> None:
    """Whatever comes between two publications, the published cells and counts are those of the pure rule."""
    rows: list[Row] = []
    shown: dict[Hashable, Shown] = {}
    with TemporaryDirectory() as directory, fresh_rollups() as connection:
        publisher = Publisher(Path(directory), connection, tiers={"managed": OfK(K)})
        publisher.measures = {"F2": publisher.measures["F2"]}
        for batch in batches:
            insert(connection, "violation_rows", *batch)
            rows += batch
            publisher.publish()
            expected = next_round(_cells(rows), shown, k=K, banded=True)
            shown |= expected.fresh
            assert _published(publisher) == shown
            assert publisher.withheld("F2").get(("rule", "day"), (0, 0)) == (expected.withheld, expected.waiting)


def _cells(rows: list[Row]) -> Mapping[Hashable, Cell]:
    of_rule: defaultdict[str, list[Row]] = defaultdict(list)
    for row in rows:
        of_rule[row["rule"]].append(row)
    return {
        rule: Cell(
            sum(row["tasks"] for row in group),
            lower_bound(Evidence(row["device"], rule, row["key_day"], row["report_day"]) for row in group),
        )
        for rule, group in of_rule.items()
    }


def _published(publisher: Publisher) -> Mapping[Hashable, Shown]:
    cells = publisher.cells("F2", "rule", grain="day")
    return {cell["rule"]: Shown(None if cell["band"] else Cell(cell["tasks"], cell["devices"])) for cell in cells}
