"""Where spans arrive: a receiver of OTLP/HTTP that keeps the bodies it got, and can say afterwards what was in them."""

import gzip
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from typing import Any, NamedTuple

from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

PATH = "/v1/traces"

NS_PER_MS = 1_000_000


class Span(NamedTuple):
    """What is read of a span; its length in milliseconds."""

    name: str
    attributes: dict[str, Any]
    length_ms: int


class Sink:
    """Listens on a free port of the loopback interface between `listening` and its end."""

    def __init__(self) -> None:
        self.bodies: list[bytes] = []
        self.port = 0

    @property
    def requests(self) -> int:
        """How many exports arrived."""
        return len(self.bodies)

    def spans(self) -> Iterator[Span]:
        """Every span that arrived."""
        for body in self.bodies:
            request = ExportTraceServiceRequest.FromString(gzip.decompress(body))
            for of_resource in request.resource_spans:
                for of_scope in of_resource.scope_spans:
                    for span in of_scope.spans:
                        length = span.end_time_unix_nano - span.start_time_unix_nano
                        attributes = {one.key: _value(one.value) for one in span.attributes}
                        yield Span(span.name, attributes, length // NS_PER_MS)

    @contextmanager
    def listening(self) -> Iterator["Sink"]:
        """Takes spans for the length of the block."""
        with ThreadingHTTPServer(("127.0.0.1", 0), _handler(self.bodies)) as server:
            self.port = server.server_address[1]
            Thread(target=server.serve_forever, daemon=True).start()
            try:
                yield self
            finally:
                server.shutdown()


def _handler(bodies: list[bytes]) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:
            bodies.append(self.rfile.read(int(self.headers["Content-Length"])))
            self.send_response(200)
            self.send_header("Content-Type", "application/x-protobuf")
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, format: str, *arguments: object) -> None:  # noqa: A002  # as the base class has it
            del format, arguments

    return Handler


def _value(value: Any) -> Any:
    return getattr(value, value.WhichOneof("value"))
