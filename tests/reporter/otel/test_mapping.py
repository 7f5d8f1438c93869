"""Spans to tasks: what each attribute becomes, and what becomes of words that nobody knows."""

from typing import Any

import pytest

from reporter.otel.conventions import conventions
from reporter.otel.mapping import task_of
from reporter.otel.spans import Span
from reporter.otel.table import Table
from reporter.windows.folding import Folding
from reporter.windows.task import Task
from reporter.windows.task_window import TaskWindow
from tests.reporter.otel.made_spans import NINE_NS, said, span

PLAIN = Table()


def task(of: Span, table: Table = PLAIN) -> Task:
    """The task that a span must be."""
    found = task_of(of, table)
    assert found is not None
    return found


def test_a_plain_request_says_what_the_conventions_know() -> None:
    """Route, model, time and outcome come from the conventions alone, and the rest stays unsaid."""
    assert said(task(span({"gen_ai.usage.input_tokens": 1200, "gen_ai.usage.output_tokens": 34}))) == {
        "actual_route": "managed_cloud",
        "model": "gpt-x",
        "succeeded": True,
        "latency_ms": 250.0,
        "tokens_in": 1200,
        "tokens_out": 34,
        "input_size": "medium",
    }


@pytest.mark.parametrize(
    ("attributes", "is_task"),
    [
        pytest.param({}, True, id="chat"),
        pytest.param({"gen_ai.operation.name": "text_completion"}, True, id="completion"),
        pytest.param({"gen_ai.operation.name": "generate_content"}, True, id="content"),
        pytest.param({"gen_ai.operation.name": "embeddings"}, False, id="embeddings serve a task and are none"),
        pytest.param({"gen_ai.operation.name": "invoke_agent"}, False, id="an agent is around its requests"),
        pytest.param({"gen_ai.operation.name": "execute_tool"}, False, id="a tool is no model"),
        pytest.param({"gen_ai.operation.name": None}, False, id="any other span"),
        pytest.param({"gen_ai.operation.name": ["chat"]}, False, id="not a word"),
        pytest.param({"tidegate.task": False}, False, id="the application says no"),
        pytest.param({"gen_ai.operation.name": None, "tidegate.task": True}, True, id="the application says yes"),
        pytest.param({"gen_ai.operation.name": "embeddings", "tidegate.task": "true"}, True, id="yes as a text"),
        pytest.param({"tidegate.task": "perhaps"}, True, id="neither yes nor no"),
    ],
)
def test_which_spans_are_tasks(attributes: dict[str, Any], is_task: bool) -> None:
    """Requests to a model are tasks, and what an application says about that comes first."""
    assert (task_of(span(attributes), PLAIN) is not None) == is_task


@pytest.mark.parametrize(
    ("attributes", "field", "value"),
    [
        pytest.param({"gen_ai.usage.prompt_tokens": 7}, "tokens_in", 7, id="tokens, the old name"),
        pytest.param({"gen_ai.usage.input_tokens": 7, "gen_ai.usage.prompt_tokens": 8}, "tokens_in", 7,
                     id="both names, the new one first"),
        pytest.param({"gen_ai.usage.prompt_tokens": 8, "gen_ai.usage.input_tokens": 7}, "tokens_in", 7,
                     id="both names, the old one first"),
        pytest.param({"gen_ai.usage.prompt_tokens": 8, "gen_ai.usage.input_tokens": "many"}, "tokens_in", 8,
                     id="both names, the new one no number"),
        pytest.param({"gen_ai.usage.input_tokens": "7"}, "tokens_in", 7, id="a number as a text"),
        pytest.param({"gen_ai.usage.input_tokens": "seven"}, "tokens_in", 0, id="no number"),
        pytest.param({"gen_ai.usage.input_tokens": -7}, "tokens_in", 0, id="less than none"),
        pytest.param({"gen_ai.usage.input_tokens": True}, "tokens_in", 0, id="a truth is no number"),
        pytest.param({"gen_ai.usage.input_tokens": float("inf")}, "tokens_in", 0, id="no end"),
        pytest.param({"gen_ai.usage.output_tokens": 1 << 70}, "tokens_out", (1 << 63) - 1, id="beyond the type"),
        pytest.param({"gen_ai.usage.input_tokens": 999}, "input_size", "small", id="a small input"),
        pytest.param({"gen_ai.usage.input_tokens": 8000}, "input_size", "large", id="a large input"),
        pytest.param({"gen_ai.usage.input_tokens": 8000, "tidegate.input_size": "small"}, "input_size", "small",
                     id="a size as it is said"),
        pytest.param({"gen_ai.response.time_to_first_chunk": 0.25}, "first_token_ms", 250.0, id="first token"),
        pytest.param({"gen_ai.server.time_to_first_token": 0.5}, "first_token_ms", 500.0, id="first token, elsewhere"),
        pytest.param({"gen_ai.response.time_to_first_chunk": 1e9}, "first_token_ms", None, id="nobody waits for years"),
        pytest.param({"error.type": "TimeoutError"}, "succeeded", False, id="an error"),
        pytest.param({"gen_ai.response.finish_reasons": ["error"]}, "succeeded", False, id="ended abnormally"),
        pytest.param({"gen_ai.response.finish_reasons": ["stop"]}, "succeeded", True, id="ended"),
        pytest.param({"error.type": "500", "tidegate.succeeded": True}, "succeeded", True, id="the application knows"),
        pytest.param({"tidegate.contract_valid": False}, "contract_checked", True, id="a contract was checked"),
        pytest.param({"tidegate.disclosures": "residency, fallback_shown"}, "disclosures",
                     frozenset({"residency", "fallback_shown"}), id="disclosures as a text"),
        pytest.param({"tidegate.disclosures": ["residency"]}, "disclosures", frozenset({"residency"}), id="as a list"),
        pytest.param({"tidegate.disclosures": 5}, "disclosures", frozenset(), id="as neither"),
        pytest.param({"tidegate.offline": "TRUE"}, "offline", True, id="a truth as a text"),
        pytest.param({"tidegate.data_class": "x" * 129}, "data_class", "other", id="no name is that long"),
        pytest.param({"tidegate.data_class": ""}, "data_class", None, id="nothing said"),
        pytest.param({"tidegate.actual_route": "edge"}, "actual_route", "edge", id="the application knows where"),
        pytest.param({"gen_ai.provider.name": None, "gen_ai.system": "openai"}, "actual_route", "managed_cloud",
                     id="provider, the old name"),
        pytest.param({"server.address": "127.0.0.1", "server.port": 8080}, "actual_route", "on_device", id="loopback"),
        pytest.param({"gen_ai.provider.name": "acme"}, "actual_route", "other", id="a provider that nobody knows"),
        pytest.param({"gen_ai.provider.name": ["a"]}, "actual_route", "other", id="a provider that is no word"),
        pytest.param({"gen_ai.response.model": "gpt-x-2026-08-06"}, "model_version", "2026-08-06", id="version behind"),
        pytest.param({"gen_ai.response.model": "gpt-x"}, "model_version", None, id="no version"),
        pytest.param({"gen_ai.response.model": "gpt-xl"}, "model_version", None, id="another model has answered"),
        pytest.param({"gen_ai.request.model": None, "gen_ai.response.model": "m"}, "model", "m", id="answering model"),
        pytest.param({"tidegate.model": "small-chat", "gen_ai.response.model": "gpt-x-1"}, "model_version", None,
                     id="no version of a model that is called otherwise"),
    ],
)  # fmt: skip
def test_what_attributes_become(attributes: dict[str, Any], field: str, value: Any) -> None:
    """Each attribute lands in its field, and what is of the wrong kind is as good as unsaid."""
    assert getattr(task(span(attributes)), field) == value


def test_every_field_of_a_task_can_be_said() -> None:
    """There is nothing that the library can say of a task and a span cannot, times of the clock aside."""
    spoken = conventions().fields
    assert set(Task.__slots__) - spoken == {"latency_ms", "contract_checked"}
    assert spoken <= set(Task.__slots__)


@pytest.mark.parametrize(
    ("of", "latency", "first"),
    [
        pytest.param(span(first_event_ms=90), 250.0, 90.0, id="an event tells when the first token came"),
        pytest.param(span(first_event_ms=-1), 250.0, None, id="an event before the start"),
        pytest.param(span(first_event_ms=251), 250.0, None, id="an event after the end"),
        pytest.param(span(end_ns=NINE_NS - 1), None, None, id="the clock went back"),
        pytest.param(span(start_ns=0), None, None, id="never began"),
        pytest.param(span({"gen_ai.response.time_to_first_chunk": 0.1}, first_event_ms=90), 250.0, 100.0,
                     id="the attribute was measured, the event noted"),
    ],
)  # fmt: skip
def test_times(of: Span, latency: float | None, first: float | None) -> None:
    """Times come from the span, unless its clock contradicts itself."""
    found = task(of)
    assert (found.latency_ms, found.first_token_ms) == (latency, first)


def test_a_failed_span_has_not_succeeded() -> None:
    """The status of a span is enough to know that a request failed."""
    assert not task(span(failed=True)).succeeded


def test_the_table_speaks_where_a_span_is_silent() -> None:
    """What an operator says holds for whatever the span leaves unsaid, and for nothing else."""
    table = Table(said={"data_class": "internal", "task_kind": "document"})
    found = task(span({"tidegate.data_class": "restricted"}), table)
    assert (found.data_class, found.task_kind) == ("restricted", "document")


def test_the_table_has_the_names_of_the_manifest() -> None:
    """A model that the operator names otherwise goes by that name, version and precision."""
    table = Table(models={"llama3.2:3b": {"model": "small-chat", "model_version": "1.0", "precision": "int4"}})
    found = task(span({"gen_ai.request.model": "llama3.2:3b", "tidegate.precision": "int8"}), table)
    assert (found.model, found.model_version, found.precision) == ("small-chat", "1.0", "int8")


def test_words_of_nobody_become_other_in_the_report() -> None:
    """A span may say anything: its report has the words of the schema, or `other`."""
    window = TaskWindow(NINE_NS // 1_000_000, 300_000)
    window.add(
        task(span({"tidegate.data_class": "top secret", "tidegate.planned_route": "moon", "server.address": "x"}))
    )
    (row,) = window.route_values(Folding())["rows"]
    assert {row["data_class"], row["planned_route"], row["actual_route"]} == {"other"}


def test_a_silent_fallback_is_told() -> None:
    """A span that left its zone and says nothing of it counts as neither asked for nor disclosed."""
    window = TaskWindow(NINE_NS // 1_000_000, 300_000)
    window.add(task(span({"tidegate.planned_route": "on_device"})))
    told = {one["rule"]: one["tasks"] for one in window.route_values(Folding())["violations"]}
    assert told["consent_not_asked"] == told["undisclosed"] == 1
