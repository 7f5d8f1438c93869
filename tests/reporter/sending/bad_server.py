"""A server that answers as a test wants it to: real sockets, and whatever bytes it is told to send."""

import socket
import ssl
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress

from tests.running_gate import PATIENCE_SECONDS

Behaviour = Callable[[socket.socket, "Request"], None]
Talk = Callable[[socket.socket], None]


class Request:
    """What a client sent, read to the end of its body."""

    def __init__(self, head: bytes, body: bytes) -> None:
        lines = head.decode("latin-1").split("\r\n")
        self.line = lines[0]
        self.headers = {name.lower(): text for name, _, text in (line.partition(": ") for line in lines[1:] if line)}
        self.body = body


class BadServer:
    """Answers every request by `behave`, and keeps what it was asked."""

    def __init__(self, behave: Behaviour, context: ssl.SSLContext | None, talk: Talk | None) -> None:
        self.behave = behave
        self._how = talk or self._answer
        self.requests: list[Request] = []
        self.connections = 0
        self._context = context
        self._listening = socket.create_server(("127.0.0.1", 0))
        self._open: list[socket.socket] = []
        self.ended = threading.Event()
        self._thread = threading.Thread(target=self._serve, daemon=True)
        self._thread.start()

    @property
    def port(self) -> int:
        return int(self._listening.getsockname()[1])

    def close(self) -> None:
        """Hang up on everybody."""
        self.ended.set()
        with suppress(OSError):
            self._listening.shutdown(socket.SHUT_RDWR)
        self._listening.close()
        for one in self._open:
            one.close()
        self._thread.join(PATIENCE_SECONDS)

    def _serve(self) -> None:
        with suppress(OSError):
            while True:
                accepted, _ = self._listening.accept()
                self.connections += 1
                threading.Thread(target=self._talk, args=(accepted,), daemon=True).start()

    def _talk(self, accepted: socket.socket) -> None:
        self._open.append(accepted)
        with suppress(OSError, ValueError):
            if self._context is not None:
                accepted = self._context.wrap_socket(accepted, server_side=True)
                self._open.append(accepted)
            self._how(accepted)
        accepted.close()

    def _answer(self, accepted: socket.socket) -> None:
        with suppress(OSError, ValueError):
            while (request := self._read(accepted)) is not None:
                self.requests.append(request)
                self.behave(accepted, request)

    def _read(self, accepted: socket.socket) -> Request | None:
        read = b""
        while b"\r\n\r\n" not in read:
            part = accepted.recv(1 << 16)
            if not part:
                return None
            read += part
        head, _, body = read.partition(b"\r\n\r\n")
        request = Request(head, b"")
        while len(body) < int(request.headers.get("content-length", "0")):
            body += accepted.recv(1 << 16)
        return Request(head, body)


@contextmanager
def bad_server(
    behave: Behaviour, context: ssl.SSLContext | None = None, *, talk: Talk | None = None
) -> Iterator[BadServer]:
    """A server on a free port of this machine, gone with the block; `talk` instead of reading requests at all."""
    server = BadServer(behave, context, talk)
    try:
        yield server
    finally:
        server.close()


def says(*parts: bytes) -> Behaviour:
    """Send these bytes and hang up."""

    def behave(accepted: socket.socket, _: Request) -> None:
        for part in parts:
            accepted.sendall(part)
        accepted.close()

    return behave


def http(status: str, body: bytes = b"", *headers: str) -> bytes:
    """A whole answer of HTTP."""
    head = [f"HTTP/1.1 {status}", f"Content-Length: {len(body)}", *headers, "", ""]
    return "\r\n".join(head).encode() + body
