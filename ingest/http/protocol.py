"""HTTP/1.1 as uvicorn and httptools speak it, but for one thing: how a request is refused that cannot be read as HTTP.

uvicorn does that by itself, before any application sees the request, and in words of its own. Here the answer is a
problem document like every other one, and it never overtakes the answer to a whole request before it.
"""

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from ingest.http import answers
from ingest.http.service import PROBLEM_JSON
from ingest.problems import Reason, problem_document

REASON = Reason.MALFORMED_REQUEST
BODY = answers.encode(problem_document(REASON))
HEAD = (
    f"HTTP/1.1 {REASON.problem.status} Bad Request\r\n"
    f"content-type: {PROBLEM_JSON}\r\ncontent-length: {len(BODY)}\r\nconnection: close\r\n\r\n"
).encode()


class HttpProtocol(HttpToolsProtocol):
    """One connection."""

    def send_400_response(self, msg: str) -> None:
        """Refuse what the parser could not read, and hang up; `msg` is uvicorn's."""
        del msg
        if self._owes_an_answer():
            # A report that was whole may be stored by now, so its own answer comes first and ends the connection.
            self.cycle.keep_alive = False
            return
        self.transport.write(HEAD + BODY)
        self.transport.close()

    def _owes_an_answer(self) -> bool:
        """Whether the newest request was whole and is not answered: then what cannot be read stands behind it."""
        # Before the first request there is no cycle.
        whole = not getattr(self.cycle, "more_body", True)
        return whole and not self.cycle.response_complete
