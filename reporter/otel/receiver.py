"""OTLP over HTTP on this machine alone, for applications that cannot be changed but can be told where to send spans.

    receiver = Receiver(reporter, table, clock=SystemClock())
    receiver.start()                                # 127.0.0.1:4318, OTLP's own port
    receiver.close()

The rules:

- It listens on the loopback and nowhere else, and answers nobody who asks for another host or comes from a web page: a
  page that a person visits could else post to it.
- What is asked of it is `POST /v1/traces`, in Protobuf or JSON, plain or gzip; answers are those of the specification.
- It keeps nothing and writes nothing: no log, no file, no name out of a span in an answer.
- It is bounded: connections, bodies at once, bytes, seconds. Who finds it full is asked to come back.
"""

from collections.abc import Iterable
from contextlib import suppress
from ipaddress import ip_address
from socket import AF_INET, AF_INET6, SHUT_WR, create_connection, socket
from socketserver import TCPServer, ThreadingMixIn
from threading import BoundedSemaphore, Event, Lock, Thread
from typing import Any

from reporter.clock import Clock
from reporter.otel.body import PIECE
from reporter.otel.conventions import conventions
from reporter.otel.handler import Handler
from reporter.otel.intake import Intake, Takes
from reporter.otel.spans import Span
from reporter.otel.table import Table

LOOPBACK = "127.0.0.1"
PORT = 4318
"""Where exporters send OTLP over HTTP unless they are told otherwise."""

MOST_CONNECTIONS = 32
MOST_BODIES = 2
"""Bodies that are read at once: 8 MiB each, twice that while they are decompressed and parsed."""

LINGER_SECONDS = 0.5
MOST_PIECES_LINGERING = 64
WAKE_SECONDS = 5.0
NS_PER_MS = 1_000_000

MOST_LATE_MS = 15 * 60_000
"""Tasks are counted in the window in which they are told. Exporters send every few seconds and try again for a minute
or two; what ended longer ago, or is yet to end, belongs in a window of another time, and is not taken."""


class NotLoopback(ValueError):
    """The address would let others than this machine send spans."""


class _Server(ThreadingMixIn, TCPServer):
    """At most `MOST_CONNECTIONS` threads; who comes after is hung up on, and tries again."""

    allow_reuse_address = True
    daemon_threads = True
    block_on_close = False

    def __init__(self, address: tuple[str, int], receiver: "Receiver") -> None:
        self.address_family = AF_INET6 if ":" in address[0] else AF_INET
        self.receiver = receiver
        self._free = BoundedSemaphore(MOST_CONNECTIONS)
        super().__init__(address, Handler)

    def process_request(self, request: Any, client_address: Any) -> None:
        if not self._free.acquire(blocking=False):
            self.close_request(request)
            return
        try:
            super().process_request(request, client_address)
        except BaseException:  # whatever it was, no thread has the place now
            self._free.release()
            raise

    def process_request_thread(self, request: Any, client_address: Any) -> None:
        try:
            super().process_request_thread(request, client_address)
        finally:
            self._free.release()

    def shutdown_request(self, request: Any) -> None:
        """Reads on for a moment: a connection that ends with bytes unread takes the last answer with it."""
        with suppress(OSError):
            request.shutdown(SHUT_WR)
            request.settimeout(LINGER_SECONDS)
            for _ in range(MOST_PIECES_LINGERING):
                if not request.recv(PIECE):
                    break
        self.close_request(request)

    def handle_error(self, request: "socket | tuple[bytes, socket]", client_address: Any) -> None:
        """Counted, and not printed: a traceback could repeat what was sent."""
        del request, client_address
        self.receiver.count(failed=1)


class Receiver:
    """Listens once it exists, takes from `start` on. Raises `NotLoopback`, and OSError where the port is in use."""

    def __init__(self, to: Takes, table: Table, *, clock: Clock, host: str = LOOPBACK, port: int = PORT) -> None:
        host = LOOPBACK if host == "localhost" else host
        _must_be_loopback(host)
        self.clock = clock
        self._host = host
        self.wanted = conventions().wanted
        self.bodies = BoundedSemaphore(MOST_BODIES)
        self._to = to
        self._intake = Intake(table)
        self._counts = dict.fromkeys(("requests", "refused", "spans", "tasks", "too_late", "failed"), 0)
        self._lock = Lock()
        self._server = _Server((host, port), self)
        self._closed = Event()
        self._thread = Thread(target=self._serve, name="tidegate-otlp", daemon=True)

    @property
    def port(self) -> int:
        """Where it listens; of use where port 0 was asked for."""
        return int(self._server.server_address[1])

    def counts(self) -> dict[str, int]:
        """What came since it was made."""
        with self._lock:
            return dict(self._counts)

    def count(self, **more: int) -> None:
        """For the handler of requests."""
        with self._lock:
            for name, number in more.items():
                self._counts[name] += number

    def start(self) -> None:
        self._thread.start()

    def close(self) -> None:
        """Listens no longer; requests under way are answered or end with the process."""
        self._closed.set()
        if self._thread.is_alive():
            with suppress(OSError):
                create_connection((self._host, self.port), WAKE_SECONDS).close()
            self._thread.join(WAKE_SECONDS)
        self._server.server_close()

    def _serve(self) -> None:
        """Waits for connections, `close`'s among them, without waking up in between as `serve_forever` does."""
        while not self._closed.is_set():
            self._server.handle_request()

    def take(self, spans: Iterable[Span]) -> int:
        """Hands on the tasks among the spans; how many were not taken because they are of another time."""
        seen = taken = late = 0
        now_ns = self.clock.now_ms() * NS_PER_MS
        for span in spans:
            seen += 1
            task = self._intake.task(span)
            if task is None:
                continue
            if abs(now_ns - span.end_ns) > MOST_LATE_MS * NS_PER_MS:
                late += 1
                continue
            self._to.take(task)
            taken += 1
        self.count(spans=seen, tasks=taken, too_late=late)
        return late


def _must_be_loopback(host: str) -> None:
    try:
        here = ip_address(host).is_loopback
    except ValueError:
        here = False
    if not here:
        raise NotLoopback("the receiver listens on this machine alone: 127.0.0.1, ::1 or localhost")
