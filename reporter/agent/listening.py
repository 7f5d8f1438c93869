"""The agent's end of agent.sock: what applications observed comes in, and a question of another command is answered.

One datagram is one observation (`reporter.observing.handing_over`), or `{"ask": "status"}` from a socket with a name to
answer to. Only who may enter the directory can send one. Nothing that was handed over is lost when the agent ends:
senders are turned away first, and then what they had sent is read to its end.
"""

import json
import socket
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from reporter.agent.refused import Refused
from reporter.observing.handing_over import MOST_BYTES, received
from reporter.observing.observation import Observation

LONGEST_PATH = 103
"""Bytes of a socket's path: macOS takes so many, Linux a few more."""

ASK = "ask"
AT_ONCE = 256
"""Datagrams read before signals are looked at again."""

Answers = Mapping[str, Callable[[], Any]]


class Listening:
    """Listens at `path` once it exists. `observe` is handed each observation; raises `Refused` and OSError."""

    def __init__(self, path: Path, observe: Callable[[Observation], None], answers: Answers) -> None:
        if len(bytes(path)) > LONGEST_PATH:
            raise Refused(
                f"the path of the directory is too long for a socket in it, by {_over(path)} bytes; take a shorter one"
            )
        self._path = path
        self._observe = observe
        self._answers = answers
        self._is_ending = False
        self.taken = self.unreadable = 0
        path.unlink(missing_ok=True)  # left by an agent that was killed: its lock is ours
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._socket.settimeout(0)
        self._socket.bind(str(path))
        path.chmod(0o600)

    def fileno(self) -> int:
        """For a selector."""
        return self._socket.fileno()

    def receive(self, most: int = AT_ONCE) -> bool:
        """Takes what has come, up to a number; whether there may be more."""
        for _ in range(most):
            try:
                datagram, sender = self._socket.recvfrom(MOST_BYTES + 1)
            except BlockingIOError:
                return False
            if not datagram and self._is_ending:
                return False
            self._take(datagram, sender)
        return True

    def close(self) -> None:
        """Turns senders away, reads what they had sent, and ends."""
        self._path.unlink(missing_ok=True)
        # From here on a sender is told at once that nobody reads, and counts by itself.
        with suppress(OSError):
            self._socket.shutdown(socket.SHUT_RD)
        self._is_ending = True
        while self.receive():
            pass
        self._socket.close()

    def _take(self, datagram: bytes, sender: Any) -> None:
        observation = received(datagram)
        if observation is not None:
            self._observe(observation)
            self.taken += 1
        elif not self._answered(datagram, sender):
            self.unreadable += 1

    def _answered(self, datagram: bytes, sender: Any) -> bool:
        question = _question(datagram)
        if question not in self._answers or not sender:
            return False
        with suppress(OSError):  # who asked did not wait
            self._socket.sendto(json.dumps(self._answers[question]()).encode(), sender)
        return True


def _question(datagram: bytes) -> str:
    try:
        told = json.loads(datagram)
    except (ValueError, RecursionError):
        return ""
    question = told.get(ASK) if isinstance(told, dict) else None
    return question if isinstance(question, str) else ""


def _over(path: Path) -> int:
    return len(bytes(path)) - LONGEST_PATH
