"""The way between a device and the gate's core in memory."""

from collections.abc import Iterator, Sequence
from random import Random

import pytest

from ingest.log.memory import MemoryLog
from load.fleet.models import manifest_document
from load.offline import wire
from load.offline.clock import MovedClock
from load.offline.plan import HOUR_MS, START_MS, Span
from load.offline.wire import ETAG, InMemoryGate, Network, Rejections
from load.reports import messages
from reporter.policy import Policy
from reporter.sending.answers import Answer, NoAnswer, decide
from reporter.sending.sender import PATH
from schemas.catalogue import load_catalogue

REPORT = "health_window"
AWAY = [(START_MS, START_MS + 2 * HOUR_MS)]


@pytest.fixture
def clock() -> MovedClock:
    """An hour after the beginning."""
    return MovedClock(START_MS + HOUR_MS)


@pytest.fixture
def gate(clock: MovedClock) -> Iterator[InMemoryGate]:
    """A gate whose log is forgotten."""
    made = InMemoryGate(MemoryLog(), manifest_document(), clock)
    yield made
    made.close()


def _network(gate: InMemoryGate, clock: MovedClock, away: Sequence[Span] = ()) -> Network:
    return Network(gate, "managed", clock, away, Random(1))


def _post(network: Network, *, now: int, count: int = 3) -> Answer:
    made = messages(load_catalogue().latest[REPORT], count=count, seed=1, now=now)
    body = b"".join(len(message).to_bytes(4) + message for message in made)
    return network.exchange("POST", PATH, {}, body)


def test_reports_are_taken(gate: InMemoryGate, clock: MovedClock) -> None:
    """An answer is the gate's own, and what was taken is noted with its time."""
    network = _network(gate, clock)
    answer = _post(network, now=clock.now_ms())
    assert decide(answer, 3).reason is None
    assert [(one.at_ms, one.tier) for one in network.arrived] == [(clock.now_ms(), "managed")] * 3


def test_nothing_passes_while_offline(gate: InMemoryGate, clock: MovedClock) -> None:
    """Without a network there is no answer and nothing arrives; afterwards there is."""
    network = _network(gate, clock, AWAY)
    with pytest.raises(NoAnswer):
        _post(network, now=clock.now_ms())
    assert network.arrived == []
    clock.to(AWAY[0][1])
    _post(network, now=clock.now_ms())
    assert len(network.arrived) == 3


def test_lost_answer_means_taken(gate: InMemoryGate, clock: MovedClock, monkeypatch: pytest.MonkeyPatch) -> None:
    """Reports whose answer is lost were taken, and are noted once however often they are sent."""
    monkeypatch.setattr(wire, "LOST_ANSWERS", 1.0)
    network = _network(gate, clock, [(0, 1)])
    for _ in range(2):
        with pytest.raises(NoAnswer):
            _post(network, now=clock.now_ms())
    assert len(network.arrived) == 3


def test_refused_report_is_an_error(gate: InMemoryGate, clock: MovedClock) -> None:
    """What the gate refuses ends the run, with the reason."""
    with pytest.raises(Rejections, match="window_too_old"):
        _post(_network(gate, clock), now=START_MS - 100 * 24 * HOUR_MS)


def test_policy_is_published(gate: InMemoryGate, clock: MovedClock) -> None:
    """The tier's policy is what a device can read, and is not sent again to one that has it."""
    network = _network(gate, clock)
    assert Policy.from_document(network.exchange("GET", "/v1/policy", {}, None).body).tier == "managed"
    assert network.exchange("GET", "/v1/policy", {"If-None-Match": ETAG}, None).status == 304
