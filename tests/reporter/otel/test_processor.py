"""The span processor in OpenTelemetry's own SDK: which spans become tasks, and that an application never feels it."""

import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import SpanProcessor, TracerProvider
from opentelemetry.trace import SpanKind, StatusCode, Tracer

from reporter.directory import VARIABLE
from reporter.otel.processor import TidegateSpanProcessor
from reporter.otel.table import FILE, Table
from reporter.windows.task import Task
from tests.reporter.otel.made_spans import CHAT, PLANTED, Taken, said


class Traced:
    """An application with a provider, to which two lines were added."""

    def __init__(self, table: Table | None = None, **resource: str) -> None:
        self.taken = Taken()
        self.processor = TidegateSpanProcessor(self.taken, table or Table())
        self.provider = TracerProvider(resource=Resource({name.replace("__", "."): v for name, v in resource.items()}))
        self.provider.add_span_processor(self.processor)  # type: ignore[arg-type]  # duck-typed on purpose
        self.tracer: Tracer = self.provider.get_tracer("an-application")

    def chat(self, **more: Any) -> None:
        attributes = CHAT | {name.replace("__", "."): value for name, value in more.items()}
        with self.tracer.start_as_current_span("chat gpt-x", kind=SpanKind.CLIENT, attributes=attributes):
            pass

    @property
    def tasks(self) -> list[Task]:
        assert self.processor.failed == 0
        return self.taken.tasks


@pytest.fixture
def traced() -> Iterator[Traced]:
    """An application, shut down at the end."""
    application = Traced()
    yield application
    application.provider.shutdown()


def test_a_request_is_a_task(traced: Traced) -> None:
    """A span of the conventions becomes a task with route, model and time."""
    traced.chat(gen_ai__usage__input_tokens=12, server__address="localhost", server__port=11434)
    (task,) = traced.tasks
    assert (task.actual_route, task.model, task.tokens_in, task.succeeded) == ("on_device", "gpt-x", 12, True)
    assert task.latency_ms is not None
    assert task.latency_ms >= 0


def test_other_spans_are_no_tasks(traced: Traced) -> None:
    """What is no request to a model is passed by."""
    with traced.tracer.start_as_current_span("GET /", attributes={"url.full": PLANTED[0]}):
        pass
    assert traced.tasks == []


def test_an_error_is_a_task_that_failed(traced: Traced) -> None:
    """An exception in a span goes on to the application, and its task has not succeeded."""

    def fails() -> None:
        with traced.tracer.start_as_current_span("chat", attributes=CHAT):
            raise OSError(PLANTED[0])

    with pytest.raises(OSError, match=PLANTED[0]):
        fails()
    assert [task.succeeded for task in traced.tasks] == [False]


def test_a_status_of_error_is_a_task_that_failed(traced: Traced) -> None:
    """A span that is marked as failed needs no exception."""
    with traced.tracer.start_as_current_span("chat", attributes=CHAT) as span:
        span.set_status(StatusCode.ERROR, PLANTED[0])
    assert [task.succeeded for task in traced.tasks] == [False]


def test_the_first_token_is_an_event(traced: Traced) -> None:
    """The first of several chunks tells when the answer began."""
    span = traced.tracer.start_span("chat", attributes=CHAT, start_time=10**18)
    span.add_event("gen_ai.content.prompt", {"gen_ai.prompt": PLANTED[0]}, timestamp=10**18 + 1)
    for at in (40_000_000, 30_000_000, 50_000_000):
        span.add_event("llm.content.completion.chunk", timestamp=10**18 + at)
    span.end(10**18 + 60_000_000)
    assert [(task.first_token_ms, task.latency_ms) for task in traced.tasks] == [(30.0, 60.0)]


def test_spans_around_speak_for_those_within(traced: Traced) -> None:
    """What an application says around a request holds for it, the nearest first, set early or late."""
    outermost = {"tidegate.data_class": "restricted", "tidegate.task_kind": "document", "user.id": PLANTED[2]}
    with traced.tracer.start_as_current_span("feature", attributes=outermost) as outer:
        outer.set_attribute("tidegate.authority", "local_safe")
        with traced.tracer.start_as_current_span("step", attributes={"tidegate.task_kind": "field"}):
            traced.chat()
    (task,) = traced.tasks
    assert (task.data_class, task.task_kind, task.authority) == ("restricted", "field", "local_safe")


def test_what_is_no_task_around_leaves_the_one_within(traced: Traced) -> None:
    """To say of a span that it is no task says nothing about the requests in it."""
    with traced.tracer.start_as_current_span("feature", attributes={"tidegate.task": False}):
        traced.chat()
    assert len(traced.tasks) == 1


def test_a_sibling_speaks_for_nobody(traced: Traced) -> None:
    """What was said around one request does not hold for the next."""
    with traced.tracer.start_as_current_span("feature", attributes={"tidegate.data_class": "restricted"}):
        traced.chat()
    traced.chat()
    assert [task.data_class for task in traced.tasks] == ["restricted", None]


def test_a_request_that_two_layers_tell_of_counts_once(traced: Traced) -> None:
    """A framework's span above a client's, with another between, is the same request, and the inner one counts."""
    start, framework = traced.tracer.start_as_current_span, {**CHAT, "gen_ai.provider.name": "langchain"}
    with start("chat", attributes=framework), start("retry"):
        traced.chat(server__address="localhost")
    assert [task.actual_route for task in traced.tasks] == ["on_device"]


def test_an_agent_is_as_many_tasks_as_it_makes_requests(traced: Traced) -> None:
    """The span of an agent is around its requests, each of which is a task."""
    with traced.tracer.start_as_current_span("agent", attributes={"gen_ai.operation.name": "invoke_agent"}):
        for _ in range(3):
            traced.chat()
    assert len(traced.tasks) == 3


def test_the_resource_speaks_for_a_whole_application() -> None:
    """What stands in OTEL_RESOURCE_ATTRIBUTES holds where no span says otherwise, and only for our own names."""
    application = Traced(tidegate__data_class="internal", tidegate__task_kind="document", gen_ai__request__model="x")
    application.chat(tidegate__task_kind="field")
    application.chat(gen_ai__request__model="")
    first, second = application.tasks
    assert (first.data_class, first.task_kind) == ("internal", "field")
    assert (second.task_kind, second.model) == ("document", None)


def test_content_is_not_looked_at(traced: Traced) -> None:
    """Whatever a span holds beside the listed attributes is in nothing that is handed on."""
    question, answer, email, conversation, tool = PLANTED
    content = {
        "gen_ai.input.messages": question, "gen_ai.output.messages": answer, "user.id": email,
        "gen_ai.conversation.id": conversation, "gen_ai.tool.definitions": tool, "tidegate.notes": question,
    }  # fmt: skip
    traced.chat(**content)
    assert not any(word in repr(said(traced.tasks[0])) for word in PLANTED)


def test_it_has_every_method_of_a_span_processor() -> None:
    """The SDK finds whatever it calls on a span processor."""
    wanted = {name for name in vars(SpanProcessor) if not name.startswith("__")}
    assert wanted <= set(dir(TidegateSpanProcessor))


def test_shutdown_and_flush_leave_the_reporter_alone(traced: Traced) -> None:
    """A provider that is flushed or shut down closes no window, and spans that still end do count."""
    assert traced.provider.force_flush()
    traced.provider.shutdown()
    traced.chat()
    assert len(traced.tasks) == 1


class Broken:
    """A reporter that fails against its promise."""

    def take(self, task: Task) -> None:
        raise RuntimeError(repr(task))


@pytest.mark.parametrize("span", [None, object(), "span"])
def test_what_is_no_span_does_no_harm(traced: Traced, span: Any) -> None:
    """An SDK that hands over something else is counted, and the application goes on."""
    traced.processor.on_start(span)
    traced.processor.on_end(span)
    assert traced.processor.failed == 2
    assert traced.taken.tasks == []


def test_a_reporter_that_fails_does_no_harm() -> None:
    """An error behind the processor does not reach the application."""
    provider = TracerProvider()
    processor = TidegateSpanProcessor(Broken(), Table())
    provider.add_span_processor(processor)  # type: ignore[arg-type]  # duck-typed on purpose
    with provider.get_tracer("an-application").start_as_current_span("chat", attributes=CHAT):
        pass
    assert processor.failed == 1


def test_threads_lose_nothing(traced: Traced) -> None:
    """Every request of many threads is counted once."""

    def work() -> None:
        for _ in range(100):
            traced.chat()

    threads = [threading.Thread(target=work) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(traced.tasks) == 800


def test_open_spans_are_not_kept(traced: Traced) -> None:
    """A span that an application forgets to end is forgotten here too."""
    for _ in range(100):
        traced.tracer.start_span("forgotten")
    span = traced.tracer.start_span("held")
    assert len(traced.processor._open) == 1
    span.end()
    assert len(traced.processor._open) == 0


@pytest.mark.parametrize(
    ("document", "route", "trouble"),
    [
        pytest.param(None, "managed_cloud", None, id="no table"),
        pytest.param(
            b'{"providers": {"acme": "edge"}, "hosts": {"gw.example.org": "edge"}}', "edge", None, id="a table"
        ),
        pytest.param(b'{"host": {}}', "managed_cloud", "spans.json: host: there is no such key", id="a wrong table"),
    ],
)
def test_the_devices_table_is_found(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, document: bytes | None, route: str, trouble: str | None
) -> None:
    """Without a table of its own the processor takes the device's, and says so where it cannot."""
    monkeypatch.setenv(VARIABLE, str(tmp_path))
    if document is not None:
        (tmp_path / FILE).write_bytes(document)
    taken = Taken()
    processor = TidegateSpanProcessor(taken)
    provider = TracerProvider()
    provider.add_span_processor(processor)  # type: ignore[arg-type]  # duck-typed on purpose
    host = "gw.example.org" if route == "edge" else "api.openai.com"
    with provider.get_tracer("an-application").start_as_current_span(
        "chat", attributes={**CHAT, "server.address": host}
    ):
        pass
    assert [task.actual_route for task in taken.tasks] == [route]
    assert (processor.trouble or "").startswith(trouble or "")
    assert (processor.trouble is None) == (trouble is None)
