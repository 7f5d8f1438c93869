"""HTTP -> Submission -> HTTP: the hot route as a bare ASGI application in front of FastAPI (docs/adr/0008).

What this module knows of a request (peer, headers, token) ends here: the core is handed a `Submission` and nothing
else. A device's `traceparent` and `baggage` are never read.
"""

import re
from collections.abc import Awaitable, Callable, MutableMapping
from dataclasses import dataclass, field
from typing import Any

from ingest.access.admission import Ticket
from ingest.access.token_view import bearer_token
from ingest.gate import Gate
from ingest.http import answers
from ingest.http.endpoint import by_path, resolve
from ingest.http.reading import Receive
from ingest.http.service import PROBLEM_JSON, TIER
from ingest.intake import check, count_refusal, take_in
from ingest.pipeline import Submission
from ingest.problems import Reason, Rejected, problem_document
from ingest.telemetry.events import Event
from ingest.telemetry.logs import log
from ingest.telemetry.tracing import Tracing

Scope = MutableMapping[str, Any]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]
AsgiApp = Callable[[Scope, Receive, Send], Awaitable[None]]

REPORTS_PATH = "/v1/reports"
ONE_REPORT = f"{REPORTS_PATH}/"
CHECK_ONLY = b"check=1"
MINIMAL = re.compile(
    rb"""(?:(?!\s*return\s*[=,;])[^",]*,)*\s*return\s*=\s*(?:minimal|"minimal")\s*(?:[,;]|$)""", re.IGNORECASE
)
"""The first `return` among the preferences of a request (RFC 7240). What stands behind a quoted one is ignored."""

JSON = b"application/json"

CLOSE_AFTER = frozenset({Reason.BODY_TOO_LARGE, Reason.BODY_TIMEOUT, Reason.STOPPING, Reason.MALFORMED_REQUEST})
"""Refusals after which the rest of the body is not worth reading: the connection is closed with the answer."""


@dataclass(slots=True)
class Request:
    """What the gate reads of a request; nothing of it but the submission goes any further."""

    scope: Scope
    tier: str | None = None
    path: str = ""
    headers: dict[bytes, bytes] = field(default_factory=dict)
    body_bytes: int = 0
    only_check: bool = False
    ticket: Ticket | None = None

    def release(self) -> None:
        """Give the ticket back, if there is one."""
        if self.ticket is not None:
            self.ticket.release()


@dataclass(frozen=True, slots=True)
class Response:
    """What is sent back; `extra` are headers beside the content type."""

    status: int
    body: bytes
    content_type: bytes = JSON
    extra: tuple[tuple[bytes, bytes], ...] = ()


class App:
    """The gate as an ASGI application."""

    def __init__(self, gate: Gate, service: AsgiApp, *, tracing: Tracing) -> None:
        self._gate = gate
        self._service = service
        self._tracing = tracing

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._service(scope, receive, send)
            return
        started = self._gate.clock.monotonic()
        request = Request(scope)
        try:
            response = await self._guarded(request, receive, send)
            if response is not None:
                seconds = self._gate.clock.monotonic() - started
                self._gate.account.answered(
                    request.tier, status=response.status, seconds=seconds, body_bytes=request.body_bytes
                )
                await _send(send, response)
        finally:
            # Only now: an answer that its sender does not read is memory, and the tier's concurrency bounds it.
            request.release()

    async def _guarded(self, request: Request, receive: Receive, send: Send) -> Response | None:
        """The response, whatever happens; None where FastAPI has answered already."""
        try:
            return await self._respond(request, receive, send)
        except Rejected as refusal:
            return self._refusal(request.tier, refusal)
        except Exception as error:  # noqa: BLE001  # a fault of ours: the log has its type and place, the sender a 500
            log(Event.REQUEST_FAILED, error=error, tier=request.tier, reason=Reason.INTERNAL)
            return self._refusal(request.tier, Rejected(Reason.INTERNAL))

    async def _respond(self, request: Request, receive: Receive, send: Send) -> Response | None:
        request.headers = _headers(request.scope["headers"])
        try:
            host = request.headers.get(b"host", b"")
            request.tier, request.path = resolve(host, request.scope["path"], self._gate.rules.catalogue)
        except Rejected as refusal:
            if _is_for_reports(by_path(request.scope["path"]).path):
                self._count(request, refusal)
            raise
        if _is_for_reports(request.path):
            return await self._traced(request, receive)
        await self._service({**request.scope, "path": request.path, TIER: request.tier}, receive, send)
        return None

    async def _traced(self, request: Request, receive: Receive) -> Response:
        with self._tracing.request_span() as span:
            span.about(tier=request.tier or "", report=_report(request.path))
            try:
                response = await self._report(request, receive)
            except Rejected as refusal:
                span.outcome(refusal.reason.value, 1)
                response = self._refusal(request.tier, refusal)
            span.status(response.status)
            return response

    async def _report(self, request: Request, receive: Receive) -> Response:
        try:
            tier = _require_post(request)
            request.only_check = _only_check(request.scope["query_string"])
            token = bearer_token(request.headers.get(b"authorization"))
            request.ticket = self._gate.admission.admit(tier, token, _peer(request.scope))
            submission = await self._submission(request, tier, receive)
        except Rejected as refusal:
            self._count(request, refusal)
            raise
        answer = await (check if request.only_check else take_in)(submission, self._gate)
        return Response(answer.status, answers.encode(answer.document))

    def _count(self, request: Request, refusal: Rejected) -> None:
        """Enter a request that was refused at the door into the ledger, which knows nothing of checks."""
        if not request.only_check:
            count_refusal(self._gate, request.tier, refusal)

    async def _submission(self, request: Request, tier: str, receive: Receive) -> Submission:
        headers = request.headers
        body = await self._gate.reader.read(receive, announced=_announced(headers))
        _require_no_upgrade(headers, body)
        request.body_bytes = len(body)
        return Submission(
            tier=tier,
            report=_report(request.path),
            media_type=headers.get(b"content-type", b"").partition(b";")[0].strip().lower().decode("latin-1"),
            coding=headers.get(b"content-encoding", b"").decode("latin-1"),
            body=body,
            minimal=MINIMAL.match(headers.get(b"prefer", b"")) is not None,
        )

    def _refusal(self, tier: str | None, refusal: Rejected) -> Response:
        reason = refusal.reason
        retry_after = self._gate.admission.retry_after(tier or "", reason)
        document = problem_document(reason, path=refusal.path, retry_after=retry_after)
        extra = [(b"retry-after", str(retry_after).encode())] if retry_after is not None else []
        if reason in CLOSE_AFTER:
            extra.append((b"connection", b"close"))
        if reason is Reason.METHOD_NOT_ALLOWED:
            extra.append((b"allow", b"POST"))
        if reason.problem.status == 401:
            extra.append((b"www-authenticate", b"Bearer"))
        return Response(reason.problem.status, answers.encode(document), PROBLEM_JSON.encode(), tuple(extra))


def _headers(raw: list[tuple[bytes, bytes]]) -> dict[bytes, bytes]:
    """The headers by name; one that is sent twice is joined with a comma (RFC 9110, 5.2): a stacked coding shows."""
    headers: dict[bytes, bytes] = {}
    for name, value in raw:
        headers[name] = headers[name] + b", " + value if name in headers else value
    return headers


def _is_for_reports(path: str) -> bool:
    return path == REPORTS_PATH or path.startswith(ONE_REPORT)


def _report(path: str) -> str | None:
    """The report that a path names; None where the messages say it themselves."""
    return None if path == REPORTS_PATH else path[len(ONE_REPORT) :]


def _require_post(request: Request) -> str:
    """The tier of a POST; raises `Rejected` for any other method, and where no tier was asked."""
    if request.tier is None:
        raise Rejected(Reason.MISDIRECTED)
    if request.scope["method"] != "POST":
        raise Rejected(Reason.METHOD_NOT_ALLOWED)
    return request.tier


def _require_no_upgrade(headers: dict[bytes, bytes], body: bytes) -> None:
    """A body behind an Upgrade header never reaches us: the HTTP parser stops there, as if another protocol followed.

    Some clients ask for HTTP/2 that way. Their report must not be called empty, for an empty one is discarded.
    """
    if not body and b"upgrade" in headers:
        raise Rejected(Reason.MALFORMED_REQUEST)


def _only_check(query: bytes) -> bool:
    """Whether the sender wants a check and nothing stored.

    A parameter that is not understood is refused, for a mistyped `check` would store what was not meant to be.
    """
    if query not in (b"", CHECK_ONLY):
        raise Rejected(Reason.BAD_QUERY)
    return query == CHECK_ONLY


def _peer(scope: Scope) -> str | None:
    client = scope.get("client")
    return client[0] if client else None


def _announced(headers: dict[bytes, bytes]) -> int | None:
    """The Content-Length, which the server has checked to be a number."""
    length = headers.get(b"content-length")
    return None if length is None else int(length)


async def _send(send: Send, response: Response) -> None:
    headers = [(b"content-type", response.content_type), (b"content-length", str(len(response.body)).encode())]
    await send({"type": "http.response.start", "status": response.status, "headers": [*headers, *response.extra]})
    await send({"type": "http.response.body", "body": response.body})
