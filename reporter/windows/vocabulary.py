"""What the schemas have words for: values are made to fit a field, and nothing is refused.

A symbol that an enum lacks becomes `other`, or `unknown` where there is no `other`, or else the field's default. A name
that no manifest can hold becomes `other`. Numbers are clamped to their type. A field that the schema lacks is left out.
"""

from collections.abc import Callable, Mapping
from functools import cache
from typing import Any

from reporter.reports import OTHER, Field, schema
from reporter.windows.numbers import whole, within_int

UNKNOWN = "unknown"

LONGEST_NAME = 128
"""Characters. Names of a manifest have at most 64 and are printable ASCII; a SHA-512 digest in base 16 has 128."""

Fit = Callable[[Any], Any]
Fits = Mapping[str, Fit]
Row = dict[str, Any]


@cache
def fits(report: str, array: str | None = None) -> Fits:
    """Field -> what makes a value fit it, for a report itself or for the rows of one of its arrays."""
    found = schema(report)
    return {field.name: _fit(field) for field in (found.by_path[array].fields if array else found.fields)}


def fitted(row: Mapping[str, Any], to: Fits) -> Row:
    """The fields that the schema has, each with a value that it can take."""
    return {name: to[name](value) for name, value in row.items() if name in to}


def name(said: Any) -> str | None:
    """A name as it may be sent; None for none."""
    if said is None:
        return None
    word = text(said)
    plain = word is not None and 0 < len(word) <= LONGEST_NAME and word.isascii() and word.isprintable()
    return word if plain else OTHER


def text(said: Any) -> str | None:
    """A text as a plain one, whatever its kind has made of it; None for what is none. Raises nothing."""
    # Not isinstance: that asks the object itself.
    return str.__str__(said) if issubclass(type(said), str) else None


def _fit(field: Field) -> Fit:
    if field.repeated or field.kind == "record":
        return _as_it_is
    fit = _of_kind(field)
    return (lambda said: None if said is None else fit(said)) if field.nullable else fit


def _of_kind(field: Field) -> Fit:
    match field.kind:
        case "enum":
            return _symbol(frozenset(field.symbols), _otherwise(field))
        case "int":
            return within_int
        case "long":
            return whole
        case "string":
            return name
        case "boolean":
            return _is_true
    return _as_it_is


def _symbol(symbols: frozenset[str], otherwise: str) -> Fit:
    return lambda said: word if (word := text(said)) in symbols else otherwise


def _otherwise(field: Field) -> str:
    """The last symbol where the schema offers nothing else: lists of degrees end with the one that says least."""
    return next((word for word in (OTHER, UNKNOWN, field.default) if word in field.symbols), field.symbols[-1])


def _is_true(said: Any) -> bool:
    return said is True


def _as_it_is(said: Any) -> Any:
    """Built here, not said by an application: histograms, arrays, what identifies the report."""
    return said
