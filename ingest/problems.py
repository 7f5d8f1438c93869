"""Every way the gate says no: one closed list, each with its HTTP status and what the sender should do.

Rules held here:

* a reason carries no value that a device sent; the only detail is a path made of *schema* field names;
* the status travels with the reason, so that no two places can disagree about it;
* `action` is the whole contract with a device that cannot read prose: `retry` (later, same bytes), `discard` (these
  bytes will never be taken), `keep` (until the gate or the device was updated), `ask_admin` (a person must change
  something).

Adding a reason: add it here; `docs/problems.md`, the metrics' label set and `GET /v1/problems` follow by themselves.
"""

from dataclasses import dataclass
from enum import Enum
from typing import Literal

Action = Literal["retry", "discard", "keep", "ask_admin"]


@dataclass(frozen=True, slots=True)
class Problem:
    """What a reason means: HTTP status, the device's next step, and a sentence for the engineer who reads it."""

    status: int
    action: Action
    title: str


class Reason(Enum):
    """The closed list. The value is the name that answers, metrics and the outcomes topic use."""

    # The bytes are not what Avro, or our schema, says.
    BAD_MARKER = "bad_marker"
    UNKNOWN_SCHEMA = "unknown_schema"
    WRONG_REPORT = "wrong_report"
    TRUNCATED = "truncated"
    TRAILING_BYTES = "trailing_bytes"
    BAD_BOOLEAN = "bad_boolean"
    BAD_ENUM_INDEX = "bad_enum_index"
    BAD_UNION_INDEX = "bad_union_index"
    BAD_VARINT = "bad_varint"
    INT_OUT_OF_RANGE = "int_out_of_range"
    NOT_FINITE = "not_finite"
    BAD_LENGTH = "bad_length"
    BAD_UTF8 = "bad_utf8"
    DUPLICATE_KEY = "duplicate_key"
    BAD_BLOCK = "bad_block"
    BAD_FRAMING = "bad_framing"
    EMPTY_BODY = "empty_body"
    BAD_JSON = "bad_json"
    MISSING_FIELD = "missing_field"
    WRONG_TYPE = "wrong_type"

    # The report is well formed and says something that cannot be.
    WINDOW_INVERTED = "window_inverted"
    WINDOW_TOO_LONG = "window_too_long"
    WINDOW_CROSSES_HOUR = "window_crosses_hour"
    WINDOW_IN_FUTURE = "window_in_future"
    WINDOW_TOO_OLD = "window_too_old"

    # The policy of the tier does not let it through.
    REPORT_NOT_ALLOWED = "report_not_allowed"
    FIELD_REFUSED = "field_refused"
    CONSENT_ABSENT = "consent_absent"
    EPOCH_CLOSED = "epoch_closed"
    WRONG_LOCATION = "wrong_location"

    # The request around the report.
    BODY_TOO_LARGE = "body_too_large"
    EXPANDED_TOO_LARGE = "expanded_too_large"
    RATIO_TOO_HIGH = "ratio_too_high"
    REPORT_TOO_LARGE = "report_too_large"
    CHECK_TOO_LARGE = "check_too_large"
    TOO_MANY_REPORTS = "too_many_reports"
    BAD_COMPRESSION = "bad_compression"
    UNSUPPORTED_CODING = "unsupported_coding"
    UNSUPPORTED_MEDIA_TYPE = "unsupported_media_type"
    UNKNOWN_REPORT = "unknown_report"
    NOT_FOUND = "not_found"
    METHOD_NOT_ALLOWED = "method_not_allowed"
    MALFORMED_REQUEST = "malformed_request"
    BAD_QUERY = "bad_query"
    BODY_TIMEOUT = "body_timeout"
    DISCONNECTED = "disconnected"

    # Who is asking, where, and how much.
    NO_TOKEN = "no_token"
    WRONG_TOKEN = "wrong_token"
    TOKEN_EXPIRED = "token_expired"
    TOKEN_REVOKED = "token_revoked"
    TOKEN_OF_ANOTHER_TIER = "token_of_another_tier"
    TOKEN_KIND_NOT_ACCEPTED = "token_kind_not_accepted"
    MISDIRECTED = "misdirected"
    RATE_EXCEEDED = "rate_exceeded"
    CONCURRENCY_EXCEEDED = "concurrency_exceeded"

    # Our own trouble.
    TOKENS_UNREADABLE = "tokens_unreadable"
    KEY_MISSING = "key_missing"
    STORAGE_FULL = "storage_full"
    LOG_UNAVAILABLE = "log_unavailable"
    IN_DOUBT = "in_doubt"
    STOPPING = "stopping"
    INTERNAL = "internal"

    @property
    def problem(self) -> Problem:
        """The status, action and title that go with this reason."""
        return PROBLEMS[self]


PROBLEMS: dict[Reason, Problem] = {
    Reason.BAD_MARKER: Problem(400, "discard", "The message does not begin with the Avro single-object marker C3 01."),
    Reason.UNKNOWN_SCHEMA: Problem(422, "keep", "No report schema of this gate has the fingerprint in the message."),
    Reason.WRONG_REPORT: Problem(
        422, "discard", "The message's schema belongs to another report than the one posted to."
    ),
    Reason.TRUNCATED: Problem(400, "discard", "The message ends before its schema does."),
    Reason.TRAILING_BYTES: Problem(400, "discard", "Bytes are left over after the last field of the schema."),
    Reason.BAD_BOOLEAN: Problem(400, "discard", "A boolean is neither 0 nor 1."),
    Reason.BAD_ENUM_INDEX: Problem(400, "discard", "An enum index is outside the symbols of its schema."),
    Reason.BAD_UNION_INDEX: Problem(400, "discard", "A union index is outside the branches of its schema."),
    Reason.BAD_VARINT: Problem(400, "discard", "A variable-length integer is longer than 10 bytes or than 64 bits."),
    Reason.INT_OUT_OF_RANGE: Problem(400, "discard", "A number does not fit the integer type of its field."),
    Reason.NOT_FINITE: Problem(400, "discard", "A floating-point number is NaN or infinite."),
    Reason.BAD_LENGTH: Problem(400, "discard", "A length is negative."),
    Reason.BAD_UTF8: Problem(400, "discard", "A string is not valid UTF-8."),
    Reason.DUPLICATE_KEY: Problem(400, "discard", "A map or JSON object holds the same key twice."),
    Reason.BAD_BLOCK: Problem(400, "discard", "A block's count or size does not agree with its content."),
    Reason.BAD_FRAMING: Problem(400, "discard", "The sequence ends inside a length prefix or inside a message."),
    Reason.EMPTY_BODY: Problem(400, "discard", "The body holds no report."),
    Reason.BAD_JSON: Problem(400, "discard", "The body is not a JSON object, or an array of JSON objects."),
    Reason.MISSING_FIELD: Problem(422, "discard", "A field without a default is missing."),
    Reason.WRONG_TYPE: Problem(422, "discard", "A JSON value does not fit the type of its field."),
    Reason.WINDOW_INVERTED: Problem(422, "discard", "window_end is not after window_start."),
    Reason.WINDOW_TOO_LONG: Problem(422, "discard", "The window is longer than an hour."),
    Reason.WINDOW_CROSSES_HOUR: Problem(422, "discard", "The window crosses the border of an hour."),
    Reason.WINDOW_IN_FUTURE: Problem(
        422, "keep", "The window ends in the future; check the device's clock, then post again."
    ),
    Reason.WINDOW_TOO_OLD: Problem(422, "discard", "The window is older than the tier's horizon."),
    Reason.REPORT_NOT_ALLOWED: Problem(422, "discard", "This tier does not take this report."),
    Reason.FIELD_REFUSED: Problem(
        422, "discard", "The report carries a field that this tier refuses; stop collecting it."
    ),
    Reason.CONSENT_ABSENT: Problem(422, "discard", "This report needs a consent that its flags do not give."),
    Reason.EPOCH_CLOSED: Problem(422, "discard", "The pseudonym key of that window's epoch was destroyed."),
    Reason.WRONG_LOCATION: Problem(
        421, "ask_admin", "Reports of this region may not be stored where this gate stores."
    ),
    Reason.BODY_TOO_LARGE: Problem(413, "discard", "The body is over 1 MiB; post smaller batches."),
    Reason.EXPANDED_TOO_LARGE: Problem(
        413, "discard", "The body is over 1 MiB after decompression; post smaller batches."
    ),
    Reason.RATIO_TOO_HIGH: Problem(413, "discard", "The body decompresses to more than 100 times its size."),
    Reason.REPORT_TOO_LARGE: Problem(413, "discard", "One report is over 64 KiB; fold its rows or shorten its window."),
    Reason.CHECK_TOO_LARGE: Problem(413, "discard", "A check takes at most 64 KiB of reports; check fewer at once."),
    Reason.TOO_MANY_REPORTS: Problem(413, "keep", "More than 1,000 reports in one batch; post smaller batches."),
    Reason.BAD_COMPRESSION: Problem(400, "discard", "The body does not decompress with the coding that it names."),
    Reason.UNSUPPORTED_CODING: Problem(
        415, "ask_admin", "Content-Encoding must be one of gzip, zstd, identity; never stacked."
    ),
    Reason.UNSUPPORTED_MEDIA_TYPE: Problem(
        415,
        "ask_admin",
        "Content-Type must be application/avro or application/avro-sequence, or application/json at a report's path.",
    ),
    Reason.UNKNOWN_REPORT: Problem(
        404, "keep", "There is no report of that name; GET /v1/policy lists those of this tier."
    ),
    Reason.NOT_FOUND: Problem(404, "ask_admin", "There is nothing at this path; see docs/http.md."),
    Reason.METHOD_NOT_ALLOWED: Problem(405, "ask_admin", "This path does not take that method."),
    Reason.MALFORMED_REQUEST: Problem(
        400, "ask_admin", "The request is not HTTP/1.1 that this gate reads; a protocol upgrade is not offered."
    ),
    Reason.BAD_QUERY: Problem(400, "ask_admin", "The only query parameter is check=1; nothing was stored."),
    Reason.BODY_TIMEOUT: Problem(408, "retry", "The request did not arrive in time."),
    Reason.DISCONNECTED: Problem(400, "retry", "The sender hung up before the body was complete."),
    Reason.NO_TOKEN: Problem(401, "ask_admin", "An Authorization header with a bearer token is needed."),
    Reason.WRONG_TOKEN: Problem(401, "ask_admin", "The token is not one that this gate knows."),
    Reason.TOKEN_EXPIRED: Problem(401, "ask_admin", "The token has expired; rotate it."),
    Reason.TOKEN_REVOKED: Problem(401, "ask_admin", "The token was revoked."),
    Reason.TOKEN_OF_ANOTHER_TIER: Problem(403, "ask_admin", "The token belongs to another tier than this endpoint."),
    Reason.TOKEN_KIND_NOT_ACCEPTED: Problem(
        403, "ask_admin", "This kind of token may not post from this network, or only reads answers."
    ),
    Reason.MISDIRECTED: Problem(
        421, "ask_admin", "This hostname and path name no tier, or two; use the tier's own endpoint."
    ),
    Reason.RATE_EXCEEDED: Problem(429, "retry", "The tier's rate is used up for the moment."),
    Reason.CONCURRENCY_EXCEEDED: Problem(429, "retry", "The tier has as many requests under way as it may."),
    Reason.TOKENS_UNREADABLE: Problem(503, "retry", "The gate cannot read its tokens; the operator must repair them."),
    Reason.KEY_MISSING: Problem(
        503, "retry", "A pseudonym key that should be there is missing; the operator must restore it."
    ),
    Reason.STORAGE_FULL: Problem(503, "retry", "The log has no space left; nothing was stored."),
    Reason.LOG_UNAVAILABLE: Problem(503, "retry", "The log cannot be written; nothing was stored."),
    Reason.IN_DOUBT: Problem(
        503, "retry", "The log did not confirm in time; it may hold the report, and a retry counts once."
    ),
    Reason.STOPPING: Problem(503, "retry", "The gate is stopping; nothing was stored."),
    Reason.INTERNAL: Problem(500, "retry", "The gate failed; nothing is said about this report."),
}


class Rejected(Exception):
    """A report, or a request, that is refused for `reason`, at the schema path `path` where there is one.

    `path` is made of schema field names only ("rows.latency.counts"); the exception holds nothing that was sent.
    """

    def __init__(self, reason: Reason, *, path: str | None = None) -> None:
        super().__init__(reason.value)
        self.reason = reason
        self.path = path


def problem_document(reason: Reason, *, path: str | None = None, retry_after: int | None = None) -> dict[str, object]:
    """The RFC 9457 problem document of a refusal; `retry_after` in whole seconds."""
    problem = reason.problem
    document: dict[str, object] = {
        "type": f"/v1/problems/{reason.value}",
        "title": problem.title,
        "status": problem.status,
        "reason": reason.value,
        "action": problem.action,
    }
    if path is not None:
        document["path"] = path
    if retry_after is not None:
        document["retry_after"] = retry_after
    return document
