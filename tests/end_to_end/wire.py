"""Clients for what an ordinary one would not send, and the check that every refusal has to pass."""

import http.client
import json
import shutil
import socket
import subprocess
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import pytest

from ingest.problems import PROBLEMS, Reason, problem_document
from schemas.catalogue import Catalogue
from tests.running_gate import PATIENCE_SECONDS, Answer, RunningGate

ANSWER_HEADERS = frozenset(
    {"date", "content-type", "content-length", "retry-after", "connection", "allow", "www-authenticate"}
)
"""Every header of a refusal; none of them has room for anything that was sent."""

HEADER_VALUES = {
    "content-type": {"application/problem+json"},
    "connection": {"close"},
    "allow": {"POST"},
    "www-authenticate": {"Bearer"},
}


def head(
    gate: RunningGate,
    path: str,
    *,
    method: str = "POST",
    length: int | None = None,
    token: str | None = None,
    extra: Iterable[str] = (),
) -> bytes:
    """The head of a request to a tier's endpoint, with a good token of that tier unless another one is given."""
    tier = path.split("/")[2]
    lines = [
        f"{method} {path} HTTP/1.1",
        "Host: localhost",
        f"Authorization: Bearer {token or gate.tokens[tier]}",
        "Content-Type: application/avro",
        *([] if length is None else [f"Content-Length: {length}"]),
        *extra,
    ]
    return "\r\n".join([*lines, "", ""]).encode("latin-1")


@contextmanager
def connection(gate: RunningGate) -> Iterator[socket.socket]:
    """A connection of our own; nothing on it waits for longer than a test is patient."""
    with socket.create_connection(gate.address, timeout=PATIENCE_SECONDS) as opened:
        yield opened


def receive(opened: socket.socket, *, method: str = "POST") -> Answer:
    """The next answer on a connection, and not a byte of the one after it; an interim 100 is passed over."""
    reader = opened.makefile("rb", buffering=0)
    while True:
        line = reader.readline()
        assert line, "the gate hung up without an answer"
        headers = {name.lower(): value for name, value in http.client.parse_headers(reader).items()}
        if (status := int(line.split()[1])) != 100:
            break
    left = 0 if method == "HEAD" or status == 304 else int(headers["content-length"])
    raw = b""
    while len(raw) < left:
        part = reader.read(left - len(raw))
        assert part, "the gate hung up in the middle of an answer"
        raw += part
    return Answer(status, headers, raw)


def exchange(gate: RunningGate, request: bytes) -> Answer:
    """Send these bytes on a connection of their own and return the first answer."""
    with connection(gate) as opened:
        opened.sendall(request)
        return receive(opened)


def curl(url: str, *arguments: str, body: Path | None = None) -> Answer:
    """One request by curl; where there is no curl the test is skipped."""
    program = shutil.which("curl") or pytest.skip("there is no curl on this machine")
    sent = [] if body is None else ["--data-binary", f"@{body}"]
    done = subprocess.run(
        [program, "--silent", "--show-error", "--include", "--max-time", "20", *arguments, *sent, url],
        capture_output=True,
        check=True,
    )
    said = done.stdout
    while True:  # an interim 100 has a head of its own
        header, _, said = said.partition(b"\r\n\r\n")
        first, *rest = header.decode("latin-1").split("\r\n")
        if (status := int(first.split()[1])) != 100:
            break
    headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in rest)}
    return Answer(status, headers, said)


def assert_refused(answer: Answer, reason: str, catalogue: Catalogue, *, status: int, action: str) -> None:
    """The answer is the problem document of `reason` and has room for nothing else: no byte of what was sent."""
    assert answer.headers["content-type"] == "application/problem+json"
    document = answer.document
    assert (document["reason"], document["status"], document["action"]) == (reason, status, action)
    assert answer.status == status
    assert_closed(answer, catalogue)


def assert_closed(answer: Answer, catalogue: Catalogue) -> None:
    """An RFC 9457 document from the closed list, whole and without an addition, under headers from a closed list."""
    document = answer.document
    reason = Reason(document["reason"])
    path, retry_after = document.get("path"), document.get("retry_after")
    assert json.dumps(document) == json.dumps(problem_document(reason, path=path, retry_after=retry_after))
    assert path is None or any(path in schema.fields for schema in catalogue.schemas)
    assert answer.headers.keys() <= ANSWER_HEADERS
    for name, allowed in HEADER_VALUES.items():
        assert answer.headers.get(name) in {None, *allowed}
    assert_retry_after(answer.headers, reason, retry_after)


def assert_retry_after(headers: Mapping[str, str], reason: Reason, seconds: int | None) -> None:
    """429 and 503 say when to come back, in the header as in the document, and nothing else does."""
    assert (seconds is not None) == (PROBLEMS[reason].status in {429, 503})
    assert headers.get("retry-after") == (None if seconds is None else str(seconds))
    assert seconds is None or 1 <= seconds <= 120
