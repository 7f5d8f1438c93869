"""How clients reach a cluster: encrypted or not, as whom, and whether ACLs are enforced.

Brokers talk to each other in plain text over a listener of their own: they are on loopback and end with the test. Only
the listener of clients is what a `Security` says.
"""

import base64
import hashlib
import secrets
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from ingest.log.kafka.connection import SaslMechanism, SecurityProtocol

SCRAM_ITERATIONS = 4096
"""The fewest that Kafka takes; passwords here are random and live as long as the test."""


@dataclass(frozen=True, slots=True)
class Security:
    """What the listener of clients asks for.

    `users` may log in, each with a password (SASL) or a certificate (SSL); the first of them may do everything. ACLs
    bind the others: with `acls="enforced"` they may do nothing until somebody allows it.
    """

    protocol: SecurityProtocol = "PLAINTEXT"
    mechanism: SaslMechanism | None = None
    client_certificates: Literal["ignored", "required"] = "ignored"
    acls: Literal["none", "enforced"] = "none"
    users: tuple[str, ...] = ("admin",)

    def __post_init__(self) -> None:
        if self.sasl != (self.mechanism is not None):
            raise ValueError(f"{self.protocol} {'needs a' if self.sasl else 'has no'} SASL mechanism")
        if self.client_certificates == "required" and self.protocol != "SSL":
            raise ValueError("client certificates are asked for by protocol SSL")
        if self.acls == "enforced" and not self.identifies:
            raise ValueError("ACLs need users: SASL, or SSL with client certificates")

    @property
    def sasl(self) -> bool:
        return self.protocol.startswith("SASL_")

    @property
    def tls(self) -> bool:
        return self.protocol.endswith("SSL")

    @property
    def identifies(self) -> bool:
        """Whether a client is somebody: without, Kafka calls every client ANONYMOUS."""
        return self.sasl or self.client_certificates == "required"

    @property
    def name(self) -> str:
        """As a person would say it, for the name of a test."""
        return " ".join(part for part in (self.protocol, self.mechanism) if part)


PLAINTEXT = Security()
SSL = Security("SSL")
SSL_CLIENT_CERTIFICATES = Security("SSL", client_certificates="required")
SASL_PLAINTEXT = Security("SASL_PLAINTEXT", "SCRAM-SHA-512")
SASL_SSL = Security("SASL_SSL", "SCRAM-SHA-512")


def new_passwords(security: Security) -> dict[str, str]:
    """A fresh password for each user that logs in with one."""
    return {user: secrets.token_urlsafe(18) for user in security.users} if security.sasl else {}


def listener_properties(security: Security, passwords: Mapping[str, str], files: Mapping[str, str]) -> dict[str, str]:
    """The settings of the listener CLIENTS; `files` are `ca` and `broker` where there is TLS (PEM, with its key)."""
    found: dict[str, str] = {}
    if security.sasl:
        found |= _sasl(str(security.mechanism), passwords)
    if security.tls:
        found |= {
            "ssl.keystore.type": "PEM",
            "ssl.keystore.location": files["broker"],
            "ssl.truststore.type": "PEM",
            "ssl.truststore.location": files["ca"],
            "ssl.client.auth": "required" if security.client_certificates == "required" else "none",
            # A certificate's user is its common name, as SASL's is its user name.
            "ssl.principal.mapping.rules": "RULE:^CN=([^,]*).*$/$1/,DEFAULT",
        }
    if security.acls == "enforced":
        found |= {
            "authorizer.class.name": "org.apache.kafka.metadata.authorizer.StandardAuthorizer",
            # Brokers among themselves are ANONYMOUS; no client can be, since ACLs need users.
            "super.users": f"User:ANONYMOUS;User:{security.users[0]}",
        }
    return found


def scram_arguments(security: Security, passwords: Mapping[str, str]) -> Sequence[str]:
    """Arguments of `StorageTool format` that make the users, salted, so that no command line has a password."""
    if not (security.mechanism or "").startswith("SCRAM"):
        return []
    return [
        part
        for user, password in passwords.items()
        for part in ("--add-scram", f"{security.mechanism}=[{_salted(str(security.mechanism), user, password)}]")
    ]


def _sasl(mechanism: str, passwords: Mapping[str, str]) -> dict[str, str]:
    prefix = f"listener.name.clients.{mechanism.lower()}.sasl.jaas.config"
    if mechanism == "PLAIN":
        users = " ".join(f'user_{user}="{password}"' for user, password in passwords.items())
        module = f"org.apache.kafka.common.security.plain.PlainLoginModule required {users};"
    else:
        module = "org.apache.kafka.common.security.scram.ScramLoginModule required;"
    return {"sasl.enabled.mechanisms": mechanism, prefix: module}


def _salted(mechanism: str, user: str, password: str) -> str:
    salt = secrets.token_bytes(16)
    algorithm = "sha512" if mechanism.endswith("512") else "sha256"
    salted = hashlib.pbkdf2_hmac(algorithm, password.encode(), salt, SCRAM_ITERATIONS)
    encoded, hashed = base64.b64encode(salt).decode(), base64.b64encode(salted).decode()
    return f'name={user},iterations={SCRAM_ITERATIONS},salt="{encoded}",saltedpassword="{hashed}"'
