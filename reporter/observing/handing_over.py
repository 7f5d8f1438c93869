"""Where an agent runs on the device, observations are handed to it: then many short processes make one report.

    Handing(directory.socket).over(observation) -> bool     # in an application
    received(datagram) -> Observation | None                # in the agent

One datagram is one observation as a JSON object: `{"kind": "task", "at_ms": ..., "session": ..., "said": {...}}`, and
`said` has what differs from an untold task. The socket lies in the directory that only its owner may enter. Nothing is
waited for: what the agent does not take at once, because it is busy or gone, is added up by the application itself.
"""

import json
import socket
from collections.abc import Callable, Mapping
from dataclasses import fields
from pathlib import Path
from typing import Any

from reporter.observing.observation import NOTED, EndedTask, Note, Observation
from reporter.windows.task import Task

TASK = "task"

AGAIN_SECONDS = 30.0
"""Until it is looked again whether an agent has come."""

MOST_BYTES = 16_384
"""A task has some hundred bytes; a name is cut off nowhere, so that one that is too long stays with its process."""

UNTOLD = Task()
SAID_OF_TASKS = tuple(name for name in Task.__slots__ if name != "disclosures")
KINDS = {kind: name for name, kind in NOTED.items()}


class Handing:
    """The application's end of the socket at `path`. `monotonic` gives seconds."""

    def __init__(self, path: Path, monotonic: Callable[[], float]) -> None:
        self._path = path
        self._monotonic = monotonic
        self._socket: socket.socket | None = None
        self._not_before = monotonic()
        self.handed_over = 0

    def over(self, observation: Observation) -> bool:
        """Whether the agent has it now; if not, it is the caller's still."""
        agent = self._socket or self._connected()
        if agent is None:
            return False
        datagram = as_datagram(observation)
        if datagram is None or len(datagram) > MOST_BYTES:
            return False
        try:
            agent.send(datagram)
        except BlockingIOError:
            return False
        except OSError:
            self.close()
            return False
        self.handed_over += 1
        return True

    def close(self) -> None:
        """Let go of the agent; it is looked for again after a while."""
        if self._socket is not None:
            self._socket.close()
            self._socket = None
        self._not_before = self._monotonic() + AGAIN_SECONDS

    def _connected(self) -> socket.socket | None:
        if self._monotonic() < self._not_before:
            return None
        if not hasattr(socket, "AF_UNIX") or not self._path.exists():
            self._not_before = self._monotonic() + AGAIN_SECONDS
            return None
        agent = self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        agent.settimeout(0)
        try:
            agent.connect(str(self._path))
        except OSError:
            self.close()
            return None
        return agent


def as_datagram(observation: Observation) -> bytes | None:
    """The observation as the agent reads it; None where something in it cannot be written as JSON."""
    try:
        return json.dumps(_told(observation)).encode()
    except Exception:  # noqa: BLE001  # an application may have said anything, which raises what it likes
        return None


def _told(observation: Observation) -> dict[str, Any]:
    if isinstance(observation, EndedTask):
        said = {name: value for name in SAID_OF_TASKS if (value := getattr(observation, name)) != getattr(UNTOLD, name)}
        session, disclosures = observation.session, list(observation.disclosures)
        return {"at_ms": observation.at_ms, "kind": TASK, "session": session, "said": said, "disclosures": disclosures}
    said = {field.name: getattr(observation.what, field.name) for field in fields(observation.what)}
    return {"at_ms": observation.at_ms, "kind": KINDS[type(observation.what)], "said": said}


def received(datagram: bytes) -> Observation | None:
    """What an application handed over; None for anything else."""
    try:
        told = json.loads(datagram)
    except (ValueError, RecursionError):
        return None
    if not isinstance(told, dict) or type(told.get("at_ms")) is not int or not isinstance(told.get("said"), dict):
        return None
    return _task(told) if told.get("kind") == TASK else _note(told)


def _task(told: Mapping[str, Any]) -> EndedTask:
    task = EndedTask()
    task.at_ms = told["at_ms"]
    session, disclosures = told.get("session"), told.get("disclosures")
    task.session = session if isinstance(session, str) else None
    for name in SAID_OF_TASKS:
        if name in told["said"]:
            setattr(task, name, told["said"][name])
    if isinstance(disclosures, list):
        task.disclosures = frozenset(word for word in disclosures if isinstance(word, str))
    return task


def _note(told: Mapping[str, Any]) -> Note | None:
    kind = NOTED.get(str(told.get("kind")))
    if kind is None:
        return None
    said = {field.name: told["said"].get(field.name) for field in fields(kind) if field.name in told["said"]}
    try:
        return Note(told["at_ms"], kind(**said))
    except TypeError:  # something that has to be said was not
        return None
