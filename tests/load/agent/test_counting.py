"""The counter of bytes between a client and a server."""

import socket
from collections.abc import Iterator
from threading import Thread

import pytest

from load.agent.counting import counting

ANSWER = b"a" * 300_000


@pytest.fixture
def server() -> Iterator[tuple[str, int]]:
    """Reads until the end, then answers."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        Thread(target=_serve, args=(listener,), daemon=True).start()
        yield listener.getsockname()
        listener.shutdown(socket.SHUT_RDWR)


def _serve(listener: socket.socket) -> None:
    while True:
        try:
            client, _ = listener.accept()
        except OSError:
            return
        with client:
            while client.recv(65_536):
                pass
            client.sendall(ANSWER)


def _ask(url: str, sent: bytes) -> bytes:
    host, _, port = url.removeprefix("http://").partition(":")
    received = bytearray()
    with socket.create_connection((host, int(port))) as client:
        client.sendall(sent)
        client.shutdown(socket.SHUT_WR)
        while part := client.recv(65_536):
            received += part
    return bytes(received)


def test_both_ways_are_counted(server: tuple[str, int]) -> None:
    """Every byte is passed on and counted once, each way, over every connection."""
    with counting(*server) as counted:
        for size in (1, 200_000):
            assert _ask(counted.url, b"q" * size) == ANSWER
        assert (counted.connections, counted.sent, counted.received) == (2, 200_001, 2 * len(ANSWER))
