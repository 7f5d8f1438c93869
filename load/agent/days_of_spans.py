"""`python -m load.agent.days_of_spans URL SECONDS FLEET SEED TRACE`: devices' days as spans of the OpenTelemetry SDK.

The SDK's own tracer, BatchSpanProcessor and OTLP exporter over HTTP, with gzip. The processor exports every `SECONDS`
of the devices' time what has ended since; nobody waits for them here, and it is told to export when they have passed.
Prints the CPU time of it as JSON: from the first task to the last answer, what it was all made of being ready; and how
often it exported after a minute of silence, when most servers would have closed the connection that is kept here.
"""

import json
import sys
import time
from collections.abc import Sequence
from typing import Any

from opentelemetry.exporter.otlp.proto.http import Compression
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor

from load.agent.days import Asked, DeviceDays
from load.agent.sink import PATH
from load.agent.spans import FILE, TASK, of_file, of_task, resource_of
from load.children import peak_bytes

NS_PER_MS = 1_000_000
TOKEN = "t" * 43
"""As long as a device's token of the gate: a collector asks for one too."""

KEPT_MS = 60_000
"""How long servers keep a connection that nobody uses."""

NEVER_MS = 86_400_000
"""Until the processor would export by its own clock."""

Event = tuple[int, str, int, dict[str, Any]]
"""End, name, length (both ms) and attributes of a span."""


def spans_of(days: DeviceDays) -> list[Event]:
    """In order of their ends."""
    tasks = [(task.time, TASK, task.latency_ms or 0, of_task(task)) for task in days.tasks]
    files = [(file.hour, FILE, 0, of_file(file)) for file in days.files]
    return sorted([*tasks, *files], key=lambda event: event[0])


def run(url: str, seconds: float, every: Sequence[DeviceDays]) -> dict[str, Any]:
    """All devices, one after the other."""
    cpu = 0.0
    number = connections = 0
    for days in every:
        events = spans_of(days)
        exporter = OTLPSpanExporter(
            endpoint=f"{url}{PATH}", headers={"Authorization": f"Bearer {TOKEN}"}, compression=Compression.Gzip
        )
        provider = TracerProvider(resource=Resource.create(resource_of(days.device)), shutdown_on_exit=False)
        processor = BatchSpanProcessor(exporter, schedule_delay_millis=NEVER_MS)
        provider.add_span_processor(processor)
        began = time.process_time()
        connections += _tell(provider, processor, events, seconds)
        cpu += time.process_time() - began
        number += len(events)
        provider.shutdown()
    return {"cpu": cpu, "told": number, "connections": connections, "peak": peak_bytes()}


def _tell(provider: TracerProvider, processor: BatchSpanProcessor, events: Sequence[Event], seconds: float) -> int:
    """How many connections there would have been."""
    connections, exported_ms = 1, 0.0
    tracer = provider.get_tracer("assistant", "1.0")
    period_ms = seconds * 1000
    period = events[0][0] // period_ms
    for end_ms, name, length_ms, attributes in events:
        if end_ms // period_ms != period:
            at_ms = (period + 1) * period_ms
            connections += at_ms > exported_ms + KEPT_MS
            period, exported_ms = end_ms // period_ms, at_ms
            processor.force_flush()
        span = tracer.start_span(name, start_time=(end_ms - length_ms) * NS_PER_MS, attributes=attributes)
        span.end(end_ms * NS_PER_MS)
    processor.force_flush()
    return connections


if __name__ == "__main__":
    print(json.dumps(run(sys.argv[1], float(sys.argv[2]), Asked.of(sys.argv[3:]).days())))
