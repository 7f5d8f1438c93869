"""The settings of `tidegate serve`: by flag, by `TIDEGATE_*` variable, by file, by default, in that order.

The file is TOML, named by `--config` or `TIDEGATE_CONFIG`; a key that is not a setting is refused, there and here.
"""

from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import Field, ValidationError, model_validator
from pydantic_settings import BaseSettings, PydanticBaseSettingsSource, SettingsConfigDict, TomlConfigSettingsSource

from schemas.errors import nearest

ENV_PREFIX = "TIDEGATE_"


class SettingsError(Exception):
    """The settings cannot be used; the message says which and why."""


class Settings(BaseSettings):
    """What an operator can choose; docs/operations.md has the same list."""

    model_config = SettingsConfigDict(env_prefix=ENV_PREFIX, extra="forbid", frozen=True)

    data: Annotated[Path, Field(description="Directory of the log, the tokens and the keys; made if it is not there.")]
    host: Annotated[str, Field(description="Address to listen on.")] = "127.0.0.1"
    port: Annotated[int, Field(ge=0, le=65535, description="Port to listen on; 0 is any free one.")] = 8080
    tiers: Annotated[Path | None, Field(description="Directory of the policy files; without it those that ship.")] = None
    location: Annotated[str, Field(description="Where this gate stores, as the tiers' residency tables name it.")] = "local"
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
    tls_certificate: Annotated[Path | None, Field(description="PEM file with the certificate chain; turns TLS on.")] = None
    tls_key: Annotated[Path | None, Field(description="PEM file with the private key of --tls-certificate.")] = None
    trusted_proxies: Annotated[
        str, Field(description="Addresses whose X-Forwarded-For is believed, separated by commas. Without it nobody's.")
    ] = ""

    @model_validator(mode="after")
    def _tls_needs_both(self) -> "Settings":
        if (self.tls_certificate is None) != (self.tls_key is None):
            raise ValueError("tls_certificate and tls_key go together")
        return self

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """Flags, then variables; the file is added by `load_settings`, which knows its name."""
        return init_settings, env_settings


def load_settings(flags: dict[str, Any], *, config: Path | None) -> Settings:
    """The settings from `flags` (those given), the environment and `config`; raises `SettingsError`."""
    try:
        given = {name: value for name, value in flags.items() if value is not None}
        return _with_file(config)(**given)
    except ValidationError as error:
        raise SettingsError("\n".join(_said(detail) for detail in error.errors())) from None
    except (OSError, ValueError) as error:
        raise SettingsError(f"{config}: {error}") from None


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


def _said(detail: Any) -> str:
    name = ".".join(str(part) for part in detail["loc"])
    if detail["type"] == "extra_forbidden":
        return f"{name}: there is no such setting; {nearest(name, Settings.model_fields)}"
    if detail["type"] == "missing":
        return f"{name}: needed; give --{name.replace('_', '-')} or {ENV_PREFIX}{name.upper()}"
    return f"{name or 'settings'}: {detail['msg'].removeprefix('Value error, ')}"
