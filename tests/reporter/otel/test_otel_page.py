"""docs/otel.md says what the data file, the table and the receiver do."""

import json
import re

from reporter.otel.body import MAX_BYTES
from reporter.otel.conventions import conventions
from reporter.otel.handler import PATH
from reporter.otel.receiver import LOOPBACK, MOST_LATE_MS, PORT
from reporter.otel.table import TABLE_FIELDS, Table
from tests.documents import bare, page

PAGE = page("docs/otel.md")
NAME = re.compile(r"`([a-z_]+(?:\.[a-z_]+)+)`")


def named(column: str, rows: list[dict[str, str]]) -> set[str]:
    """The attributes in a column."""
    return {name for row in rows for name in NAME.findall(row[column])}


def test_every_attribute_is_on_the_page() -> None:
    """The two tables of attributes are those of the data file, no more and no less."""
    told = named("of a span", PAGE.table("of a span", "becomes")) | named("attribute", PAGE.table("attribute", "holds"))
    assert told == conventions().wanted.attributes


def test_operations_and_sizes_are_on_the_page() -> None:
    """The operations that are tasks, and the sizes of inputs, are told with their numbers."""
    assert all(f"`{operation}`" in PAGE.text for operation in conventions().operations)
    sizes = [f"{size} below {below:,}" if below else size for size, below in conventions().input_sizes]
    assert ", ".join(sizes) in PAGE.text


def test_the_example_is_a_table() -> None:
    """The operator's table of the page is one that is taken, and its keys are all there are."""
    (example,) = PAGE.blocks("json")
    assert Table.from_json(example.encode()) == Table(**json.loads(example))
    assert tuple(bare(row["key"]) for row in PAGE.table("key", "holds")) == TABLE_FIELDS == tuple(json.loads(example))


def test_figures_of_the_receiver_are_its_constants() -> None:
    """Address, path and bounds on the page are those of the code."""
    assert f"`{LOOPBACK}:{PORT}`" in PAGE.text
    assert f"`POST {PATH}`" in PAGE.text
    assert f"over {MAX_BYTES >> 20} MiB" in PAGE.text
    assert MOST_LATE_MS == 15 * 60_000
    assert "the last quarter of an hour" in PAGE.text
