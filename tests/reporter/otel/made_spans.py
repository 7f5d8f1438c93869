"""Spans by hand, somebody who takes tasks, and the words that must be found nowhere."""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

from reporter.otel.spans import Span
from reporter.windows.task import Task

MS = 1_000_000
NINE_NS = 1_795_068_000_000 * MS
"""Nine o'clock in the morning, UTC, on some day."""

PLANTED = ("my knee hurts since Tuesday", "take two of these", "ada@example.org", "conv-4711-planted", "planted-tool")
"""What a person asked, what was answered, and what else a span may hold that is nobody's business."""

CHAT = {"gen_ai.operation.name": "chat", "gen_ai.provider.name": "openai", "gen_ai.request.model": "gpt-x"}


def span(
    more: Mapping[str, Any] = MappingProxyType({}),
    *,
    start_ns: int = NINE_NS,
    end_ns: int = NINE_NS + 250 * MS,
    failed: bool = False,
    first_event_ms: int | None = None,
) -> Span:
    """A request to a model that went well; attributes that are None are taken off."""
    attributes = {name: value for name, value in {**CHAT, **more}.items() if value is not None}
    first = None if first_event_ms is None else NINE_NS + first_event_ms * MS
    return Span(attributes, start_ns, end_ns, failed=failed, first_event_ns=first)


class Taken:
    """Keeps what it is given, as only a test may."""

    def __init__(self) -> None:
        self.tasks: list[Task] = []

    def take(self, task: Task) -> None:
        self.tasks.append(task)


def said(task: Task) -> dict[str, Any]:
    """What a task says beyond an empty one."""
    empty = Task()
    fields = {name: getattr(task, name) for name in Task.__slots__}
    return {name: value for name, value in fields.items() if value != getattr(empty, name)}
