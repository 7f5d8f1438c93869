"""Posting a fleet: every answer that a gate can give, and what the account says of it."""

import asyncio
import json
from collections.abc import AsyncIterator, Sequence
from contextlib import ExitStack, asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from ingest.clock import SystemClock
from load.broker.node import free_ports
from load.fleet.account import Account
from load.fleet.batches import AVRO_SEQUENCE, Batch, Message, make_phases
from load.fleet.connection import Address, NoAnswer, address_of
from load.fleet.delivery import Sender, TokenRefused, deliver, require_tokens
from load.fleet.scenario import make_fleet
from load.fleet.windows import reports
from tests.running_gate import running_gate, tier_files

PATIENCE_SECONDS = 60.0


def batch(*kinds: Any) -> Batch:
    """A batch of messages of these kinds."""
    messages = tuple(
        Message(kind, number, "route_window", b"content %d" % number, typed=False) for number, kind in enumerate(kinds)
    )
    return Batch("managed", "route_window", AVRO_SEQUENCE, "", messages, {"x-user": "somebody"})


def answer(status: int, document: dict[str, Any], *headers: str) -> bytes:
    """An answer as a gate sends it."""
    body = json.dumps(document).encode()
    lines = [f"HTTP/1.1 {status} X", f"content-length: {len(body)}", *headers]
    return "\r\n".join(lines).encode() + b"\r\n\r\n" + body


def taken(accepted: int, *rejected: tuple[int, str, str]) -> bytes:
    """A 202 with (index, reason, action) for each message that was not accepted."""
    verdicts = [{"index": index, "reason": reason, "action": action} for index, reason, action in rejected]
    return answer(202, {"accepted": accepted, "rejected": verdicts})


def refused(status: int, reason: str, action: str, *headers: str) -> bytes:
    """A refusal of a whole request."""
    return answer(status, {"reason": reason, "action": action}, *headers)


@asynccontextmanager
async def gate(
    replies: Sequence[bytes | None], *, patience: float = PATIENCE_SECONDS
) -> AsyncIterator[tuple[Sender, list[bytes]]]:
    """A server that gives these answers in turn, the last one for ever, and the bodies that it was sent.

    None as an answer hangs up.
    """
    bodies: list[bytes] = []

    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while True:
                head = await reader.readuntil(b"\r\n\r\n")
                length = int(head.lower().partition(b"content-length: ")[2].split(b"\r\n")[0])
                bodies.append(await reader.readexactly(length))
                reply = replies[min(len(bodies), len(replies)) - 1]
                if reply is None:
                    break
                writer.write(reply)
                await writer.drain()
        except (asyncio.IncompleteReadError, ConnectionError):
            pass  # the sender is done
        finally:
            writer.close()

    async with await asyncio.start_server(handle, "127.0.0.1", 0) as listening:
        host, port = listening.sockets[0].getsockname()[:2]
        yield Sender(Address(host, port, secure=False, prefix=""), {"managed": "token"}, 1, patience), bodies


TOO_LATE = f"Retry-After: {10 * PATIENCE_SECONDS:.0f}"
NOW_RETRY = refused(503, "log_unavailable", "retry", "Retry-After: 0")

ANSWERS = [
    pytest.param([taken(3)], {"reports": 3}, 1, id="all accepted"),
    pytest.param(
        [taken(2, (1, "field_refused", "discard"))],
        {"reports": 2, "refused": {"field_refused": 1}},
        1,
        id="one refused",
    ),
    pytest.param(
        [taken(1, (0, "key_missing", "retry"), (2, "key_missing", "retry")), taken(2)],
        {"reports": 3, "resent": 1},
        2,
        id="two again",
    ),
    pytest.param(
        [NOW_RETRY, taken(3)], {"reports": 3, "resent": 1, "turned_away": {"log_unavailable": 1}}, 2, id="busy once"
    ),
    pytest.param([None, taken(3)], {"reports": 3, "resent": 1}, 2, id="hung up once"),
    pytest.param(
        [answer(502, {"message": "a proxy"}), taken(3)],
        {"reports": 3, "resent": 1, "turned_away": {"status 502": 1}},
        2,
        id="a proxy's answer",
    ),
    pytest.param(
        [refused(403, "token_of_another_tier", "ask_admin")],
        {"refused": {"token_of_another_tier": 3}},
        1,
        id="the whole request refused",
    ),
    pytest.param([None], {"in_doubt": 3}, None, id="never an answer"),
    pytest.param(
        [refused(429, "rate_exceeded", "retry", TOO_LATE)],
        {"unsent": 3, "turned_away": {"rate_exceeded": 1}},
        1,
        id="never let in",
    ),
    pytest.param(
        [refused(503, "in_doubt", "retry", TOO_LATE)],
        {"in_doubt": 3, "turned_away": {"in_doubt": 1}},
        1,
        id="the gate is in doubt",
    ),
    pytest.param([taken(2)], {"in_doubt": 3}, None, id="an answer that does not add up"),
]


@pytest.mark.parametrize(("replies", "expected", "requests"), ANSWERS)
async def test_account_says_what_became_of_it(
    replies: list[bytes | None], expected: dict[str, Any], requests: int | None
) -> None:
    """Each message is entered once: as accepted, refused, in doubt, or never let in."""
    account = Account()
    done: list[int] = []
    # Where only patience ends it, it is tried as often as there is time.
    async with gate(replies, patience=3 if requests is None else PATIENCE_SECONDS) as (sender, bodies):
        await deliver([batch("report", "report", "report")], sender, account=account, progress=done.append)
    document = account.document()
    empty = {"reports": 0, "refused": {}, "in_doubt": 0, "unsent": 0, "turned_away": {}, "resent": document["resent"]}
    assert {name: document[name] for name in empty} == empty | expected
    assert account.settled == sum(done) == 3
    assert requests in (None, len(bodies))


async def test_only_what_was_not_accepted_is_sent_again() -> None:
    """After a batch was accepted in part, what may be tried again goes alone, with the same content."""
    async with gate([taken(2, (1, "key_missing", "retry")), taken(1)]) as (sender, bodies):
        await deliver([batch("report", "report", "report")], sender, account=Account(), progress=lambda _: None)
    assert [body.count(b"content") for body in bodies] == [3, 1]
    assert bodies[1].endswith(b"content 1")


async def test_kinds_are_kept_apart() -> None:
    """Copies and posts that were made to be refused are no reports, and do not spoil the account."""
    account = Account()
    async with gate([taken(2, (2, "field_refused", "discard"))]) as (sender, _):
        await deliver([batch("report", "copy", "faulty")], sender, account=account, progress=lambda _: None)
    assert (account.reports, account.copies, account.document()["refused_as_meant"]) == (1, 1, 1)
    assert account.is_whole


async def test_cancelled_delivery_is_in_doubt() -> None:
    """What is under way when a delivery is cancelled is in doubt, and what never began is not spoken of."""
    account = Account()
    async with gate([refused(503, "in_doubt", "retry", "Retry-After: 2")]) as (sender, bodies):
        work = deliver([batch("report"), batch("report")], sender, account=account, progress=print)
        task = asyncio.create_task(work)
        async with asyncio.timeout(PATIENCE_SECONDS):
            while not bodies:
                await asyncio.sleep(0.01)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
    assert account.document()["in_doubt"] == 1
    assert account.settled == 1


async def test_nobody_there_is_unsent() -> None:
    """Where there is no gate at all, nothing is in doubt."""
    async with gate([taken(1)]) as (sender, _):
        pass
    account = Account()
    await deliver([batch("report")], replace(sender, patience=0.5), account=account, progress=lambda _: None)
    assert account.document()["unsent"] == 1
    with pytest.raises(NoAnswer):
        await require_tokens(sender)


URLS = [
    pytest.param("http://127.0.0.1:8080", Address("127.0.0.1", 8080, secure=False, prefix=""), id="as a gate says it"),
    pytest.param(
        "https://gate.example/in/", Address("gate.example", 443, secure=True, prefix="/in"), id="behind a proxy"
    ),
]


@pytest.mark.parametrize(("url", "expected"), URLS)
def test_url_is_read(url: str, expected: Address) -> None:
    """A URL gives host, port and what stands before the gate's own paths."""
    assert address_of(url) == expected


@pytest.mark.parametrize("url", ["", "gate.example", "ftp://x", "http://", "http://a:b@x", "http://x/?check=1"])
def test_bad_url_is_refused(url: str) -> None:
    """What is no URL of a gate is refused with how to write one."""
    with pytest.raises(ValueError, match="http://host:port"):
        address_of(url)


@pytest.mark.faults
async def test_killed_gate_loses_no_report(tmp_path: Path) -> None:
    """A gate that is killed in the middle and started again has every report that the account calls accepted."""
    tiers = tier_files(tmp_path / "tiers")
    # No port that the system gives to whoever asks for any, for it has to be free between the two as well.
    (port,) = free_ports(1)
    with running_gate(tmp_path, tiers=tiers, port=port) as running, ExitStack() as later:
        fleet = make_fleet(devices=30, seed=3, now_ms=SystemClock().now_ms())
        phases = make_phases(fleet, running.catalogue)
        account, killed = Account(), asyncio.Event()
        sender = Sender(address_of(running.url), running.tokens, connections=2)
        half = sum(phase.messages for phase in phases) // 2

        def kill_in_the_middle(_: int) -> None:
            if account.settled > half and not killed.is_set():
                running.process.kill()
                killed.set()

        async def restart() -> None:
            await killed.wait()
            running.process.wait()
            starting = running_gate(tmp_path, tiers=tiers, port=port)
            again = await asyncio.to_thread(later.enter_context, starting)
            running.process = again.process

        await require_tokens(sender)
        async with asyncio.TaskGroup() as group:
            group.create_task(restart())
            for phase in phases:
                await deliver(phase.batches, sender, account=account, progress=kill_in_the_middle)
        running.stop()
        topics = {plan.topic for plan in running.catalogue.plans.values()}
        stored = {entry.key for entry in await running.log() if entry.topic in topics}
    assert account.is_whole, account.document()
    assert account.resent > 0
    assert stored == {one.values["report_id"] for one in reports(fleet)}
    assert account.reports == len(stored)


async def test_unknown_token_is_told(tmp_path: Path) -> None:
    """A token that the gate does not know ends the wait with the tier's name, and leaves no trace in the ledger."""
    with running_gate(tmp_path, tiers=tier_files(tmp_path / "tiers")) as running:
        sender = Sender(address_of(running.url), {"byod": "tg_" + "a" * 12 + "_" + "b" * 52})
        with pytest.raises(TokenRefused, match="byod"):
            await require_tokens(sender, seconds=0.5)
        ledger = [value for name, value in running.metrics().items() if name.startswith("tidegate_gate_received_total")]
    assert sum(ledger) == 0
