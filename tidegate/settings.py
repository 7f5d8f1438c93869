"""The settings of `tidegate serve`: by flag, by `TIDEGATE_*` variable, by file, by default, in that order.

The file is TOML, named by `--config` or `TIDEGATE_CONFIG`. A key of the file or a variable that is no setting is
refused: a misspelt one would otherwise leave a default in force that nobody chose (docs/adr/0009-settings.md).
"""

import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Annotated, Any, Literal, TypeVar

from pydantic import Field, FilePath, ValidationError, model_validator
from pydantic_settings import BaseSettings, PydanticBaseSettingsSource, SettingsConfigDict, TomlConfigSettingsSource

from ingest import failpoint
from ingest.log.kafka.connection import BadConnection, KafkaConnection, SaslMechanism, SecurityProtocol
from ingest.registry.client import Credentials, RegistryClient
from reporter.directory import VARIABLE as DEVICE_VARIABLE
from schemas.errors import nearest

S = TypeVar("S", bound="Settings")

ENV_PREFIX = "TIDEGATE_"
CONFIG_VARIABLE = "TIDEGATE_CONFIG"
OTHER_VARIABLES = frozenset(
    {CONFIG_VARIABLE, failpoint.VARIABLE, DEVICE_VARIABLE, "TIDEGATE_URL", "TIDEGATE_TOKEN", "TIDEGATE_TOKEN_FILE"}
)
"""Variables of our prefix that are no settings of the gate."""

OWN_REGISTRY = "own"
"""The schema_registry that needs no other server."""

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
        Literal["embedded", "memory", "kafka"],
        Field(description="embedded: on disk, in --data. memory: gone with the process. kafka: a cluster."),
    ] = "embedded"
    kafka_bootstrap: Annotated[
        str | None, Field(description="Brokers to ask first, host:port, separated by commas. For --log kafka.")
    ] = None
    kafka_topic_prefix: Annotated[
        str, Field(pattern="^[a-zA-Z0-9._-]{0,100}$", description="What the names of all topics begin with.")
    ] = ""
    kafka_security_protocol: Annotated[
        SecurityProtocol, Field(description="SSL and SASL_SSL encrypt; SASL_PLAINTEXT and SASL_SSL log in.")
    ] = "PLAINTEXT"
    kafka_sasl_mechanism: Annotated[SaslMechanism | None, Field(description="How the user logs in.")] = None
    kafka_username: Annotated[str | None, Field(description="The user that logs in.")] = None
    kafka_password_file: Annotated[
        FilePath | None, Field(description="File whose first line is the password of --kafka-username.")
    ] = None
    kafka_ca_file: Annotated[
        FilePath | None,
        Field(description="PEM file of the authority that signs the brokers; without it those of the system."),
    ] = None
    kafka_certificate_file: Annotated[
        FilePath | None, Field(description="PEM file with the certificate that is shown to the brokers.")
    ] = None
    kafka_key_file: Annotated[
        FilePath | None, Field(description="PEM file with the private key of --kafka-certificate-file.")
    ] = None
    schema_registry: Annotated[
        str | None,
        Field(
            description="own, or the URL of one: values then begin with the id of their schema as Confluent's clients "
            "expect. Without it with Avro's fingerprint. See docs/registry.md."
        ),
    ] = None
    schema_registry_username: Annotated[str | None, Field(description="The user that the registry asks for.")] = None
    schema_registry_password_file: Annotated[
        FilePath | None, Field(description="File whose first line is the password of --schema-registry-username.")
    ] = None
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

    @model_validator(mode="after")
    def _kafka_is_complete(self) -> "Settings":
        if self.log == "kafka":
            self.kafka().arguments()
        elif given := sorted(name for name in self.model_fields_set if name.startswith("kafka_")):
            raise ValueError(f"{given[0]} is for log kafka, and log is {self.log}: change one of them")
        return self

    @model_validator(mode="after")
    def _registry_is_one(self) -> "Settings":
        if self.external_registry() is None and (self.schema_registry_username or self.schema_registry_password_file):
            raise ValueError("schema_registry_username and its file are for a schema_registry that is a URL")
        return self

    def external_registry(self) -> RegistryClient | None:
        """The registry that schema_registry names by its URL; reads the password's file. Raises `ValueError`."""
        if self.schema_registry in (None, OWN_REGISTRY):
            return None
        username, password = self.schema_registry_username, _first_line(self.schema_registry_password_file)
        if (username is None) != (password is None):
            raise ValueError("schema_registry_username and schema_registry_password_file go together")
        credentials = None if username is None or password is None else Credentials(username, password)
        return RegistryClient(str(self.schema_registry), credentials=credentials)

    def kafka(self) -> KafkaConnection:
        """The cluster of log kafka; reads the password's file, raises `BadConnection`."""
        if self.kafka_bootstrap is None:
            raise BadConnection("kafka_bootstrap is needed for log kafka: the brokers to ask first, as host:port")
        return KafkaConnection(
            self.kafka_bootstrap,
            security_protocol=self.kafka_security_protocol,
            sasl_mechanism=self.kafka_sasl_mechanism,
            username=self.kafka_username,
            password=_first_line(self.kafka_password_file),
            ca_file=self.kafka_ca_file,
            certificate_file=self.kafka_certificate_file,
            key_file=self.kafka_key_file,
        )

    @classmethod
    def settings_customise_sources(
        cls, settings_cls: type[BaseSettings], *sources: PydanticBaseSettingsSource, **named: PydanticBaseSettingsSource
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """Flags, then variables; the file is added by `load_settings`, which knows its name."""
        del settings_cls, sources
        return named["init_settings"], named["env_settings"]


def _first_line(file: Path | None) -> str | None:
    """What the file of a password says, without the end of its line; raises `BadConnection`."""
    if file is None:
        return None
    try:
        lines = file.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise BadConnection(f"{file} cannot be read: {type(error).__name__}") from None
    if not lines or not lines[0]:
        raise BadConnection(f"{file} is empty: its first line must be the password")
    return lines[0]


class LogSettings(Settings):
    """The settings of a command that reads the log and nothing else: Kafka needs no data directory."""

    data: Path = Path()

    @model_validator(mode="after")
    def _log_can_be_read(self) -> "LogSettings":
        if self.log == "memory":
            raise ValueError("a log in memory is gone with its process: there is nothing to read")
        if self.log == "embedded" and "data" not in self.model_fields_set:
            raise ValueError(_needed("data"))
        return self


def load_settings(flags: Mapping[str, Any], *, config: Path | None) -> Settings:
    """The settings from `flags` (those that are not None), the environment and `config`; raises `SettingsError`."""
    return _load(Settings, flags, config)


def load_log_settings(flags: Mapping[str, Any], *, config: Path | None) -> LogSettings:
    """As `load_settings`, without a data directory where the log needs none."""
    return _load(LogSettings, flags, config)


def _load(kind: type[S], flags: Mapping[str, Any], config: Path | None) -> S:
    given = {name: value for name, value in flags.items() if value is not None}
    unknown = list(_unknown_variables())
    if unknown:
        raise SettingsError("\n".join(unknown))
    try:
        failpoint.parse(os.environ.get(failpoint.VARIABLE, ""))
    except failpoint.FailpointError as error:
        raise SettingsError(str(error)) from None
    try:
        return _with_file(kind, config)(**given)
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


def _with_file(kind: type[S], config: Path | None) -> type[S]:
    if config is None:
        return kind
    if not config.is_file():
        raise SettingsError(f"{config}: there is no such settings file")

    class FromFile(kind):  # type: ignore[misc, valid-type]  # a class that is an argument
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
        return _needed(name)
    said = detail["msg"].removeprefix("Value error, ")
    return f"{_where(name, given, config)}: {said}" if name else str(said)


def _needed(name: str) -> str:
    return f"{flag(name)} is needed; give it, or {variable(name)}, or {name} in the settings file"


def _where(name: str, given: Mapping[str, Any], config: Path | None) -> str:
    if name in given:
        return flag(name)
    written = next((spelt for spelt in os.environ if spelt.upper() == variable(name) and os.environ[spelt]), None)
    return written or f"{config}: {name}"
