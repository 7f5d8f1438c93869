"""Named places in the code at which a test has a real process killed or stopped; in production they do nothing.

    TIDEGATE_FAILPOINTS="gate.durable=kill@3,seal.drafted=stop" tidegate serve --data ./data

`kill` is SIGKILL and `stop` SIGSTOP, sent by the process to itself before `reached` returns, when the place is reached
for the n-th time (`@n`; without it the first). Without the variable, which is read once, when this module is loaded,
`reached` is a function without a body. A process that is armed says so in its log, and `tidegate serve` does not start
with a name that is not in `NAMES`, for a test that kills nobody would pass.
"""

import os
import re
import signal
import threading
from collections import Counter
from collections.abc import Callable
from typing import NamedTuple

from schemas.errors import nearest

VARIABLE = "TIDEGATE_FAILPOINTS"

NAMES = (
    "gate.body_read",
    "gate.decoded",
    "gate.stripped",
    "gate.appended",
    "gate.durable",
    "gate.before_answer",
    "follower.rolled_up",
    "follower.committed",
    "seal.drafted",
    "seal.placed",
    "publish.drafted",
    "publish.placed",
)
"""In the order in which a report comes by. appended: handed to the storage, whose commit or ack is yet to come;
rolled_up: rows, seen ids and offsets are in the transaction, which is not committed; drafted: the files are written,
under another name than the one that counts; placed: they have it."""

ACTIONS = {"kill": signal.SIGKILL, "stop": signal.SIGSTOP}

ONE = re.compile(r"(?P<name>[a-z._]+)=(?P<action>[a-z]+)(@(?P<time>[1-9][0-9]*))?")


class FailpointError(ValueError):
    """The variable cannot be understood; the message says why."""


class Armed(NamedTuple):
    """What happens at the `time`-th time that `name` is reached."""

    name: str
    action: str
    time: int


def parse(text: str) -> tuple[Armed, ...]:
    """What the value of the variable arms, nothing where it is empty; raises `FailpointError`."""
    return tuple(_one(part) for part in text.split(",")) if text else ()


def _one(text: str) -> Armed:
    found = ONE.fullmatch(text.strip())
    if found is None:
        raise FailpointError(f"{VARIABLE}: {text!r} is not of the form name=action or name=action@time")
    name, action = found["name"], found["action"]
    if name not in NAMES:
        raise FailpointError(f"{VARIABLE}: there is no failpoint {name}; {nearest(name, NAMES)}")
    if action not in ACTIONS:
        raise FailpointError(f"{VARIABLE}: {name} can {' or '.join(ACTIONS)}, not {action}")
    return Armed(name, action, int(found["time"] or 1))


def bound(armed: tuple[Armed, ...]) -> Callable[[str], None]:
    """What `reached` is for a process in which these are armed."""
    if not armed:
        return _nothing
    times: Counter[str] = Counter()
    signals = {(one.name, one.time): ACTIONS[one.action] for one in armed}

    def reached(name: str) -> None:
        times[name] += 1
        if (number := signals.get((name, times[name]))) is not None:
            # To this very thread: of a process that is told to stop, another one takes notice, and this one runs on.
            signal.pthread_kill(threading.get_ident(), number)

    return reached


def _nothing(name: str) -> None:
    pass


def _from_environment() -> tuple[Armed, ...]:
    """What is armed; nothing where the variable cannot be understood, with which no gate starts."""
    try:
        return parse(os.environ.get(VARIABLE, ""))
    except FailpointError:
        return ()


ARMED = _from_environment()

reached: Callable[[str], None] = bound(ARMED)
"""Called at a place of that name."""
