"""The prices as loaded from their file: exact amounts, and what is refused."""

from pathlib import Path

import pytest

import schemas.prices
from schemas.errors import ContractError, Finding
from schemas.prices import Prices, load_prices, routes
from schemas.report_schema import load_report_schema

EXAMPLE = Path(schemas.prices.__file__).parent / "examples" / "prices.toml"

TEXT = """\
currency = "EUR"

[[price]]
route = "managed_cloud"
model = "*"
input_per_million = "2.50"
output_per_million = "10"

[[price]]
route = "managed_cloud"
model = "large"
input_per_million = "0.000001"
output_per_million = "999999.999999"
"""


def load(directory: Path, text: str) -> Prices:
    """The prices of a text."""
    file = directory / "prices.toml"
    file.write_text(text, encoding="utf-8")
    return load_prices(file)


def test_amounts_are_exact(tmp_path: Path) -> None:
    """An amount becomes a whole number of millionths, from the smallest to the greatest."""
    assert load(tmp_path, TEXT).rows() == [
        ("managed_cloud", "*", 2_500_000, 10_000_000),
        ("managed_cloud", "large", 1, 999_999_999_999),
    ]


def test_the_example_that_ships_is_a_price_list() -> None:
    """The example has a price for all models of a route and one that goes before it."""
    models = {model for route, model, *_ in load_prices(EXAMPLE).rows() if route == "managed_cloud"}
    assert "*" in models
    assert len(models) > 1


def test_it_comes_back_from_json(tmp_path: Path) -> None:
    """What is kept of a price list is the same price list."""
    prices = load(tmp_path, TEXT)
    assert Prices.model_validate_json(prices.model_dump_json(exclude_defaults=True)) == prices


def test_the_routes_are_those_that_devices_report() -> None:
    """A price may be given for any route of the report, planned or taken, and for no other."""
    schema = load_report_schema(schemas.prices.ROUTE_SCHEMA)
    assert schema.fields["rows.planned_route"].type == schema.fields["rows.actual_route"].type
    assert "managed_cloud" in routes()


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        pytest.param('"2.50"', '"2.5"', set(), id="the same amount, written otherwise"),
        pytest.param('"2.50"', '"2.51"', {("price", "managed_cloud", "*")}, id="an amount"),
        pytest.param('"EUR"', '"USD"', {("currency",)}, id="the currency"),
    ],
)
def test_facts_tell_two_lists_apart(tmp_path: Path, old: str, new: str, said: set[tuple[str, ...]]) -> None:
    """Two price lists have different facts exactly in what they say differently."""
    before, after = load(tmp_path, TEXT).facts(), load(tmp_path, TEXT.replace(old, new)).facts()
    assert {key for key in {*before, *after} if before.get(key) != after.get(key)} == said


MONEY = "money is a string such as"

BROKEN = [
    pytest.param('"EUR"', '"euro"', "currency: String should match", "docs", id="a currency is three capitals"),
    pytest.param('currency = "EUR"', "", "currency: Field required", "add the key", id="no currency"),
    pytest.param(
        '"managed_cloud"', '"managed_clod"', "no route managed_clod", "did you mean managed_cloud", id="a route"
    ),
    pytest.param('model = "large"', 'model = "*"', "* on managed_cloud has two prices", "remove", id="two prices"),
    pytest.param('model = "large"', 'model = "a,b"', "price.1.model: a name has no comma", "docs", id="a model's name"),
    pytest.param('model = "large"', 'modell = "large"', "modell: Extra", "did you mean model", id="a key"),
    pytest.param('"2.50"', "2.50", MONEY, "docs", id="a binary fraction"),
    pytest.param('"2.50"', "2", MONEY, "docs", id="a number"),
    pytest.param('"2.50"', '"2,50"', MONEY, "docs", id="a comma"),
    pytest.param('"2.50"', '"-1"', MONEY, "docs", id="less than nothing"),
    pytest.param('"2.50"', '"1e3"', MONEY, "docs", id="an exponent"),
    pytest.param('"2.50"', '"1."', MONEY, "docs", id="a point without decimals"),
    pytest.param('"2.50"', '"0.1234567"', MONEY, "docs", id="seven decimals"),
    pytest.param('"2.50"', '"1000000"', MONEY, "docs", id="a million"),
    pytest.param('"2.50"', '"\uff12"', MONEY, "docs", id="a digit of another script"),
]


@pytest.mark.parametrize(("old", "new", "problem", "fix"), BROKEN)
def test_refuses(tmp_path: Path, old: str, new: str, problem: str, fix: str) -> None:
    """Whatever is not understood in full is refused near its line, with a way out."""
    assert old in TEXT
    with pytest.raises(ContractError) as error:
        load(tmp_path, TEXT.replace(old, new, 1))
    found: list[Finding] = [one for one in error.value.findings if problem in one.problem and fix in one.fix]
    assert len(found) == 1, str(error.value)
    begun = TEXT[: TEXT.index(old)].count("\n") + 1
    assert abs(found[0].line - begun) <= 3
