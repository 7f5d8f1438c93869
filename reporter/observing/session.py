"""A session: tasks of one conversation or piece of work, whose changes of route are counted.

Its name is made up here. It is known to the device's memory only, for as long as it takes to see the route change.
"""

from os import urandom
from types import TracebackType
from typing import Any, Protocol, Self, Unpack

from reporter.observing.observation import Noted, Steadiness
from reporter.observing.running_task import RunningTask
from reporter.observing.said import TaskSaid
from reporter.survival import Survival, guarded, nothing

NAME_BYTES = 8


class Notes(Protocol):
    """What a session needs of its reporter."""

    @property
    def survival(self) -> Survival: ...
    def task(self, **said: Any) -> RunningTask: ...
    def note(self, what: Noted) -> None: ...


class Session:
    """Made by `Reporter.session`; usable from several threads."""

    __slots__ = ("_name", "_notes")

    def __init__(self, notes: Notes) -> None:
        self._notes = notes
        self._name = urandom(NAME_BYTES).hex()

    @property
    def survival(self) -> Survival:
        """Where is counted what goes wrong."""
        return self._notes.survival

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.end()

    def task(self, **said: Unpack[TaskSaid]) -> RunningTask:
        """As `Reporter.task`: a task of this session."""
        return self._notes.task(session=self._name, **said)

    @guarded(nothing)
    def steadiness(self, *, switches: int, shortest_s: float | None = None) -> None:
        """How often the session changed its route, and its shortest time on one: counts instead of what is seen."""
        self._notes.note(Steadiness(session=self._name, switches=switches, shortest_s=shortest_s))

    @guarded(nothing)
    def held(self, switches: int = 1) -> None:
        """Changes of route that hysteresis held back."""
        self._notes.note(Steadiness(session=self._name, held=switches))

    @guarded(nothing)
    def downloaded_again(self, number_of_bytes: int) -> None:
        """Bytes of model files that had been there before."""
        self._notes.note(Steadiness(session=self._name, bytes_redownloaded=number_of_bytes))

    @guarded(nothing)
    def end(self) -> None:
        """The session is over, and forgotten."""
        self._notes.note(Steadiness(session=self._name, ended=True))
