"""The operator's prices: what a million tokens cost on a route, for one model or for all that have no price there.

Devices do not know prices. Money is written as decimal strings and kept as whole millionths of the currency, so that
adding up loses nothing.
"""

import re
from collections.abc import Iterator
from decimal import Decimal
from functools import cache
from pathlib import Path
from typing import Annotated

from pydantic import BeforeValidator, Field, model_validator

from schemas.avro_types import Enumeration
from schemas.errors import nearest
from schemas.operator_names import Facts, NameOrAny
from schemas.report_schema import load_report_schema
from schemas.tier import Strict
from schemas.toml_file import contradictions, load_toml
from schemas.toml_lines import KeyPath

PAGE = "docs/manifest.md"
MAX_PRICES = 5_000
MICRO = 1_000_000

ROUTE_SCHEMA = Path(__file__).parent / "reports" / "route_window.v1.avsc"

AMOUNT = re.compile(r"[0-9]{1,6}(\.[0-9]{1,6})?")
"""Below a million for a million tokens: a year of a great fleet then fits into 128 bits."""


def _amount(value: object) -> object:
    if not isinstance(value, str) or not AMOUNT.fullmatch(value):
        raise ValueError('money is a string such as "2.50": below a million, with at most 6 decimals')
    return value


Amount = Annotated[str, BeforeValidator(_amount)]


class Price(Strict):
    """What a million tokens cost on `route`; a model's own price goes before that of `*`."""

    route: str
    model: NameOrAny
    input_per_million: Amount
    output_per_million: Amount


class Prices(Strict):
    """One price list, whole; a later one replaces it."""

    currency: Annotated[str, Field(pattern=r"^[A-Z]{3}$")]
    price: Annotated[tuple[Price, ...], Field(max_length=MAX_PRICES)] = ()

    def rows(self) -> list[tuple[str, str, int, int]]:
        """(route, model or `*`, input, output): millionths of the currency for a million tokens."""
        return [
            (one.route, one.model, _micro(one.input_per_million), _micro(one.output_per_million)) for one in self.price
        ]

    def facts(self) -> Facts:
        """What it says, in a form in which two price lists can be compared."""
        prices: dict[tuple[str, ...], str] = {
            ("price", route, model): f"{_plain(tokens_in)} in, {_plain(tokens_out)} out"
            for route, model, tokens_in, tokens_out in self.rows()
        }
        return {("currency",): self.currency, **prices}

    @model_validator(mode="after")
    def _holds_together(self) -> "Prices":
        if error := contradictions(Prices, self._contradictions()):
            raise error
        return self

    def _contradictions(self) -> Iterator[tuple[KeyPath, str, str]]:
        seen: set[tuple[str, str]] = set()
        for place, one in enumerate(self.price):
            if one.route not in routes():
                yield ("price", place, "route"), f"no route {one.route}", nearest(one.route, routes())
            if (one.route, one.model) in seen:
                yield ("price", place), f"{one.model} on {one.route} has two prices", "remove one of them"
            seen.add((one.route, one.model))


def load_prices(file: Path) -> Prices:
    """The prices in `file`; raises `ContractError` with a line and a fix for each mistake, and OSError."""
    return load_toml(file, Prices, page=PAGE)


@cache
def routes() -> tuple[str, ...]:
    """The routes that devices can report."""
    route = load_report_schema(ROUTE_SCHEMA).fields["rows.actual_route"].type
    return route.symbols if isinstance(route, Enumeration) else ()


def _micro(amount: str) -> int:
    return int(Decimal(amount) * MICRO)


def _plain(micro: int) -> str:
    """An amount without needless zeros, `2.50` as `2.5`, so that two ways to write it are one."""
    return f"{Decimal(micro) / MICRO:f}"
