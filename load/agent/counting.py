"""Counts the bytes between a client and a server, both ways, headers included: it passes on what it gets.

It knows nothing of HTTP, so that both sides of a comparison are counted by the same rule. TCP and TLS are not in it.
"""

import socket
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from threading import Thread

PART = 1 << 16


@dataclass(slots=True)
class Counted:
    """What has passed so far; `url` is where to connect to."""

    url: str
    connections: int = 0
    sent: int = 0
    received: int = 0


@contextmanager
def counting(host: str, port: int) -> Iterator[Counted]:
    """A way to the server at `host` and `port` that counts; it ends with the block."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        counted = Counted(f"http://127.0.0.1:{listener.getsockname()[1]}")
        Thread(target=_accept, args=(listener, (host, port), counted), daemon=True).start()
        try:
            yield counted
        finally:
            # Closing alone leaves a thread in accept().
            with suppress(OSError):
                listener.shutdown(socket.SHUT_RDWR)


def _accept(listener: socket.socket, server: tuple[str, int], counted: Counted) -> None:
    with suppress(OSError):
        while True:
            client, _ = listener.accept()
            counted.connections += 1
            Thread(target=_pass_on, args=(client, server, counted), daemon=True).start()


def _pass_on(client: socket.socket, server: tuple[str, int], counted: Counted) -> None:
    with client, suppress(OSError), socket.create_connection(server) as upstream:
        for one in (client, upstream):
            one.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        back = Thread(target=_back, args=(upstream, client, counted), daemon=True)
        back.start()
        while part := client.recv(PART):
            counted.sent += len(part)
            upstream.sendall(part)
        upstream.shutdown(socket.SHUT_WR)
        back.join()


def _back(upstream: socket.socket, client: socket.socket, counted: Counted) -> None:
    with suppress(OSError):
        while part := upstream.recv(PART):
            # Before it is passed on: whoever has the answer finds it counted.
            counted.received += len(part)
            client.sendall(part)
        client.shutdown(socket.SHUT_WR)
