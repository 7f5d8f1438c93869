"""OTLP in JSON: names in lowerCamelCase, ids in base 16, 64-bit numbers as texts or numbers.

Fields with unknown names are passed by, as the specification asks for. Attributes that are not looked at are let go of
while the text is parsed, so that a batch of long prompts is not held a second time.
"""

import json
from collections.abc import Iterator, Mapping
from typing import Any

from reporter.otel.otlp import ERROR_CODE, BadRequest, Encoding
from reporter.otel.spans import Span, Wanted

LONGEST_ID = 64
MOST_NS = (1 << 64) - 1
LONGEST_INTEGER = 20
"""Digits and sign of 64 bits."""

PLAIN_VALUES = ("stringValue", "boolValue", "doubleValue")


def spans(body: bytes, wanted: Wanted) -> list[Span]:
    """The spans of an `ExportTraceServiceRequest`; raises `BadRequest`."""

    def without_others(found: dict[str, Any]) -> Any:
        return None if "key" in found and found["key"] not in kept else found

    kept = wanted.attributes
    try:
        request = json.loads(body, object_hook=without_others, parse_constant=_no_number)
    except (ValueError, TypeError, RecursionError):  # the errors of json carry the document
        raise BadRequest("The body is not JSON.") from None
    if not isinstance(request, dict):
        raise BadRequest("The body is not a JSON object.")
    return [span for part in _list(request, "resourceSpans") for span in _resource_spans(part, wanted)]


def _no_number(_: str) -> None:
    raise ValueError


def _resource_spans(part: Any, wanted: Wanted) -> Iterator[Span]:
    resource = part.get("resource") if isinstance(part, dict) else None
    whole = {name: value for name, value in _attributes(resource, wanted).items() if wanted.of_others(name)}
    for scope in _list(part, "scopeSpans"):
        for span in _list(scope, "spans"):
            yield _span(span, whole, wanted)


def _span(span: Any, whole: Mapping[str, Any], wanted: Wanted) -> Span:
    if not isinstance(span, dict):
        raise BadRequest("A span is not a JSON object.")
    events = [event for event in _list(span, "events") if isinstance(event, dict)]
    times = [_time(event, "timeUnixNano") for event in events if _is_one_of(event.get("name"), wanted.events)]
    status = span.get("status")
    trace = _id(span.get("traceId"))
    itself, parent = _id(span.get("spanId")), _id(span.get("parentSpanId"))
    return Span(
        attributes={**whole, **_attributes(span, wanted)},
        start_ns=_time(span, "startTimeUnixNano"),
        end_ns=_time(span, "endTimeUnixNano"),
        failed=isinstance(status, dict) and status.get("code") == ERROR_CODE,
        first_event_ns=min(times, default=None),
        itself=(trace, itself) if itself else None,
        parent=(trace, parent) if parent else None,
    )


def _attributes(holder: Any, wanted: Wanted) -> dict[str, Any]:
    found = {}
    for one in _list(holder, "attributes"):
        if isinstance(one, dict) and _is_one_of(one.get("key"), wanted.attributes):
            found[one["key"]] = _any_value(one.get("value"))
    return found


def _is_one_of(name: Any, known: frozenset[str]) -> bool:
    return isinstance(name, str) and name in known


def _any_value(value: Any) -> Any:
    if not isinstance(value, dict):
        return None
    if isinstance(value.get("arrayValue"), dict):
        return [one.get("stringValue") for one in _list(value["arrayValue"], "values") if isinstance(one, dict)]
    if "intValue" in value:
        return _integer(value["intValue"])
    return next((value[kind] for kind in PLAIN_VALUES if kind in value), None)


def _list(holder: Any, name: str) -> list[Any]:
    """A list of an object; none where it is missing or null."""
    if not isinstance(holder, dict):
        return []
    found = holder.get(name)
    if found is not None and not isinstance(found, list):
        raise BadRequest(f"{name} is not a JSON array.")
    return found or []


def _id(said: Any) -> str:
    return said.lower() if isinstance(said, str) and len(said) <= LONGEST_ID else ""


def _time(holder: Mapping[str, Any], name: str) -> int:
    time = _integer(holder.get(name, 0))
    if time is None or not 0 <= time <= MOST_NS:
        raise BadRequest(f"{name} is not a number of nanoseconds.")
    return time


def _integer(said: Any) -> int | None:
    """A whole number, which JSON has as a number or, where it is long, as a text."""
    if isinstance(said, str) and len(said) <= LONGEST_INTEGER and said.removeprefix("-").isdecimal() and said.isascii():
        return int(said)
    return said if isinstance(said, int) and not isinstance(said, bool) else None


def _written(answer: Mapping[str, Any]) -> bytes:
    return json.dumps(answer).encode()


def _partly_taken(rejected: int, why: str) -> bytes:
    return _written({"partialSuccess": {"rejectedSpans": str(rejected), "errorMessage": why}})


ENCODING = Encoding(
    content_type="application/json",
    spans=spans,
    taken=lambda: b"{}",
    partly_taken=_partly_taken,
    failed=lambda why: _written({"message": why}),
)
