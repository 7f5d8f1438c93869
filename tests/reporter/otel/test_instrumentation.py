"""A real instrumentation of a real client, changed in nothing: what it says of a request is understood."""

import json
import os
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from importlib import import_module
from threading import Thread
from typing import Any

import pytest
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from reporter.otel.processor import TidegateSpanProcessor
from reporter.otel.table import Table
from reporter.windows.task import Task
from tests.reporter.otel.made_spans import PLANTED, Taken, said

try:
    # By name, since types of what may be missing can be checked only where it is not.
    openai = import_module("openai")
    instrumentation = import_module("opentelemetry.instrumentation.genai.openai")
except ImportError:
    if os.environ.get("CI"):
        raise
    pytest.skip("openai and its instrumentation are not installed", allow_module_level=True)

QUESTION, ANSWER = PLANTED[:2]
USAGE = {"prompt_tokens": 1200, "completion_tokens": 5, "total_tokens": 1205}


class Model(BaseHTTPRequestHandler):
    """Speaks a vendor's protocol on this machine, as servers of local models do."""

    protocol_version = "HTTP/1.1"

    def do_POST(self) -> None:
        asked = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        if asked["model"] == "broken":
            self._send(500, "application/json", b'{"error": {"message": "broken"}}')
        elif asked.get("stream"):
            parts = [_part({"content": word}) for word in ANSWER.split()] + [_part({}, usage=USAGE)]
            events = b"".join(b"data: %b\n\n" % json.dumps(part).encode() for part in parts)
            self._send(200, "text/event-stream", events + b"data: [DONE]\n\n")
        else:
            message = {"role": "assistant", "content": ANSWER}
            choice = {"index": 0, "finish_reason": "stop", "message": message}
            whole = {"id": "c-1", "object": "chat.completion", "created": 1, "model": "small-chat-1.0"}
            self._send(200, "application/json", json.dumps(whole | {"choices": [choice], "usage": USAGE}).encode())

    def _send(self, status: int, kind: str, content: bytes) -> None:
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, *_: Any) -> None:
        pass


def _part(delta: dict[str, str], usage: dict[str, int] | None = None) -> dict[str, Any]:
    choice = {"index": 0, "delta": delta, "finish_reason": "stop" if usage else None}
    return {"id": "c-1", "object": "chat.completion.chunk", "created": 1, "model": "small-chat-1.0",
            "choices": [choice], "usage": usage}  # fmt: skip


class Application:
    """An application that was instrumented by somebody else, and two lines."""

    def __init__(self, port: int) -> None:
        self.taken = Taken()
        self.provider = TracerProvider()
        self.spans = InMemorySpanExporter()
        self.provider.add_span_processor(SimpleSpanProcessor(self.spans))
        table = Table(said={"data_class": "internal"})
        self.provider.add_span_processor(TidegateSpanProcessor(self.taken, table))  # type: ignore[arg-type]
        self.client = openai.OpenAI(base_url=f"http://127.0.0.1:{port}/v1", api_key="none", max_retries=0)

    def ask(self, model: str = "small-chat", **more: Any) -> Any:
        messages = [{"role": "user", "content": QUESTION}]
        return self.client.chat.completions.create(model=model, messages=messages, **more)

    @property
    def task(self) -> Task:
        (task,) = self.taken.tasks
        assert not any(word in repr(said(task)) for word in PLANTED)
        return task


@pytest.fixture
def application(monkeypatch: pytest.MonkeyPatch) -> Iterator[Application]:
    """An application that asks a model on this machine."""
    # All of it on the spans: the worst that an instrumentation can be told to do.
    monkeypatch.setenv("OTEL_INSTRUMENTATION_GENAI_CAPTURE_MESSAGE_CONTENT", "SPAN_ONLY")
    monkeypatch.setenv("OTEL_SEMCONV_STABILITY_OPT_IN", "gen_ai_latest_experimental")
    server = ThreadingHTTPServer(("127.0.0.1", 0), Model)
    Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
    made = Application(server.server_address[1])
    instrumentor = instrumentation.OpenAIInstrumentor()
    instrumentor.instrument(tracer_provider=made.provider)
    yield made
    instrumentor.uninstrument()
    made.client.close()
    server.shutdown()
    server.server_close()


def test_a_request_is_understood(application: Application) -> None:
    """Route, model, version, tokens and time come out of a plain call of the client."""
    assert application.ask().choices[0].message.content == ANSWER
    (span,) = application.spans.get_finished_spans()
    assert all(word in str(span.attributes) for word in (QUESTION, ANSWER))
    task = application.task
    assert (task.actual_route, task.model, task.model_version) == ("on_device", "small-chat", "1.0")
    assert (task.tokens_in, task.tokens_out, task.input_size) == (1200, 5, "medium")
    assert (task.succeeded, task.data_class) == (True, "internal")
    assert task.latency_ms is not None


def test_a_streamed_request_is_understood(application: Application) -> None:
    """A streamed answer is a task once it has ended, with the time of its first part."""
    for _ in application.ask(stream=True):
        pass
    task = application.task
    assert (task.succeeded, task.tokens_out) == (True, 5)
    assert task.first_token_ms is not None
    assert task.latency_ms is not None
    assert 0 <= task.first_token_ms <= task.latency_ms


def test_a_failed_request_is_understood(application: Application) -> None:
    """A request that the server failed is a task that did not succeed."""
    with pytest.raises(openai.InternalServerError):
        application.ask("broken")
    assert not application.task.succeeded


def test_a_span_around_speaks_for_the_client(application: Application) -> None:
    """What the application says around a call holds for the span that the instrumentation makes."""
    tracer = application.provider.get_tracer("an-application")
    around = {"tidegate.data_class": "restricted", "tidegate.planned_route": "on_device"}
    with tracer.start_as_current_span("feature", attributes=around):
        application.ask()
    assert (application.task.data_class, application.task.planned_route) == ("restricted", "on_device")
