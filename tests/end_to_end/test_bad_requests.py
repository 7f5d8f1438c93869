"""Bad requests around a good report: each gets its status, reason and action, and nothing of it comes back.

Where an ordinary client would not send such a thing, the bytes are written to a socket of our own.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tests.end_to_end.reports import Reports
from tests.end_to_end.wire import assert_refused, connection, curl, exchange, head, receive
from tests.running_gate import (
    Answer,
    RunningGate,
    copy_tier,
    eventually,
    issue_token,
    revoke_token,
    running_gate,
    tier_files,
)

PATH = "/t/managed/v1/reports/route_window"
ANY = "/t/managed/v1/reports"
MIB = 1 << 20


@dataclass(frozen=True, slots=True)
class Requests:
    """A gate, a good report for it, and tokens that are no good."""

    gate: RunningGate
    good: bytes
    tokens: dict[str, str]
    reports: Reports

    def post(self, **rest: Any) -> Answer:
        """The good report to the managed tier, but for what is said."""
        return self.gate.post("managed", rest.pop("report", "route_window"), rest.pop("body", self.good), **rest)

    def request(self, method: str, path: str = PATH, **headers: str) -> Answer:
        """The good report by any method to any path, with the token and content type of the managed tier."""
        named = {"authorization": f"Bearer {self.gate.tokens['managed']}", "content-type": "application/avro"}
        return self.gate.request(method, path, self.good, named | headers)

    def raw(self, *, method: str = "POST", path: str = PATH, extra: tuple[str, ...] = ()) -> Answer:
        """The same, byte by byte."""
        sent = head(self.gate, path, method=method, length=len(self.good), extra=extra)
        return exchange(self.gate, sent + self.good)


@pytest.fixture(scope="module")
def requests(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Requests]:
    """A gate with tokens that expired, were revoked, or are of a kind that is not taken from here."""
    folder = tmp_path_factory.mktemp("gate")
    tiers = tier_files(folder / "tiers")
    copy_tier(tiers / "managed.toml", "outside", trusted_networks="[]")
    data = folder / "data"
    tokens = {
        "expired": issue_token(data, "managed", lifetime_ms=1),
        "revoked": issue_token(data, "managed"),
        "class": issue_token(data, "outside", kind="class"),
    }
    revoke_token(data, tokens["revoked"])
    with running_gate(folder, tiers=tiers) as gate:
        reports = Reports(gate.catalogue)
        yield Requests(gate, reports.message(), tokens, reports)


Send = Callable[[Requests], Answer]


def chunked(*parts: bytes) -> bytes:
    """A body in chunks, with its end."""
    return b"".join(b"%x\r\n%b\r\n" % (len(part), part) for part in parts) + b"0\r\n\r\n"


def malformed(request: bytes) -> Send:
    """Bytes that are no HTTP request."""
    return lambda requests: exchange(requests.gate, request)


def row(reason: str, status: int, action: str, why: str, send: Send) -> Any:
    """One row of the table."""
    return pytest.param(reason, status, action, send, id=why)


CREDENTIALS = [
    row("no_token", 401, "ask_admin", "no token", lambda r: r.gate.request("POST", PATH, r.good, {})),
    row("no_token", 401, "ask_admin", "another scheme", lambda r: r.post(headers={"authorization": "Basic dXNlcg=="})),
    row("wrong_token", 401, "ask_admin", "a wrong token", lambda r: r.post(token="tg_0123456789ab_" + "x" * 52)),
    row("wrong_token", 401, "ask_admin", "what is no token", lambda r: r.post(token="person-17@example.org")),
    row("wrong_token", 401, "ask_admin", "a token of 60 kB", lambda r: r.post(token="x" * 60_000)),
    row("token_expired", 401, "ask_admin", "an expired token", lambda r: r.post(token=r.tokens["expired"])),
    row("token_revoked", 401, "ask_admin", "a revoked token", lambda r: r.post(token=r.tokens["revoked"])),
    row(
        "token_of_another_tier",
        403,
        "ask_admin",
        "a token of another tier",
        lambda r: r.post(token=r.gate.tokens["byod"]),
    ),
    row(
        "token_kind_not_accepted",
        403,
        "ask_admin",
        "a kind of token that is not taken from this network",
        lambda r: r.gate.post("outside", "route_window", r.good, token=r.tokens["class"]),
    ),
]

ENDPOINTS = [
    row(
        "misdirected",
        421,
        "ask_admin",
        "hostname of another tier",
        lambda r: r.request("POST", Host="byod.tidegate.localhost"),
    ),
    row(
        "misdirected",
        421,
        "ask_admin",
        "hostname of another tier, port and all",
        lambda r: r.request("POST", Host="BYOD.tidegate.localhost:8080"),
    ),
    row(
        "misdirected",
        421,
        "ask_admin",
        "a path of no tier",
        lambda r: r.request("POST", "/t/secret-17/v1/reports/route_window"),
    ),
    row("misdirected", 421, "ask_admin", "no tier at all", lambda r: r.request("POST", "/v1/reports/route_window")),
    row("misdirected", 421, "ask_admin", "any reports of no tier", lambda r: r.request("POST", "/v1/reports")),
    row("misdirected", 421, "ask_admin", "a policy of no tier", lambda r: r.request("GET", "/v1/policy")),
    row("unknown_report", 404, "keep", "unknown report name", lambda r: r.post(report="person-17")),
    row("unknown_report", 404, "keep", "a report without a name", lambda r: r.request("POST", ANY + "/")),
    row(
        "unknown_report",
        404,
        "keep",
        "a report name in bytes that are no UTF-8",
        lambda r: r.raw(path="/t/managed/v1/reports/%ff%00"),
    ),
    row(
        "unknown_report",
        404,
        "keep",
        "a report name that climbs",
        lambda r: r.raw(path="/t/managed/v1/reports/../policy"),
    ),
    row("not_found", 404, "ask_admin", "a path of nothing", lambda r: r.request("GET", "/person-17")),
    row(
        "not_found",
        404,
        "ask_admin",
        "a path with a slash too many, not redirected",
        lambda r: r.request("GET", "/t/managed/v1/policy/?person=17"),
    ),
    row(
        "not_found",
        404,
        "ask_admin",
        "a problem that does not exist",
        lambda r: r.request("GET", "/v1/problems/person-17"),
    ),
    row("method_not_allowed", 405, "ask_admin", "GET on the report path", lambda r: r.request("GET")),
    row("method_not_allowed", 405, "ask_admin", "GET on any reports", lambda r: r.request("GET", ANY)),
    row("method_not_allowed", 405, "ask_admin", "DELETE on the report path", lambda r: r.request("DELETE")),
    row(
        "method_not_allowed",
        405,
        "ask_admin",
        "POST on the policy",
        lambda r: r.request("POST", "/t/managed/v1/policy"),
    ),
    row("bad_query", 400, "ask_admin", "unknown query parameter", lambda r: r.post(query="?person=17")),
    row("bad_query", 400, "ask_admin", "check with another value", lambda r: r.post(query="?check=true")),
    row("bad_query", 400, "ask_admin", "check twice", lambda r: r.post(query="?check=1&check=1")),
    row("bad_query", 400, "ask_admin", "a query in bytes that are no UTF-8", lambda r: r.raw(path=PATH + "?check=%ff")),
]

BODIES = [
    row(
        "unsupported_media_type",
        415,
        "ask_admin",
        "unknown content type",
        lambda r: r.post(headers={"content-type": "application/person-17"}),
    ),
    row(
        "unsupported_media_type",
        415,
        "ask_admin",
        "JSON that says nowhere which report it is",
        lambda r: r.gate.post("managed", None, b"[{}]", headers={"content-type": "application/json"}),
    ),
    row("unsupported_media_type", 415, "ask_admin", "no content type", lambda r: r.post(headers={"content-type": ""})),
    row(
        "unsupported_coding",
        415,
        "ask_admin",
        "two codings in two headers",
        lambda r: r.raw(extra=("Content-Encoding: gzip", "Content-Encoding: zstd")),
    ),
    row(
        "too_many_reports",
        413,
        "keep",
        "a thousand and one reports",
        lambda r: r.post(
            report="health_window",
            body=b"[" + b",".join([b"{}"] * 1001) + b"]",
            headers={"content-type": "application/json"},
        ),
    ),
    row(
        "body_too_large",
        413,
        "discard",
        "over 1 MiB announced",
        lambda r: exchange(r.gate, head(r.gate, PATH, length=MIB + 1)),
    ),
    row(
        "body_too_large",
        413,
        "discard",
        "over 1 MiB in chunks",
        lambda r: exchange(
            r.gate, head(r.gate, PATH, extra=("Transfer-Encoding: chunked",)) + chunked(*[bytes(65536)] * 17)
        ),
    ),
    row("bad_marker", 400, "discard", "exactly 1 MiB is read", lambda r: r.post(body=bytes(MIB))),
    row("empty_body", 400, "discard", "neither a length nor chunks", lambda r: exchange(r.gate, head(r.gate, PATH))),
    row(
        "truncated",
        400,
        "discard",
        "a length that is too small",
        lambda r: exchange(r.gate, head(r.gate, PATH, length=20) + r.good),
    ),
]

NO_HTTP = [
    row("malformed_request", 400, "ask_admin", "what is no HTTP", malformed(b"person-17\r\n\r\n")),
    row("malformed_request", 400, "ask_admin", "HTTP/2 without asking", malformed(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n")),
    row(
        "malformed_request", 400, "ask_admin", "CONNECT", malformed(b"CONNECT person-17:1 HTTP/1.1\r\nHost: x\r\n\r\n")
    ),
    row("malformed_request", 400, "ask_admin", "two lengths", lambda r: r.raw(extra=("Content-Length: 5",))),
    row(
        "malformed_request",
        400,
        "ask_admin",
        "a length and chunks",
        lambda r: r.raw(extra=("Transfer-Encoding: chunked",)),
    ),
    row(
        "malformed_request",
        400,
        "ask_admin",
        "a length that is no number",
        lambda r: exchange(r.gate, head(r.gate, PATH, extra=("Content-Length: person-17",))),
    ),
    row(
        "malformed_request",
        400,
        "ask_admin",
        "a length of 10^30",
        lambda r: exchange(r.gate, head(r.gate, PATH, length=10**30)),
    ),
    row(
        "malformed_request",
        400,
        "ask_admin",
        "a chunk whose size is no number",
        lambda r: exchange(r.gate, head(r.gate, PATH, extra=("Transfer-Encoding: chunked",)) + b"person-17\r\n"),
    ),
    row(
        "malformed_request",
        400,
        "ask_admin",
        "bytes over 127 in the path",
        lambda r: exchange(r.gate, head(r.gate, PATH + "/\xff", length=0)),
    ),
    row("malformed_request", 400, "ask_admin", "a NUL in a header", lambda r: r.raw(extra=("X-Person: a\0b",))),
    row(
        "malformed_request",
        400,
        "ask_admin",
        "an upgrade, whose body would be lost",
        lambda r: r.raw(extra=("Connection: Upgrade", "Upgrade: h2c")),
    ),
]


@pytest.mark.parametrize(("reason", "status", "action", "send"), [*CREDENTIALS, *ENDPOINTS, *BODIES, *NO_HTTP])
def test_bad_requests_are_refused(requests: Requests, reason: str, status: int, action: str, send: Send) -> None:
    """A bad request is answered with its status, reason and action, in a document that holds nothing of it."""
    assert_refused(send(requests), reason, requests.gate.catalogue, status=status, action=action)


def test_a_revoked_token_is_refused_soon(requests: Requests) -> None:
    """A token that is revoked while the gate runs is refused without a restart."""
    token = requests.gate.token("byod")

    def refused_for() -> str:
        answer = requests.gate.post("byod", "route_window", requests.good, token=token)
        return "" if answer.status == 202 else str(answer.document["reason"])

    eventually(lambda: refused_for() == "", "the new token is known")
    revoke_token(requests.gate.data, token)
    eventually(lambda: refused_for() == "token_revoked", "the token is refused")


def test_curl_reads_the_refusal_of_a_large_body(requests: Requests, tmp_path: Path) -> None:
    """An ordinary client that posts 4 MiB gets to read why they are not taken."""
    body = tmp_path / "body"
    body.write_bytes(bytes(4 * MIB))
    url, token = requests.gate.url + PATH, requests.gate.tokens["managed"]
    answer = curl(url, "-H", f"Authorization: Bearer {token}", "-H", "Content-Type: application/avro", body=body)
    assert_refused(answer, "body_too_large", requests.gate.catalogue, status=413, action="discard")


def test_chunks_are_read(requests: Requests) -> None:
    """A body in chunks of any size is the same body."""
    good = requests.good
    body = chunked(*(good[at : at + 7] for at in range(0, len(good), 7)))
    assert (
        exchange(requests.gate, head(requests.gate, PATH, extra=("Transfer-Encoding: chunked",)) + body).status == 202
    )


@pytest.mark.parametrize(
    ("token", "interim", "status"),
    [
        pytest.param(None, b"HTTP/1.1 100 Continue\r\n\r\n", 202, id="let in: the body is asked for"),
        pytest.param("tg_wrong", b"", 401, id="refused: the body is never asked for"),
    ],
)
def test_expect_100_continue(requests: Requests, token: str | None, interim: bytes, status: int) -> None:
    """A sender that waits for leave to send its body gets it, or the refusal, before it has sent any of it."""
    gate, good = requests.gate, requests.good
    with connection(gate) as opened:
        opened.sendall(head(gate, PATH, length=len(good), token=token, extra=("Expect: 100-continue",)))
        if interim:
            assert opened.recv(len(interim)) == interim
            opened.sendall(good)
        assert receive(opened).status == status


def test_pipelined_requests_are_answered_in_order(requests: Requests) -> None:
    """Requests that are sent without waiting are answered one after the other, good and bad ones mixed."""
    gate, good = requests.gate, requests.good
    posted = head(gate, PATH, length=len(good)) + good
    bad = head(gate, PATH, length=3) + b"abc"
    with connection(gate) as opened:
        opened.sendall(posted + bad + head(gate, "/t/managed/v1/policy", method="GET") + posted)
        answers = [receive(opened) for _ in range(4)]
    assert [answer.status for answer in answers] == [202, 400, 200, 202]
    assert answers[2].document["tier"] == "managed"


def test_garbage_behind_a_report_does_not_take_its_answer(requests: Requests) -> None:
    """A whole report is answered as itself although no HTTP follows it, and then the gate hangs up."""
    gate, good = requests.gate, requests.good
    with connection(gate) as opened:
        opened.sendall(head(gate, PATH, length=len(good)) + good + b"person-17\r\n\r\n")
        assert receive(opened).status == 202
        assert opened.recv(1) == b""


def test_a_connection_survives_a_refusal(requests: Requests) -> None:
    """After a refusal that left the body unread, the next request on the same connection is read from its start."""
    gate, good = requests.gate, requests.good
    with connection(gate) as opened:
        opened.sendall(head(gate, PATH, length=len(good), token="tg_wrong") + good)
        assert receive(opened).status == 401
        opened.sendall(head(gate, PATH, length=len(good)) + good)
        assert receive(opened).status == 202


def test_head_is_refused_without_a_body(requests: Requests) -> None:
    """HEAD on the report path gets the status of GET and no body, as HTTP asks for."""
    with connection(requests.gate) as opened:
        opened.sendall(head(requests.gate, PATH, method="HEAD"))
        answer = receive(opened, method="HEAD")
    assert (answer.status, answer.raw) == (405, b"")


def test_refusals_are_published(requests: Requests) -> None:
    """Every reason can be looked up at the address that its problem documents name as their type."""
    listed = requests.gate.get("/v1/problems").document
    assert len(listed) > 40
    for problem in listed:
        assert requests.gate.get(problem["type"]).document == problem
