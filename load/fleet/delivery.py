"""Posts a fleet to a running gate, as `docs/http.md` asks a device to, and keeps an honest account of it.

    account = Account()
    for phase in make_phases(fleet, catalogue):
        await deliver(phase.batches, sender, account=account, progress=show)

A message is entered into the account when its end is known, and never before: a 202 that accepts it, a refusal that
says it will never be taken, or giving up. Whatever could not be delivered is sent again with the same ids, no earlier
than Retry-After says, so that the gate's readers can count it once.
"""

import asyncio
import json
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from random import Random
from typing import Any

from load.fleet.account import Account
from load.fleet.batches import Batch, Message, media_type_for
from load.fleet.connection import Address, Answer, Connection, NoAnswer, NotSent

CONNECTIONS = 4
PATIENCE_SECONDS = 120.0
"""How long one batch is tried."""

FIRST_PAUSE, LONGEST_PAUSE = 0.2, 10.0
"""Seconds before the second try where the gate gave none; it doubles each time, with a random part."""

ACCEPTED = 202
UNAUTHORISED = 401
TOKEN_SECONDS = 15.0
"""A gate takes notice of a new token within about a second."""

Progress = Callable[[int], None]
"""Told how many messages have come to an end since the last time."""


class TokenRefused(Exception):
    """A gate does not know a token; the message names its tier and nothing of the token."""


@dataclass(frozen=True, slots=True)
class Sender:
    """Where to, with which token for each tier, over how many connections, and how patiently."""

    address: Address
    tokens: Mapping[str, str]
    connections: int = CONNECTIONS
    patience: float = PATIENCE_SECONDS


async def deliver(batches: Sequence[Batch], sender: Sender, *, account: Account, progress: Progress) -> None:
    """Post every batch, in about their order; what became of each message is in `account` when this returns.

    Cancelled, it enters what was under way as in doubt before it ends.
    """
    left = iter(batches)
    async with asyncio.TaskGroup() as group:
        for number in range(sender.connections):
            group.create_task(_work(left, sender, account, progress, Random(number)))


async def _work(batches: Iterator[Batch], sender: Sender, account: Account, progress: Progress, random: Random) -> None:
    connection = Connection(sender.address)
    try:
        for batch in batches:
            before = len(batch.messages)
            await _Attempts(batch, sender, account, random).settle(connection)
            progress(before)
    finally:
        await connection.close()


class _Attempts:
    """One batch from its first post to its end."""

    def __init__(self, batch: Batch, sender: Sender, account: Account, random: Random) -> None:
        self._batch = batch
        self._sender = sender
        self._account = account
        self._random = random
        self._doubtful = False
        self._tries = 0

    async def settle(self, connection: Connection) -> None:
        """Post until every message has its end, or patience has."""
        deadline = time.monotonic() + self._sender.patience
        try:
            while self._batch.messages:
                pause = await self._post(connection)
                if pause is not None:
                    if time.monotonic() + pause > deadline:
                        break
                    await asyncio.sleep(pause)
        except asyncio.CancelledError:
            self._account.enter_left(self._batch, doubtful=self._doubtful)
            raise
        if self._batch.messages:
            self._account.enter_left(self._batch, doubtful=self._doubtful)

    async def _post(self, connection: Connection) -> float | None:
        """One try: what it settles leaves the batch. The pause before the next one, where one is needed."""
        self._account.requests += 1
        self._account.resent += self._tries > 0
        self._tries += 1
        batch, before = self._batch, self._doubtful
        self._doubtful = True  # from the first byte on, until an answer says otherwise
        try:
            answer = await connection.post(_path(batch), batch.body(), _headers(batch, self._sender.tokens))
        except NotSent:
            self._doubtful = before
            return self._pause(None)
        except NoAnswer:
            return self._pause(None)
        document = _document(answer)
        if answer.status == ACCEPTED and "accepted" in document:
            return self._verdicts(document)
        self._doubtful = before or document.get("reason") == "in_doubt" or "reason" not in document
        if document.get("action", "retry") == "retry":
            self._account.turned_away[batch.tier, str(document.get("reason", f"status {answer.status}"))] += 1
            return self._pause(answer.retry_after)
        for message in batch.messages:
            self._account.enter_refused(batch, message, document["reason"])
        self._batch = replace(batch, messages=())
        return None

    def _verdicts(self, document: dict[str, Any]) -> float | None:
        """Enter what a 202 says of each message; those that may be tried again stay."""
        batch = self._batch
        refused = {verdict["index"]: verdict for verdict in document["rejected"]}
        accepted = [message for index, message in enumerate(batch.messages) if index not in refused]
        if len(accepted) != document["accepted"]:  # no gate of ours; nothing can be concluded from such an answer
            return self._pause(None)
        self._account.enter_accepted(batch, accepted)
        again = []
        for index, verdict in refused.items():
            if verdict["action"] == "retry":
                again.append(batch.messages[index])
            else:
                self._account.enter_refused(batch, batch.messages[index], verdict["reason"])
        self._batch = _reduced(batch, again)
        self._doubtful = False
        return self._pause(None) if again else None

    def _pause(self, retry_after: float | None) -> float:
        longest: float = min(LONGEST_PAUSE, FIRST_PAUSE * 2 ** (self._tries - 1))
        return max(retry_after or 0, longest * self._random.uniform(0.5, 1))


def _reduced(batch: Batch, messages: Sequence[Message]) -> Batch:
    if not messages:
        return replace(batch, messages=())
    return replace(batch, messages=tuple(messages), media_type=media_type_for(messages))


def _path(batch: Batch) -> str:
    every = f"/t/{batch.tier}/v1/reports"
    return every if batch.report is None else f"{every}/{batch.report}"


def _headers(batch: Batch, tokens: Mapping[str, str]) -> dict[str, str]:
    coding = {"content-encoding": batch.coding} if batch.coding else {}
    return {
        **batch.headers,
        **coding,
        "authorization": f"Bearer {tokens[batch.tier]}",
        "content-type": batch.media_type,
    }


def _document(answer: Answer) -> dict[str, Any]:
    """The JSON object of an answer; empty where it has none, as that of a proxy may."""
    with suppress(ValueError):
        document = json.loads(answer.body)
        if isinstance(document, dict):
            return document
    return {}


async def require_tokens(sender: Sender, *, seconds: float = TOKEN_SECONDS) -> None:
    """Return once the gate knows every token, by asking it to check nothing, which leaves no trace there.

    Raises `TokenRefused` where it still does not after a while, and `NoAnswer` where nobody answers at all.
    """
    deadline = time.monotonic() + seconds
    connection = Connection(sender.address)
    try:
        for tier, token in sender.tokens.items():
            while await _is_unknown(connection, tier, token):
                if time.monotonic() > deadline:
                    raise TokenRefused(f"the gate does not know the token for {tier}, or no tier of that name")
                await asyncio.sleep(FIRST_PAUSE)
    finally:
        await connection.close()


async def _is_unknown(connection: Connection, tier: str, token: str) -> bool:
    path = f"/t/{tier}/v1/reports/trace_window?check=1"
    answer = await connection.post(path, b"", {"authorization": f"Bearer {token}", "content-type": "application/avro"})
    # An empty body is refused as such (400) once the token is good.
    return answer.status != 400
