"""Devices: each posts its reports, tries again with the same ids until it knows, and keeps an honest account.

As `docs/http.md` asks a device to. What it knows of a report in the end is what the check goes by: taken (a 202 said
so), refused (every try ended in a no that means no, or before a byte was sent), or in doubt.
"""

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from load.simulation.contracts import REPORT, MadeReport
from load.simulation.network import Answer, Network, NoAnswer, NotSent
from load.simulation.world import World

ACCEPTED = 202
IN_DOUBT = "in_doubt"
FIRST_PAUSE, LONGEST_PAUSE = 0.5, 20.0
"""Seconds between two tries; what a gate says counts up to the longest, for devices are switched off and on again."""


@dataclass(slots=True)
class Sent:
    """A report and what its device knows of it. `left` while it goes on trying."""

    report: MadeReport
    accepted: bool = False
    doubtful: bool = False
    left: bool = True


@dataclass(frozen=True, slots=True, kw_only=True)
class Post:
    """Reports of one tier that are posted together at `at`, seconds; `tries` until the device gives up."""

    at: float
    reports: Sequence[Sent]
    patience: float
    tries: int


class Device:
    """Sends its posts one after the other, as its queue on disk would have it."""

    def __init__(self, name: str, world: World, network: Network) -> None:
        self._name = name
        self._world = world
        self._network = network

    async def live(self, posts: Sequence[Post]) -> None:
        """Send all of them."""
        for post in posts:
            await asyncio.sleep(max(0.0, post.at - self._world.loop.time()))
            await self.deliver(post)

    async def deliver(self, post: Post) -> None:
        """Send one until every report in it has its end, or the device gives up."""
        for number in range(post.tries):
            left = [sent for sent in post.reports if sent.left]
            if not left:
                return
            pause = await self._try(left, post.patience)
            if pause is not None:
                usual = FIRST_PAUSE * 2**number * self._world.chance.uniform(0.5, 1)
                await asyncio.sleep(min(max(pause, usual), LONGEST_PAUSE))

    async def _try(self, left: list[Sent], patience: float) -> float | None:
        """Post once; returns how long to wait at least before the next try, if one is needed."""
        tier = left[0].report.tier
        headers = {b"authorization": b"Bearer " + tier.encode(), b"content-type": _media_type(left)}
        before = [sent.doubtful for sent in left]
        for sent in left:
            sent.doubtful = True  # from the first byte on
        try:
            answer = await self._network.post(f"/t/{tier}/v1/reports/{REPORT}", headers, _body(left), patience=patience)
        except NotSent:
            _put_back(left, before)
            return 0.0
        except NoAnswer:
            self._world.say("%s: no answer", self._name)
            return 0.0
        self._world.say("%s: %d %s", self._name, answer.status, answer.document.get("reason", ""))
        # What a proxy does with the copy is not known to anybody.
        return _settle(left, [True] * len(left) if answer.repeated else before, answer)


def _settle(left: Sequence[Sent], before: Sequence[bool], answer: Answer) -> float | None:
    """Enter what an answer says; returns the pause if some are left."""
    if answer.status == ACCEPTED:
        return _verdicts(left, before, answer.document)
    document = answer.document
    if document["reason"] != IN_DOUBT:
        _put_back(left, before)
    if document["action"] == "retry":
        return float(answer.retry_after or 0)
    for sent in left:
        sent.left = False
    return None


def _verdicts(left: Sequence[Sent], before: Sequence[bool], document: Mapping[str, Any]) -> float | None:
    refused = {verdict["index"]: verdict["action"] for verdict in document["rejected"]}
    for index, (sent, doubtful) in enumerate(zip(left, before, strict=True)):
        sent.left = refused.get(index) == "retry"
        if index in refused:
            sent.doubtful = doubtful
        else:
            sent.accepted = True
    return 0.0 if any(sent.left for sent in left) else None


def _put_back(left: Sequence[Sent], before: Sequence[bool]) -> None:
    for sent, doubtful in zip(left, before, strict=True):
        sent.doubtful = doubtful


def _media_type(left: Sequence[Sent]) -> bytes:
    return b"application/avro" if len(left) == 1 else b"application/avro-sequence"


def _body(left: Sequence[Sent]) -> bytes:
    if len(left) == 1:
        return left[0].report.message
    return b"".join(len(sent.report.message).to_bytes(4, "big") + sent.report.message for sent in left)
