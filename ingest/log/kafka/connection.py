"""How a Kafka cluster is reached: its addresses, and what is needed to be let in.

The names are those of Kafka's own client settings. A password is never printed, and no error repeats one.
"""

import ssl
from dataclasses import KW_ONLY, dataclass, field
from pathlib import Path
from typing import Any, Literal

SecurityProtocol = Literal["PLAINTEXT", "SSL", "SASL_PLAINTEXT", "SASL_SSL"]
SaslMechanism = Literal["PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512"]

PORTS = range(1, 65536)


class BadConnection(ValueError):
    """These values cannot be used together, or a file of theirs cannot; the message says which, and what to do."""


@dataclass(frozen=True, slots=True)
class KafkaConnection:
    """One cluster. `bootstrap` is `host:port`, several separated by commas. Raises `BadConnection`.

    `ca_file` (PEM) signs the brokers' certificates, without it the system's authorities do; `certificate_file` and
    `key_file` (PEM) are shown to brokers that ask who connects.
    """

    bootstrap: str
    _: KW_ONLY
    security_protocol: SecurityProtocol = "PLAINTEXT"
    sasl_mechanism: SaslMechanism | None = None
    username: str | None = None
    password: str | None = field(default=None, repr=False)
    ca_file: Path | None = None
    certificate_file: Path | None = None
    key_file: Path | None = None

    def __post_init__(self) -> None:
        for address in self.bootstrap.split(","):
            _check_address(address.strip())
        for problem in self._problems():
            raise BadConnection(problem)

    @property
    def encrypted(self) -> bool:
        """Whether what is sent is TLS."""
        return self.security_protocol in {"SSL", "SASL_SSL"}

    @property
    def authenticated(self) -> bool:
        """Whether a user and a password are sent."""
        return self.security_protocol in {"SASL_PLAINTEXT", "SASL_SSL"}

    def arguments(self) -> dict[str, Any]:
        """The arguments by which any aiokafka client connects; reads the files, raises `BadConnection`."""
        found: dict[str, Any] = {
            "bootstrap_servers": [address.strip() for address in self.bootstrap.split(",")],
            "security_protocol": self.security_protocol,
        }
        if self.authenticated:
            found |= {
                "sasl_mechanism": self.sasl_mechanism,
                "sasl_plain_username": self.username,
                "sasl_plain_password": self.password,
            }
        if self.encrypted:
            found["ssl_context"] = self._ssl_context()
        return found

    def _problems(self) -> list[str]:
        protocol = self.security_protocol
        said = (self.sasl_mechanism, self.username, self.password)
        problems = []
        if self.authenticated and None in said:
            problems.append(f"{protocol} needs a SASL mechanism, a username and a password")
        if not self.authenticated and said != (None, None, None):
            problems.append(f"{protocol} knows no users: choose SASL_SSL, or leave mechanism, user and password away")
        if not self.encrypted and (self.ca_file, self.certificate_file, self.key_file) != (None, None, None):
            problems.append(f"{protocol} knows no certificates: choose SSL or SASL_SSL, or leave the files away")
        if (self.certificate_file is None) != (self.key_file is None):
            problems.append("a client's certificate and its key go together: give both, or neither")
        return problems

    def _ssl_context(self) -> ssl.SSLContext:
        try:
            context = ssl.create_default_context(cafile=self.ca_file)
        except (OSError, ssl.SSLError) as error:
            raise BadConnection(
                f"{self.ca_file} holds no certificates in PEM that can be read: {_said(error)}"
            ) from None
        if self.certificate_file is not None:
            try:
                context.load_cert_chain(self.certificate_file, self.key_file)
            except (OSError, ssl.SSLError) as error:
                both = f"{self.certificate_file} and {self.key_file}"
                raise BadConnection(f"{both} are no certificate and key that belong together: {_said(error)}") from None
        return context


def _check_address(address: str) -> None:
    host, _, port = address.rpartition(":")
    if not host or not port.isdecimal() or int(port) not in PORTS:
        raise BadConnection(f"{address!r} is no address of a broker: say host:port, several separated by commas")


def _said(error: OSError) -> str:
    return error.strerror or type(error).__name__
