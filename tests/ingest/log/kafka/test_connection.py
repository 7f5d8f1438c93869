"""How a cluster is reached: which values go together, which are refused, and what no text ever shows."""

from pathlib import Path
from typing import Any

import pytest

from ingest.log.kafka.connection import BadConnection, KafkaConnection

USER: dict[str, Any] = {"sasl_mechanism": "SCRAM-SHA-512", "username": "gate", "password": "secret"}
HERE = Path(__file__)


@pytest.mark.parametrize(
    ("given", "said"),
    [
        pytest.param({"bootstrap": "broker"}, "'broker' is no address of a broker", id="no port"),
        pytest.param({"bootstrap": "broker:0"}, "no address", id="no such port"),
        pytest.param({"bootstrap": "a:9092,"}, "'' is no address", id="nothing behind a comma"),
        pytest.param({"security_protocol": "SASL_SSL"}, "needs a SASL mechanism, a username", id="nobody logs in"),
        pytest.param({"security_protocol": "SASL_SSL", **USER, "password": None}, "a password", id="no password"),
        pytest.param(USER, "PLAINTEXT knows no users: choose SASL_SSL", id="a user where nobody asks"),
        pytest.param({"ca_file": HERE}, "PLAINTEXT knows no certificates", id="certificates without TLS"),
        pytest.param({"security_protocol": "SSL", "key_file": HERE}, "go together", id="a key without a certificate"),
    ],
)
def test_what_does_not_go_together(given: dict[str, Any], said: str) -> None:
    """Values that cannot be meant are refused with what to do, and without the password."""
    with pytest.raises(BadConnection) as refused:
        KafkaConnection(**{"bootstrap": "broker:9092", **given})
    assert said in str(refused.value)
    assert "secret" not in str(refused.value)


def test_arguments() -> None:
    """Addresses are told apart, and a user is passed on as aiokafka names it."""
    connection = KafkaConnection("a:1, [::1]:2", security_protocol="SASL_PLAINTEXT", **USER)
    assert connection.arguments() == {
        "bootstrap_servers": ["a:1", "[::1]:2"],
        "security_protocol": "SASL_PLAINTEXT",
        "sasl_mechanism": "SCRAM-SHA-512",
        "sasl_plain_username": "gate",
        "sasl_plain_password": "secret",
    }
    assert "secret" not in repr(connection)


@pytest.mark.parametrize(
    ("files", "said"),
    [
        pytest.param({"ca_file": HERE}, "holds no certificates in PEM", id="no certificate"),
        pytest.param({"certificate_file": HERE, "key_file": HERE}, "no certificate and key that", id="no key"),
        pytest.param({"ca_file": HERE / "nowhere"}, "that can be read: Not a directory", id="no file"),
    ],
)
def test_files_that_cannot_be_used(files: dict[str, Any], said: str) -> None:
    """A file that is not what it should be is named when a client is about to connect."""
    with pytest.raises(BadConnection) as refused:
        KafkaConnection("broker:9092", security_protocol="SSL", **files).arguments()
    assert said in str(refused.value)
    assert str(HERE) in str(refused.value)
