"""The operator's table: what only who runs the devices knows about spans, as `spans.json` says it.

    {"hosts": {"gateway.example.org": "private_cloud", "10.20.0.0/16": "edge", "localhost:4000": "managed_cloud"},
     "providers": {"vllm": "private_cloud"},
     "models": {"llama3.2:3b": {"model": "small-chat", "model_version": "1.0", "precision": "int4"}},
     "said": {"data_class": "internal", "task_kind": "interactive"}}

All of it may be missing. Names that mean nothing are refused, with the nearest right one; values appear in no error.
"""

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

from reporter.directory import Directory
from reporter.otel.conventions import conventions
from reporter.otel.routes import Routes
from reporter.otel.spans import OURS
from reporter.reports import schema
from reporter.windows.vocabulary import LONGEST_NAME

FILE = "spans.json"
MAX_BYTES = 1 << 18
MODEL_FIELDS = ("model", "model_version", "precision")
ROUTE = "actual_route"


class BadTable(Exception):
    """The table cannot be used; the message names the key and what it may be, never what it is."""


@dataclass(frozen=True, slots=True)
class Table:
    """Valid once it exists: `__post_init__` raises `BadTable`.

    `models` are the manifest's names for what spans call a model; `said` what holds where a span says nothing.
    """

    hosts: Mapping[str, str] = field(default_factory=dict)
    providers: Mapping[str, str] = field(default_factory=dict)
    models: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    said: Mapping[str, str] = field(default_factory=dict)
    routes: Routes = field(init=False, repr=False, compare=False)
    unsaid: Mapping[str, str] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        for name in ("hosts", "providers"):
            _routes(name, getattr(self, name))
        for name, model in _checked("models", self.models, Mapping).items():
            _words(f"models.{name[:40]}", model, MODEL_FIELDS)
        _words("said", self.said, conventions().words)
        object.__setattr__(self, "routes", self._routes())
        object.__setattr__(self, "unsaid", {OURS + name: word for name, word in self.said.items()})

    @staticmethod
    def from_json(document: bytes) -> "Table":
        """The table that a document holds; raises `BadTable`."""
        found = _parsed(document)
        _known("", found, TABLE_FIELDS)
        return Table(**found)

    def _routes(self) -> Routes:
        known = conventions()
        try:
            return Routes(self.hosts, self.providers, known.hosts, known.providers)
        except ValueError:  # carries the value
            raise BadTable("hosts: with a / in it, a host must be a network such as 10.20.0.0/16") from None


TABLE_FIELDS = ("hosts", "providers", "models", "said")


def read(path: Path) -> Table:
    """The operator's table, an empty one where there is no file; raises `BadTable` and OSError."""
    try:
        with path.open("rb") as file:
            return Table.from_json(file.read(MAX_BYTES + 1))
    except FileNotFoundError:
        return Table()


def usual() -> Table:
    """The table in the directory that a device usually has; raises as `read`."""
    return read(Directory.usual().path / FILE)


def _parsed(document: bytes) -> dict[str, Any]:
    if len(document) > MAX_BYTES:
        raise BadTable(f"the file is over {MAX_BYTES} bytes")
    try:
        found = json.loads(document)
    except (ValueError, RecursionError):  # the errors of json carry the document
        raise BadTable("the file is not JSON") from None
    if not isinstance(found, dict):
        raise BadTable("the file is not a JSON object")
    return found


def _checked(name: str, values: Any, kind: type) -> Mapping[str, Any]:
    if not isinstance(values, Mapping) or not all(isinstance(value, kind) for value in values.values()):
        raise BadTable(f"{name}: must be an object of {'objects' if kind is Mapping else 'texts'}")
    return values


def _routes(name: str, routes: Any) -> None:
    for key, route in _checked(name, routes, str).items():
        _one_of(f"{name}.{key[:40]}", route, _symbols()[ROUTE])


def _words(name: str, words: Any, known: Iterable[str]) -> None:
    _known(f"{name}.", _checked(name, words, str), known)
    for key, word in words.items():
        if key in _symbols():
            _one_of(f"{name}.{key}", word, _symbols()[key])
        elif not 0 < len(word) <= LONGEST_NAME:
            raise BadTable(f"{name}.{key}: must be a text of 1 to {LONGEST_NAME} characters")


def _one_of(name: str, word: str, symbols: Iterable[str]) -> None:
    if word not in symbols:
        raise BadTable(f"{name}: must be one of {', '.join(symbols)}")


def _known(within: str, names: Iterable[str], known: Iterable[str]) -> None:
    known = sorted(known)
    for name in names:
        if name not in known:
            raise BadTable(f"{within}{name[:40]}: there is no such key; {_nearest(name, known)}")


def _nearest(name: str, known: list[str]) -> str:
    from difflib import get_close_matches  # noqa: PLC0415  # only for whoever has mistyped a name

    near = get_close_matches(name, known, n=1)
    return f"did you mean {near[0]}?" if near else f"there are {', '.join(known)}"


@cache
def _symbols() -> Mapping[str, tuple[str, ...]]:
    """The words of each dimension that is a closed list."""
    rows = [schema(report).by_path["rows"].fields for report in ("route_window", "fallback_window")]
    return {one.name: one.symbols for fields in rows for one in fields if one.kind == "enum" and not one.repeated}
