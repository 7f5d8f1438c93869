"""HTTP/1.1 to the gate over the standard library's client: one connection, kept while there is more to say.

* The certificate is verified, against the system's authorities or those of `ca_file`, and nothing switches that off.
  Without TLS it goes to this machine and nowhere else, whatever the name resolves to.
* An exchange has a deadline as a whole, connecting and the proxy's part included: a server or a proxy that sends a byte
  now and then is given up like one that is silent. Only the system's own look-up of a name ends when that does.
* An answer is bounded, and so is what it decompresses to: gzip is asked for. One in a coding that cannot be undone has
  no content. Redirects are not followed: the token goes to the endpoint or nowhere.
* A proxy is used if the settings name one, or say that the environment does.
"""

import io
import os
import socket
import time
import zlib
from base64 import b64encode
from collections.abc import Mapping
from contextlib import suppress
from http import HTTPStatus
from http.client import HTTPConnection, HTTPException, HTTPResponse, HTTPSConnection
from ipaddress import ip_address
from ssl import CERT_REQUIRED, SSLCertVerificationError, SSLContext, SSLError, create_default_context
from typing import Any, Protocol
from urllib.parse import unquote, urlsplit

from reporter.sending.answers import Answer, NoAnswer
from reporter.sending.body import GZIP_BITS
from reporter.state import ENVIRONMENT, Settings

CONNECT_SECONDS = 10.0
"""For each address of a name, and for the beginning of TLS."""

EXCHANGE_SECONDS = 30.0
MAX_ANSWER = 1 << 20
"""Bytes, before and after decompression. A policy is about 100 KB, the verdicts on a full batch at most 150."""

PART = 1 << 16


class Transport(Protocol):
    """A way to the gate; `exchange` raises `NoAnswer`."""

    def exchange(self, method: str, path: str, headers: Mapping[str, str], body: bytes | None) -> Answer:
        """One request to `path` below the endpoint, and its answer."""
        ...

    def close(self) -> None:
        """Hang up, if there is a connection; another exchange makes a new one."""
        ...


def connection(settings: Settings) -> "Connection":
    """The way to the gate that the settings name."""
    return Connection(settings)


class Connection:
    """One connection at most to the endpoint of the settings."""

    def __init__(self, settings: Settings, *, seconds: float = EXCHANGE_SECONDS) -> None:
        self._settings = settings
        self._parts = urlsplit(settings.endpoint)
        self._seconds = seconds
        self._open: HTTPConnection | None = None
        self._context: SSLContext | None = None

    def exchange(self, method: str, path: str, headers: Mapping[str, str], body: bytes | None) -> Answer:
        """One request, sent a second time only where a connection that was kept turns out to have ended."""
        deadline = time.monotonic() + self._seconds
        kept = self._open is not None
        try:
            return self._exchange(method, path, headers, body, deadline)
        except NoAnswer as failure:
            if not kept or failure.reason != "broken":
                raise
        return self._exchange(method, path, headers, body, deadline)

    def close(self) -> None:
        """Hang up."""
        opened, self._open = self._open, None
        if opened is not None:
            opened.close()

    def _exchange(
        self, method: str, path: str, headers: Mapping[str, str], body: bytes | None, deadline: float
    ) -> Answer:
        ours = {"Authorization": f"Bearer {self._settings.token}", "Accept-Encoding": "gzip"}
        try:
            opened = self._opened(deadline)
            # Who refuses a request need not read its body; the answer is there all the same.
            with suppress(BrokenPipeError, ConnectionResetError):
                opened.request(method, self._parts.path + path, body=body, headers={**ours, **headers})
            response = opened.getresponse()
            content = response.read(MAX_ANSWER + 1)
            if len(content) > MAX_ANSWER:
                raise NoAnswer("answer_too_large")
            if response.length:  # http.client says nothing when it asks for so many bytes and there are fewer
                raise NoAnswer("broken")
            if response.will_close:
                self.close()
            content = _decoded(content, response.getheader("Content-Encoding", ""))
            return Answer(response.status, {name.lower(): text for name, text in response.getheaders()}, content)
        except NoAnswer:
            self.close()
            raise
        except (OSError, HTTPException, ValueError) as error:  # ValueError: an answer that is not even HTTP
            self.close()
            raise NoAnswer(_reason(error)) from None

    def _opened(self, deadline: float) -> HTTPConnection:
        if self._open is None:
            self._open = self._connected(deadline)
        sock: Any = self._open.sock
        sock.deadline = deadline
        return self._open

    def _connected(self, deadline: float) -> HTTPConnection:
        made = self._made()
        try:
            made.sock = _Deadlined(self._socket(made, deadline), deadline)
        except (OSError, HTTPException) as error:
            raise NoAnswer(_reason(error, while_connecting="unreachable")) from None
        made.auto_open = 0  # what ended is opened here, with all of the above, or not at all
        return made

    def _made(self) -> HTTPConnection:
        host = str(self._parts.hostname)
        if self._parts.scheme == "http":
            return HTTPConnection(host, self._parts.port)
        if self._context is None:
            self._context = _context(self._settings.ca_file)
        return HTTPSConnection(host, self._parts.port, context=self._context)

    def _socket(self, to: HTTPConnection, deadline: float) -> socket.socket:
        """A socket that leads to the gate, and to nobody who could not prove to be it."""
        proxy = self._proxy() if self._parts.scheme == "https" else None
        host, port = (to.host, to.port) if proxy is None else (proxy.host, proxy.port)
        sock = _reached(host, port, deadline)
        try:
            if proxy is not None:
                _ask_for_tunnel(_Deadlined(sock, deadline), to, proxy.headers)
            if self._context is not None:
                sock.settimeout(_left(deadline))
                return self._context.wrap_socket(sock, server_hostname=_ascii(to.host))
            if not ip_address(sock.getpeername()[0]).is_loopback:
                raise NoAnswer("unreachable")
        except BaseException:  # whatever went wrong, it must not stay open
            sock.close()
            raise
        return sock

    def _proxy(self) -> "_Proxy | None":
        named = self._settings.proxy
        if named == ENVIRONMENT:
            named = os.environ.get("HTTPS_PROXY") or os.environ.get("https_proxy")
        return _Proxy(named) if named else None


class _Proxy:
    """A proxy by its URL, which may hold a user and a password."""

    def __init__(self, url: str) -> None:
        try:
            parts = urlsplit(url)
            self.host, self.port = str(parts.hostname), parts.port or 80
        except ValueError:  # carries the URL
            raise NoAnswer("proxy") from None
        self.headers: dict[str, str] = {}
        if parts.username is not None:
            user = f"{unquote(parts.username)}:{unquote(parts.password or '')}"
            self.headers["Proxy-Authorization"] = f"Basic {b64encode(user.encode()).decode()}"


def _decoded(content: bytes, coding: str) -> bytes:
    """The content without its coding; empty where that cannot be undone, for then nobody could say what it is."""
    name = coding.strip().lower()
    if name in ("", "identity"):
        return content
    if name not in ("gzip", "x-gzip"):
        return b""
    unpacking = zlib.decompressobj(GZIP_BITS)
    try:
        found = unpacking.decompress(content, MAX_ANSWER + 1)
    except zlib.error:
        return b""
    if len(found) > MAX_ANSWER:
        raise NoAnswer("answer_too_large")
    return found if unpacking.eof and not unpacking.unused_data else b""


def _reached(host: str, port: int, deadline: float) -> socket.socket:
    """A socket that is connected to the first address of the host that answers."""
    failed = OSError()
    for family, kind, protocol, _, address in socket.getaddrinfo(_ascii(host), port, type=socket.SOCK_STREAM):
        sock = socket.socket(family, kind, protocol)
        try:
            sock.settimeout(_left(deadline))
            sock.connect(address)
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        except OSError as error:
            sock.close()
            failed = error
        else:
            return sock
    raise failed


def _ascii(host: str) -> bytes:
    """The name as it is looked up; for a text the tables of all scripts would be loaded."""
    return host.encode("ascii" if host.isascii() else "idna")


def _left(deadline: float) -> float:
    """How long one step of connecting may take."""
    left = deadline - time.monotonic()
    if left <= 0:
        raise TimeoutError
    return min(left, CONNECT_SECONDS)


def _ask_for_tunnel(proxy: Any, to: HTTPConnection, headers: Mapping[str, str]) -> None:
    """Have the proxy connect to the gate."""
    gate = f"[{to.host}]:{to.port}" if ":" in to.host else f"{to.host}:{to.port}"
    lines = [f"CONNECT {gate} HTTP/1.1", f"Host: {gate}", *[f"{name}: {text}" for name, text in headers.items()]]
    proxy.sendall("\r\n".join([*lines, "", ""]).encode())
    with HTTPResponse(proxy, method="CONNECT") as answer:
        answer.begin()
        if answer.status != HTTPStatus.OK:
            raise NoAnswer("proxy")


class _Deadlined:
    """A socket on which nothing waits beyond `deadline`, by the monotonic clock; what http.client needs of one."""

    def __init__(self, sock: socket.socket, deadline: float) -> None:
        self._sock = sock
        self._readers = 0
        self._ended = False
        self.deadline = deadline

    def sendall(self, data: Any) -> None:
        """Send all of it, part by part, since TLS would give each part the whole of a timeout."""
        view = memoryview(data)
        for start in range(0, len(view), PART):
            self.waiting().sendall(view[start : start + PART])

    def makefile(self, mode: str) -> io.BufferedReader:  # noqa: ARG002  # as a socket's; it is always "rb"
        self._readers += 1
        return io.BufferedReader(_Reading(self))

    def close(self) -> None:
        """Close it once nobody reads any more: http.client closes it before it has read the last answer."""
        self._ended = True
        if not self._readers:
            self._sock.close()

    def read_by_one_less(self) -> None:
        """An answer was read to its end, or given up."""
        self._readers -= 1
        if self._ended:
            self.close()

    def waiting(self) -> socket.socket:
        """The socket, which waits until the deadline from now on."""
        left = self.deadline - time.monotonic()
        if left <= 0:
            raise TimeoutError
        self._sock.settimeout(left)
        return self._sock


class _Reading(io.RawIOBase):
    """The bytes of an answer."""

    def __init__(self, sock: _Deadlined) -> None:
        super().__init__()
        self._sock = sock

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        return self._sock.waiting().recv_into(buffer)

    def close(self) -> None:
        if not self.closed:
            super().close()
            self._sock.read_by_one_less()


def _context(ca_file: str | None) -> SSLContext:
    try:
        context = create_default_context(cafile=ca_file)
    except OSError:  # carries the path, which may name a person
        raise NoAnswer("ca_file") from None
    context.verify_mode = CERT_REQUIRED
    return context


MEANINGS: tuple[tuple[type[Exception], str], ...] = (
    (SSLCertVerificationError, "certificate"),
    (SSLError, "tls"),
    (TimeoutError, "timeout"),
    (HTTPException, "broken"),
    (OSError, "broken"),
)


def _reason(error: Exception, *, while_connecting: str | None = None) -> str:
    """What went wrong in a word; the text of an error may hold a name or an address."""
    reason = next((reason for kind, reason in MEANINGS if isinstance(error, kind)), "broken")
    return while_connecting if while_connecting and reason == "broken" else reason
