"""The dimensions of rows: the same in the code, in the schemas and on the page."""

import re
from pathlib import Path

import pytest

from aggregators.rollups.dimensions import DIMENSIONS, dimension_fields
from schemas.avro_types import Enumeration, Primitive
from schemas.catalogue import load_catalogue

REPORTS_PAGE = Path(__file__).resolve().parents[3] / "docs" / "reports.md"
SCHEMAS = load_catalogue().latest


@pytest.mark.parametrize("report", DIMENSIONS)
def test_the_page_names_the_same_dimensions(report: str) -> None:
    """The column "rows by" of docs/reports.md has the dimensions of a report's rows, in their order."""
    line = re.search(rf"^\| `{report}` \|[^|]*\|([^|]*)\|$", REPORTS_PAGE.read_text(encoding="utf-8"), re.MULTILINE)
    assert line is not None
    assert tuple(name.strip().replace(" ", "_") for name in line[1].split(",")) == DIMENSIONS[report]["rows"]


@pytest.mark.parametrize("report", DIMENSIONS)
def test_dimensions_are_names_and_symbols_of_the_schema(report: str) -> None:
    """Each dimension is a field of its array, an enumeration or a name, and found by its id."""
    schema = SCHEMAS[report]
    for array, ids in dimension_fields(schema).items():
        fields = [schema.fields[f"{array}.{name}"] for name in DIMENSIONS[report][array]]
        assert {field.id for field in fields} == ids
        assert all(isinstance(field.type, Enumeration) or field.type == Primitive("string") for field in fields)


def test_reports_without_tables_of_rows_have_none() -> None:
    """Nothing is looked for in a report that has no table of rows."""
    assert dimension_fields(SCHEMAS["health_window"]) == {}
