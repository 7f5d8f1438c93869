"""What an application with OpenTelemetry's SDK adds to its provider in order to report.

    provider.add_span_processor(TidegateSpanProcessor(reporter))

It is a span processor by its methods and imports nothing of OpenTelemetry. What the spans around a request say for the
reporter (`tidegate.data_class`) holds for the request too, since who instrumented the client knows nothing of it.
"""

from typing import Any
from weakref import WeakValueDictionary

from reporter.otel.conventions import conventions
from reporter.otel.intake import Intake, Takes
from reporter.otel.spans import SdkSpan, attributes_of, from_sdk, key
from reporter.otel.table import FILE, BadTable, Table, usual

MOST_LAYERS = 64
"""Spans around a request that are looked at. Applications have a dozen; a circle of parents ends here."""


class TidegateSpanProcessor:
    """Turns spans of an SDK into tasks as they end. Raises nothing; `failed` counts what should not have happened.

    `reporter` is anything with `take(task)`. The table is the operator's: that of the usual directory unless another is
    given. Where that cannot be used `trouble` says why, and what is known anyway has to do.
    """

    def __init__(self, reporter: Takes, table: Table | None = None) -> None:
        self._reporter = reporter
        self.trouble: str | None = None
        self._intake = Intake(table or self._usual_table())
        self._wanted = conventions().wanted
        self._deciding = conventions().deciding
        self._open: WeakValueDictionary[Any, Any] = WeakValueDictionary()
        self.failed = 0

    def on_start(self, span: Any, parent_context: object = None) -> None:
        """Remembers the span for those within it, as long as the application holds it."""
        del parent_context  # a span knows its parent
        try:
            self._open[key(span.context)] = span
        except Exception:  # noqa: BLE001  # an application does not stop because it could not be counted
            self.failed += 1

    def _on_ending(self, span: object) -> None:
        """Nothing. The SDK calls this of every processor (1.40), for those that still change a span."""

    def on_end(self, span: SdkSpan) -> None:
        """Counts the span if it is a task. Most are none, and cost no more than to see that."""
        try:
            itself = key(span.context)
            self._open.pop(itself, None)
            if self._deciding.isdisjoint(span.attributes or ()) and not self._intake.is_above(itself):
                return
            task = self._intake.task(from_sdk(span, self._wanted, self._around(span)))
            if task is not None:
                self._reporter.take(task)
        except Exception:  # noqa: BLE001  # as above
            self.failed += 1

    def shutdown(self) -> None:
        """The reporter outlives the spans: it closes its windows itself when the process ends."""

    def force_flush(self, timeout_millis: int = 30_000) -> bool:
        """Nothing waits here. What is added up stays until its window is over, or it would tell of single requests."""
        return timeout_millis >= 0

    def _usual_table(self) -> Table:
        try:
            return usual()
        except BadTable as bad:
            self.trouble = f"{FILE}: {bad}"
        except (OSError, RuntimeError) as error:  # RuntimeError: there is no home to look in
            self.trouble = f"{FILE} cannot be read: {type(error).__name__}"
        return Table()

    def _around(self, span: SdkSpan) -> dict[str, Any]:
        """What open spans around this one say, the nearest first."""
        said: dict[str, Any] = {}
        around: SdkSpan | None = self._open.get(key(span.parent))
        for _ in range(MOST_LAYERS):
            if around is None:
                break
            said = {**attributes_of(around, self._wanted), **said}
            around = self._open.get(key(around.parent))
        return {name: value for name, value in said.items() if self._wanted.of_others(name)}
