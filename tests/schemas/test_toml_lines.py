"""Where in a TOML text a key stands."""

import pytest

from schemas.toml_lines import line_of

TEXT = """\
# a comment = 1
tier = "byod"
reports = [
  "route_window",
]

[admission]
burst = 400  # a comment

[ "record" ]
timestamp = "hour"

[[rule]]
fields = ["a"]
"action" = "keep"

[[rule]] # the second
fields = ["b"]
by = "bucket"
bounds = [
  0,
]

[residency]
"eu-west" = ["*"]

[[models]]
name = "a"

[[models.wanted]]
share = 0.5

[[models.wanted]]
share = 0.6

[[models]]

[[models.wanted]]
share = 0.7

[models.note]
by = "b"
"""

PLACES = [
    pytest.param(("tier",), 2, id="a key at the top"),
    pytest.param(("reports",), 3, id="a list begins where its key stands"),
    pytest.param(("reports", 0), 3, id="an item of a list is told by the list"),
    pytest.param(("admission",), 7, id="a table"),
    pytest.param(("admission", "burst"), 8, id="a key of a table"),
    pytest.param(("admission", "burts"), 7, id="a key that is not there is told by its table"),
    pytest.param(("record", "timestamp"), 11, id="a quoted table"),
    pytest.param(("rule", 0), 13, id="the first of several tables"),
    pytest.param(("rule", 0, "action"), 15, id="a quoted key"),
    pytest.param(("rule", 1), 17, id="the second of several tables"),
    pytest.param(("rule", 1, "bounds", 3), 20, id="inside a list inside a table"),
    pytest.param(("rule", 7, "fields"), 0, id="a table that is not there"),
    pytest.param(("residency", "eu-west"), 25, id="a key with a hyphen"),
    pytest.param(("models", 0, "wanted", 1, "share"), 34, id="the second array inside an array's table"),
    pytest.param(("models", 1, "wanted", 0, "share"), 39, id="an array inside is counted anew in each table"),
    pytest.param(("models", 1, "wanted", 1), 36, id="a table inside that is not there is told by the outer one"),
    pytest.param(("models", 1, "note", "by"), 42, id="a plain table inside an array's table"),
    pytest.param(("nothing",), 0, id="a key that is nowhere"),
    pytest.param((), 0, id="the whole file"),
]


@pytest.mark.parametrize(("path", "line"), PLACES)
def test_line_of(path: tuple[int | str, ...], line: int) -> None:
    """The innermost part of a path that the text names tells the line."""
    assert line_of(TEXT, path) == line
