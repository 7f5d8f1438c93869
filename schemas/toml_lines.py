"""Where in a TOML text a key stands: neither tomllib nor pydantic remembers lines, and a refusal without one is half a
refusal.

Reads table headers and `key =` lines only, which is all that policy files are made of; for anything fancier the nearest
enclosing line is returned, never a wrong file.
"""

import re

KeyPath = tuple[int | str, ...]
"""The keys, and in arrays the places from 0, that lead to a value; pydantic tells them so."""

HEADER = re.compile(r"^\s*(?P<open>\[\[?)\s*(?P<name>[^\[\]]+?)\s*\]\]?\s*(#.*)?$")
KEY = re.compile(r"""^\s*(?P<quote>["']?)(?P<key>[^"'=\s]+)(?P=quote)\s*=""")


def line_of(text: str, path: KeyPath) -> int:
    """The line, from 1, of the innermost part of `path` that the text names; 0 if it names none of it."""
    places = _places(text)
    for length in range(len(path), 0, -1):
        line = places.get(path[:length])
        if line is not None:
            return line
    return 0


def _places(text: str) -> dict[KeyPath, int]:
    places: dict[KeyPath, int] = {}
    counts: dict[KeyPath, int] = {}
    table: KeyPath = ()
    for number, line in enumerate(text.splitlines(), start=1):
        if header := HEADER.match(line):
            table = _table(header["name"], counts, repeated=header["open"] == "[[")
            places.setdefault(table, number)
        elif key := KEY.match(line):
            places.setdefault((*table, key["key"]), number)
    return places


def _table(name: str, counts: dict[KeyPath, int], *, repeated: bool) -> KeyPath:
    """Where the table `name` stands; `counts` tells how many tables of each array there were before it.

    `[[models.wanted]]` belongs to the last `[[models]]`, and is counted anew in each of them.
    """
    *parents, own = (part.strip().strip("\"'") for part in name.split("."))
    path: KeyPath = ()
    for parent in parents:
        path = _newest((*path, parent), counts)
    path = (*path, own)
    if repeated:
        counts[path] = counts.get(path, 0) + 1
    return _newest(path, counts)


def _newest(path: KeyPath, counts: dict[KeyPath, int]) -> KeyPath:
    """The last table of the array at `path` so far; `path` itself where it is none."""
    return (*path, counts[path] - 1) if path in counts else path
