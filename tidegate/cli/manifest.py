"""`tidegate manifest`: the names that devices may use, and the versions of models that are wanted where."""

from pathlib import Path

import click

from schemas.manifest import Manifest, load_manifest
from tidegate.cli import operator_document
from tidegate.cli.data_directory import data_option, json_option
from tidegate.cli.operator_document import at_option, dry_run_option, file_argument, format_option, from_option
from tidegate.cli.operator_toml import manifest_toml

MANIFEST = operator_document.Kind(
    name="manifest",
    load=load_manifest,
    read=Manifest.model_validate,
    toml=manifest_toml,
    takes_effect="A gate that runs on this data directory takes notice within about a second.",
    stays="names that the gate made other stay other, and answers that were published stay as they were published.",
    doubts=lambda _manifest, _documents, _at: (),
)


@click.group("manifest")
def manifest_group() -> None:
    """Say which names devices may use, and which version of each model is wanted where.

    A model, version, digest, region, site or mirror that the manifest in force does not name becomes "other" at the
    gate, and is counted; without any manifest all of them do. Answers about versions go by the manifest that was in
    force at each hour. A manifest is whole: it replaces the one before, which stays on record.

    Every command works while the gate runs.

    Exit codes: 0 done, 1 refused or failed, 2 wrong usage.
    """


@manifest_group.command("put")
@file_argument
@data_option
@from_option
@dry_run_option
def put(file: Path, data: Path, since: int | None, dry_run: bool) -> None:
    """Put the manifest in FILE (TOML) in force.

    What it adds (+), takes away (-) and changes (~) is shown against the manifest in force at that time. One that says
    the same is not recorded again.

    A time to come is kept until then. A time that has passed mends what answers say of the past from the next
    publication on: what was published stays as it was published, and what the gate stored as "other" stays "other".

    \b
    Examples:
      tidegate manifest put manifest.toml --data ./data --dry-run
      tidegate manifest put manifest.toml --data ./data
      tidegate manifest put next.toml --data ./data --from 2026-12-01T00:00:00Z
    """  # noqa: D301 - \b keeps click from joining the lines
    operator_document.put(MANIFEST, file, data=data, since=since, dry_run=dry_run)


@manifest_group.command("show")
@data_option
@at_option
@format_option
def show(data: Path, at: int | None, form: str) -> None:
    """Print the manifest in force, now or at another time.

    \b
    Examples:
      tidegate manifest show --data ./data > manifest.toml
      tidegate manifest show --data ./data --at 2026-11-01T00:00:00Z --format json
    """  # noqa: D301 - as above
    operator_document.show(MANIFEST, data=data, at=at, form=form)


@manifest_group.command("history")
@data_option
@json_option
def history(data: Path, as_json: bool) -> None:
    """List every manifest, in the order in which they come into force.

    The state is in force, to come, past, or replaced (by one recorded later for the very same time). Changes are
    counted against the one before: + new, - gone, ~ changed; --json spells them out.

    \b
    Examples:
      tidegate manifest history --data ./data
      tidegate manifest history --data ./data --json
    """  # noqa: D301 - as above
    operator_document.history(MANIFEST, data=data, as_json=as_json)


@manifest_group.command("example")
def example() -> None:
    """Print a manifest to begin with, with comments.

    \b
    Example:
      tidegate manifest example > manifest.toml
    """  # noqa: D301 - as above
    operator_document.example(MANIFEST)
