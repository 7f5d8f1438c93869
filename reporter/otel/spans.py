"""A span as far as it is looked at, and how one is read that an SDK hands over.

Whoever reads a span is told by `Wanted` which attributes and events there are to look for, and passes by all others.
"""

from collections.abc import Hashable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple, Protocol

OURS = "tidegate."
"""What an application says for the reporter; the only attributes that a whole application may carry (its resource)."""

OF_ITSELF = "tidegate.task"
"""Says of one span whether it is a task, and nothing of those within."""

ERROR = "ERROR"

NOTHING: Mapping[str, Any] = {}


@dataclass(frozen=True, slots=True)
class Wanted:
    """What may be looked at in a span: names of attributes, and of the events that tell when the first token came."""

    attributes: frozenset[str]
    events: frozenset[str]

    def of_others(self, name: str) -> bool:
        """Whether this attribute says something for more than its own span, where it stands around others."""
        return name.startswith(OURS) and name in self.attributes and name != OF_ITSELF


class Span(NamedTuple):
    """One span that has ended. Times in nanoseconds since the epoch, UTC.

    `attributes` are wanted ones, those of the application included. `itself` and `parent` stand for spans; None for
    no parent. `first_event_ns` is when the first wanted event happened.
    """

    attributes: Mapping[str, Any]
    start_ns: int
    end_ns: int
    failed: bool = False
    first_event_ns: int | None = None
    itself: Hashable = None
    parent: Hashable = None


class SpanContext(Protocol):
    """Which span it is, as an SDK for Python says it."""

    @property
    def trace_id(self) -> int: ...
    @property
    def span_id(self) -> int: ...


class SdkSpan(Protocol):
    """A span of an SDK for Python. Its name, links, and the content of its events have no place here."""

    @property
    def context(self) -> SpanContext: ...
    @property
    def parent(self) -> SpanContext | None: ...
    @property
    def attributes(self) -> Mapping[str, Any] | None: ...
    @property
    def resource(self) -> Any: ...
    @property
    def start_time(self) -> int | None: ...
    @property
    def end_time(self) -> int | None: ...
    @property
    def status(self) -> Any: ...
    @property
    def events(self) -> Iterable[Any]: ...


def key(context: SpanContext | None) -> Hashable:
    """What stands for a span."""
    return None if context is None else (context.trace_id, context.span_id)


def attributes_of(span: SdkSpan, wanted: Wanted) -> dict[str, Any]:
    """The wanted attributes of a span of an SDK, without its application's."""
    found = span.attributes or NOTHING
    return {name: found[name] for name in found if name in wanted.attributes}


def from_sdk(span: SdkSpan, wanted: Wanted, around: Mapping[str, Any] = NOTHING) -> Span:
    """A span that an SDK has ended; `around` is what the spans around it say for it."""
    resource = getattr(span.resource, "attributes", NOTHING)
    whole = {name: resource[name] for name in resource if wanted.of_others(name)}
    times = [event.timestamp for event in span.events if event.name in wanted.events]
    return Span(
        attributes={**whole, **around, **attributes_of(span, wanted)},
        start_ns=span.start_time or 0,
        end_ns=span.end_time or 0,
        failed=getattr(getattr(span.status, "status_code", None), "name", None) == ERROR,
        first_event_ns=min(times, default=None),
        itself=key(span.context),
        parent=key(span.parent),
    )
