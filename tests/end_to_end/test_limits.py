"""Limits per tier: refusals that come back spread, and one tier's flood that leaves the others alone."""

import asyncio
from collections import Counter
from collections.abc import Iterator

import httpx
import pytest

from tests.end_to_end.reports import Reports
from tests.end_to_end.wire import assert_refused, connection, head, receive
from tests.running_gate import Answer, RunningGate, copy_tier, eventually, running_gate, tier_files

ATTEMPTS = 30
QUIET_POSTS = 40


@pytest.fixture(scope="module")
def gate(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningGate]:
    """A gate with a tier that takes two requests in a while, and one that takes two at a time."""
    folder = tmp_path_factory.mktemp("gate")
    tiers = tier_files(folder / "tiers")
    copy_tier(tiers / "managed.toml", "slow", requests_per_second="0.05", burst="2")
    copy_tier(tiers / "managed.toml", "narrow", concurrency="2")
    with running_gate(folder, tiers=tiers) as running:
        yield running


@pytest.fixture(scope="module")
def good(gate: RunningGate) -> bytes:
    """A report that every tier takes."""
    return Reports(gate.catalogue).message()


def assert_spread(gate: RunningGate, refused: list[Answer], reason: str) -> None:
    """Every refusal says when to come back, and they do not all name the same second."""
    for answer in refused:
        assert_refused(answer, reason, gate.catalogue, status=429, action="retry")
    assert len({answer.headers["retry-after"] for answer in refused}) > 1


def test_a_rate_is_held(gate: RunningGate, good: bytes) -> None:
    """Beyond its burst a tier is refused with 429, and those refused are told to come back at different times."""
    answers = [gate.post("slow", "route_window", good) for _ in range(ATTEMPTS)]
    assert [answer.status for answer in answers[:2]] == [202, 202]
    assert_spread(gate, answers[2:], "rate_exceeded")


def test_a_refused_token_uses_up_nothing(gate: RunningGate, good: bytes) -> None:
    """Requests without a good token cannot lock a tier out, however many there are."""
    before = gate.metrics()['tidegate_gate_reports_total{outcome="accepted",tier="narrow"}']
    for _ in range(ATTEMPTS):
        assert gate.post("narrow", "route_window", good, token="tg_wrong").status == 401
    assert gate.post("narrow", "route_window", good).status == 202
    assert gate.metrics()['tidegate_gate_reports_total{outcome="accepted",tier="narrow"}'] == before + 1


def test_concurrency_is_held(gate: RunningGate, good: bytes) -> None:
    """While as many requests are under way as a tier may have, a further one gets 429, and afterwards it is taken."""
    path = "/t/narrow/v1/reports/route_window"
    active = 'tidegate_gate_active_requests{tier="narrow"}'
    with connection(gate) as first, connection(gate) as second:
        for opened in (first, second):
            opened.sendall(head(gate, path, length=len(good)) + good[:50])
        eventually(lambda: gate.metrics()[active] == 2, "two requests are under way")
        refused = [gate.post("narrow", "route_window", good) for _ in range(ATTEMPTS)]
        assert gate.post("managed", "route_window", good).status == 202
        for opened in (first, second):
            opened.sendall(good[50:])
            assert receive(opened).status == 202
    assert_spread(gate, refused, "concurrency_exceeded")
    assert gate.post("narrow", "route_window", good).status == 202
    assert gate.metrics()[active] == 0


async def test_a_flood_on_one_tier_leaves_the_others_alone(gate: RunningGate, good: bytes) -> None:
    """While one tier is flooded beyond its rate and its concurrency, every request to another one is taken."""
    answered: Counter[tuple[str, int]] = Counter()
    quiet = asyncio.Event()

    async def post(client: httpx.AsyncClient, tier: str) -> None:
        url = f"{gate.url}/t/{tier}/v1/reports/route_window"
        headers = {"authorization": f"Bearer {gate.tokens[tier]}", "content-type": "application/avro"}
        answered[tier, (await client.post(url, content=good, headers=headers)).status_code] += 1

    async def flood(client: httpx.AsyncClient, tier: str) -> None:
        while not quiet.is_set():
            await post(client, tier)

    async with httpx.AsyncClient(timeout=30, limits=httpx.Limits(max_connections=None)) as client:
        floods = [asyncio.create_task(flood(client, tier)) for tier in ("slow", "narrow") for _ in range(12)]
        for _ in range(QUIET_POSTS):
            await post(client, "byod")
        quiet.set()
        await asyncio.gather(*floods)
    assert answered["byod", 202] == QUIET_POSTS
    assert sum(number for (tier, _), number in answered.items() if tier == "byod") == QUIET_POSTS
    assert answered["slow", 429] > QUIET_POSTS
    assert answered["narrow", 429] > 0
    assert answered["narrow", 202] > 0
