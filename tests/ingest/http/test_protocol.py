"""Requests whose head comes late, or only seems to, because the gate stood still meanwhile."""

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

HEAD_SECONDS = 0.3
ENOUGH_SECONDS = 2.0
"""The same where a connection must be in time, however slow the machine is."""

SERVER = """
import asyncio, os, signal, sys, uvicorn
from uvicorn.server import ServerState
from ingest.http import protocol

async def no_content(scope, receive, send):
    await receive()
    await send({"type": "http.response.start", "status": 204, "headers": []})
    await send({"type": "http.response.body", "body": b""})

class Stoppable(protocol.HttpProtocol):
    def connection_made(self, transport):
        super().connection_made(transport)
        print("connected", flush=True)

    def data_received(self, data):
        if data == b"stand still":
            os.kill(os.getpid(), signal.SIGSTOP)
        else:
            super().data_received(data)

def connected():
    return Stoppable(config=config, server_state=ServerState(), app_state={})

async def main():
    server = await asyncio.get_running_loop().create_server(connected, "127.0.0.1", 0)
    print(server.sockets[0].getsockname()[1], flush=True)
    await server.serve_forever()

protocol.HEAD_SECONDS = float(sys.argv[2])
config = uvicorn.Config(no_content, http=protocol.HttpProtocol, loop=sys.argv[1], log_config=None)
config.load()
asyncio.Runner(loop_factory=config.get_loop_factory()).run(main())
"""
"""An application behind our protocol that has nothing to say; prints its port, and when somebody connects."""

HEAD = b"POST /t/managed/v1/reports/route_window HTTP/1.1\r\nhost: here\r\n"
WHOLE = HEAD + b"content-length: 2\r\n\r\nab"

LOOPS = ["uvloop", "asyncio"]


@contextmanager
def _serving(loop: str, head_seconds: float = HEAD_SECONDS) -> Iterator["subprocess.Popen[bytes]"]:
    command = [sys.executable, "-c", SERVER, loop, str(head_seconds)]
    with subprocess.Popen(command, stdout=subprocess.PIPE) as server:
        try:
            yield server
        finally:
            server.kill()


def _line(server: "subprocess.Popen[bytes]") -> bytes:
    assert server.stdout is not None
    return server.stdout.readline().strip()


def _connected(server: "subprocess.Popen[bytes]", port: bytes) -> socket.socket:
    sender = socket.create_connection(("127.0.0.1", int(port)), timeout=10)
    assert _line(server) == b"connected"
    return sender


def _first_line(sender: socket.socket) -> bytes:
    return sender.recv(4096).partition(b"\r\n")[0]


@pytest.mark.parametrize("loop", LOOPS)
def test_who_stood_still_reads_before_it_refuses(loop: str) -> None:
    """A whole request that lay in the socket while the gate stood still is not late, whichever loop runs it."""
    with _serving(loop, ENOUGH_SECONDS) as server:
        port = _line(server)
        with _connected(server, port) as other, _connected(server, port) as sender:
            other.sendall(b"stand still")  # while it reads: stopped while it waits, it would read before all else
            os.waitpid(server.pid, os.WUNTRACED)
            sender.sendall(WHOLE)
            time.sleep(ENOUGH_SECONDS + 0.2)
            server.send_signal(signal.SIGCONT)
            assert _first_line(sender) == b"HTTP/1.1 204 No Content"


@pytest.mark.parametrize("loop", LOOPS)
@pytest.mark.parametrize("sent", [pytest.param(HEAD, id="half a head"), pytest.param(b"", id="nothing at all")])
def test_a_head_that_does_not_come_is_timed_out(loop: str, sent: bytes) -> None:
    """Who brings no whole head in time is told to try again: it may be the network's fault."""
    with _serving(loop) as server, _connected(server, _line(server)) as sender:
        sender.sendall(sent)
        assert _first_line(sender) == b"HTTP/1.1 408 Request Timeout"
