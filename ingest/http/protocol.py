"""HTTP/1.1 as uvicorn and httptools speak it, but for how a request is refused that cannot be read as HTTP.

* uvicorn does it by itself, before any application sees the request, in words of its own. Here the answer is a
  problem document like every other one, and it never overtakes the answer to a whole request before it.
* Neither bounds what comes before a body, or behind it, in bytes or in time, and both keep it in memory. Here what
  brings a request no further is bounded in both.
"""

import asyncio
from typing import Any

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from ingest.http import answers
from ingest.http.service import PROBLEM_JSON
from ingest.problems import Reason, problem_document


def _answer(reason: Reason, phrase: str) -> bytes:
    body = answers.encode(problem_document(reason))
    head = (
        f"HTTP/1.1 {reason.problem.status} {phrase}\r\n"
        f"content-type: {PROBLEM_JSON}\r\ncontent-length: {len(body)}\r\nconnection: close\r\n\r\n"
    )
    return head.encode() + body


MALFORMED = _answer(Reason.MALFORMED_REQUEST, "Bad Request")
TOO_LATE = _answer(Reason.BODY_TIMEOUT, "Request Timeout")

MAX_HEAD = 1 << 15
"""Bytes that may come without bringing a request any further: a request line and headers take a few hundred."""

HEAD_SECONDS = 10.0
"""How long that may take, from the connection or from the first byte of a further request."""

LAST_LOOK_SECONDS = 0.01
"""Any time will do: what is in the sockets is read between two timers."""


class HttpProtocol(HttpToolsProtocol):
    """One connection."""

    def __init__(self, *arguments: Any, **named: Any) -> None:
        super().__init__(*arguments, **named)
        self._idle_bytes = 0
        self._deadline: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]  # as in uvicorn
        super().connection_made(transport)
        self._expect_progress()

    def connection_lost(self, exc: Exception | None) -> None:
        self._progress()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        self._idle_bytes += len(data)
        super().data_received(data)
        if self._idle_bytes > MAX_HEAD:
            self._refuse(MALFORMED)
        elif self._idle_bytes and self._deadline is None:
            self._expect_progress()

    def on_headers_complete(self) -> None:
        self._progress()
        super().on_headers_complete()

    def on_body(self, body: bytes) -> None:
        self._progress()
        super().on_body(body)

    def on_message_complete(self) -> None:
        self._progress()
        super().on_message_complete()

    def _progress(self) -> None:
        self._idle_bytes = 0
        if self._deadline is not None:
            self._deadline.cancel()
            self._deadline = None

    def _expect_progress(self) -> None:
        self._deadline = asyncio.get_running_loop().call_later(HEAD_SECONDS, self._look_once_more)

    def _look_once_more(self) -> None:
        # A process that stood still (stopped, starved) wakes up to its timers first, and to sockets afterwards: whole
        # requests have waited there, and are not late. uvloop runs its timers before it reads.
        self._deadline = asyncio.get_running_loop().call_later(LAST_LOOK_SECONDS, self._refuse, TOO_LATE)

    def send_400_response(self, msg: str) -> None:
        """Refuse what the parser could not read, and hang up; `msg` is uvicorn's."""
        del msg
        self._refuse(MALFORMED)

    def _refuse(self, answer: bytes) -> None:
        if self.transport.is_closing():
            return
        if self._owes_an_answer():
            # A report that was whole may be stored by now, so its own answer comes first and ends the connection.
            self.cycle.keep_alive = False
            return
        self.transport.write(answer)
        self.transport.close()

    def _owes_an_answer(self) -> bool:
        """Whether the newest request was whole and is not answered: then what cannot be read stands behind it."""
        # Before the first request there is no cycle.
        whole = not getattr(self.cycle, "more_body", True)
        return whole and not self.cycle.response_complete
