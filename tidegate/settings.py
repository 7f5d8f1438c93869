"""The settings of `tidegate serve`: by flag, by `TIDEGATE_*` variable, by file, by default, in that order.

The file is TOML, named by `--config` or `TIDEGATE_CONFIG`. A key of the file or a variable that is no setting is
refused: a misspelt one would otherwise leave a default in force that nobody chose (docs/adr/0009-settings.md).
"""

import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import Field, FilePath, ValidationError, model_validator
from pydantic_settings import BaseSettings, PydanticBaseSettingsSource, SettingsConfigDict, TomlConfigSettingsSource

from schemas.errors import nearest

ENV_PREFIX = "TIDEGATE_"
CONFIG_VARIABLE = "TIDEGATE_CONFIG"
OTHER_VARIABLES = frozenset({CONFIG_VARIABLE, "TIDEGATE_URL", "TIDEGATE_TOKEN", "TIDEGATE_TOKEN_FILE"})
"""Variables of our prefix that are no settings of the gate."""

LOG_DIRECTORY = "log"
"""Where in the data directory the embedded log is."""

ROLLUPS_DIRECTORY = "rollups"
"""Where in the data directory the rollups are, with their seals and what was published from them."""

KUBERNETES_MARKS = ("SERVICE_HOST", "SERVICE_PORT", "_TCP", "_UDP", "_SCTP")
"""In the names of the variables that Kubernetes sets in a container for each Service, `tidegate` perhaps among them."""


class SettingsError(Exception):
    """The settings cannot be used; the message says which and why."""


class Settings(BaseSettings):
    """What an operator can choose; docs/operations.md has the same list."""

    model_config = SettingsConfigDict(env_prefix=ENV_PREFIX, env_ignore_empty=True, extra="forbid", frozen=True)

    data: Annotated[Path, Field(description="Directory of the log, the tokens and the keys; made if it is not there.")]
    host: Annotated[str, Field(description="Address to listen on; 0.0.0.0 is every IPv4 one.")] = "127.0.0.1"
    port: Annotated[int, Field(ge=0, le=65535, description="Port to listen on; 0 is any free one.")] = 8080
    tiers: Annotated[Path | None, Field(description="Directory of the policy files; without it those that ship.")] = (
        None
    )
    only: Annotated[
        Literal["ingest", "answers"] | None,
        Field(description="ingest: take reports alone. answers: follow the log of --data and answer. Without it both."),
    ] = None
    location: Annotated[str, Field(description="Where this gate stores, as the tiers' residency tables name it.")] = (
        "local"
    )
    log: Annotated[
        Literal["embedded", "memory"], Field(description="embedded: on disk, in --data. memory: gone with the process.")
    ] = "embedded"
    log_level: Annotated[
        Literal["debug", "info", "warning", "error"], Field(description="Least level of the log lines on stderr.")
    ] = "info"
    body_timeout_seconds: Annotated[float, Field(gt=0, description="How long a body may take to arrive.")] = 10.0
    stop_grace_seconds: Annotated[
        float, Field(ge=0, le=3, description="How long a body half received may take once the gate was told to stop.")
    ] = 3.0
    publish_every_seconds: Annotated[
        float,
        Field(ge=0, description="How often what has been counted is published; 0: only when an operator asks for it."),
    ] = 300.0
    settle_seconds: Annotated[
        float,
        Field(ge=0, description="How long an hour waits for late reports, in the log's time, before it is published."),
    ] = 600.0
    behind_seconds: Annotated[
        float, Field(gt=0, description="How long the follower may be behind the log before /readyz/answers says so.")
    ] = 60.0
    tls_certificate: Annotated[
        FilePath | None, Field(description="PEM file with the certificate chain; turns TLS on.")
    ] = None
    tls_key: Annotated[FilePath | None, Field(description="PEM file with the private key of --tls-certificate.")] = None
    trusted_proxies: Annotated[
        str, Field(description="Addresses whose X-Forwarded-For is believed, separated by commas. Without it nobody's.")
    ] = ""

    @model_validator(mode="after")
    def _tls_needs_both(self) -> "Settings":
        if (self.tls_certificate is None) != (self.tls_key is None):
            raise ValueError("tls_certificate and tls_key go together: give both, or neither")
        return self

    @model_validator(mode="after")
    def _memory_is_not_split(self) -> "Settings":
        if self.log == "memory" and self.only == "answers":
            raise ValueError("a log in memory belongs to the process that takes the reports: leave only or log away")
        return self

    @classmethod
    def settings_customise_sources(
        cls, settings_cls: type[BaseSettings], *sources: PydanticBaseSettingsSource, **named: PydanticBaseSettingsSource
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """Flags, then variables; the file is added by `load_settings`, which knows its name."""
        del settings_cls, sources
        return named["init_settings"], named["env_settings"]


def load_settings(flags: Mapping[str, Any], *, config: Path | None) -> Settings:
    """The settings from `flags` (those that are not None), the environment and `config`; raises `SettingsError`."""
    given = {name: value for name, value in flags.items() if value is not None}
    unknown = list(_unknown_variables())
    if unknown:
        raise SettingsError("\n".join(unknown))
    try:
        return _with_file(config)(**given)
    except ValidationError as error:
        raise SettingsError("\n".join(_said(detail, given, config) for detail in error.errors())) from None
    except (OSError, ValueError) as error:  # what the file's reader has to say
        raise SettingsError(f"{config}: {error}") from None


def variable(name: str) -> str:
    """The environment variable of a setting."""
    return f"{ENV_PREFIX}{name.upper()}"


def flag(name: str) -> str:
    """The command line option of a setting."""
    return f"--{name.replace('_', '-')}"


def _unknown_variables() -> Iterator[str]:
    known = {variable(name) for name in Settings.model_fields} | OTHER_VARIABLES
    for name in sorted(os.environ):
        upper = name.upper()  # pydantic reads variables in any case
        if not upper.startswith(ENV_PREFIX) or upper in known:
            continue
        if any(mark in upper for mark in KUBERNETES_MARKS):
            yield f"{name}: Kubernetes sets it for a Service called tidegate; set enableServiceLinks: false in the pod"
        else:
            yield f"{name}: there is no such setting; {nearest(upper, known)}"


def _with_file(config: Path | None) -> type[Settings]:
    if config is None:
        return Settings
    if not config.is_file():
        raise SettingsError(f"{config}: there is no such settings file")

    class FromFile(Settings):
        @classmethod
        def settings_customise_sources(
            cls, settings_cls: type[BaseSettings], *sources: PydanticBaseSettingsSource, **named: Any
        ) -> tuple[PydanticBaseSettingsSource, ...]:
            chosen = super().settings_customise_sources(settings_cls, *sources, **named)
            return *chosen, TomlConfigSettingsSource(settings_cls, config)

    return FromFile


def _said(detail: Any, given: Mapping[str, Any], config: Path | None) -> str:
    """One thing wrong with the settings, beginning with where the person wrote it."""
    name = ".".join(str(part) for part in detail["loc"])
    if detail["type"] == "extra_forbidden":
        return f"{config}: there is no setting {name}; {nearest(name, Settings.model_fields)}"
    if detail["type"] == "missing":
        return f"{flag(name)} is needed; give it, or {variable(name)}, or {name} in the settings file"
    said = detail["msg"].removeprefix("Value error, ")
    return f"{_where(name, given, config)}: {said}" if name else str(said)


def _where(name: str, given: Mapping[str, Any], config: Path | None) -> str:
    if name in given:
        return flag(name)
    written = next((spelt for spelt in os.environ if spelt.upper() == variable(name) and os.environ[spelt]), None)
    return written or f"{config}: {name}"
