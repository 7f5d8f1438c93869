"""Certificates made on the fly, PEM: an authority, one for the brokers, one for each user of a client certificate."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from ipaddress import IPv4Address
from pathlib import Path

from load.broker.distribution import NoBroker

LIFETIME = timedelta(days=30)


@dataclass(frozen=True, slots=True)
class Certificates:
    """The files of one cluster, all in `directory`; keys are readable by nobody else."""

    directory: Path

    @property
    def ca_file(self) -> Path:
        return self.directory / "ca.pem"

    @property
    def broker_file(self) -> Path:
        """Key and certificate in one file, as Kafka wants its PEM keystore."""
        return self.directory / "broker.pem"

    def certificate_file(self, user: str) -> Path:
        return self.directory / f"{user}.crt"

    def key_file(self, user: str) -> Path:
        return self.directory / f"{user}.key"


def make_certificates(directory: Path, users: Iterable[str]) -> Certificates:
    """Make all of them anew; raises `NoBroker` without the package `cryptography`."""
    try:
        from cryptography import x509  # noqa: PLC0415  # of the development extra only
        from cryptography.hazmat.primitives import hashes, serialization  # noqa: PLC0415
        from cryptography.hazmat.primitives.asymmetric import ec  # noqa: PLC0415
    except ModuleNotFoundError:
        raise NoBroker(
            "TLS needs the package cryptography, which makes the certificates: pip install cryptography"
        ) from None

    now = datetime.now(UTC)
    authority_key = ec.generate_private_key(ec.SECP256R1())
    authority = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "tidegate test authority")])

    def signed(name: x509.Name, key: ec.EllipticCurvePublicKey, *, path: int | None) -> bytes:
        """The certificate of `key`; `path` is None for one that may not sign others."""
        builder = (
            x509.CertificateBuilder()
            .subject_name(name)
            .issuer_name(authority)
            .public_key(key)
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - timedelta(hours=1))
            .not_valid_after(now + LIFETIME)
            .add_extension(x509.BasicConstraints(ca=path is not None, path_length=path), critical=True)
            .add_extension(x509.SubjectKeyIdentifier.from_public_key(key), critical=False)
            .add_extension(
                x509.AuthorityKeyIdentifier.from_issuer_public_key(authority_key.public_key()), critical=False
            )
        )
        if path is None:
            names = [x509.DNSName("localhost"), x509.IPAddress(IPv4Address("127.0.0.1"))]
            builder = builder.add_extension(x509.SubjectAlternativeName(names), critical=False)
        return builder.sign(authority_key, hashes.SHA256()).public_bytes(serialization.Encoding.PEM)

    def made(name: str) -> tuple[bytes, bytes]:
        key = ec.generate_private_key(ec.SECP256R1())
        private = key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )
        subject = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, name)])
        return private, signed(subject, key.public_key(), path=None)

    directory.mkdir(mode=0o700, parents=True, exist_ok=True)
    files = Certificates(directory)
    files.ca_file.write_bytes(signed(authority, authority_key.public_key(), path=0))
    _write_private(files.broker_file, b"".join(made("broker")))
    for user in users:
        key, certificate = made(user)
        _write_private(files.key_file(user), key)
        files.certificate_file(user).write_bytes(certificate)
    return files


def _write_private(file: Path, content: bytes) -> None:
    file.touch(mode=0o600)
    file.write_bytes(content)
