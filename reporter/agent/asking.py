"""A question to the agent that runs on this device, from another command."""

import json
import secrets
import socket
from contextlib import closing
from typing import Any

from reporter.agent.listening import ASK
from reporter.directory import Directory

MOST_BYTES = 1 << 16
STATUS, FLUSH = "status", "flush"


def ask(directory: Directory, question: str, *, seconds: float) -> Any:
    """What the agent answers; None where none runs, or it does not answer in time."""
    ours = directory.path / f".{secrets.token_hex(4)}.sock"
    try:
        with closing(socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)) as asking:
            asking.settimeout(seconds)
            asking.bind(str(ours))
            asking.connect(str(directory.socket))
            asking.send(json.dumps({ASK: question}).encode())
            return json.loads(asking.recv(MOST_BYTES))
    except (OSError, ValueError):
        return None
    finally:
        ours.unlink(missing_ok=True)
