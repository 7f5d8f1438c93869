"""Where in a TOML text a key stands: neither tomllib nor pydantic remembers lines, and a refusal without one is half a
refusal.

Reads table headers and `key =` lines only, which is all that policy files are made of; for anything fancier the nearest
enclosing line is returned, never a wrong file.
"""

import re

HEADER = re.compile(r"^\s*(?P<open>\[\[?)\s*(?P<name>[^\[\]]+?)\s*\]\]?\s*(#.*)?$")
KEY = re.compile(r"""^\s*(?P<quote>["']?)(?P<key>[^"'=\s]+)(?P=quote)\s*=""")


def line_of(text: str, path: tuple[int | str, ...]) -> int:
    """The line, from 1, of the innermost part of `path` that the text names; 0 if it names none of it."""
    places = _places(text)
    for length in range(len(path), 0, -1):
        line = places.get(path[:length])
        if line is not None:
            return line
    return 0


def _places(text: str) -> dict[tuple[int | str, ...], int]:
    places: dict[tuple[int | str, ...], int] = {}
    counts: dict[str, int] = {}
    table: tuple[int | str, ...] = ()
    for number, line in enumerate(text.splitlines(), start=1):
        if header := HEADER.match(line):
            table = _table(header["name"], counts, repeated=header["open"] == "[[")
            places.setdefault(table, number)
        elif key := KEY.match(line):
            places.setdefault((*table, key["key"]), number)
    return places


def _table(name: str, counts: dict[str, int], *, repeated: bool) -> tuple[int | str, ...]:
    path: tuple[int | str, ...] = tuple(part.strip().strip("\"'") for part in name.split("."))
    if not repeated:
        return path
    index = counts.get(name, 0)
    counts[name] = index + 1
    return (*path, index)
