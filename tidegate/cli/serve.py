"""`tidegate serve`: run a gate, its answers, or both."""

import json
import ssl
import sys
from pathlib import Path
from typing import Any

import click

from tidegate.cli.setting_options import setting_options
from tidegate.settings import CONFIG_VARIABLE, Settings, SettingsError, load_settings


@click.command("serve")
@setting_options(*Settings.model_fields)
@click.option(
    "--config",
    type=click.Path(path_type=Path, dir_okay=False),
    envvar=CONFIG_VARIABLE,
    show_envvar=True,
    help="Settings file: TOML, the names above with underscores.",
)
def serve_command(config: Path | None, **flags: Any) -> None:
    """Take reports, strip them by policy, make them durable, and answer questions about them.

    One process does both. --only ingest takes reports alone; --only answers follows the log of the same --data
    directory, on the same machine and at a port of its own, and answers alone.

    Prints one line of JSON with its URLs on stdout once it takes requests; logs go to stderr. SIGHUP reloads the policy
    files; SIGTERM and Ctrl-C finish what is under way and end within 10 seconds.

    Each setting can also be given as TIDEGATE_<NAME> or in a file (--config); a flag beats a variable beats the file. A
    TIDEGATE_ variable or a key of the file that is no setting is refused.

    \b
    Examples:
      tidegate serve --data ./data --port 0
      tidegate serve --data ./data --only ingest --port 8080
      tidegate serve --data ./data --only answers --port 8081
      TIDEGATE_DATA=/var/lib/tidegate tidegate serve --config gate.toml
      tidegate serve --data ./data --host 0.0.0.0 \\
          --tls-certificate gate.pem --tls-key gate.key

    Exit codes: 0 stopped in good order, 1 could not start or failed, 2 wrong usage or settings.
    """  # noqa: D301 - \b keeps click from joining the lines
    try:
        settings = load_settings(flags, config=config)
    except SettingsError as error:
        raise click.UsageError(str(error)) from None
    _run(settings)


def _run(settings: Settings) -> None:
    from ingest.log import LogUnavailable
    from ingest.log.sqlite_file import CannotOpenLog
    from ingest.state_file import StateFileError
    from schemas.errors import ContractError
    from tidegate.serving import CannotAnswer
    from tidegate.serving.process import serve

    try:
        serve(settings, announce=_announce)
    except ContractError as error:
        raise click.ClickException(f"the schemas and policies cannot be used\n{error}") from None
    except (StateFileError, CannotOpenLog, LogUnavailable, CannotAnswer) as error:
        raise click.ClickException(str(error)) from None
    except OSError as error:
        raise click.ClickException(_system_error(error, settings)) from None


def _system_error(error: OSError, settings: Settings) -> str:
    """What the operating system refused, and what to do; an error without a file is one of the socket."""
    if isinstance(error, ssl.SSLError):
        return f"{settings.tls_certificate} and {settings.tls_key} are no certificate and key that belong together"
    if error.filename is not None:
        return f"{error.filename} cannot be used: {error.strerror}; check --data and who owns it"
    if error.strerror is None:
        return f"the gate failed: {type(error).__name__}"
    advice = "choose an address of this machine with --host, and a free port with --port; 0 is any free one"
    return f"cannot listen on {settings.host}, port {settings.port}: {error.strerror}; {advice}"


def _announce(document: dict[str, Any]) -> None:
    sys.stdout.write(json.dumps(document) + "\n")
    sys.stdout.flush()
