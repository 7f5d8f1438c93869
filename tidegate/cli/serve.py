"""`tidegate serve`: run a gate."""

import json
import sys
from pathlib import Path
from typing import Any

import click

from tidegate.settings import ENV_PREFIX, Settings, SettingsError, load_settings


def _setting_options(command: Any) -> Any:
    """An option for every setting, with its description as help; the default stays with `Settings`."""
    for name, info in reversed(Settings.model_fields.items()):
        default = "" if info.is_required() else f"  [default: {'none' if info.default in (None, '') else info.default}]"
        option = click.option(
            f"--{name.replace('_', '-')}",
            name,
            default=None,
            metavar=name.rpartition("_")[2].upper(),
            help=f"{info.description}{default}",
        )
        command = option(command)
    return command


@click.command("serve")
@_setting_options
@click.option(
    "--config",
    type=click.Path(path_type=Path, dir_okay=False),
    envvar=f"{ENV_PREFIX}CONFIG",
    help="Settings file (TOML, the names above with underscores).",
)
def serve_command(config: Path | None, **flags: Any) -> None:
    """Take reports, strip them by policy, and make them durable.

    Prints one line of JSON with its URLs on stdout once it takes requests; logs go to stderr. SIGHUP reloads the policy
    files; SIGTERM and Ctrl-C finish what is under way and end within 10 seconds.

    Each setting can also be given as TIDEGATE_<NAME> or in a file (--config); a flag beats a variable beats the file.

    \b
    Examples:
      tidegate serve --data ./data --port 0
      TIDEGATE_DATA=/var/lib/tidegate tidegate serve --host 0.0.0.0 --tls-certificate gate.pem --tls-key gate.key

    Exit codes: 0 stopped in good order, 1 could not start or failed, 2 wrong usage or settings.
    """
    from ingest.log.sqlite_file import CannotOpenLog
    from ingest.state_file import StateFileError
    from schemas.errors import ContractError
    from tidegate.serving import serve

    try:
        settings = load_settings(flags, config=config)
    except SettingsError as error:
        raise click.UsageError(str(error)) from None
    try:
        serve(settings, announce=_announce)
    except (ContractError, StateFileError, CannotOpenLog) as error:
        raise click.ClickException(str(error)) from None
    except OSError as error:
        raise click.ClickException(f"cannot listen on {settings.host}:{settings.port}: {error.strerror}") from None


def _announce(document: dict[str, Any]) -> None:
    sys.stdout.write(json.dumps(document) + "\n")
    sys.stdout.flush()
