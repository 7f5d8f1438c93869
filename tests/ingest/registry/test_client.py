"""A gate and a registry that is not its own: what is asked, and that whatever it says instead refuses a start."""

import contextlib
import socket
import threading
from collections.abc import Iterator
from itertools import count
from typing import Any

import pytest

from ingest.clock import ManualClock
from ingest.log.memory import MemoryLog
from ingest.registry.client import ALL_SECONDS, MAX_SAID, Credentials, RegistryClient, RegistryFailed
from ingest.registry.ids import RegisteredIds, Registration
from ingest.schema_topic import written
from schemas.catalogue import load_catalogue
from schemas.errors import ContractError
from schemas.framing import confluent
from tests.ingest.registry.stand_in import Reply, StandIn, reply, stand_in

CATALOGUE = load_catalogue()
WRITTEN = written(CATALOGUE)
DOCUMENT = WRITTEN[0].document
SUBJECT = "a-topic-value"
PASSWORD = "a secret of the registry"


@pytest.fixture
def registry() -> Iterator[StandIn]:
    """A registry that holds what it is given."""
    with stand_in() as running:
        yield running


@pytest.fixture(autouse=True)
def _patient_calls(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("ingest.registry.client.CALL_SECONDS", 60)


def test_what_the_registry_lacks_is_registered(registry: StandIn) -> None:
    """A schema is looked up, registered where it is not there yet, and read back; the next time nothing is written."""
    client = RegistryClient(registry.url + "/")
    assert client.register_all([(SUBJECT, DOCUMENT)]) == [1]
    assert [(method, path) for method, path, _ in registry.seen] == [
        ("POST", f"/subjects/{SUBJECT}"),
        ("POST", f"/subjects/{SUBJECT}/versions"),
        ("GET", "/schemas/ids/1"),
    ]
    registry.seen.clear()
    assert client.register_all([(SUBJECT, DOCUMENT)]) == [1]
    assert [path for _, path, _ in registry.seen] == [f"/subjects/{SUBJECT}", "/schemas/ids/1"]


def test_the_password_goes_with_every_call(registry: StandIn) -> None:
    """Every call carries the user and the password as HTTP Basic, and neither the client nor an error shows it."""
    client = RegistryClient(registry.url, credentials=Credentials("tidegate", PASSWORD))
    client.register_all([(SUBJECT, DOCUMENT)])
    assert {sent for *_, sent in registry.seen} == {"Basic dGlkZWdhdGU6YSBzZWNyZXQgb2YgdGhlIHJlZ2lzdHJ5"}
    assert PASSWORD not in repr(Credentials("tidegate", PASSWORD))


def always(said: Reply) -> Any:
    """Answers every call."""
    return lambda *_: said


def on(end: str, said: Reply) -> Any:
    """Answers only the calls whose path ends so."""
    return lambda _, path, __: said if path.endswith(end) else None


FAILURES = [
    pytest.param(always(reply(401, {"message": "who?"})), "401: who?", "password_file", id="not logged in"),
    pytest.param(on("/versions", reply(403, {"message": "no"})), "403: no", "register", id="not allowed to write"),
    pytest.param(on("/versions", reply(409, {})), "409", "compatible", id="another schema there"),
    pytest.param(on("/versions", reply(404, {})), "404", "check", id="no registry at this path"),
    pytest.param(always(reply(500, ["not", "an", "object"])), "500", "check", id="broken"),
    pytest.param(always(Reply(503, b"\xff\xfe")), "503", "check", id="broken without words"),
    pytest.param(always(Reply(200, b"<html>")), "JSON", "check", id="a page"),
    pytest.param(always(reply(200, {})), "no id", "check", id="no id"),
    pytest.param(always(reply(200, {"id": 0})), "no id", "check", id="an id that is none"),
    pytest.param(always(reply(200, {"id": "7"})), "no id", "check", id="an id that is text"),
    pytest.param(always(reply(200, {"id": 2**31})), "no id", "check", id="an id beyond 31 bits"),
    pytest.param(always(reply(200, [])), "no id", "check", id="a list"),
    pytest.param(always(reply(302, {}, Location="http://127.0.0.1:1/")), "302", "check", id="a redirect"),
    pytest.param(on("ids/1", reply(200, {"schema": '"string"'})), "another schema", "between", id="another schema"),
    pytest.param(on("ids/1", reply(200, {"schema": 7})), "another schema", "between", id="no schema"),
    pytest.param(on("ids/1", reply(200, None)), "another schema", "between", id="nothing under the id"),
    pytest.param(on("ids/1", reply(404, {})), "404", "check", id="the id is not there"),
]


@pytest.mark.parametrize(("rule", "problem", "fix"), FAILURES)
def test_whatever_else_it_says_is_a_failure(rule: Any, problem: str, fix: str) -> None:
    """An answer that is not an id under which the schema can be read is told with what to do, and never guessed."""
    with stand_in(rule) as registry, pytest.raises(RegistryFailed) as failed:
        RegistryClient(registry.url).register_all([(SUBJECT, DOCUMENT)])
    assert problem in str(failed.value)
    assert fix in failed.value.fix


def test_a_redirect_is_not_followed() -> None:
    """A redirect to another host gets no request from the gate, and so no password."""
    with stand_in() as other, stand_in(lambda *_: reply(307, {}, Location=other.url)) as registry:
        client = RegistryClient(registry.url, credentials=Credentials("tidegate", PASSWORD))
        with pytest.raises(RegistryFailed, match="307"):
            client.register_all([(SUBJECT, DOCUMENT)])
        assert other.seen == []


def test_its_words_are_cut() -> None:
    """What a registry says in an error is passed on as one line of bounded length."""
    rule = always(reply(500, {"message": "x\n\x1b[0m" * 1000}))
    with stand_in(rule) as registry, pytest.raises(RegistryFailed) as failed:
        RegistryClient(registry.url).register_all([(SUBJECT, DOCUMENT)])
    assert str(failed.value).isprintable()
    assert len(str(failed.value)) < MAX_SAID + 100


def test_nobody_listens() -> None:
    """A registry that cannot be reached is told as that."""
    with socket.create_server(("127.0.0.1", 0)) as unused:
        port = unused.getsockname()[1]
    with pytest.raises(RegistryFailed, match="cannot be reached"):
        RegistryClient(f"http://127.0.0.1:{port}").register_all([(SUBJECT, DOCUMENT)])


def test_a_registry_that_hangs(monkeypatch: pytest.MonkeyPatch) -> None:
    """A registry that takes the connection and says nothing is given up after the time of one call."""
    monkeypatch.setattr("ingest.registry.client.CALL_SECONDS", 0.05)
    with socket.create_server(("127.0.0.1", 0)) as silent:
        url = f"http://127.0.0.1:{silent.getsockname()[1]}"
        with pytest.raises(RegistryFailed, match="cannot be reached"):
            RegistryClient(url).register_all([(SUBJECT, DOCUMENT)])


DROPS = 500
DRIPPING = [
    pytest.param(b"HTTP/1.1 200 OK\r\na: ", b"b", id="headers without end"),
    pytest.param(b"HTTP/1.1 200 OK\r\ncontent-length: 99999999\r\n\r\n", b" ", id="an answer without end"),
    pytest.param(b"HTTP/1.1 500 No\r\ncontent-length: 99999999\r\n\r\n", b" ", id="a refusal without end"),
    pytest.param(b"", b"H", id="a status without end"),
]


@pytest.mark.parametrize(("head", "drop"), DRIPPING)
def test_a_registry_that_drips(monkeypatch: pytest.MonkeyPatch, head: bytes, drop: bytes) -> None:
    """A registry that always has a byte more to send in time is given up after the time of one call as well."""
    monkeypatch.setattr("ingest.registry.client.CALL_SECONDS", 0.2)
    over, endured = threading.Event(), threading.Event()

    def drip(listening: socket.socket) -> None:
        connection, _ = listening.accept()
        with connection, contextlib.suppress(OSError):
            connection.sendall(head)
            for _ in range(DROPS):
                if over.wait(0.01):
                    return
                connection.sendall(drop)
            endured.set()

    with socket.create_server(("127.0.0.1", 0)) as listening:
        dripping = threading.Thread(target=drip, args=(listening,))
        dripping.start()
        client = RegistryClient(f"http://127.0.0.1:{listening.getsockname()[1]}")
        try:
            with pytest.raises(RegistryFailed, match=r"cannot be reached|refused with 500"):
                client.register_all([(SUBJECT, DOCUMENT)])
            assert not endured.is_set()
        finally:
            over.set()
            dripping.join()


def test_all_calls_together_have_a_time(registry: StandIn) -> None:
    """A registry that answers, but slowly, does not hold up a start for longer than the time of all calls."""
    clock = count(0, ALL_SECONDS / 3)
    client = RegistryClient(registry.url, monotonic=lambda: next(clock))
    with pytest.raises(RegistryFailed, match="more than 30 s"):
        client.register_all([(f"{SUBJECT}-{number}", DOCUMENT) for number in range(9)])


@pytest.mark.parametrize(
    "url",
    [
        "registry:8081",
        "ftp://registry",
        "file:///etc/passwd",
        "http://",
        "http://user:password@registry:8081",
        "http://registry:8081/?token=1",
        "http://registry:8081/?",
        "https://:secret@registry",
        "https://@registry",
        "https://secret%40registry@registry",
        "https://registry:8081/#secret",
        "https://registry:8081/#",
        "https://registry:port",
        "https://registry:65536",
        "https://registry:0",
        "https://[registry",
    ],
)
def test_what_is_no_url_of_a_registry(url: str) -> None:
    """Only http and https are asked, and a password has its own setting: errors and log lines name the URL."""
    with pytest.raises(ValueError, match="is http") as refused:
        RegistryClient(url)
    assert url not in str(refused.value)
    assert "secret" not in str(refused.value)


async def test_a_gate_writes_under_the_ids_given(registry: StandIn) -> None:
    """Each schema is registered as the value of its Kafka topic, prefix included, and framed with the id it got."""
    log = MemoryLog()
    client = RegistryClient(registry.url)
    prepared = Registration(log, ids=RegisteredIds(client, topic_prefix="eu."), clock=ManualClock(0))
    await prepared.prepare(CATALOGUE)
    assert set(registry.subjects) == {f"eu.{schema.topic}-value" for schema in WRITTEN}
    for schema in WRITTEN:
        (schema_id,) = registry.subjects[f"eu.{schema.topic}-value"]
        assert prepared.framing.prefix(schema.topic or "", schema.fingerprint) == confluent(schema_id)


async def test_a_registry_that_fails_refuses_the_catalogue() -> None:
    """Where one call fails, the catalogue is refused with the registry's URL, and the log has nothing of it."""
    with stand_in(on("control-value", reply(500, {"message": "full"}))) as registry:
        log = MemoryLog()
        prepared = Registration(log, ids=RegisteredIds(RegistryClient(registry.url)), clock=ManualClock(0))
        with pytest.raises(ContractError) as refused:
            await prepared.prepare(CATALOGUE)
    (finding,) = refused.value.findings
    assert finding.file == registry.url
    assert "full" in finding.problem
    assert await log.partitions() == []
    with pytest.raises(KeyError):
        prepared.framing.prefix(WRITTEN[0].topic or "", WRITTEN[0].fingerprint)
