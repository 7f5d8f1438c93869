"""Senders that are slow, hang up, or are in the middle of a body when the gate is told to stop."""

import socket
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from schemas.catalogue import load_catalogue
from tests.end_to_end.reports import Reports
from tests.end_to_end.wire import assert_refused, connection, head, receive
from tests.running_gate import STOP_SECONDS, RunningGate, eventually, running_gate, tier_files

PATH = "/t/managed/v1/reports/route_window"
ACTIVE = 'tidegate_gate_active_requests{tier="managed"}'


@pytest.fixture(scope="module")
def gate(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningGate]:
    """A gate that waits for a body as long as it does by itself."""
    folder = tmp_path_factory.mktemp("gate")
    with running_gate(folder, tiers=tier_files(folder / "tiers")) as running:
        yield running


@pytest.fixture(scope="module")
def impatient(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningGate]:
    """A gate that waits half a second for a body: nothing that takes a round trip has the time for it."""
    folder = tmp_path_factory.mktemp("impatient")
    with running_gate(folder, tiers=tier_files(folder / "tiers"), body_timeout_seconds=0.5) as running:
        yield running


@pytest.fixture(scope="module")
def good() -> bytes:
    """A report that is accepted once it is complete."""
    return Reports(load_catalogue()).message()


def outcomes(gate: RunningGate, outcome: str) -> float:
    """How many reports of the managed tier met an outcome so far."""
    return gate.metrics().get(f'tidegate_gate_reports_total{{outcome="{outcome}",tier="managed"}}', 0)


HALVES: list[object] = [
    pytest.param(lambda good: ((), good[:9]), id="a body of which half comes"),
    pytest.param(lambda good: ((), good), id="a length that promises more than comes"),
    pytest.param(lambda _: (("Transfer-Encoding: chunked",), b"5\r\nabcde\r\n"), id="chunks without an end"),
    pytest.param(lambda _: (("Expect: 100-continue",), b""), id="a body that was asked for and never comes"),
]


@pytest.mark.parametrize("half", HALVES)
def test_a_body_that_does_not_come_is_not_waited_for(
    impatient: RunningGate, good: bytes, half: Callable[[bytes], tuple[tuple[str, ...], bytes]]
) -> None:
    """A body that does not arrive in time gets 408, and the gate hangs up."""
    extra, sent = half(good)
    length = None if "Transfer-Encoding: chunked" in extra else len(good) + 1
    with connection(impatient) as opened:
        opened.sendall(head(impatient, PATH, length=length, extra=extra) + sent)
        answer = receive(opened)
        assert_refused(answer, "body_timeout", impatient.catalogue, status=408, action="retry")
        assert opened.recv(1) == b""


def test_a_body_that_trickles_is_not_waited_for(impatient: RunningGate, good: bytes) -> None:
    """A byte now and then does not buy more time: the limit is for the whole body."""
    with connection(impatient) as opened:
        opened.sendall(head(impatient, PATH, length=len(good)))
        opened.settimeout(0.05)
        answer = b""
        for at in range(len(good)):
            try:
                opened.sendall(good[at : at + 1])
                answer = opened.recv(12)
            except TimeoutError:
                continue
            break
    assert answer == b"HTTP/1.1 408"


HANG_UPS: list[object] = [
    pytest.param(lambda opened: opened.close(), id="closes"),
    pytest.param(lambda opened: opened.shutdown(socket.SHUT_WR), id="closes its half"),
    pytest.param(
        lambda opened: (opened.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0"), opened.close()),
        id="resets",
    ),
]


@pytest.mark.parametrize("hang_up", HANG_UPS)
def test_a_sender_that_hangs_up_is_counted(
    gate: RunningGate, good: bytes, hang_up: Callable[[socket.socket], object]
) -> None:
    """A sender that hangs up within a body is counted as such, holds no place, and stops nobody else."""
    before = outcomes(gate, "disconnected")
    with connection(gate) as opened:
        opened.sendall(head(gate, PATH, length=len(good)) + good[:50])
        eventually(lambda: gate.metrics()[ACTIVE] == 1, "the request is under way")
        hang_up(opened)
        eventually(lambda: outcomes(gate, "disconnected") == before + 1, "the gate noticed")
    assert gate.metrics()[ACTIVE] == 0
    assert gate.post("managed", "route_window", good).status == 202


def test_a_sender_that_does_not_wait_for_its_answer(gate: RunningGate, good: bytes) -> None:
    """A whole report is stored although its sender hung up before the answer."""
    before = outcomes(gate, "accepted")
    with connection(gate) as opened:
        opened.sendall(head(gate, PATH, length=len(good)) + good)
    eventually(lambda: outcomes(gate, "accepted") == before + 1, "the report is stored")


@pytest.mark.parametrize(
    ("rest_comes", "status", "reason"),
    [
        pytest.param(True, 202, None, id="the rest comes: the report is stored"),
        pytest.param(False, 503, "stopping", id="the rest does not come: the sender is told to retry"),
    ],
)
def test_sigterm_with_a_body_half_received(tmp_path: Path, rest_comes: bool, status: int, reason: str | None) -> None:
    """A gate that is told to stop answers a body half received with 202 or 503, takes no other, and ends in time."""
    grace = 3 if rest_comes else 1  # within it the rest has to come
    starting = running_gate(tmp_path, tiers=tier_files(tmp_path / "tiers"), stop_grace_seconds=grace)
    with starting as gate, connection(gate) as opened, connection(gate) as idle:
        good = Reports(gate.catalogue).message(report_id=b"half before stop")
        idle.sendall(head(gate, PATH, length=len(good))[:40])
        opened.sendall(head(gate, PATH, length=len(good)) + good[:50])
        eventually(lambda: gate.metrics()[ACTIVE] == 1, "the request is under way")
        gate.process.terminate()
        eventually(lambda: gate.events("gate_stopping"), "the gate was told to stop")
        if rest_comes:
            opened.sendall(good[50:])
        answer = receive(opened)
        code = gate.stop()
    assert gate.seconds_to_stop() < STOP_SECONDS
    assert (answer.status, code) == (status, 0)
    if reason is not None:
        assert_refused(answer, reason, gate.catalogue, status=status, action="retry")
    assert (b"half before stop" in [entry.key for entry in gate.entries()]) == rest_comes


ENDLESS_HEADS: list[object] = [
    pytest.param(b"GET / HTTP/1.1\r\nX: " + b"a" * 200_000, id="a header without an end"),
    pytest.param(b"GET /" + b"a" * 200_000, id="a path without an end"),
    pytest.param(b"GET / HTTP/1.1\r\n" + b"a: b\r\n" * 40_000, id="headers without an end"),
]


@pytest.mark.parametrize("sent", ENDLESS_HEADS)
def test_a_head_without_an_end_is_not_kept(gate: RunningGate, sent: bytes) -> None:
    """What brings a request no further is refused after some kilobytes, by a sender without a token as well."""
    with connection(gate) as opened:
        with suppress(ConnectionError):  # the gate hangs up while we send
            opened.sendall(sent)
            assert_refused(receive(opened), "malformed_request", gate.catalogue, status=400, action="ask_admin")
        with suppress(ConnectionError):
            assert opened.recv(1) == b""
    assert gate.get("/healthz").status == 200
