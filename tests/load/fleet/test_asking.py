"""Asking a gate over one connection, which the gate may close between two questions."""

import json
import threading
from collections import Counter
from collections.abc import Iterator
from contextlib import closing, contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from load.fleet.asking import JSON, Api, Asked
from load.fleet.reference_suppression import Published
from load.fleet.truth_remarks import Remarks

PAGE = json.dumps({"rows": [], "next": None}).encode()


@contextmanager
def gate(*, answers: int) -> Iterator[tuple[Api, Counter[str]]]:
    """Somebody who asks a server that answers so often in all, each time on a connection that it closes behind that.

    How often there was a connection, and a question, is counted.
    """
    seen: Counter[str] = Counter()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def setup(self) -> None:
            super().setup()
            seen["connections"] += 1

        def do_GET(self) -> None:
            seen["questions"] += 1
            if seen["questions"] <= answers:
                self.send_response(200)
                self.send_header("Content-Length", str(len(PAGE)))
                self.end_headers()
                self.wfile.write(PAGE)
            self.close_connection = True  # of which the answer says nothing, as that of a gate that waited in vain

        def log_message(self, *_: object) -> None: ...

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        serving = threading.Thread(target=server.serve_forever)
        serving.start()
        try:
            with closing(Api(asked(f"http://127.0.0.1:{server.server_port}"))) as api:
                yield api, seen
        finally:
            server.shutdown()
            serving.join()


def asked(url: str) -> Asked:
    """Whom to ask, and no expectations."""
    return Asked(
        url=url,
        tokens={"analyst": "token"},
        windows=(0, 0),
        received=(0, 0),
        complete_to=0,
        published=Published(),
        remarks=Remarks(),
        receipts={},
        k={},
        currency="EUR",
    )


def test_a_connection_that_was_closed_meanwhile_is_opened_again() -> None:
    """A question on a connection that the server has closed since is asked once more, on a new one."""
    with gate(answers=3) as (api, seen):
        assert [api.get("R1", JSON, {}) for _ in range(3)] == [PAGE] * 3
    assert seen["connections"] == 3


@pytest.mark.parametrize("answers", [0, 1])
def test_who_never_answers_is_not_asked_for_ever(answers: int) -> None:
    """A question without an answer on a new connection is an error, whether there was an answer before or not."""
    with gate(answers=answers) as (api, seen):
        assert [api.get("R1", JSON, {}) for _ in range(answers)] == [PAGE] * answers
        with pytest.raises(ConnectionError):
            api.get("R1", JSON, {})
    assert seen["questions"] == seen["connections"] == answers + 1
