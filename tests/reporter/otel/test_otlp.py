"""Both encodings of OTLP, read by this package, against the generated code and the SDK's own exporter."""

import json
import tracemalloc
from contextlib import suppress
from importlib import import_module
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import (
    ExportTraceServiceRequest,
    ExportTraceServiceResponse,
)
from opentelemetry.proto.common.v1.common_pb2 import AnyValue, KeyValue
from opentelemetry.proto.trace.v1.trace_pb2 import Span as OtlpSpan

from reporter.otel.conventions import conventions
from reporter.otel.otlp import BadRequest, Encoding
from reporter.otel.otlp_json import ENCODING as JSON
from reporter.otel.otlp_protobuf import ENCODING as PROTOBUF
from reporter.otel.spans import Span
from tests.reporter.otel.made_spans import PLANTED

# Neither ships types.
to_dict = import_module("google.protobuf.json_format").MessageToDict
Status = import_module("google.rpc.status_pb2").Status

WANTED = conventions().wanted
BOTH = pytest.mark.parametrize("encoding", [PROTOBUF, JSON], ids=lambda one: one.content_type)

LOOKED_AT = ("gen_ai.operation.name", "tidegate.disclosures", "tidegate.data_class", "gen_ai.usage.input_tokens")
NAMES = st.sampled_from([*LOOKED_AT * 3, "gen_ai.input.messages", "user.id", "", *PLANTED])
TEXTS = st.text(max_size=12)
FLAT: st.SearchStrategy[AnyValue] = st.one_of(
    st.builds(AnyValue, string_value=TEXTS),
    st.builds(AnyValue, bool_value=st.booleans()),
    st.builds(AnyValue, int_value=st.integers(-(2**63), 2**63 - 1)),
    st.builds(AnyValue, double_value=st.floats(allow_nan=False, allow_infinity=False)),
    st.builds(AnyValue, bytes_value=st.binary(max_size=8)),
    st.builds(AnyValue),
)
TIMES = st.integers(0, 2**64 - 1)
IDS = st.binary(max_size=16)


@st.composite
def requests(draw: st.DrawFn) -> ExportTraceServiceRequest:
    """Any request: several resources, scopes and spans, with attributes wanted and unwanted."""
    request = ExportTraceServiceRequest()
    for _ in range(draw(st.integers(0, 2))):
        part = request.resource_spans.add(schema_url=draw(TEXTS))
        part.resource.attributes.extend(draw(st.lists(attributes(), max_size=3)))
        for _ in range(draw(st.integers(0, 2))):
            scope = part.scope_spans.add()
            scope.scope.name = draw(TEXTS)
            scope.spans.extend(draw(st.lists(spans(), max_size=2)))
    return request


@st.composite
def attributes(draw: st.DrawFn) -> KeyValue:
    """A name and any value, nested ones included."""
    value = AnyValue()
    match draw(st.integers(0, 3)):
        case 0:
            value.array_value.values.extend(draw(st.lists(st.builds(AnyValue, string_value=TEXTS), max_size=3)))
        case 1:
            value.kvlist_value.values.add(key=draw(NAMES)).value.CopyFrom(draw(FLAT))
        case _:
            value.CopyFrom(draw(FLAT))
    return KeyValue(key=draw(NAMES), value=value)


@st.composite
def spans(draw: st.DrawFn) -> OtlpSpan:
    """A span with everything that a span may have."""
    span = OtlpSpan(
        trace_id=draw(IDS), span_id=draw(IDS), parent_span_id=draw(IDS), name=draw(TEXTS), trace_state=draw(TEXTS),
        kind=draw(st.integers(0, 5)), flags=draw(st.integers(0, 2**32 - 1)),  # type: ignore[arg-type]
        start_time_unix_nano=draw(TIMES), end_time_unix_nano=draw(TIMES),
    )  # fmt: skip
    span.attributes.extend(draw(st.lists(attributes(), max_size=4)))
    for _ in range(draw(st.integers(0, 2))):
        event = span.events.add(name=draw(st.sampled_from(["first_token", "planted"])), time_unix_nano=draw(TIMES))
        event.attributes.extend(draw(st.lists(attributes(), max_size=1)))
    span.links.add(trace_id=draw(IDS))
    span.status.code = draw(st.integers(0, 2))  # type: ignore[assignment]
    span.status.message = draw(TEXTS)
    return span


def expected(request: ExportTraceServiceRequest) -> list[Span]:
    """What the generated code finds in a request, looked at as the documentation says."""
    return [
        _expected(span, {a.key: a.value for a in part.resource.attributes if a.key.startswith("tidegate.")})
        for part in request.resource_spans
        for scope in part.scope_spans
        for span in scope.spans
    ]


def _expected(span: OtlpSpan, resource: dict[str, AnyValue]) -> Span:
    found = resource | {attribute.key: attribute.value for attribute in span.attributes}
    times = [event.time_unix_nano for event in span.events if event.name in WANTED.events]
    return Span(
        attributes={name: _value(value) for name, value in found.items() if name in WANTED.attributes},
        start_ns=span.start_time_unix_nano,
        end_ns=span.end_time_unix_nano,
        failed=span.status.code == 2,
        first_event_ns=min(times, default=None),
        itself=(span.trace_id, span.span_id) if span.span_id else None,
        parent=(span.trace_id, span.parent_span_id) if span.parent_span_id else None,
    )


def _value(value: AnyValue) -> Any:
    match value.WhichOneof("value"):
        case None | "kvlist_value" | "bytes_value":
            return None
        case "array_value":
            return [one.string_value for one in value.array_value.values]
        case kind:
            return getattr(value, kind)


def as_json(request: ExportTraceServiceRequest) -> bytes:
    """The request in OTLP's JSON, by the generated code; ids are bytes in base 64 there and in base 16 here."""
    found = to_dict(request, use_integers_for_enums=True)
    for part in found.get("resourceSpans", ()):
        for scope in part.get("scopeSpans", ()):
            for one, span in _beside(scope, part, found, request):
                span |= {"traceId": one.trace_id.hex(), "spanId": one.span_id.hex()}
                span["parentSpanId"] = one.parent_span_id.hex().upper()
    return json.dumps(found).encode()


def _beside(scope: Any, part: Any, found: Any, request: ExportTraceServiceRequest) -> list[tuple[OtlpSpan, Any]]:
    same = request.resource_spans[found["resourceSpans"].index(part)]
    at = next(at for at, one in enumerate(part["scopeSpans"]) if one is scope)
    return list(zip(same.scope_spans[at].spans, scope.get("spans", ()), strict=True))


@given(requests())
def test_protobuf_is_read_as_the_generated_code_reads_it(request: ExportTraceServiceRequest) -> None:
    """Whatever a request holds, the fields that are looked at are those that Protobuf's own code finds."""
    assert PROTOBUF.spans(request.SerializeToString(), WANTED) == expected(request)


@given(st.lists(spans(), max_size=3))
def test_json_says_what_protobuf_says(some: list[OtlpSpan]) -> None:
    """The same spans in JSON are the same spans, ids in base 16 aside."""
    request = ExportTraceServiceRequest()
    if some:
        request.resource_spans.add().scope_spans.add().spans.extend(some)
    in_hex = [
        span._replace(itself=_hex(span.itself), parent=_hex(span.parent))
        for span in PROTOBUF.spans(request.SerializeToString(), WANTED)
    ]
    assert JSON.spans(as_json(request), WANTED) == in_hex


def _hex(key: Any) -> Any:
    return None if key is None else tuple(part.hex() for part in key)


@given(requests(), st.data())
def test_broken_protobuf_is_refused(request: ExportTraceServiceRequest, data: st.DataObject) -> None:
    """A request that is cut or altered anywhere is read or refused, and never an accident."""
    body = bytearray(request.SerializeToString() or b"\x0a\x00")
    at = data.draw(st.integers(0, len(body) - 1))
    body[at] = data.draw(st.integers(0, 255))
    read_or_refused(PROTOBUF, bytes(body[: data.draw(st.integers(0, len(body)))]))


@given(st.binary(max_size=64))
def test_any_bytes_are_read_or_refused(body: bytes) -> None:
    """Bytes of nobody do no harm in either encoding."""
    read_or_refused(PROTOBUF, body)
    read_or_refused(JSON, body)


JSON_VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.sampled_from(["1", "", "gen_ai.operation.name"]),
    lambda inner: st.lists(inner, max_size=3)
    | st.dictionaries(
        st.sampled_from(["resourceSpans", "scopeSpans", "spans", "attributes", "key", "value", "events", "status",
                         "arrayValue", "values", "stringValue", "resource", "startTimeUnixNano", "name", "spanId"]),
        inner, max_size=4,
    ),
    max_leaves=12,
)  # fmt: skip


@given(JSON_VALUES, st.sampled_from(["request", "resource", "scope", "span"]))
def test_any_json_is_read_or_refused(value: Any, place: str) -> None:
    """JSON of any shape, at any place of a request, is read or refused."""
    places = {
        "request": value,
        "resource": {"resourceSpans": [value]},
        "scope": {"resourceSpans": [{"scopeSpans": [value]}]},
        "span": {"resourceSpans": [{"scopeSpans": [{"spans": [value]}]}]},
    }
    read_or_refused(JSON, json.dumps(places[place]).encode())


def read_or_refused(encoding: Encoding, body: bytes) -> None:
    """Any other end than these two is an error of the test."""
    with suppress(BadRequest):
        encoding.spans(body, WANTED)


@pytest.mark.parametrize(
    ("encoding", "body"),
    [
        pytest.param(PROTOBUF, b"\x0a\x05\x12", id="shorter than it says"),
        pytest.param(PROTOBUF, b"\x0a\x05", id="nothing of what it says"),
        pytest.param(PROTOBUF, b"\x0a" + b"\xff" * 10, id="a length without an end"),
        pytest.param(PROTOBUF, b"\x0b", id="a group, which the third version has not"),
        pytest.param(PROTOBUF, b"\x02\x00", id="field 0"),
        pytest.param(JSON, b'{"resourceSpans": {}}', id="an object for a list"),
        pytest.param(JSON, b"[]", id="a list"),
        pytest.param(JSON, b"\xff", id="no UTF-8"),
        pytest.param(JSON, b"[" * 100_000, id="too deep"),
        pytest.param(JSON, b'{"resourceSpans": NaN}', id="no number of JSON"),
    ],
)
def test_what_is_no_request_is_refused(encoding: Encoding, body: bytes) -> None:
    """Bytes that are no request say so."""
    with pytest.raises(BadRequest):
        encoding.spans(body, WANTED)


@BOTH
def test_an_empty_request_holds_no_spans(encoding: Encoding) -> None:
    """A request may carry nothing, as the specification says."""
    assert encoding.spans(b"{}" if encoding is JSON else b"", WANTED) == []


def test_content_is_let_go_of_while_it_is_read() -> None:
    """Prompts in JSON take no memory beside the text that they came in."""
    content = [{"key": "gen_ai.input.messages", "value": {"stringValue": "x" * 50_000}} for _ in range(64)]
    body = json.dumps({"resourceSpans": [{"scopeSpans": [{"spans": [{"attributes": content}]}]}]}).encode()
    tracemalloc.start()
    try:
        assert len(JSON.spans(body, WANTED)) == 1
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < 1.5 * len(body)


@pytest.mark.parametrize("rejected", [0, 1, 300, 2**40])
def test_answers_are_those_of_the_specification(rejected: int) -> None:
    """Answers in Protobuf read back with the generated code, and those in JSON say the same."""
    why = "Too late: “5 µs”."
    answer = ExportTraceServiceResponse.FromString(PROTOBUF.partly_taken(rejected, why))
    assert (answer.partial_success.rejected_spans, answer.partial_success.error_message) == (rejected, why)
    said = json.loads(JSON.partly_taken(rejected, why))["partialSuccess"]
    assert said == {"rejectedSpans": str(rejected), "errorMessage": why}
    assert Status.FromString(PROTOBUF.failed(why)).message == json.loads(JSON.failed(why))["message"] == why
    assert not ExportTraceServiceResponse.FromString(PROTOBUF.taken()).HasField("partial_success")
    assert json.loads(JSON.taken()) == {}
