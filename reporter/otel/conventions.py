"""`genai.v1.json`, the one place that says which attributes of spans mean what, as it is used."""

import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from typing import Any, NamedTuple

from reporter.otel.spans import OURS, Wanted
from reporter.reports import OTHER
from reporter.windows.numbers import whole
from reporter.windows.vocabulary import LONGEST_NAME

FILE = "genai.v1.json"

LONGEST_HOST = 253
"""Characters of a name in the DNS; a path of a local socket has at most 108."""

MOST_WORDS = 16
"""There are six disclosures, and a request has rarely more than one answer."""

Read = Callable[[Any], Any]


def _word(said: Any) -> Any:
    if not isinstance(said, str) or not said:
        return None
    return said if len(said) <= LONGEST_NAME else OTHER


def _host(said: Any) -> Any:
    return said if isinstance(said, str) and 0 < len(said) <= LONGEST_HOST else None


def _words(said: Any) -> Any:
    """Several words; those of an application's environment are one text with commas."""
    said = said.split(",") if isinstance(said, str) else said
    if not isinstance(said, list | tuple):
        return None
    return frozenset(_word(one.strip()) or OTHER for one in said[:MOST_WORDS] if isinstance(one, str))


def _flag(said: Any) -> Any:
    if isinstance(said, str):
        return {"true": True, "false": False}.get(said.strip().lower())
    return said if isinstance(said, bool) else None


def _number(said: Any) -> float | None:
    if isinstance(said, bool) or not isinstance(said, int | float | str) or len(str(said)[:40]) == 40:
        return None
    try:
        number = float(said)
    except (ValueError, OverflowError):
        return None
    return number if number >= 0 else None


def _count(said: Any) -> Any:
    number = _number(said)
    return None if number is None else whole(number)


def _seconds(said: Any) -> Any:
    """Seconds as milliseconds; more than a day is no time that anybody waited."""
    number = _number(said)
    return number * 1000 if number is not None and number <= 86_400 else None


READERS: Mapping[str, Read] = {
    "word": _word,
    "words": _words,
    "host": _host,
    "flag": _flag,
    "count": _count,
    "seconds": _seconds,
}
"""The `as` of the file -> what makes a value of it, or None where there is none in it."""


class Source(NamedTuple):
    """An attribute that says something: what, how good a source of it (0 is the best), as which value."""

    name: str
    rank: int
    read: Read


@dataclass(frozen=True, slots=True)
class Conventions:
    """What the file says. `fields` are names of a task's fields, the sources' other names decide on tasks."""

    version: int
    operations: frozenset[str]
    abnormal_finish: str
    input_sizes: tuple[tuple[str, int | None], ...]
    sources: Mapping[str, Source]
    fields: frozenset[str]
    deciding: frozenset[str]
    hosts: Mapping[str, str]
    providers: Mapping[str, str]
    wanted: Wanted

    def said(self, attributes: Mapping[str, Any]) -> dict[str, Any]:
        """What attributes say, each thing by the best of them that does."""
        found: dict[str, Any] = {}
        ranks: dict[str, int] = {}
        for attribute, value in attributes.items():
            name, rank, read = self.sources[attribute]
            if ranks.get(name, rank) >= rank:
                understood = read(value)
                if understood is not None:
                    found[name], ranks[name] = understood, rank
        return found

    def input_size(self, tokens: int) -> str | None:
        """The bucket of so many tokens."""
        return next((size for size, below in self.input_sizes if below is None or tokens < below), None)

    @property
    def words(self) -> frozenset[str]:
        """The fields that an operator may answer for applications that leave them unsaid."""
        return frozenset(name for name in self.fields if self.sources.get(OURS + name, NOTHING).read is _word)


NOTHING = Source("", 0, READERS["flag"])


@cache
def conventions() -> Conventions:
    """The conventions of this version of the reporter."""
    found = json.loads(files("reporter.otel").joinpath(FILE).read_bytes())
    sources = dict(_sources(found["span"] | found["fields"]))
    return Conventions(
        version=found["version"],
        operations=frozenset(found["operations"]),
        abnormal_finish=found["abnormal_finish"],
        input_sizes=tuple((size, below) for size, below in found["input_sizes"]),
        sources=sources,
        fields=frozenset(found["fields"]),
        deciding=frozenset(attribute for attribute, source in sources.items() if source.name in DECIDING),
        hosts=_by_name(found["hosts"]),
        providers=_by_name(found["providers"]),
        wanted=Wanted(frozenset(sources), frozenset(found["first_token_events"])),
    )


DECIDING = ("is_task", "operation")
"""What a span must say something of to be a task."""


def _sources(things: Mapping[str, Any]) -> Iterator[tuple[str, Source]]:
    for name, one in things.items():
        for rank, attribute in enumerate(one["from"]):
            yield attribute, Source(name, rank, READERS[one["as"]])


def _by_name(routes: Mapping[str, list[str]]) -> dict[str, str]:
    return {name: route for route, names in routes.items() for name in names}
