"""The schemas and policies that a command is about, and how a name that is none of theirs is refused."""

from collections.abc import Mapping
from pathlib import Path

import click

from schemas.catalogue import REPORTS_DIRECTORY, TIERS_DIRECTORY, Catalogue, load_catalogue
from schemas.errors import ContractError, nearest
from schemas.report_schema import ReportSchema
from schemas.tier import Tier

directory = click.Path(path_type=Path, exists=True, file_okay=False)

reports_option = click.option(
    "--reports",
    type=directory,
    default=REPORTS_DIRECTORY,
    help="Directory of the report schemas.  [default: those that ship]",
)

tiers_option = click.option(
    "--tiers",
    type=directory,
    envvar="TIDEGATE_TIERS",
    show_envvar=True,
    default=TIERS_DIRECTORY,
    help="Directory of the policy files.  [default: those that ship]",
)


def contracts(tiers: Path = TIERS_DIRECTORY, reports: Path = REPORTS_DIRECTORY) -> Catalogue:
    """The catalogue of two directories; broken files end the command with everything that is wrong with them."""
    try:
        return load_catalogue(reports=reports, tiers=tiers)
    except ContractError as error:
        raise click.ClickException(f"the schemas and policies cannot be used\n{error}") from None


def tier_named(catalogue: Catalogue, name: str, *, hint: str = "TIER") -> Tier:
    """The tier of that name; `hint` is what the command calls it."""
    if name not in catalogue.tiers:
        raise click.BadParameter(f"there is no tier {name!r}; {nearest(name, catalogue.tiers)}", param_hint=hint)
    return catalogue.tiers[name]


def report_named(catalogue: Catalogue, name: str, *, hint: str = "REPORT") -> ReportSchema:
    """The report of that name: the version that it ends with (`route_window.v1`), or else the newest."""
    labelled = {schema.label: schema for schema in catalogue.schemas}
    known = {**catalogue.latest, **labelled}
    if name not in known:
        near = nearest(name, labelled if "." in name else catalogue.latest)
        raise click.BadParameter(f"there is no report {name!r}; {near}", param_hint=hint)
    return known[name]


def loosest_first(tiers: Mapping[str, Tier]) -> list[str]:
    """The names of tiers, each behind those that it is stricter than, then by name."""

    def depth(name: str) -> int:
        passed = [name]
        while (looser := tiers[passed[-1]].stricter_than) is not None and looser not in passed:
            passed.append(looser)
        return len(passed)

    return sorted(tiers, key=lambda name: (depth(name), name))
