"""Free ports: what one process was given no other one is, whether anybody listens on it or not."""

import subprocess
import sys

import pytest

from load.broker import NoBroker, node
from load.broker.node import free_ports

OWNER = """\
import time
from load.broker.node import free_ports
print(*free_ports(3), flush=True)
time.sleep(600)
"""


def given(port: int, patch: pytest.MonkeyPatch) -> bool:
    """Whether this process is given the port, where there is no other one."""
    ports = range(port, port + 100)
    patch.setattr(node, "PORTS", ports)
    try:
        return free_ports(1, besides=ports[1:]) == [port]
    except NoBroker:
        return False


@pytest.mark.skipif(sys.platform != "linux", reason="ports are only looked at here")
def test_nobody_else_is_given_a_port(monkeypatch: pytest.MonkeyPatch) -> None:
    """Ports that a process was given and does not listen on are given to another one once it has ended."""
    with subprocess.Popen([sys.executable, "-c", OWNER], stdout=subprocess.PIPE) as owner:
        try:
            assert owner.stdout is not None
            ports = [int(port) for port in owner.stdout.readline().split()]
            assert [given(port, monkeypatch) for port in ports] == [False] * 3
        finally:
            owner.kill()
    assert [given(port, monkeypatch) for port in ports] == [True] * 3
    assert [given(port, monkeypatch) for port in ports] == [False] * 3
