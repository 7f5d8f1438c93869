"""One connection to the receiver: requests to answers, as OTLP over HTTP asks for them."""

from http import HTTPStatus
from http.server import BaseHTTPRequestHandler
from typing import TYPE_CHECKING, Any

from reporter.otel import body
from reporter.otel.otlp import BadRequest, Encoding
from reporter.otel.otlp_json import ENCODING as JSON
from reporter.otel.otlp_protobuf import ENCODING as PROTOBUF
from reporter.otel.routes import host_and_port, is_here

if TYPE_CHECKING:
    from reporter.otel.receiver import Receiver

PATH = "/v1/traces"
ENCODINGS = {encoding.content_type: encoding for encoding in (PROTOBUF, JSON)}
CODINGS = ("identity", "gzip")
RETRY_AFTER_S = 1
IDLE_SECONDS = 30.0
"""Exporters send every five seconds or so on one connection."""

TOO_LATE = "Tasks that did not end within the last quarter of an hour are not counted; check the clock, send sooner."


class Refusal(Exception):
    """A request that gets another answer than 200. Its message is for whoever configures the sender."""

    def __init__(self, status: HTTPStatus, why: str) -> None:
        super().__init__(why)
        self.status = status


class Handler(BaseHTTPRequestHandler):
    """The standard library's, less everything in it that repeats what was sent."""

    protocol_version = "HTTP/1.1"
    timeout = IDLE_SECONDS
    server: Any

    def do_POST(self) -> None:  # the name that the standard library calls
        receiver: Receiver = self.server.receiver
        receiver.count(requests=1)
        encoding = ENCODINGS.get(self._content_type(), JSON)
        self.connection.settimeout(body.MAX_SECONDS)
        try:
            self._answer(HTTPStatus.OK, encoding, self._taken(receiver, encoding))
        except Refusal as refusal:
            receiver.count(refused=1)
            self._answer(refusal.status, encoding, encoding.failed(str(refusal)))
        except body.CutOff:
            receiver.count(refused=1)
            self.close_connection = True
        self.connection.settimeout(IDLE_SECONDS)

    def _taken(self, receiver: "Receiver", encoding: Encoding) -> bytes:
        """Takes what is sent; the body of the answer, or a `Refusal`."""
        self._must_come_from_here()
        self._must_be_understood()
        if not receiver.bodies.acquire(blocking=False):
            self._pass_by()
            raise Refusal(HTTPStatus.TOO_MANY_REQUESTS, "Others are sending at the moment; send again in a second.")
        try:
            spans = encoding.spans(self._body(receiver), receiver.wanted)
            late = receiver.take(spans)
        except BadRequest as bad:
            raise Refusal(HTTPStatus.BAD_REQUEST, str(bad)) from None
        finally:
            receiver.bodies.release()
        return encoding.partly_taken(late, TOO_LATE) if late else encoding.taken()

    def _body(self, receiver: "Receiver") -> bytes:
        try:
            return body.read(self.rfile, self.headers, receiver.clock.monotonic)
        except body.TooLarge:
            most = f"A request may have {body.MAX_BYTES >> 20} MiB, decompressed; send fewer spans at once."
            raise Refusal(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, most) from None
        except body.BadBody as bad:
            self.close_connection = True
            raise Refusal(HTTPStatus.BAD_REQUEST, str(bad)) from None
        except OSError:
            raise body.CutOff from None

    def _must_come_from_here(self) -> None:
        """A web page has an origin, and whoever made a foreign name lead here asks for that name."""
        if "Origin" in self.headers or "Sec-Fetch-Site" in self.headers:
            self._refuse(HTTPStatus.FORBIDDEN, "Web pages may not send spans here.")
        hosts = self.headers.get_all("Host") or []
        if len(hosts) != 1 or not is_here(host_and_port(hosts[0])[0]):
            self._refuse(HTTPStatus.FORBIDDEN, "The Host must be this machine: 127.0.0.1, [::1] or localhost.")

    def _must_be_understood(self) -> None:
        if self.path != PATH:
            self._refuse(HTTPStatus.NOT_FOUND, f"Only spans are taken here, at {PATH}; metrics and logs are not.")
        if self._content_type() not in ENCODINGS:
            self._refuse(HTTPStatus.UNSUPPORTED_MEDIA_TYPE, f"Content-Type must be {' or '.join(ENCODINGS)}.")
        if self.headers.get("Content-Encoding", "identity").strip().lower() not in CODINGS:
            self._refuse(HTTPStatus.UNSUPPORTED_MEDIA_TYPE, "Content-Encoding must be gzip, or missing.")

    def _refuse(self, status: HTTPStatus, why: str) -> None:
        self._pass_by()
        raise Refusal(status, why)

    def _pass_by(self) -> None:
        """Reads the body away, so that the sender reads the answer and the connection may go on."""
        try:
            body.discard(self.rfile, self.headers, self.server.receiver.clock.monotonic)
        except (body.BadBody, body.CutOff, OSError):
            self.close_connection = True

    def _content_type(self) -> str:
        return self.headers.get("Content-Type", "").partition(";")[0].strip().lower()

    def _answer(self, status: HTTPStatus, encoding: Encoding, content: bytes) -> None:
        self.send_response_only(status)
        self.send_header("Content-Type", encoding.content_type)
        self.send_header("Content-Length", str(len(content)))
        if status == HTTPStatus.TOO_MANY_REQUESTS:
            self.send_header("Retry-After", str(RETRY_AFTER_S))
        if status == HTTPStatus.METHOD_NOT_ALLOWED:
            self.send_header("Allow", "POST")
        if self.close_connection:
            self.send_header("Connection", "close")
        self.end_headers()
        self.wfile.write(content)

    def send_error(self, code: int, message: str | None = None, explain: str | None = None) -> None:
        """What the standard library refuses itself: other methods, and what is no HTTP. Its words would repeat it."""
        del message, explain
        self.server.receiver.count(requests=1, refused=1)
        self.close_connection = True
        is_method = code == HTTPStatus.NOT_IMPLEMENTED
        status = HTTPStatus.METHOD_NOT_ALLOWED if is_method else HTTPStatus(code)
        why = f"Spans are sent with POST, to {PATH}." if is_method else "This is no request of HTTP/1.1."
        self._answer(status, JSON, JSON.failed(why))

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002  # the standard library's name for it
        """Nothing is logged."""
