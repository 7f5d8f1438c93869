"""The `--data` option of the commands that work on a gate's own files while the gate runs."""

from pathlib import Path

import click

data_option = click.option(
    "--data",
    type=click.Path(path_type=Path, file_okay=False),
    envvar="TIDEGATE_DATA",
    show_envvar=True,
    required=True,
    help="The gate's data directory, as given to `tidegate serve`.",
)

tiers_option = click.option(
    "--tiers",
    type=click.Path(path_type=Path, file_okay=False, exists=True),
    envvar="TIDEGATE_TIERS",
    show_envvar=True,
    help="Directory of the policy files, as given to `tidegate serve`; without it those that ship.",
)

json_option = click.option("--json", "as_json", is_flag=True, help="Print JSON instead of text.")


def require_file(file: Path, *, made_by: str) -> Path:
    """`file`, or an error that says what would have made it: a mistyped directory must not become an empty one."""
    if not file.is_file():
        raise click.ClickException(f"{file} is not there; check --data. It is made by {made_by}.")
    return file
