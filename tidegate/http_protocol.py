"""HTTP/1.1 as uvicorn and httptools speak it, but for one thing: what is no HTTP gets a problem document as well.

uvicorn answers such a request by itself, before any application sees it, with a text of its own.
"""

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from ingest import answers
from ingest.problems import Reason, problem_document
from ingest.service import PROBLEM_JSON

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
        self.transport.write(HEAD + BODY)
        self.transport.close()
