"""The measures' files: what a header may say, how a wrong one is refused, and that the files and the page agree."""

from collections.abc import Iterator
from pathlib import Path

import duckdb
import pytest

from aggregators.publication.cubes import cells_sql, create_tables, gather, prepare
from aggregators.publication.measure import Cube, Grain, Measure
from aggregators.publication.measures import MEASURES_DIRECTORY, load_measure, load_measures
from aggregators.publication.measures_page import page
from aggregators.sql_templates import TemplateError, fill
from schemas.errors import ContractError
from tests.aggregators.hand_made import MEASURES, fresh_rollups

ROOT = Path(__file__).parents[3]
GRAINS: tuple[Grain, ...] = ("hour", "day")

GOOD = """\
-- measure: R1
-- title: Routes
-- question: Which?
-- asked by: analyst, auditor
-- basis: window
-- suppression: k
-- dimensions: route, region
-- values: tasks {task}
-- columns: tasks {task}, share 1
-- primary: share
-- cube:
-- cube: route
-- cube: route, region; part all; banded; day only

-- cells
SELECT key_{grain} FROM route_rows

-- answer
SELECT {asked}, tasks OVER (PARTITION BY {within:route}) FROM cells
"""


@pytest.fixture(name="connection", scope="module")
def _connection() -> Iterator[duckdb.DuckDBPyConnection]:
    with fresh_rollups() as connection:
        prepare(connection)
        create_tables(connection, MEASURES.values())
        yield connection


def _load(directory: Path, text: str) -> Measure:
    file = directory / "R1.sql"
    file.write_text(text, encoding="utf-8")
    return load_measure(file)


def test_header_is_read_in_full(tmp_path: Path) -> None:
    """Every key, cube and option of a file is in the measure."""
    measure = _load(tmp_path, GOOD.replace("-- cube:\n-- cube: route\n", ""))
    assert (measure.name, measure.title, measure.basis, measure.primary) == ("R1", "Routes", "window", "share")
    assert measure.asked_by == {"analyst", "auditor"}
    assert measure.cubes == (Cube(("route", "region"), "all", banded=True, day_only=True),)
    assert measure.units == {"tasks": "{task}", "share": "1"}
    assert measure.unsuppressed_because is None
    assert measure.cube_of(["region", "route"]) == measure.cubes[0]
    assert measure.cube_of(["route"]) is None


@pytest.mark.parametrize(
    ("old", "new", "line", "problem"),
    [
        pytest.param("-- basis: window\n", "", 0, "no `basis`", id="a key is missing"),
        pytest.param("-- basis: window", "-- bases: window", 5, "no key `bases`", id="a key that nobody knows"),
        pytest.param("-- title: Routes", "-- title:", 2, "`title` is empty", id="a key without a value"),
        pytest.param("-- title: Routes", "-- title: A\n-- title: B", 3, "stands twice", id="a key twice"),
        pytest.param("-- title: Routes", "title: Routes", 2, "no line of a header", id="no comment"),
        pytest.param("measure: R1", "measure: R2", 1, "not named as its file", id="another name than the file's"),
        pytest.param("analyst, auditor", "analyst, audit", 4, "`audit` is not known", id="no such role"),
        pytest.param("basis: window", "basis: hour", 5, "`hour` is not known", id="no such basis"),
        pytest.param("suppression: k", "suppression: none", 6, "is not known", id="not suppressed, and no reason"),
        pytest.param("tasks {task}\n-- col", "tasks\n-- col", 8, "has no unit", id="a value without a unit"),
        pytest.param("primary: share", "primary: shares", 10, "none of the columns", id="no such primary column"),
        pytest.param("cube: route\n", "cube: rout\n", 12, "`rout` is no dimension", id="a cube of no dimension"),
        pytest.param("; banded", "; bandy", 13, "no option `bandy`", id="an option that nobody knows"),
        pytest.param("-- cube: route\n", "-- cube:\n", 12, "stands further up", id="a cube twice"),
        pytest.param("-- dimensions: route", "-- dimensions: device, route", 0, "`device` is reserved", id="reserved"),
        pytest.param("values: tasks", "values: region", 0, "`region` is reserved, stands twice", id="a name twice"),
        pytest.param("SELECT key_{grain} FROM route_rows\n", "", 15, "missing or empty", id="no query for cells"),
        pytest.param("key_{grain}", "key_{grian}", 15, "{grian} is not filled", id="a misspelt placeholder"),
        pytest.param("-- answer\n", "-- answer of: rout\nSELECT 1\n-- answer\n", 18, "no cube", id="answer of no cube"),
        pytest.param("-- columns", "-- histograms: latency ms\n-- columns", 0, "not as both", id="no such section"),
    ],
)  # fmt: skip
def test_wrong_file_is_refused_with_its_line(tmp_path: Path, old: str, new: str, line: int, problem: str) -> None:
    """One mistake in a good file is refused with file, line and what is wrong."""
    good = GOOD.replace("; part all", "")
    _load(tmp_path, good)
    assert old in good
    with pytest.raises(ContractError) as refused:
        _load(tmp_path, good.replace(old, new))
    found = [(finding.line, finding.problem) for finding in refused.value.findings]
    assert any(number == line and problem in text for number, text in found), found
    assert all(finding.file.endswith("R1.sql") and finding.fix for finding in refused.value.findings)


def test_one_wrong_file_refuses_all_of_them(tmp_path: Path) -> None:
    """Measures are loaded whole or not at all, with every mistake of every file."""
    for file in MEASURES_DIRECTORY.glob("*.sql"):
        (tmp_path / file.name).write_text(file.read_text(encoding="utf-8"), encoding="utf-8")
    for name in ("F1", "V1"):
        (tmp_path / f"{name}.sql").write_text("-- measure: X1\n", encoding="utf-8")
    with pytest.raises(ContractError) as refused:
        load_measures(tmp_path)
    assert {Path(finding.file).name for finding in refused.value.findings} == {"F1.sql", "V1.sql"}


def test_measures_are_those_of_the_list() -> None:
    """The files are the measures that the product answers."""
    assert set(MEASURES) == {*(f"R{n}" for n in range(1, 6)), *(f"F{n}" for n in range(1, 6)), "V1", "V2", "A1", "A3"}


@pytest.mark.parametrize("measure", [pytest.param(one, id=one.name) for one in MEASURES.values()])
def test_queries_give_the_columns_that_the_header_names(
    connection: duckdb.DuckDBPyConnection, measure: Measure
) -> None:
    """Cells of each cube have its dimensions and the values, and answers the asked columns and those of the header."""
    connection.execute("CREATE OR REPLACE TEMP TABLE looked (basis VARCHAR, grain VARCHAR, start TIMESTAMP)")
    stored = [one.name for one in (*measure.values, *measure.histograms)]
    shown: set[str] = set()
    for grain in GRAINS:
        gather(connection, measure, grain)
        for cube in measure.cubes:
            cells = connection.sql(cells_sql(measure, cube))
            assert cells.columns == ["start", "tier", *cube.dimensions, *stored, "devices"]
            chosen = f"SELECT * {measure.each_sql} FROM {measure.table} AS cell"  # noqa: S608  # its own name
            connection.execute(f"CREATE OR REPLACE TEMP VIEW cells AS {chosen}")
            asked = ["start", *cube.dimensions]
            answer = connection.sql(measure.answer_sql(cube, asked=asked))
            assert answer.columns[: len(asked)] == asked
            shown |= set(answer.columns[len(asked) :])
            assert measure.primary_of(cube) in answer.columns
    assert shown == set(measure.units)


def test_nothing_stays_open_in_a_query() -> None:
    """A name that nobody fills is refused before DuckDB sees it."""
    with pytest.raises(TemplateError, match="grain"):
        fill("SELECT key_{grain}", {"grian": "hour"})
    assert fill("{asked} {within:a,b} {'k': 1}", {"asked": "x", "within": lambda names: names}) == "x a,b {'k': 1}"


def test_page_is_made_from_the_files() -> None:
    """docs/measures.md is what `python -m aggregators.publication.measures_page` prints."""
    assert (ROOT / "docs" / "measures.md").read_text(encoding="utf-8") == page()
