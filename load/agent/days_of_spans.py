"""`python -m load.agent.days_of_spans URL SECONDS ASKED`: days as spans of the OpenTelemetry SDK.

The SDK's own tracer, BatchSpanProcessor and OTLP exporter over HTTP, with gzip. The processor exports every `SECONDS`
of the devices' time what has ended since, and sooner what fills a batch; nobody waits for either here, so it is told
when to. Prints the CPU time of it as JSON: from the first task to the last answer, all attributes being ready; and how
many connections there would be if none is kept through a minute of silence, for here one is.
"""

import json
import sys
import time
from collections.abc import Sequence
from itertools import groupby, pairwise
from typing import Any

from opentelemetry.exporter.otlp.proto.http import Compression
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor

from load.agent.days import Asked, DeviceDays
from load.agent.sink import PATH
from load.agent.spans import FILE, TASK, of_file, of_task, resource_of

NS_PER_MS = 1_000_000
TOKEN = "t" * 43
"""As long as a device's token of the gate: a collector asks for one too."""

KEPT_MS = 60_000
"""How long servers keep a connection that nobody uses."""

NEVER_MS = 86_400_000
"""Until the processor would export by its own clock."""

BATCH = 512
"""Spans that the SDK exports at once, and as soon as it has so many."""

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
    return {"cpu": cpu, "told": number, "connections": connections}


def _tell(provider: TracerProvider, processor: BatchSpanProcessor, events: Sequence[Event], seconds: float) -> int:
    """How many connections there would have been."""
    tracer = provider.get_tracer("assistant", "1.0")
    period_ms = seconds * 1000
    exported: list[float] = []
    for period, ended in groupby(events, key=lambda event: event[0] // period_ms):
        for number, (end_ms, name, length_ms, attributes) in enumerate(ended, start=1):
            span = tracer.start_span(name, start_time=(end_ms - length_ms) * NS_PER_MS, attributes=attributes)
            span.end(end_ms * NS_PER_MS)
            if number % BATCH == 0:
                processor.force_flush()
                exported.append(end_ms)
        processor.force_flush()
        exported.append((period + 1) * period_ms)
    return 1 + sum(at - before > KEPT_MS for before, at in pairwise(exported))


if __name__ == "__main__":
    print(json.dumps(run(sys.argv[1], float(sys.argv[2]), Asked.of(sys.argv[3:]).days())))
