"""The connection against servers that misbehave: every bad day has a name, and an end."""

import datetime as dt
import gzip
import ipaddress
import socket
import ssl
import tracemalloc
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from reporter.sending.answers import Answer, NoAnswer
from reporter.sending.connection import MAX_ANSWER, Connection
from reporter.state import Settings
from tests.reporter.sending.bad_server import BadServer, Request, bad_server, http, says

SHORT_SECONDS = 0.3
"""How long an exchange may last where it is meant to be given up."""

MOST_DRIPS = 100
"""Ten times as long."""


MADE: list[Connection] = []


@pytest.fixture(autouse=True)
def _hang_up() -> Iterator[None]:
    """No connection outlives its test."""
    yield
    while MADE:
        MADE.pop().close()


def connected(server: BadServer, *, scheme: str = "http", seconds: float = 30.0, **settings: Any) -> Connection:
    """A connection to a server of this machine."""
    endpoint = f"{scheme}://localhost:{server.port}/t/managed"
    MADE.append(Connection(Settings(endpoint=endpoint, token="tg_1_2", **settings), seconds=seconds))
    return MADE[-1]


def post(connection: Connection, body: bytes = b"x", headers: Mapping[str, str] | None = None) -> Answer:
    """Post a report."""
    return connection.exchange("POST", "/v1/reports/route_window", headers or {}, body)


def reason(connection: Connection, body: bytes = b"x") -> str:
    """Why there was no answer."""
    with pytest.raises(NoAnswer) as failure:
        post(connection, body)
    return failure.value.reason


def test_a_request_and_its_answer() -> None:
    """Path, token and body arrive as they are; status, headers and body of the answer come back."""
    with bad_server(says(http("429 Slow", b"later", "Retry-After: 7"))) as server:
        answer = post(connected(server), b"body", {"Content-Encoding": "gzip"})
        assert (answer.status, answer.headers["retry-after"], answer.body) == (429, "7", b"later")
        (request,) = server.requests
    assert request.line == "POST /t/managed/v1/reports/route_window HTTP/1.1"
    assert request.headers["authorization"] == "Bearer tg_1_2"
    assert (request.headers["content-encoding"], request.body) == ("gzip", b"body")


def test_a_connection_is_kept() -> None:
    """Several exchanges use one connection; after hanging up there is another one."""

    def behave(accepted: socket.socket, _: Request) -> None:
        accepted.sendall(http("202 Accepted", b"{}"))

    with bad_server(behave) as server:
        connection = connected(server)
        post(connection)
        post(connection)
        assert server.connections == 1
        connection.close()
        post(connection)
        assert server.connections == 2


def test_a_connection_that_ended_meanwhile() -> None:
    """A kept connection that the server has closed is replaced, and the request is sent again on it."""

    def behave(accepted: socket.socket, _: Request) -> None:
        accepted.sendall(http("202 Accepted", b"{}"))
        accepted.close()  # without having said so

    with bad_server(behave) as server:
        connection = connected(server)
        assert [post(connection).status for _ in range(3)] == [202, 202, 202]
        assert server.connections == 3


ENDLESS = b"HTTP/1.1 202 Accepted\r\nTransfer-Encoding: chunked\r\n\r\n" + b"10000\r\n" + b"x" * 0x10000 + b"\r\n"
ANSWERS = [
    pytest.param([b""], "broken", id="nothing"),
    pytest.param([b"tango-foxtrot\r\n\r\n"], "broken", id="no HTTP"),
    pytest.param([b"\x00\xff" * 1000], "broken", id="bytes"),
    pytest.param([b"HTTP/1.1 2"], "broken", id="half a status"),
    pytest.param([b"HTTP/1.1 202 Accepted\r\nContent-Length: 10\r\n\r\nabc"], "broken", id="half the body"),
    pytest.param([b"HTTP/1.1 202 Accepted\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n"], "broken", id="bad chunk"),
    pytest.param([b"HTTP/1.1 202 A\r\n" + b"X: y\r\n" * 200 + b"\r\n"], "broken", id="too many headers"),
    pytest.param([b"HTTP/1.1 202 A\r\nX: " + b"y" * 100_000 + b"\r\n\r\n"], "broken", id="a header without end"),
    pytest.param([http("202 A", b"x" * (MAX_ANSWER + 1))], "answer_too_large", id="a huge body"),
    pytest.param(
        [ENDLESS, *[b"10000\r\n" + b"x" * 0x10000 + b"\r\n"] * 20], "answer_too_large", id="a huge chunked body"
    ),
]


@pytest.mark.parametrize(("said", "why"), ANSWERS)
def test_an_answer_that_cannot_be_read(said: list[bytes], why: str) -> None:
    """What is no whole answer of HTTP within bounds is none, and nothing of it is kept."""
    with bad_server(says(*said)) as server:
        assert reason(connected(server)) == why


def packed(body: bytes, *headers: str) -> bytes:
    """A whole answer that is compressed."""
    return http("202 Accepted", gzip.compress(body), *headers or ("Content-Encoding: gzip",))


LARGEST = b"x" * MAX_ANSWER
READ = [
    pytest.param(packed(b"{}"), b"{}", id="gzip"),
    pytest.param(packed(b"{}", "content-encoding:  GZIP "), b"{}", id="in capitals"),
    pytest.param(packed(b"{}", "Content-Encoding: x-gzip"), b"{}", id="by its old name"),
    pytest.param(packed(LARGEST), LARGEST, id="the largest"),
    pytest.param(http("202 A", b"{}"), b"{}", id="no coding"),
    pytest.param(http("202 A", b"{}", "Content-Encoding: identity"), b"{}", id="a coding that is none"),
    pytest.param(http("202 A", b"{}", "Content-Encoding: br"), b"", id="one that was not asked for"),
    pytest.param(http("202 A", b"{}", "Content-Encoding: gzip"), b"", id="not compressed at all"),
    pytest.param(packed(b"{}", *["Content-Encoding: gzip"] * 2), b"", id="two codings"),
    pytest.param(http("202 A", gzip.compress(b"{}")[:-1], "Content-Encoding: gzip"), b"", id="cut off"),
    pytest.param(http("202 A", gzip.compress(b"{}") + b"{}", "Content-Encoding: gzip"), b"", id="more behind it"),
    pytest.param(http("202 A", b"", "Content-Encoding: gzip"), b"", id="nothing"),
]


@pytest.mark.parametrize(("said", "read"), READ)
def test_the_coding_of_an_answer(said: bytes, read: bytes) -> None:
    """What is compressed with gzip is read as if it were not; what cannot be undone is an answer without content."""
    with bad_server(says(said)) as server:
        answer = post(connected(server))
        assert (answer.status, answer.body) == (202, read)
        assert server.requests[0].headers["accept-encoding"] == "gzip"


def test_a_bomb() -> None:
    """An answer that is small and would be huge is given up with no more memory than an answer may have."""
    bomb = packed(bytes(16 << 20))
    tracemalloc.start()
    try:
        with bad_server(says(bomb)) as server:
            assert reason(connected(server)) == "answer_too_large"
        assert tracemalloc.get_traced_memory()[1] < 6 * MAX_ANSWER
    finally:
        tracemalloc.stop()


def test_a_server_that_says_nothing() -> None:
    """A silent server is given up at the deadline."""

    def behave(_: socket.socket, __: Request) -> None:
        server.ended.wait()

    with bad_server(behave) as server:
        assert reason(connected(server, seconds=SHORT_SECONDS)) == "timeout"


@pytest.mark.parametrize(
    "beginning", [b"", http("202 A", b"")[:-4] + b"\r\nX: ", b"HTTP/1.1 202 A\r\nContent-Length: 999\r\n\r\n"]
)
def test_a_server_that_drips(beginning: bytes) -> None:
    """A server that sends a byte now and then, and so is never silent, is given up at the deadline as well."""

    def behave(accepted: socket.socket, _: Request) -> None:
        accepted.sendall(beginning)
        while not server.ended.wait(SHORT_SECONDS / 10):
            accepted.sendall(b"H" if not beginning else b"1")

    with bad_server(behave) as server:
        connection = connected(server, seconds=SHORT_SECONDS)
        assert reason(connection) in {"timeout", "broken"}


def test_a_redirect_is_not_followed() -> None:
    """A redirect is an answer like any other, and whoever it names gets neither report nor token."""
    with bad_server(says(http("202 Accepted"))) as other:
        moved = http("308 Moved", b"", f"Location: http://localhost:{other.port}/")
        with bad_server(says(moved)) as server:
            assert post(connected(server)).status == 308
        assert not other.requests


def test_nobody_there() -> None:
    """A port that nobody listens on, and a name that nobody knows, are unreachable."""
    with bad_server(says()) as server:
        port = server.port
    gone = Connection(Settings(endpoint=f"http://localhost:{port}", token="t"))
    assert reason(gone) == "unreachable"
    assert reason(Connection(Settings(endpoint="https://gate.invalid", token="t"))) == "unreachable"


def test_without_tls_it_stays_on_this_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    """A name of this machine that resolves to another one gets nothing without TLS."""
    with bad_server(says(http("202 Accepted"))) as server:
        monkeypatch.setattr(ipaddress.IPv4Address, "is_loopback", False)
        connection = Connection(Settings(endpoint=f"http://gate.localhost:{server.port}", token="t"))
        monkeypatch.setattr(socket, "getaddrinfo", lambda *_, **__: [(2, 1, 6, "", ("127.0.0.1", server.port))])
        assert reason(connection) == "unreachable"
        assert not server.requests


def test_a_refusal_before_the_body_was_read() -> None:
    """A server that answers and hangs up while the body is still on its way is heard."""

    def refuse(accepted: socket.socket) -> None:
        accepted.recv(1 << 12)
        accepted.sendall(http("401 Unauthorized", b"{}", "Connection: close"))
        accepted.shutdown(socket.SHUT_WR)
        while accepted.recv(1 << 20):
            pass

    with bad_server(says(), talk=refuse) as server:
        assert post(connected(server), bytes(900_000)).status == 401


@pytest.fixture(scope="module")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Certificates that sign themselves, and their keys: of localhost, of somebody else, and one that has expired."""
    folder = tmp_path_factory.mktemp("certificates")
    for name, host, days in (("good", "localhost", 1), ("other", "gate.example", 1), ("expired", "localhost", -1)):
        _certificate(folder / name, host, days)
    return folder


def _certificate(file: Path, host: str, days: int) -> None:
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, host)])
    now = dt.datetime.now(dt.UTC)
    made = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - dt.timedelta(days=2))
        .not_valid_after(now + dt.timedelta(days=days))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName(host)]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    plain = serialization.NoEncryption()
    pem, form = serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8
    file.write_bytes(made.public_bytes(pem) + key.private_bytes(pem, form, plain))


def serving(certificate: Path) -> ssl.SSLContext:
    """TLS of a server with this certificate."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate)
    return context


def test_tls(certificates: Path) -> None:
    """A certificate of an authority that the settings name is enough."""
    good = certificates / "good"
    with bad_server(says(http("202 Accepted", b"{}")), serving(good)) as server:
        connection = connected(server, scheme="https", ca_file=str(good))
        assert post(connection, bytes(900_000)).status == 202


CERTIFICATES = [
    pytest.param("good", None, "certificate", id="of an unknown authority"),
    pytest.param("other", "other", "certificate", id="of another host"),
    pytest.param("expired", "expired", "certificate", id="expired"),
    pytest.param("good", "nowhere", "ca_file", id="a file that is not there"),
]


@pytest.mark.parametrize(("shown", "trusted", "why"), CERTIFICATES)
def test_a_wrong_certificate(certificates: Path, shown: str, trusted: str | None, why: str) -> None:
    """A server that cannot prove who it is gets neither report nor token."""
    ca_file = None if trusted is None else str(certificates / trusted)
    with bad_server(says(http("202 Accepted")), serving(certificates / shown)) as server:
        assert reason(connected(server, scheme="https", ca_file=ca_file)) == why
        assert not server.requests


def test_no_tls_at_the_other_end() -> None:
    """A server that speaks no TLS is found out."""
    with bad_server(says(), talk=lambda accepted: accepted.sendall(b"HTTP/1.1 400 Bad Request\r\n\r\n")) as server:
        assert reason(connected(server, scheme="https", seconds=5.0)) == "tls"


def test_a_proxy(certificates: Path) -> None:
    """A proxy of the settings is asked for a tunnel, with its own password and without the gate's token."""
    good = certificates / "good"
    with bad_server(says(http("407 No"))) as proxy:
        with bad_server(says(http("202 Accepted")), serving(good)) as gate:
            url = f"http://us%20er:pass@localhost:{proxy.port}"
            connection = connected(gate, scheme="https", ca_file=str(good), proxy=url)
            assert reason(connection) == "proxy"
            (asked,) = proxy.requests
            assert asked.line.startswith(f"CONNECT localhost:{gate.port} ")
        assert asked.headers["proxy-authorization"] == "Basic dXMgZXI6cGFzcw=="
        assert "authorization" not in asked.headers


@pytest.mark.parametrize("beginning", [b"", b"HTTP/1.1 200 OK\r\nX: "])
def test_a_proxy_that_drips(beginning: bytes) -> None:
    """A proxy that sends a byte of its answer now and then is given up at the deadline as well."""
    told = 0

    def behave(accepted: socket.socket, _: Request) -> None:
        nonlocal told
        accepted.sendall(beginning)
        while not proxy.ended.wait(SHORT_SECONDS / 10) and told < MOST_DRIPS:
            accepted.sendall(b"1" if beginning else b"H")
            told += 1

    with bad_server(behave) as proxy:
        settings = Settings(endpoint="https://gate.example", token="t", proxy=f"http://localhost:{proxy.port}")
        assert reason(Connection(settings, seconds=SHORT_SECONDS)) == "timeout"
    assert told < MOST_DRIPS


def test_a_name_of_many_addresses(monkeypatch: pytest.MonkeyPatch) -> None:
    """The second address of a name is taken where nobody is at the first, and all of them share the deadline."""
    with bad_server(says()) as gone:
        nobody = (2, 1, 6, "", ("127.0.0.1", gone.port))
    with bad_server(says(http("202 Accepted", b"{}"))) as server:
        there = (2, 1, 6, "", ("127.0.0.1", server.port))
        monkeypatch.setattr(socket, "getaddrinfo", lambda *_, **__: [nobody, there])
        assert post(connected(server)).status == 202
        assert reason(connected(server, seconds=0.0)) == "timeout"


@pytest.mark.parametrize(("setting", "asked"), [(None, 0), ("environment", 1)])
def test_a_proxy_of_the_environment(
    certificates: Path, monkeypatch: pytest.MonkeyPatch, setting: str | None, asked: int
) -> None:
    """HTTPS_PROXY is followed where the settings say so, and is a surprise to nobody else."""
    good = certificates / "good"
    with (
        bad_server(says(http("502 No"))) as proxy,
        bad_server(says(http("202 Accepted")), serving(good)) as gate,
    ):
        monkeypatch.setenv("HTTPS_PROXY", f"http://localhost:{proxy.port}")
        connection = connected(gate, scheme="https", ca_file=str(good), proxy=setting)
        if asked:
            assert reason(connection) == "proxy"
        else:
            assert post(connection).status == 202
        assert len(proxy.requests) == asked
