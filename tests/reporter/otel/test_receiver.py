"""The receiver on loopback, with OpenTelemetry's real exporter and with clients that ask for what they should not."""

import gzip
import json
import socket
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from http.client import HTTPConnection, HTTPResponse
from typing import Any

import pytest
from opentelemetry.exporter.otlp.proto.http import Compression
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceResponse
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor

from reporter.clock import SystemClock
from reporter.otel import body
from reporter.otel.handler import PATH
from reporter.otel.receiver import MOST_BODIES, MOST_CONNECTIONS, MOST_LATE_MS, NotLoopback, Receiver
from reporter.otel.table import Table
from reporter.windows.task import Task
from tests.reporter.otel.made_spans import CHAT, MS, PLANTED, Taken
from tests.running_gate import eventually

JSON = {"Content-Type": "application/json"}
PROTOBUF = {"Content-Type": "application/x-protobuf"}


class Listening:
    """A receiver that runs, and who takes its tasks."""

    def __init__(self) -> None:
        self.taken = Taken()
        self.receiver = Receiver(self.taken, Table(), clock=SystemClock(), port=0)
        self.receiver.start()
        self.url = f"http://127.0.0.1:{self.receiver.port}{PATH}"

    def connection(self) -> HTTPConnection:
        return HTTPConnection("127.0.0.1", self.receiver.port, timeout=20)

    def post(self, content: bytes, headers: dict[str, str], path: str = PATH) -> tuple[HTTPResponse, bytes]:
        connection = self.connection()
        try:
            connection.request("POST", path, content, headers)
            answer = connection.getresponse()
            return answer, answer.read()
        finally:
            connection.close()


@pytest.fixture
def listening() -> Iterator[Listening]:
    """A receiver, closed at the end."""
    made = Listening()
    yield made
    made.receiver.close()


def a_request(*spans: dict[str, Any], **resource: str) -> bytes:
    """OTLP in JSON, as an exporter in a browser's language writes it."""
    attributes = [{"key": name.replace("__", "."), "value": {"stringValue": said}} for name, said in resource.items()]
    part = {"resource": {"attributes": attributes}, "scopeSpans": [{"spans": list(spans)}]}
    return json.dumps({"resourceSpans": [part]}).encode()


def a_span(number: int = 1, *, ended_ns: int | None = None, **more: Any) -> dict[str, Any]:
    """A request to a model in the same form, with a name that is nobody's business."""
    end = ended_ns or time.time_ns()
    attributes = [{"key": name, "value": {"stringValue": said}} for name, said in CHAT.items()]
    return {
        "traceId": "5B8EFFF798038103D269B633813FC60C", "spanId": f"{number:016x}", "name": PLANTED[0],
        "startTimeUnixNano": str(end - 250 * MS), "endTimeUnixNano": str(end), "attributes": attributes, **more,
    }  # fmt: skip


@pytest.mark.parametrize("compression", [Compression.NoCompression, Compression.Gzip])
def test_a_real_exporter_delivers(listening: Listening, compression: Compression) -> None:
    """Spans of an SDK arrive through its own exporter, each request once, and nothing that was planted in them."""
    provider = TracerProvider(resource=Resource({"tidegate.data_class": "internal", "service.name": PLANTED[4]}))
    provider.add_span_processor(BatchSpanProcessor(OTLPSpanExporter(listening.url, compression=compression)))
    start = provider.get_tracer(PLANTED[4]).start_as_current_span
    content = {"gen_ai.input.messages": PLANTED[0] * 500, "gen_ai.output.messages": PLANTED[1], "user.id": PLANTED[2]}
    for _ in range(50):
        agent, chat = {"gen_ai.operation.name": "invoke_agent"}, {**CHAT, **content}
        with start(PLANTED[3], attributes=agent), start("chat", attributes=chat) as span:
            span.set_attribute("gen_ai.usage.input_tokens", 10)
    assert provider.force_flush()
    provider.shutdown()
    tasks = listening.taken.tasks
    assert [(task.data_class, task.tokens_in, task.actual_route) for task in tasks] == [
        ("internal", 10, "managed_cloud")
    ] * 50
    assert listening.receiver.counts() | {"requests": 0} == {
        "requests": 0, "refused": 0, "spans": 100, "tasks": 50, "too_late": 0, "failed": 0,
    }  # fmt: skip


def test_the_same_spans_again_count_once(listening: Listening) -> None:
    """An exporter that had no answer sends again, and no task is counted twice."""
    for _ in range(3):
        answer, _content = listening.post(a_request(a_span(1), a_span(2)), JSON)
        assert answer.status == 200
    assert len(listening.taken.tasks) == 2


def test_what_is_above_a_request_may_come_later(listening: Listening) -> None:
    """The span of a framework, which ends after its client's and may come in a later batch, is not counted again."""
    listening.post(a_request(a_span(2, parentSpanId=f"{1:016x}")), JSON)
    listening.post(a_request(a_span(1)), JSON)
    assert len(listening.taken.tasks) == 1


@pytest.mark.parametrize(
    ("ago_ms", "taken"),
    [
        pytest.param(MOST_LATE_MS - 60_000, True, id="in time"),
        pytest.param(MOST_LATE_MS + 60_000, False, id="too late"),
        pytest.param(-MOST_LATE_MS - 60_000, False, id="yet to come"),
    ],
)
def test_a_task_of_another_time_is_not_taken(listening: Listening, ago_ms: int, taken: bool) -> None:
    """What ended long ago would be counted in the wrong window, and the sender is told, as of a partial success."""
    answer, content = listening.post(a_request(a_span(1, ended_ns=time.time_ns() - ago_ms * MS), a_span(2)), JSON)
    assert answer.status == 200
    assert len(listening.taken.tasks) == 1 + taken
    assert json.loads(content).get("partialSuccess", {}).get("rejectedSpans") == (None if taken else "1")


def test_an_empty_request_succeeds(listening: Listening) -> None:
    """A request without spans is answered with success, as the specification says."""
    answer, content = listening.post(b"", PROTOBUF)
    assert (answer.status, answer.headers["Content-Type"]) == (200, "application/x-protobuf")
    assert ExportTraceServiceResponse.FromString(content) == ExportTraceServiceResponse()


@pytest.mark.parametrize(
    ("headers", "path", "status"),
    [
        pytest.param(JSON | {"Origin": "https://example.org"}, PATH, 403, id="a web page"),
        pytest.param(JSON | {"Origin": "null"}, PATH, 403, id="a web page without an origin"),
        pytest.param(JSON | {"Sec-Fetch-Site": "same-origin"}, PATH, 403, id="a browser"),
        pytest.param(JSON | {"Host": "rebound.example.org"}, PATH, 403, id="a foreign name that leads here"),
        pytest.param(JSON | {"Host": "localhost.example.org:4318"}, PATH, 403, id="one that begins like this machine"),
        pytest.param(JSON | {"Host": ""}, PATH, 403, id="no name"),
        pytest.param(JSON | {"Host": "localhost:4318"}, PATH, 200, id="this machine by its name"),
        pytest.param(JSON | {"Host": "[::1]:4318"}, PATH, 200, id="this machine by its address"),
        pytest.param(JSON, "/v1/metrics", 404, id="metrics"),
        pytest.param(JSON, "/", 404, id="elsewhere"),
        pytest.param({"Content-Type": "text/plain"}, PATH, 415, id="what a page may send unasked"),
        pytest.param({}, PATH, 415, id="no type"),
        pytest.param(JSON | {"Content-Encoding": "br"}, PATH, 415, id="another coding"),
        pytest.param(JSON | {"Content-Encoding": "gzip"}, PATH, 400, id="gzip that is none"),
        pytest.param({"Content-Type": "application/json; charset=utf-8"}, PATH, 200, id="with a parameter"),
        pytest.param(PROTOBUF, PATH, 400, id="JSON for Protobuf"),
    ],
)
def test_who_may_ask_for_what(listening: Listening, headers: dict[str, str], path: str, status: int) -> None:
    """Only spans, from this machine, in a form that is understood; a refusal is in the specification's form."""
    answer, content = listening.post(a_request(a_span()), headers, path)
    assert answer.status == status
    assert len(listening.taken.tasks) == (status == 200)
    assert PLANTED[0].encode() not in content
    if status != 200 and headers is not PROTOBUF:
        assert list(json.loads(content)) == ["message"]
    assert not {name.lower() for name, _ in answer.getheaders()} & {"access-control-allow-origin", "server", "date"}


@pytest.mark.parametrize("method", ["GET", "OPTIONS", "PUT", "HEAD", PLANTED[4]])
def test_other_methods_are_refused(listening: Listening, method: str) -> None:
    """Nothing but POST is known here, and the refusal does not repeat the method."""
    connection = listening.connection()
    connection.request(method, f"/{PLANTED[4]}")
    answer = connection.getresponse()
    assert (answer.status, answer.headers["Allow"]) == (405, "POST")
    assert PLANTED[4].encode() not in answer.read()
    connection.close()


@pytest.mark.parametrize(
    "sent",
    [
        pytest.param(b"planted-tool\r\n\r\n", id="no HTTP"),
        pytest.param(b"POST / planted-tool\r\n\r\n", id="no version"),
        pytest.param(b"POST " + b"/planted-tool" * 9000 + b" HTTP/1.1\r\n\r\n", id="a long path"),
        pytest.param(b"POST / HTTP/1.1\r\n" + b"planted-tool: a\r\n" * 200 + b"\r\n", id="many headers"),
        pytest.param(b"POST / HTTP/9.9\r\n\r\n", id="a version of nobody"),
        pytest.param(b"\x16\x03\x01planted-tool\r\n\r\n", id="TLS"),
    ],
)
def test_what_is_no_http_is_refused(listening: Listening, sent: bytes, capfd: pytest.CaptureFixture[str]) -> None:
    """Bytes of another protocol get a refusal or a closed connection, and are repeated nowhere."""
    with socket.create_connection(("127.0.0.1", listening.receiver.port), timeout=20) as client:
        client.sendall(sent)
        with suppress(OSError):  # hung up on already
            client.shutdown(socket.SHUT_WR)
        content = client.makefile("rb").read()
    assert b"planted-tool" not in content
    assert capfd.readouterr() == ("", "")
    assert listening.post(b"{}", JSON)[0].status == 200


def chunked(content: bytes) -> bytes:
    """A body in one chunk, with everything that may stand around it."""
    return b"%x;planted=1\r\n%b\r\n0\r\nTrailer: a\r\n\r\n" % (len(content), content)


@pytest.mark.parametrize(
    ("framing", "content", "status"),
    [
        pytest.param(b"Transfer-Encoding: chunked", chunked(a_request(a_span())), 200, id="chunks"),
        pytest.param(b"Transfer-Encoding: chunked", b"zz\r\n", 400, id="no size of a chunk"),
        pytest.param(b"Transfer-Encoding: chunked", b"1\r\nab\r\n", 400, id="a chunk longer than it says"),
        pytest.param(b"Transfer-Encoding: chunked", b"0\r\n" + b"a: b\r\n" * 17, 400, id="lines without an end"),
        pytest.param(b"Transfer-Encoding: chunked", b"1" * 300, 400, id="a size without an end"),
        pytest.param(b"Transfer-Encoding: gzip, chunked", b"", 400, id="two codings"),
        pytest.param(b"Transfer-Encoding: chunked\r\nContent-Length: 2", b"{}", 400, id="two lengths"),
        pytest.param(b"Content-Length: +2", b"{}", 400, id="no number"),
        pytest.param(b"Content-Length: 99999999999999999999", b"", 400, id="no length of anything"),
        pytest.param(b"Content-Length: 99", b"{}", None, id="hung up within"),
        pytest.param(b"Transfer-Encoding: chunked", b"5\r\nab", None, id="hung up within a chunk"),
    ],
)
def test_bodies_as_they_come(listening: Listening, framing: bytes, content: bytes, status: int | None) -> None:
    """A body has a length or is in chunks; what is neither is refused, and what does not end is dropped."""
    head = b"POST /v1/traces HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n" + framing + b"\r\n\r\n"
    with socket.create_connection(("127.0.0.1", listening.receiver.port), timeout=20) as client:
        client.sendall(head + content)
        with suppress(OSError):  # answered and hung up on already
            client.shutdown(socket.SHUT_WR)
        first = client.makefile("rb").readline()
    assert first.split()[1:2] == ([] if status is None else [b"%d" % status])


@pytest.mark.parametrize("headers", [JSON, JSON | {"Content-Encoding": "gzip"}], ids=["plain", "gzip"])
def test_too_much_is_refused(listening: Listening, headers: dict[str, str]) -> None:
    """A body over the limit, before or after decompression, gets 413, which is not sent again."""
    content = b" " * (body.MAX_BYTES + 1)
    answer, told = listening.post(gzip.compress(content, 1) if "Content-Encoding" in headers else content, headers)
    assert answer.status == 413
    assert b"8 MiB" in told
    assert listening.post(content[:-1].replace(b"  ", b"{}", 1), JSON)[0].status == 200


@pytest.mark.parametrize("alter", [lambda packed: packed[:-4], lambda packed: packed + b"more"], ids=["cut", "longer"])
def test_gzip_ends_where_it_says(listening: Listening, alter: Callable[[bytes], bytes]) -> None:
    """A compressed body that is cut, or goes on behind its end, is refused."""
    headers = JSON | {"Content-Encoding": "gzip"}
    assert listening.post(alter(gzip.compress(a_request(a_span()))), headers)[0].status == 400
    assert listening.post(gzip.compress(a_request(a_span())), headers)[0].status == 200


def test_a_full_receiver_asks_to_come_back(listening: Listening) -> None:
    """Who comes while others send is told when to send again, and is taken then."""
    slow = [listening.connection() for _ in range(MOST_BODIES)]
    for connection in slow:
        connection.putrequest("POST", PATH)
        connection.putheader("Content-Type", "application/json")
        connection.putheader("Content-Length", "2")
        connection.endheaders(b"{")
    # Who looks before both are being read takes the place of one of them.
    eventually(lambda: listening.receiver.bodies._value == 0, "both bodies are being read")
    eventually(lambda: _asked_to_come_back(listening), "the receiver is full")
    for connection in slow:
        connection.send(b"}")
        assert connection.getresponse().status == 200
        connection.close()
    assert listening.post(a_request(a_span()), JSON)[0].status == 200


def _asked_to_come_back(listening: Listening) -> bool:
    answer, _ = listening.post(a_request(), JSON)
    return (answer.status, answer.headers["Retry-After"]) == (429, "1")


def test_connections_are_bounded(listening: Listening) -> None:
    """One more connection than there may be is hung up on, and those before it go on."""
    held = [listening.connection() for _ in range(MOST_CONNECTIONS)]
    for connection in held:
        connection.request("POST", PATH, b"{}", JSON)
        assert connection.getresponse().read() == b"{}"
    with socket.create_connection(("127.0.0.1", listening.receiver.port), timeout=20) as one_more:
        assert one_more.recv(1) == b""
    held[0].request("POST", PATH, b"{}", JSON)
    assert held[0].getresponse().status == 200
    for connection in held:
        connection.close()
    eventually(lambda: _served(listening), "a connection is free again")


def _served(listening: Listening) -> bool:
    try:
        return listening.post(b"{}", JSON)[0].status == 200
    except OSError:
        return False


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "192.0.2.1", "example.org", ""])  # noqa: S104  # to be refused
def test_it_listens_nowhere_else(host: str) -> None:
    """An address that others could reach is refused before anything listens."""
    with pytest.raises(NotLoopback, match=r"127\.0\.0\.1, ::1 or localhost"):
        Receiver(Taken(), Table(), clock=SystemClock(), host=host, port=0)


def test_a_port_in_use_is_an_error(listening: Listening) -> None:
    """Two receivers cannot share a port."""
    with pytest.raises(OSError, match="in use"):
        Receiver(Taken(), Table(), clock=SystemClock(), port=listening.receiver.port)


def test_it_can_be_closed_before_it_starts() -> None:
    """A receiver that never ran lets go of its port."""
    receiver = Receiver(Taken(), Table(), clock=SystemClock(), port=0)
    port = receiver.port
    receiver.close()
    Receiver(Taken(), Table(), clock=SystemClock(), port=port).close()


class Broken:
    """A reporter that fails against its promise."""

    def take(self, task: Task) -> None:
        raise RuntimeError(PLANTED[0], task)


def test_a_fault_is_counted_and_not_printed(capfd: pytest.CaptureFixture[str]) -> None:
    """An error behind the receiver ends the connection, is counted, and nothing of it is written anywhere."""
    receiver = Receiver(Broken(), Table(), clock=SystemClock(), port=0)
    receiver.start()
    connection = HTTPConnection("127.0.0.1", receiver.port, timeout=20)
    connection.request("POST", PATH, a_request(a_span()), JSON)
    with pytest.raises(OSError, match="Remote end closed"):
        connection.getresponse()
    eventually(lambda: receiver.counts()["failed"] == 1, "the fault is counted")
    receiver.close()
    assert capfd.readouterr() == ("", "")
