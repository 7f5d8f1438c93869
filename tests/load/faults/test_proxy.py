"""The fault proxy does to a connection what it is told, to the byte, and nothing to the next."""

import errno
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import closing, suppress

import pytest

from load.faults.proxy import BlackHole, Cut, Fault, FaultProxy, HalfClose, Pass, fault_proxy

SENT = bytes(range(256)) * 200
SECONDS = 10.0


class Echo:
    """Takes everything until the sender has ended, then sends it back; remembers what came."""

    def __init__(self) -> None:
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.came: list[bytes] = []
        self._ended = threading.Event()
        threading.Thread(target=self._run, daemon=True).start()

    @property
    def address(self) -> tuple[str, int]:
        name = self.listener.getsockname()
        return str(name[0]), int(name[1])

    def wait(self) -> bytes:
        """What came over the connection that has ended last."""
        assert self._ended.wait(SECONDS)
        return self.came[-1]

    def _run(self) -> None:
        with suppress(OSError):  # the listener is closed at the end of the test
            while True:
                connection, _ = self.listener.accept()
                with connection:
                    self._serve(connection)

    def _serve(self, connection: socket.socket) -> None:
        came = b""
        with suppress(OSError):
            while piece := connection.recv(1 << 16):
                came += piece
        self.came.append(came)
        self._ended.set()
        with suppress(OSError):
            connection.sendall(came)


@pytest.fixture
def echo() -> Iterator[Echo]:
    """A server behind the proxy."""
    server = Echo()
    with closing(server.listener):
        yield server


@pytest.fixture
def proxy(echo: Echo) -> Iterator[FaultProxy]:
    """A proxy in front of it."""
    with fault_proxy(lambda: echo.address) as running:
        yield running


def exchanged(proxy: FaultProxy, fault: Callable[[], Fault], *, end: bool = True) -> bytes:
    """What comes back of what is sent through a fault; nothing more than what had come when it was cut."""
    proxy.fault = fault
    back = b""
    with socket.create_connection(proxy.address, timeout=SECONDS) as connection, suppress(ConnectionError):
        connection.sendall(SENT)
        if end:
            _shut(connection)
        while piece := connection.recv(1 << 16):
            back += piece
    return back


def _shut(connection: socket.socket) -> None:
    """Say that nothing more comes, unless the other end has gone already: Linux then has an OSError of its own."""
    try:
        connection.shutdown(socket.SHUT_WR)
    except OSError as error:
        if error.errno != errno.ENOTCONN:
            raise


@pytest.mark.parametrize("fault", [Pass(), Pass(delay=0.01), Cut("up", len(SENT)), Cut("down", len(SENT))])
def test_what_is_not_cut_arrives(proxy: FaultProxy, fault: Fault) -> None:
    """Both directions are passed on whole, however slowly, and up to the last byte before a cut."""
    assert exchanged(proxy, lambda: fault) == SENT


@pytest.mark.parametrize("after", [0, 1, 1000, len(SENT) - 1])
def test_a_cut_upwards(proxy: FaultProxy, echo: Echo, after: int) -> None:
    """No more than the bytes named arrive, and nothing comes back."""
    assert exchanged(proxy, lambda: Cut("up", after)) == b""
    assert SENT[:after].startswith(echo.wait())


@pytest.mark.parametrize("after", [0, 1, 1000, len(SENT) - 1])
def test_a_cut_downwards(proxy: FaultProxy, echo: Echo, after: int) -> None:
    """All arrives, and of the answer no more than the bytes named comes back: with 0 the answer is lost."""
    back = exchanged(proxy, lambda: Cut("down", after))
    assert echo.wait() == SENT
    assert SENT[:after].startswith(back)
    assert after or back == b""


def test_a_half_closed_connection(proxy: FaultProxy, echo: Echo) -> None:
    """The target is told of an end that the client never sent, and what it answers comes back."""
    assert exchanged(proxy, lambda: HalfClose(1000), end=False) == SENT[:1000]
    assert echo.wait() == SENT[:1000]


def test_a_black_hole(proxy: FaultProxy, echo: Echo) -> None:
    """Nothing arrives and nothing comes back, until everybody is hung up on."""
    proxy.fault = BlackHole
    with socket.create_connection(proxy.address, timeout=0.2) as connection:
        connection.sendall(SENT)
        with pytest.raises(TimeoutError):
            connection.recv(1)
        connection.settimeout(SECONDS)
        proxy.hang_up()
        with suppress(ConnectionError):
            assert connection.recv(1) == b""
    assert echo.came == []


def test_nobody_behind_it() -> None:
    """Where there is no target the connection is closed at once."""
    with fault_proxy(lambda: None) as lonely:
        assert exchanged(lonely, Pass) == b""
    with closing(socket.create_server(("127.0.0.1", 0))) as taken:
        address = taken.getsockname()
    with fault_proxy(lambda: (str(address[0]), int(address[1]))) as refused:
        assert exchanged(refused, Pass) == b""


def test_a_fault_is_of_the_connections_that_follow(proxy: FaultProxy) -> None:
    """After a fault was taken away the next connection is passed on."""
    assert exchanged(proxy, lambda: Cut("up", 1)) == b""
    assert exchanged(proxy, Pass) == SENT
