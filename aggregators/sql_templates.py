"""SQL that stands in files and has names left open, written `{name}` or `{name:a,b}`.

Rules:

* nothing may stay open: `TemplateError`;
* what is filled in comes from the measures' files and from this package, never from a request or a record. Values are
  bound as parameters.
"""

import re
from collections.abc import Callable, Mapping
from pathlib import Path

SQL_DIRECTORY = Path(__file__).parent / "sql"
GREATEST = 2**63 - 1
OPEN = re.compile(r"\{(?P<name>[a-z_]+)(?::(?P<argument>[a-z_, ]*))?\}")

Filler = str | Callable[[str], str]
"""What stands for a name: a text, or a function of the argument behind the colon."""


class TemplateError(Exception):
    """A template leaves something open that nobody fills."""


def read_sql(name: str) -> str:
    """The text of `aggregators/sql/<name>.sql`."""
    return (SQL_DIRECTORY / f"{name}.sql").read_text(encoding="utf-8")


def open_names(text: str) -> frozenset[str]:
    """Every name that `text` leaves open."""
    return frozenset(match["name"] for match in OPEN.finditer(text))


def fill(text: str, parts: Mapping[str, Filler]) -> str:
    """`text` with every open name filled from `parts`; raises `TemplateError` where `parts` lacks one."""
    if missing := open_names(text) - parts.keys():
        raise TemplateError(f"nothing to fill in for {', '.join(sorted(missing))}")

    def filled(match: re.Match[str]) -> str:
        part = parts[match["name"]]
        return part if isinstance(part, str) else part(match["argument"] or "")

    return OPEN.sub(filled, text)


def quoted(name: str) -> str:
    """A name as an SQL identifier."""
    return '"' + name.replace('"', '""') + '"'


def capped(number: str) -> str:
    """An SQL number that may be greater than a BIGINT holds, as a BIGINT: then it stands at the greatest there is."""
    # Not `least`, which makes the greatest of what is NULL.
    return f"CASE WHEN {number} > {GREATEST} THEN {GREATEST} ELSE {number} END::BIGINT"


def literal(text: str) -> str:
    """A text as an SQL string; for the places where SQL takes no parameter, such as the target of COPY."""
    return "'" + text.replace("'", "''") + "'"
