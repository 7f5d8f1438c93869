"""One broker: a Java process over a directory of its own, which can be killed, hung and started again.

Nothing outlives the process that started it: a tiny shell waits for the end of a pipe that only that process holds, and
then kills the broker, so that it ends even where its parent was killed with -9 (a parent's death signal would not do:
Linux sends it when the *thread* that started the child ends).
"""

import atexit
import itertools
import os
import secrets
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from load.broker.distribution import KAFKA_DIRECTORY, NoBroker, jars, java
from load.started import uninterrupted

START_SECONDS = 120.0
"""A node takes two seconds on a machine that has nothing else to do; three on two cores with eight others took 40."""

STOP_SECONDS = 30.0
POLL_SECONDS = 0.02
HOST = "127.0.0.1"
PORTS = range(10_000, 30_000)
"""Linux takes the ports of outgoing connections from 32768 on, others from 49152 on."""

STARTED = b"Kafka Server started"
CHARACTERS_OF_AN_ERROR = 2_000

JAVA_OPTIONS = (
    "-Xms32m",
    "-Xmx256m",
    "-XX:+UseSerialGC",
    # The first compiler only: a broker that lives for a test starts in two seconds instead of four.
    "-XX:TieredStopAtLevel=1",
    "-XX:-UsePerfData",
    "-XX:+ExitOnOutOfMemoryError",
    "-Djava.awt.headless=true",
)

WATCH = 'read -r pid; read -r end; [ -n "$pid" ] && kill -9 "$pid"'
"""What the shell of a `Watch` runs: the second line never comes, only the end of the pipe."""


class BrokerFailedError(Exception):
    """A broker did not start, or ended by itself; the message says what it printed last."""


class Watch:
    """Kills a process once this one has ended, in whatever way."""

    def __init__(self) -> None:
        """Begins to wait; made before the process that it is for, so that none is started without."""
        theirs, self._ours = os.pipe()
        with os.fdopen(theirs, "rb") as waiting:
            # A group of its own, for Ctrl-C at a terminal goes to a whole group.
            self._shell = subprocess.Popen(["/bin/sh", "-c", WATCH], stdin=waiting, process_group=0)  # noqa: S603  # above

    def over(self, pid: int) -> None:
        """The process to kill."""
        os.write(self._ours, b"%d\n" % pid)

    def release(self) -> None:
        """Kill nothing any more."""
        self._shell.kill()
        self._shell.wait()
        os.close(self._ours)


@dataclass(slots=True)
class Broker:
    """A node of a cluster: broker and controller in one process, in `directory`.

    `port` is where clients connect. What the node prints is appended to `output`; what was stored is in `log_dir`.
    """

    node_id: int
    directory: Path
    port: int
    _process: subprocess.Popen[bytes] | None = field(default=None, repr=False)
    _watch: Watch | None = field(default=None, repr=False)
    _printed_before: int = 0

    @property
    def address(self) -> str:
        return f"{HOST}:{self.port}"

    @property
    def properties(self) -> Path:
        return self.directory / "server.properties"

    @property
    def log_dir(self) -> Path:
        """The bytes on its disk."""
        return self.directory / "data"

    @property
    def output(self) -> Path:
        """What it printed and logged: at most two files of 8 MB, the older one with `.1` behind its name."""
        return self.directory / "output"

    @property
    def pid(self) -> int:
        """The process, as long as the node was not stopped; raises `BrokerFailedError` where there is none."""
        if self._process is None:
            raise BrokerFailedError(f"broker {self.node_id} is not running")
        return self._process.pid

    @property
    def running(self) -> bool:
        """Whether there is a process; a paused one is running."""
        return self._process is not None and self._process.poll() is None

    def start(self) -> None:
        """Start over what is on the disk and wait until it takes requests; raises `BrokerFailedError`."""
        self.launch()
        self.wait_until_started()

    def launch(self) -> None:
        """Start without waiting: the majority of a cluster must be launched before any of its nodes can start."""
        if self.running:
            raise BrokerFailedError(f"broker {self.node_id} is running already")
        self._release()
        uninterrupted(self._launch)

    def _launch(self) -> None:
        self._printed_before = self.output.stat().st_size if self.output.exists() else 0
        command = java_command(f"-Dtidegate.kafka.output={self.output}", f"-XX:ErrorFile={self.directory}/hs_err.log")
        self._watch = Watch()
        with self.output.open("ab") as output:
            self._process = subprocess.Popen(  # noqa: S603  # Java, with arguments made here
                [*command, "kafka.Kafka", str(self.properties)],
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                cwd=self.directory,
                # Ctrl-C at a terminal goes to a whole group; whoever made the cluster ends it.
                process_group=0,
            )
        self._watch.over(self._process.pid)

    def wait_until_started(self, seconds: float = START_SECONDS) -> None:
        """Return once the node is part of its cluster and takes requests; raises `BrokerFailedError`."""
        deadline = time.monotonic() + seconds
        while STARTED not in self._printed():
            if not self.running:
                raise BrokerFailedError(f"broker {self.node_id} ended while it started; {self.said()}")
            if time.monotonic() > deadline:
                raise BrokerFailedError(f"broker {self.node_id} did not start within {seconds:.0f} s; {self.said()}")
            time.sleep(POLL_SECONDS)

    def stop(self) -> None:
        """SIGTERM: it hands its leaderships over and ends; killed where it has not ended after 30 seconds."""
        self._signal(signal.SIGTERM)
        self._signal(signal.SIGCONT)
        try:
            self._wait(STOP_SECONDS)
        except subprocess.TimeoutExpired:
            self.kill()

    def kill(self) -> None:
        """SIGKILL, paused or not."""
        self._signal(signal.SIGKILL)
        self._wait(STOP_SECONDS)

    def pause(self) -> None:
        """SIGSTOP: it hangs, its connections stay open, and nobody is told."""
        self._signal(signal.SIGSTOP)

    def resume(self) -> None:
        """SIGCONT after `pause`."""
        self._signal(signal.SIGCONT)

    def said(self) -> str:
        """What it said last since it was launched, for an error."""
        said = self._printed().decode(errors="replace").strip()[-CHARACTERS_OF_AN_ERROR:]
        return f"it said:\n{said}" if said else "it said nothing"

    def _signal(self, number: signal.Signals) -> None:
        if self._process is not None:
            self._process.send_signal(number)

    def _wait(self, seconds: float) -> None:
        if self._process is not None:
            self._process.wait(seconds)
        self._release()

    def _release(self) -> None:
        """Forget the process that ended, and end its watch first: the number of its process may be given again."""
        if self._watch is not None:
            self._watch.release()
        self._watch = self._process = None

    def _printed(self) -> bytes:
        """What it printed since it was launched; all that there is where the file was begun anew since."""
        with self.output.open("rb") as output:
            if os.fstat(output.fileno()).st_size >= self._printed_before:
                output.seek(self._printed_before)
            return output.read()


def java_command(*options: str) -> list[str]:
    """Java with the jars of the broker and its logging; the class to run comes behind it. Raises `NoBroker`."""
    logging = f"-Dlog4j2.configurationFile={KAFKA_DIRECTORY / 'log4j2.properties'}"
    return [java(), *JAVA_OPTIONS, logging, *options, "-cp", f"{jars()}{os.sep}*"]


def free_ports(count: int, *, besides: Sequence[int] = ()) -> Sequence[int]:
    """Ports of the loopback address, other than `besides`, that nobody listens on now; raises `NoBroker` without.

    Nobody else who asks here is given them as long as this process runs, whether anybody listens on them or not. They
    are outside the range from which the system takes the ports of outgoing connections: a broker that was killed gets
    its own back when it starts again.
    """
    candidates = secrets.SystemRandom().sample(PORTS, 100 * count)
    free = (port for port in candidates if port not in besides and claim(port) and not listening(port))
    found = list(itertools.islice(free, count))
    if len(found) < count:
        raise NoBroker(f"there are no {count} free ports from {PORTS.start} to {PORTS.stop}")
    return found


def claim(port: int) -> bool:
    """Keep others from being given the port by `free_ports` as long as this process runs; False where somebody did.

    An abstract Unix socket has a name that is given once, is no file that could stay behind, and is known where the
    port is: in one network namespace. Linux alone has them; elsewhere a port is looked at and no more.
    """
    if sys.platform != "linux":
        return True
    held = socket.socket(socket.AF_UNIX)
    try:
        held.bind(f"\0tidegate-port-{port}")
    except OSError:
        held.close()
        return False
    atexit.register(held.close)  # which also keeps it until then
    return True


def listening(port: int) -> bool:
    """Whether the port of the loopback address is taken."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((HOST, port))
        except OSError:
            return True
    return False
