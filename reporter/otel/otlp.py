"""An OTLP request as spans, and the answers to it: what its two encodings have in common.

`otlp_protobuf.ENCODING` and `otlp_json.ENCODING` are the two. Names are those of the specification, https://opentelemetry.io/docs/specs/otlp/.
"""

from collections.abc import Callable
from dataclasses import dataclass

from reporter.otel.spans import Span, Wanted

ERROR_CODE = 2
"""`STATUS_CODE_ERROR` of a span."""


class BadRequest(Exception):
    """The bytes are no request of OTLP; the message says in which way, and repeats nothing of them."""


@dataclass(frozen=True, slots=True)
class Encoding:
    """How requests and answers are written. `spans` reads a whole request, or raises `BadRequest` before the first.

    The others make the body of an answer: all taken, (how many were not taken, why), (why the request failed).
    """

    content_type: str
    spans: Callable[[bytes, Wanted], list[Span]]
    taken: Callable[[], bytes]
    partly_taken: Callable[[int, str], bytes]
    failed: Callable[[str], bytes]
