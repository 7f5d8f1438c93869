"""What a reporter is made of, each part replaceable: the queue, the sender, the end of the agent's socket.

They are made by the worker when it begins, for they need modules that a host application should not wait for.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

from reporter.clock import Clock
from reporter.directory import Directory
from reporter.observing.observation import Observation
from reporter.state import Settings

if TYPE_CHECKING:
    from reporter.evidence import Evidence
    from reporter.queue.queue import Queue

SettingsNow = Callable[[], Settings | None]
"""The settings as they are now; raises `BadSettings` and OSError."""


class Sends(Protocol):
    """What a worker needs of `reporter.sending.sender.Sender`."""

    def step(self) -> float: ...
    def flush(self, seconds: float) -> bool: ...
    def close(self) -> None: ...
    def abandon(self) -> None: ...


class Hands(Protocol):
    """What a worker needs of `reporter.observing.handing_over.Handing`."""

    handed_over: int

    def over(self, observation: Observation) -> bool: ...
    def close(self) -> None: ...


@dataclass(frozen=True, slots=True)
class Parts:
    """The parts of one process; without `evidence` its owner is told nothing of what it did."""

    queue: "Queue"
    sender: Sends
    agent: Hands | None
    evidence: "Evidence | None" = None


MakesParts = Callable[[Directory, SettingsNow, Clock], Parts]


def usual_parts(directory: Directory, settings: SettingsNow, clock: Clock) -> Parts:
    """Those of an application: it sends if nobody else does, and hands over to an agent where one runs."""
    from reporter.observing.handing_over import Handing  # noqa: PLC0415  # as this module says

    alone = parts_of_agent(directory, settings, clock)
    return Parts(alone.queue, alone.sender, Handing(directory.socket, clock.monotonic), alone.evidence)


def parts_of_agent(directory: Directory, settings: SettingsNow, clock: Clock) -> Parts:
    """Those of the agent itself, which hands over to nobody."""
    # Some of it is needed by others, and later: a fork must find no import half done (`reporter.forking`).
    import ssl  # noqa: F401, PLC0415
    from random import SystemRandom  # noqa: PLC0415

    import fastavro  # noqa: F401, PLC0415

    import reporter.closing.closer  # noqa: F401, PLC0415
    from reporter.evidence import Evidence  # noqa: PLC0415
    from reporter.queue.queue import Queue  # noqa: PLC0415
    from reporter.sending.connection import connection  # noqa: PLC0415
    from reporter.sending.sender import Sender  # noqa: PLC0415
    from reporter.sending.sender_lock import SenderLock  # noqa: PLC0415

    queue = Queue(directory.queue, clock=clock)
    lock = SenderLock(directory.sender_lock)
    sender = Sender(queue, settings, connection, lock=lock, clock=clock, random=SystemRandom())
    return Parts(queue, sender, None, Evidence(directory.evidence, clock=clock))
