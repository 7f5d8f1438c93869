"""`tidegate prices`: what tokens cost, which devices do not know."""

from collections.abc import Iterator
from pathlib import Path

import click

from ingest.operator_documents import OperatorDocuments
from schemas.errors import nearest
from schemas.operator_names import ANY
from schemas.prices import Prices, load_prices
from tidegate.cli import operator_document
from tidegate.cli.data_directory import data_option, json_option
from tidegate.cli.operator_document import at_option, dry_run_option, file_argument, format_option, from_option
from tidegate.cli.operator_toml import prices_toml


def models_not_named(prices: Prices, documents: OperatorDocuments, at: int) -> Iterator[str]:
    """A word about each model that has a price and that no report can have then: the manifest does not name it."""
    manifest = documents.in_force("manifest", at)
    if manifest is None:
        return
    named = {row["name"] for row in manifest.document.get("models", ())}
    for model in sorted({price.model for price in prices.price} - named - {ANY}):
        hint = nearest(model, named) if named else "it has none at all"
        yield f"manifest {manifest.number}, in force then, has no model {model}; {hint}"


PRICES = operator_document.Kind(
    name="prices",
    load=load_prices,
    read=Prices.model_validate,
    toml=prices_toml,
    takes_effect="What is published from now on uses them.",
    stays="answers that were published stay as they were published.",
    doubts=models_not_named,
)


@click.group("prices")
def prices_group() -> None:
    """Say what a million tokens cost on each route, for one model or for all.

    Devices report tokens and do not know prices. Answers about cost go by the prices that were in force at each hour;
    tasks on a route without a price are counted as unpriced. A list of prices is whole: it replaces the one before,
    which stays on record.

    Exit codes: 0 done, 1 refused or failed, 2 wrong usage.
    """


@prices_group.command("put")
@file_argument
@data_option
@from_option
@dry_run_option
def put(file: Path, data: Path, since: int | None, dry_run: bool) -> None:
    """Put the prices in FILE (TOML) in force.

    What it adds (+), takes away (-) and changes (~) is shown against the prices in force at that time. A list that says
    the same is not recorded again.

    A time to come is kept until then. A time that has passed mends what answers say of the past from the next
    publication on: what was published stays as it was published.

    \b
    Examples:
      tidegate prices put prices.toml --data ./data --dry-run
      tidegate prices put prices.toml --data ./data --from 2026-12-01T00:00:00Z
    """  # noqa: D301 - \b keeps click from joining the lines
    operator_document.put(PRICES, file, data=data, since=since, dry_run=dry_run)


@prices_group.command("show")
@data_option
@at_option
@format_option
def show(data: Path, at: int | None, form: str) -> None:
    """Print the prices in force, now or at another time.

    \b
    Examples:
      tidegate prices show --data ./data > prices.toml
      tidegate prices show --data ./data --at 2026-11-01T00:00:00Z --format json
    """  # noqa: D301 - as above
    operator_document.show(PRICES, data=data, at=at, form=form)


@prices_group.command("history")
@data_option
@json_option
def history(data: Path, as_json: bool) -> None:
    """List every list of prices, in the order in which they come into force.

    The state is in force, to come, past, or replaced (by one recorded later for the very same time). Changes are
    counted against the one before: + new, - gone, ~ changed; --json spells them out.

    \b
    Examples:
      tidegate prices history --data ./data
      tidegate prices history --data ./data --json
    """  # noqa: D301 - as above
    operator_document.history(PRICES, data=data, as_json=as_json)


@prices_group.command("example")
def example() -> None:
    """Print a list of prices to begin with, with comments.

    \b
    Example:
      tidegate prices example > prices.toml
    """  # noqa: D301 - as above
    operator_document.example(PRICES)
