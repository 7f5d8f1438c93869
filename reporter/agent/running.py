"""The agent as a process: what applications hand over and tell is added up, closed and sent by one reporter.

One for a directory, by a lock that goes with its process. SIGTERM ends it: senders are turned away, what came before is
counted, windows are closed and queued, and sent if that takes less than `END_SECONDS`. SIGHUP has it read its settings
and the table of spans again; settings that are changed are followed within a minute without it.
"""

import os
import signal
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import replace
from selectors import EVENT_READ, DefaultSelector
from typing import TYPE_CHECKING, Any, TextIO

from reporter import state
from reporter.agent.asking import FLUSH, STATUS
from reporter.agent.device import Device
from reporter.agent.device_facts import brought_up_to_date
from reporter.agent.listening import Listening
from reporter.agent.refused import Refused
from reporter.parts import parts_of_agent
from reporter.reporter import Reporter
from reporter.sending.sender_lock import SenderLock
from reporter.state import BadSettings

if TYPE_CHECKING:
    from reporter.otel.receiver import Receiver

END_SECONDS = 5.0
FLUSH_SECONDS = 10.0
OTHERS_BYTES = 64


class Running:
    """The agent of a device. `otlp_port` is where it takes spans; None: nowhere."""

    def __init__(self, device: Device, *, otlp_port: int | None, out: TextIO = sys.stderr) -> None:
        self._device = device
        self._otlp_port = otlp_port
        self._out = out
        self._began_ms = device.clock.now_ms()
        self._reporter = Reporter(directory=device.directory.path, parts=parts_of_agent)
        self._receiver: Receiver | None = None
        self._listening: Listening

    def run(self) -> None:
        """Until SIGTERM or SIGINT; raises `Refused`, `BadSettings` and OSError before it has begun."""
        # In this order: a second signal, from somebody in haste, cuts nothing off that it is ending.
        with _signals() as signals, ExitStack() as ending:
            self._begin(ending)
            self._say("runs")
            with DefaultSelector() as waiting:
                waiting.register(self._listening, EVENT_READ)
                waiting.register(signals, EVENT_READ)
                while not self._is_over(signals, [key.fileobj for key, _ in waiting.select()]):
                    pass
            self._say("ends")

    def _begin(self, ending: ExitStack) -> None:
        """Takes what there is one of, and what lets go of it again."""
        self._bring_up_to_date()
        lock = SenderLock(self._device.directory.agent_lock)
        if not lock.take():
            raise Refused(
                "an agent runs on this device already, or its lock cannot be taken; "
                f"`{self._device.command} status` says since when it runs"
            )
        ending.callback(lock.release)
        answers = {STATUS: self._status, FLUSH: lambda: {"went_out": self._reporter.flush(FLUSH_SECONDS)}}
        self._reporter.start()
        ending.callback(self._reporter.close, END_SECONDS)
        ending.callback(self._stop_receiving)
        self._receive_spans()
        self._listening = Listening(self._device.directory.socket, self._reporter.observe, answers)
        ending.callback(self._listening.close)
        if self._reporter.status()["state"] != "on":
            raise Refused("the settings cannot be used")

    def _bring_up_to_date(self) -> None:
        settings = self._device.settings()
        facts = brought_up_to_date(settings.device)
        if facts != settings.device:
            state.write(self._device.directory.settings, replace(settings, device=facts))

    def _is_over(self, signals: int, ready: list[Any]) -> bool:
        """Does what there is to do; whether a signal said that it is over."""
        if self._listening in ready:
            self._listening.receive()
        for number in os.read(signals, OTHERS_BYTES) if signals in ready else b"":
            if number != signal.SIGHUP:
                return True
            self._read_again()
        return False

    def _read_again(self) -> None:
        try:
            self._device.settings()
            self._receive_spans()
        except (Refused, BadSettings) as problem:
            self._say(f"goes on as before: {problem}")
        except OSError:
            self._say("goes on without what it could not read or listen to")
        else:
            self._reporter.start()
            self._say("has read its settings again")

    def _receive_spans(self) -> None:
        if self._otlp_port is None:
            return
        from reporter.otel.receiver import Receiver  # noqa: PLC0415  # only where it is asked for
        from reporter.otel.table import BadTable, read  # noqa: PLC0415  # as above

        try:
            table = read(self._device.directory.spans)
        except BadTable as problem:
            raise Refused(f"spans.json: {problem}") from None
        # Only now: with a table that cannot be used it goes on by the one before.
        self._stop_receiving()
        try:
            self._receiver = Receiver(self._reporter, table, clock=self._device.clock, port=self._otlp_port)
        except OSError:
            raise Refused(
                f"port {self._otlp_port} cannot be listened on; is another collector there? `--otlp PORT` takes another"
            ) from None
        self._receiver.start()

    def _stop_receiving(self) -> None:
        if self._receiver is not None:
            self._receiver.close()
            self._receiver = None

    def _status(self) -> dict[str, Any]:
        return {
            "running_since_ms": self._began_ms,
            "taken": self._listening.taken,
            "unreadable": self._listening.unreadable,
            "spans": None if self._receiver is None else self._receiver.counts(),
            "reporter": self._reporter.status(),
        }

    def _say(self, what: str) -> None:
        with suppress(OSError):
            print(f"tidegate agent: {what}", file=self._out, flush=True)


@contextmanager
def _signals() -> Iterator[int]:
    """A descriptor from which each signal can be read as a byte: they are looked at between two pieces of work."""
    reading, writing = os.pipe()
    os.set_blocking(writing, False)
    numbers = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)
    before = signal.set_wakeup_fd(writing, warn_on_full_buffer=False)
    handlers = {number: signal.signal(number, lambda *_: None) for number in numbers}
    try:
        yield reading
    finally:
        for number, handler in handlers.items():
            signal.signal(number, handler)
        signal.set_wakeup_fd(before)
        os.close(reading)
        os.close(writing)
