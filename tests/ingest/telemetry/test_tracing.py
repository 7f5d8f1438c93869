"""Spans: none unless asked for, never a child of what a device sent, nothing in them but known names and numbers."""

import os
import random
from collections.abc import Iterator

import pytest
from opentelemetry import baggage, trace
from opentelemetry.context import attach, detach
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.trace.v1.trace_pb2 import Span, Status
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

from ingest.telemetry import otlp
from ingest.telemetry.account import OUTCOMES
from ingest.telemetry.tracing import NO_SPAN, Tracing
from schemas.catalogue import load_catalogue
from tests.ingest.otlp_collector import Collector, collector

CATALOGUE = load_catalogue()
GATE = "00112233445566778899aabbccddeeff"
CANARY = "canary-51c0de-bob@example.com"
DEVICE_TRACE = "0af7651916cd43dd8448eb211c80319c"


@pytest.fixture(autouse=True)
def no_otel_variables(monkeypatch: pytest.MonkeyPatch) -> None:
    """Start every test without the OTEL_* variables of whoever runs it, and with a stop that waits for a collector."""
    monkeypatch.setattr(otlp, "FLUSH_SECONDS", 60)
    for name in [name for name in os.environ if name.startswith("OTEL_")]:
        monkeypatch.delenv(name)


@pytest.fixture
def found(monkeypatch: pytest.MonkeyPatch) -> Iterator[Collector]:
    """A collector, and an environment that asks for traces to be sent to it, every one of them."""
    with collector() as listening:
        monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", listening.endpoint)
        monkeypatch.setenv("OTEL_TRACES_SAMPLER", "always_on")
        yield listening


def spans(found: Collector) -> list[Span]:
    """Every span that was posted."""
    requests = [ExportTraceServiceRequest.FromString(body) for body in found.bodies("/v1/traces")]
    return [
        span
        for request in requests
        for resource in request.resource_spans
        for scope in resource.scope_spans
        for span in scope.spans
    ]


def attributes(span: Span) -> dict[str, str | int]:
    """The attributes of a span, text and whole numbers."""
    return {attribute.key: attribute.value.string_value or attribute.value.int_value for attribute in span.attributes}


def test_without_otlp_there_is_no_span() -> None:
    """When nobody asks for traces, every request gets the one object that does nothing."""
    tracing = Tracing(CATALOGUE, gate_id=GATE)
    with tracing.request_span() as span:
        span.about(tier="managed", report="route_window")
        span.outcome("accepted", 1)
        span.status(202)
    assert span is NO_SPAN
    tracing.shutdown()


def test_no_span_lets_exceptions_through() -> None:
    """The object that does nothing does not swallow an exception either."""
    with pytest.raises(KeyError), Tracing(CATALOGUE, gate_id=GATE).request_span():
        raise KeyError


def test_span_says_what_became_of_the_request(found: Collector) -> None:
    """A sampled request is posted as one server span with tier, report, outcomes and status."""
    tracing = Tracing(CATALOGUE, gate_id=GATE)
    with tracing.request_span() as span:
        span.about(tier="managed", report="route_window")
        span.outcome("accepted", 3)
        span.outcome("truncated", 1)
        span.status(202)
    tracing.shutdown()
    [sent] = spans(found)
    assert (sent.name, sent.kind) == ("tidegate.gate.request", Span.SPAN_KIND_SERVER)
    assert attributes(sent) == {
        "tidegate.tier": "managed",
        "tidegate.report": "route_window",
        "tidegate.reports.accepted": 3,
        "tidegate.reports.truncated": 1,
        "http.response.status_code": 202,
    }
    assert sent.status.code == Status.STATUS_CODE_UNSET


def test_device_context_is_not_taken_over(found: Collector) -> None:
    """A traceparent, tracestate and baggage that something put into the current context do not reach the span."""
    headers = {"traceparent": f"00-{DEVICE_TRACE}-b7ad6b7169203331-01", "tracestate": f"vendor={CANARY}"}
    context = baggage.set_baggage("user", CANARY, TraceContextTextMapPropagator().extract(headers))
    tracing = Tracing(CATALOGUE, gate_id=GATE)
    token = attach(context)
    try:
        assert trace.get_current_span().get_span_context().trace_id == int(DEVICE_TRACE, 16)
        with tracing.request_span() as span:
            span.status(202)
    finally:
        detach(token)
    tracing.shutdown()
    [sent] = spans(found)
    assert sent.trace_id.hex() != DEVICE_TRACE
    assert (sent.parent_span_id, sent.trace_state, list(sent.links)) == (b"", "", [])
    assert all(CANARY.encode() not in body for _, body in found.posts)


def test_exception_leaves_its_class_only(found: Collector) -> None:
    """An exception that ends a request is named by its class; its message and stack are not sent."""
    tracing = Tracing(CATALOGUE, gate_id=GATE)
    with pytest.raises(ValueError, match=CANARY), tracing.request_span():
        raise ValueError(CANARY)
    tracing.shutdown()
    [sent] = spans(found)
    assert attributes(sent) == {"error.type": "ValueError"}
    assert sent.status.code == Status.STATUS_CODE_ERROR
    assert list(sent.events) == []
    assert all(CANARY.encode() not in body for _, body in found.posts)


@pytest.mark.parametrize(
    ("status", "code"),
    [
        pytest.param(202, Status.STATUS_CODE_UNSET, id="accepted"),
        pytest.param(422, Status.STATUS_CODE_UNSET, id="the device's fault"),
        pytest.param(503, Status.STATUS_CODE_ERROR, id="our fault"),
    ],
)
def test_only_our_own_faults_are_errors(found: Collector, status: int, code: int) -> None:
    """A span is an error for a status of 500 and above, as the semantic conventions have it for servers."""
    tracing = Tracing(CATALOGUE, gate_id=GATE)
    with tracing.request_span() as span:
        span.status(status)
    tracing.shutdown()
    assert [sent.status.code for sent in spans(found)] == [code]


def test_names_outside_the_contracts_read_other(found: Collector) -> None:
    """A tier or report that no contract has, such as a name in a path, is not in the span."""
    tracing = Tracing(CATALOGUE, gate_id=GATE)
    with tracing.request_span() as span:
        span.about(tier=CANARY, report=CANARY)
    tracing.shutdown()
    assert [attributes(sent) for sent in spans(found)] == [{"tidegate.tier": "other", "tidegate.report": "other"}]


def test_a_batch_of_any_report_names_none(found: Collector) -> None:
    """The span of a request whose reports may be of any type has no report."""
    tracing = Tracing(CATALOGUE, gate_id=GATE)
    with tracing.request_span() as span:
        span.about(tier="managed", report=None)
    tracing.shutdown()
    assert [attributes(sent) for sent in spans(found)] == [{"tidegate.tier": "managed"}]


def test_outcome_outside_the_list_is_refused(found: Collector) -> None:
    """An outcome that is not in the closed list raises, with a message that does not repeat it."""
    assert CANARY not in OUTCOMES
    tracing = Tracing(CATALOGUE, gate_id=GATE)
    with (
        pytest.raises(ValueError, match=r"^not an outcome of the closed list$"),
        tracing.request_span() as span,
    ):
        span.outcome(CANARY, 1)
    tracing.shutdown()
    assert len(spans(found)) == 1


@pytest.mark.parametrize(
    ("variables", "low", "high"),
    [
        pytest.param({"OTEL_TRACES_SAMPLER": ""}, 5, 75, id="one in a hundred unless something is said"),
        pytest.param({"OTEL_TRACES_SAMPLER": "always_on"}, 3000, 3000, id="all"),
        pytest.param({"OTEL_TRACES_SAMPLER": "always_off"}, 0, 0, id="none"),
        pytest.param({"OTEL_TRACES_SAMPLER": "traceidratio", "OTEL_TRACES_SAMPLER_ARG": "0.5"}, 1350, 1650, id="half"),
        pytest.param(
            {"OTEL_TRACES_SAMPLER": "parentbased_always_on", "OTEL_TRACES_EXPORTER": "none"}, 0, 0, id="turned off"
        ),
    ],
)
def test_sampler_is_the_one_asked_for(
    found: Collector, monkeypatch: pytest.MonkeyPatch, variables: dict[str, str], low: int, high: int
) -> None:
    """Of 3,000 requests as many are sampled as the standard variables say."""
    # The SDK draws trace ids, by which it samples, from this generator.
    random.seed(20261121)
    for name, text in variables.items():
        monkeypatch.setenv(name, text)
    tracing = Tracing(CATALOGUE, gate_id=GATE)
    sampled = sum(tracing.request_span() is not NO_SPAN for _ in range(3000))
    tracing.shutdown()
    assert found.endpoint.startswith("http://127.0.0.1")
    assert low <= sampled <= high


def test_reload_brings_new_names(found: Collector) -> None:
    """After a reload the names of the new catalogue are known."""
    tracing = Tracing(CATALOGUE, gate_id=GATE)
    tracing.adopt(type(CATALOGUE)(schemas=(), tiers={"kiosk": CATALOGUE.tiers["byod"]}, plans={}))
    with tracing.request_span() as span:
        span.about(tier="kiosk", report="route_window")
    tracing.shutdown()
    assert [attributes(sent) for sent in spans(found)] == [{"tidegate.tier": "kiosk", "tidegate.report": "other"}]
