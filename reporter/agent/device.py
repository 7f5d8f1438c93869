"""What every command works on: the files of one device, opened when they are needed."""

from functools import cached_property

from reporter import state
from reporter.agent.refused import Refused
from reporter.clock import SystemClock
from reporter.directory import Directory
from reporter.evidence import Evidence
from reporter.queue.queue import Queue
from reporter.state import BadSettings, Settings


class Device:
    """The device whose files are in `directory`. `command` is how this program was called, for what is said of it."""

    def __init__(self, directory: Directory, command: str) -> None:
        self.directory = directory
        self.command = command
        self.clock = SystemClock()

    def settings(self) -> Settings:
        """The settings; raises `Refused` where there are none, `BadSettings` and OSError."""
        try:
            return state.read(self.directory.settings)
        except FileNotFoundError:
            raise Refused(f"this device is not set up yet; `{self.command} init` does it") from None
        except BadSettings as problem:
            remedy = f"correct it there, or set the device up anew with `{self.command} init`"
            raise BadSettings(f"settings.json: {problem}; {remedy}") from None

    @cached_property
    def queue(self) -> Queue:
        """What waits."""
        return Queue(self.directory.queue, clock=self.clock)

    @cached_property
    def evidence(self) -> Evidence:
        """What this device did."""
        return Evidence(self.directory.evidence, clock=self.clock)
