"""`python -m load.agent.tasks_once reporter|unconfigured|spans FOLDER URL TASKS`: many tasks of one application.

An application tells of two thousand tasks, pauses, tells of more. Its own thread is timed while it tells; everything
else that the process does is done behind its back. Prints both in CPU seconds, and the peak of memory, as JSON.
"""

import json
import sys
import time
from collections.abc import Callable
from typing import Any

from load.agent.peak import peak_bytes

AT_ONCE = 2_000
"""Below what either side holds before it drops, or has the application help."""

PAUSE_SECONDS = 0.3
"""Longer than the library's thread waits before it looks."""

ROUTES = ("on_device", "on_device", "on_device", "edge", "private_cloud", "managed_cloud", "non_ai")
KINDS = ("interactive", "document", "retrieval")

Tell = Callable[[int], None]


def reporting(folder: str, url: str) -> tuple[Tell, Callable[[], object]]:
    """The library; nothing listens at its endpoint, and its thread waits for that to change."""
    from reporter import Reporter  # noqa: PLC0415  # only one side is to be in the process

    reporter = Reporter(f"{url}/t/managed", "token", directory=folder) if url else Reporter(directory=folder)

    def tell(number: int) -> None:
        route = ROUTES[number % len(ROUTES)]
        with reporter.task(
            data_class="internal",
            task_kind=KINDS[number % len(KINDS)],
            planned=route,
            input_size="small",
            authority="suggest",
            reason="default",
            policy="2026.11",
        ) as task:
            task.first_token()
            task.ran_on(route, model="pocket-chat", version="2.1", precision="int4")
            task.tokens(read=1020, written=129)

    return tell, reporter.close


def tracing(folder: str, url: str) -> tuple[Tell, Callable[[], object]]:
    """The SDK, which exports to `url`."""
    del folder
    from opentelemetry.exporter.otlp.proto.http import Compression  # noqa: PLC0415  # as above
    from opentelemetry.exporter.otlp.proto.http.trace_exporter import (  # noqa: PLC0415  # as above
        OTLPSpanExporter,
    )
    from opentelemetry.sdk.trace import TracerProvider  # noqa: PLC0415  # as above
    from opentelemetry.sdk.trace.export import BatchSpanProcessor  # noqa: PLC0415  # as above

    from load.agent.sink import PATH  # noqa: PLC0415  # as above

    provider = TracerProvider(shutdown_on_exit=False)
    exporter = OTLPSpanExporter(endpoint=f"{url}{PATH}", compression=Compression.Gzip)
    # As often as the library's thread looks, so that what is told is exported while somebody measures.
    processor = BatchSpanProcessor(exporter, schedule_delay_millis=PAUSE_SECONDS * 500)
    provider.add_span_processor(processor)
    tracer = provider.get_tracer("assistant")

    def tell(number: int) -> None:
        route = ROUTES[number % len(ROUTES)]
        with tracer.start_as_current_span("chat") as span:
            span.set_attributes(
                {
                    "gen_ai.operation.name": "chat",
                    "gen_ai.response.model": "pocket-chat",
                    "gen_ai.usage.input_tokens": 1020,
                    "gen_ai.usage.output_tokens": 129,
                    "gen_ai.response.time_to_first_chunk": 0.2,
                    "tidegate.data_class": "internal",
                    "tidegate.task_kind": KINDS[number % len(KINDS)],
                    "tidegate.planned_route": route,
                    "tidegate.actual_route": route,
                    "tidegate.input_size": "small",
                    "tidegate.authority": "suggest",
                    "tidegate.decision_reason": "default",
                    "tidegate.policy_version": "2026.11",
                    "tidegate.model_version": "2.1",
                    "tidegate.precision": "int4",
                }
            )

    return tell, provider.shutdown


def main(side: str, folder: str, url: str, tasks: int) -> dict[str, Any]:
    """What it took."""
    tell, end = tracing(folder, url) if side == "spans" else reporting(folder, url)
    tell(0)
    time.sleep(PAUSE_SECONDS)
    ours, began = 0.0, time.process_time()
    for first in range(0, tasks, AT_ONCE):
        before = time.thread_time()
        for number in range(first, first + AT_ONCE):
            tell(number)
        ours += time.thread_time() - before
        time.sleep(PAUSE_SECONDS)
    everything = time.process_time() - began
    end()
    told = -(-tasks // AT_ONCE) * AT_ONCE
    return {"application": ours / told, "behind": (everything - ours) / told, "peak": peak_bytes()}


if __name__ == "__main__":
    print(json.dumps(main(sys.argv[1], sys.argv[2], sys.argv[3], int(sys.argv[4]))))
