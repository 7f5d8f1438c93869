"""A schema registry of a few lines, to be told what to answer: for what a real one cannot be brought to do in a test.

`tests/end_to_end/test_external_registry.py` has a real one.
"""

import json
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any


@dataclass(frozen=True, slots=True)
class Reply:
    """What is sent back."""

    status: int
    body: bytes
    headers: Mapping[str, str] = field(default_factory=dict)


def reply(status: int, document: Any, **headers: str) -> Reply:
    """A reply of a JSON document."""
    return Reply(status, json.dumps(document).encode(), headers)


NO_SUBJECT = reply(404, {"error_code": 40401, "message": "Subject not found."})
Rule = Callable[[str, str, Any], Reply | None]
"""Answers a method, a path and the document that was sent, or leaves it to the stand-in."""


def left_to_itself(*_: Any) -> None:
    """The rule that answers nothing."""


@dataclass(slots=True)
class StandIn:
    """A registry that holds what was registered, unless its rule answers."""

    rule: Rule = left_to_itself
    schemas: list[str] = field(default_factory=list)
    subjects: dict[str, list[int]] = field(default_factory=dict)
    seen: list[tuple[str, str, str | None]] = field(default_factory=list)
    url: str = ""

    def answer(self, method: str, path: str, document: Any) -> Reply:
        told = self.rule(method, path, document)
        if told is not None:
            return told
        parts = path.strip("/").split("/")
        if method == "GET":
            return reply(200, {"schema": self.schemas[int(parts[-1]) - 1]})
        held = self.subjects.get(parts[1], [])
        known = document["schema"] in self.schemas and self.schemas.index(document["schema"]) + 1
        if parts[-1] == "versions":
            if not known:
                self.schemas.append(document["schema"])
                known = len(self.schemas)
            self.subjects[parts[1]] = [*held, known]
        return reply(200, {"id": known}) if known and known in self.subjects.get(parts[1], []) else NO_SUBJECT


@contextmanager
def stand_in(rule: Rule = left_to_itself) -> Iterator[StandIn]:
    """The registry on a free port of this machine, while the block runs."""
    registry = StandIn(rule)

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:  # the name that http.server asks for
            size = int(self.headers.get("content-length") or 0)
            document = json.loads(self.rfile.read(size)) if size else None
            registry.seen.append((self.command, self.path, self.headers.get("authorization")))
            told = registry.answer(self.command, self.path, document)
            self.send_response(told.status)
            for name, value in told.headers.items():
                self.send_header(name, value)
            self.send_header("content-length", str(len(told.body)))
            self.end_headers()
            self.wfile.write(told.body)

        do_POST = do_GET  # noqa: N815  # as above

        def log_message(self, *_: Any) -> None:
            """Say nothing on stderr."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        registry.url = f"http://127.0.0.1:{server.server_address[1]}"
        thread = threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True)
        thread.start()
        try:
            yield registry
        finally:
            server.shutdown()
            thread.join()
