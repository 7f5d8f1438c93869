"""A made-up report of this device, through everything that a real one goes through but for the queue of the device."""

from pathlib import Path
from tempfile import TemporaryDirectory

from reporter.clock import Clock
from reporter.closing.closer import Closer
from reporter.closing.span import MS_PER_HOUR, Span
from reporter.policy import LEAST, Policy
from reporter.queue.nouns import Waiting
from reporter.queue.queue import Queue
from reporter.state import Settings
from reporter.windows.task import Task

SHOWN = "route_window"
MINUTES = 60
"""A whole hour that is over is a window to every tier."""


class _OneTime(Queue):
    """A queue of its own, in which this policy is known."""

    def __init__(self, path: Path, clock: Clock, known: Policy | None) -> None:
        super().__init__(path, clock=clock)
        self._known = known

    def policy(self, endpoint: str) -> Policy | None:
        del endpoint
        return self._known


def sample(settings: Settings, policy: Policy | None, clock: Clock) -> Waiting | None:
    """A report of tasks in the hour before this one, as few as make a row; None where the tier takes no such report."""
    with TemporaryDirectory(prefix="tidegate-") as folder:
        queue = _OneTime(Path(folder) / "queue.db", clock, policy)
        span = Span(clock.now_ms() - MS_PER_HOUR, MINUTES, settings.consents)
        for _ in range((policy or LEAST).min_tasks_per_row):
            span.tasks.add(_task())
        Closer(queue, lambda: settings, _raise).close(span, None)
        waiting = queue.peek(None if policy is None else policy.tier, 100)
    return next((one for one in waiting if one.queued.report == SHOWN), waiting[0] if waiting else None)


def _task() -> Task:
    task = Task()
    task.data_class, task.task_kind, task.input_size = "internal", "interactive", "small"
    task.planned_route = task.actual_route = "on_device"
    task.decision_reason, task.model, task.model_version = "default", "sample-model", "1.0"
    task.succeeded, task.tokens_in, task.tokens_out, task.latency_ms = True, 120, 40, 250.0
    return task


def _raise(error: Exception) -> None:
    raise error
