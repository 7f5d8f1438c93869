"""`python -m load.agent.start_once nothing|reporter|spans FOLDER`: what it costs a process to begin with either.

Prints seconds by the clock, CPU seconds and the peak of memory as JSON. Nothing else is imported here that could have
paid for it before, or that is as large as what is measured.
"""

import json
import sys
import time

from load.agent.peak import peak_bytes


def nothing(folder: str) -> object:
    """An application without either."""
    return folder


def reporter(folder: str) -> object:
    """The library, configured."""
    from reporter import Reporter  # noqa: PLC0415  # what is measured

    return Reporter("http://127.0.0.1:9/t/managed", "token", directory=folder)


def spans(folder: str) -> object:
    """The SDK with the exporter over HTTP, configured."""
    del folder
    from opentelemetry.exporter.otlp.proto.http.trace_exporter import (  # noqa: PLC0415  # as above
        OTLPSpanExporter,
    )
    from opentelemetry.sdk.trace import TracerProvider  # noqa: PLC0415  # as above
    from opentelemetry.sdk.trace.export import BatchSpanProcessor  # noqa: PLC0415  # as above

    provider = TracerProvider(shutdown_on_exit=False)
    provider.add_span_processor(BatchSpanProcessor(OTLPSpanExporter(endpoint="http://127.0.0.1:9/v1/traces")))
    return provider.get_tracer("assistant")


SIDES = {"nothing": nothing, "reporter": reporter, "spans": spans}


def main(side: str, folder: str) -> None:
    """Begin, and print what it took."""
    elapsed, cpu = time.perf_counter(), time.process_time()
    kept = SIDES[side](folder)
    taken = {"elapsed": time.perf_counter() - elapsed, "cpu": time.process_time() - cpu, "peak": peak_bytes()}
    print(json.dumps(taken))
    del kept


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2])
