"""What an application holds where nothing is reported: the same calls, which do nothing."""

from types import TracebackType
from typing import Any, Self

from reporter.observing.running_task import RunningTask
from reporter.observing.session import Session


class UnobservedTask(RunningTask):
    """One for everybody; it takes whatever it is told, and keeps none of it."""

    __slots__ = ()

    def __init__(self) -> None:
        """Nothing of a task is needed."""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        """The error, if it was one, goes on to the application."""

    def _nothing(self, *args: Any, **said: Any) -> None:
        """Whatever it is told."""

    end = ran_on = fell_back = returned = disclosed = tokens = first_token = took = sent = attempt = _nothing
    cold_start = contract = citations = degraded = offline = refused = failed = _nothing


class UnobservedSession(Session):
    """As `UnobservedTask`."""

    __slots__ = ()

    def __init__(self) -> None:
        """Nothing of a session is needed."""

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        """The error, if it was one, goes on to the application."""

    def task(self, *args: Any, **said: Any) -> RunningTask:  # noqa: ARG002  # whatever it is asked for
        """A task that is not observed either."""
        return TASK

    def _nothing(self, *args: Any, **said: Any) -> None:
        """Whatever it is told."""

    steadiness = held = downloaded_again = end = _nothing


TASK = UnobservedTask()
SESSION = UnobservedSession()
