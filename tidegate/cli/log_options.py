"""Which log a command reads: its options, as `tidegate serve` has them, and what they come to."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, TypeVar

import click

from tidegate.cli.setting_options import KAFKA_SETTINGS, setting_options
from tidegate.settings import CONFIG_VARIABLE, LogSettings, Settings, SettingsError, load_log_settings, load_settings

Command = TypeVar("Command", bound=Callable[..., Any])

LOG_SETTINGS = ("log", *KAFKA_SETTINGS)

config_option = click.option(
    "--config",
    type=click.Path(path_type=Path, dir_okay=False),
    envvar=CONFIG_VARIABLE,
    show_envvar=True,
    help="Settings file, as of `tidegate serve`.",
)


def log_options(command: Command) -> Command:
    """The options of a command that reads the log and nothing else."""
    data = click.option(
        "--data",
        metavar="DIRECTORY",
        help="The gate's data directory, as given to `tidegate serve`; with --log kafka it is not needed.",
    )
    return data(setting_options(*LOG_SETTINGS)(config_option(command)))


def data_and_log_options(command: Command) -> Command:
    """The options of a command that reads the log, and has its own files in the data directory."""
    return setting_options("data", *LOG_SETTINGS)(config_option(command))


def log_settings(flags: Mapping[str, Any], config: Path | None) -> LogSettings:
    """What the options of `log_options` come to; a wrong one is a wrong usage."""
    try:
        return load_log_settings(flags, config=config)
    except SettingsError as error:
        raise click.UsageError(str(error)) from None


def data_and_log_settings(flags: Mapping[str, Any], config: Path | None) -> Settings:
    """As `log_settings`, for `data_and_log_options`."""
    try:
        settings = load_settings(flags, config=config)
    except SettingsError as error:
        raise click.UsageError(str(error)) from None
    if settings.log == "memory":
        raise click.UsageError("a log in memory is gone with its process: there is nothing to read")
    return settings
