"""Clients that post while something goes wrong, write down what they were told, and try again what is in doubt.

Rules held here:

* a request that breaks off, or is not answered before its client gives up, is in doubt: perhaps it arrived;
* whatever was turned away for the moment or is in doubt is posted again, in a random order among new reports, but for a
  share that is given up at its first try: what was only ever refused must be nowhere, what is in doubt at most once;
* what was accepted is posted again at times, up to three times, as a device does that lost the answer;
* a request that is neither answered nor closed within `DEADLINE_SECONDS` is a fault of the gate, whatever was injected.
"""

import asyncio
import json
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from random import Random
from struct import Struct
from typing import Any

from load.faults.made import REPORT, TIERS, Made, ReportMaker
from load.faults.told import ACCEPTED, IN_DOUBT, Told
from load.fleet.batches import AVRO_SEQUENCE
from load.fleet.connection import Address, Answer, Connection, NoAnswer, NotSent

DEADLINE_SECONDS = 25.0
"""A gate gives a body 10 s and the log 5 s; the rest is for a machine with other things to do."""

IMPATIENT_SECONDS = 0.3
LONGEST_PAUSE = 0.05
BACK_OFF_SECONDS = 0.5
GIVE_UP, REPEAT, IMPATIENT = 0.15, 0.12, 0.03
"""Shares: of failed tries that are not repeated, of posts that repeat what was accepted, of posts that do not wait."""

COPIES = 3
LARGEST_BATCH = 6
LENGTH = Struct(">I")

NOT_SAID = "internal"
"""The reason of a 500, with which nothing is said about the report."""


class Clients:
    """Several connections to one address, through a proxy that may do anything to them."""

    def __init__(
        self,
        address: tuple[str, int],
        tokens: Mapping[str, str],
        *,
        told: Told,
        maker: ReportMaker,
        random: Random,
        accepted: list[Made],
    ) -> None:
        """`accepted` is what was taken before, in earlier rounds as well; what is taken now is added."""
        self._address = Address(*address, secure=False, prefix="")
        self._tokens = tokens
        self._told = told
        self._maker = maker
        self._random = random
        self._again: list[Made] = []
        self._accepted = accepted

    async def post_until(self, stop: asyncio.Event, *, connections: int, now: Callable[[], int]) -> None:
        """Post new reports, and old ones again, until told to stop; `now` is what the gate's clock says."""

        async def work() -> None:
            connection = Connection(self._address)
            try:
                while not stop.is_set():
                    await self._post(self._next(now()), connection)
                    await asyncio.sleep(self._random.uniform(0, LONGEST_PAUSE))
            finally:
                await connection.close()

        async with asyncio.TaskGroup() as group:
            for _ in range(connections):
                group.create_task(work())

    async def settle(self, *, seconds: float) -> int:
        """Post again until nothing is left to be told, or time is up; how many reports are left."""
        deadline = time.monotonic() + seconds
        connection = Connection(self._address)
        try:
            while self._again and time.monotonic() < deadline:
                self._random.shuffle(self._again)
                tier = self._again[0].tier
                batch = [made for made in self._again if made.tier == tier][:LARGEST_BATCH]
                self._take(batch)
                if not await self._exchange(batch, connection, DEADLINE_SECONDS):
                    self._again += batch
                    await asyncio.sleep(LONGEST_PAUSE)
            return len(self._again)
        finally:
            await connection.close()

    async def post_once(self, made: Made) -> str:
        """One report, on a connection of its own: `accepted`, `in_doubt` or the reason for which it was refused."""
        connection = Connection(self._address)
        try:
            await self._exchange([made], connection, DEADLINE_SECONDS)
        finally:
            await connection.close()
        tries = self._told.reports[made.report_id]
        return next(iter(tries.reasons), ACCEPTED if tries.accepted else IN_DOUBT)

    def _next(self, now: int) -> list[Made]:
        """What the next request carries: reports of one tier, some of them posted before."""
        tier = self._random.choice(TIERS)
        if self._accepted and self._random.random() < REPEAT:
            again = self._random.choices(self._accepted, k=COPIES)
            return [made for made in again if made.tier == again[0].tier]
        waiting = [made for made in self._again if made.tier == tier][:LARGEST_BATCH]
        if waiting and self._random.random() < 1 / 2:
            self._take(waiting)
            return waiting
        return [self._maker.make(tier, now=now) for _ in range(self._random.randint(1, LARGEST_BATCH))]

    def _take(self, batch: Sequence[Made]) -> None:
        taken = {made.report_id for made in batch}
        self._again = [made for made in self._again if made.report_id not in taken]

    async def _post(self, batch: list[Made], connection: Connection) -> None:
        patience = IMPATIENT_SECONDS if self._random.random() < IMPATIENT else DEADLINE_SECONDS
        if await self._exchange(batch, connection, patience):
            return
        if self._random.random() >= GIVE_UP:
            self._again += batch
        await asyncio.sleep(self._random.uniform(0, BACK_OFF_SECONDS))

    async def _exchange(self, batch: Sequence[Made], connection: Connection, patience: float) -> bool:
        """One request; whether its reports have come to an end. What was told of them is written down."""
        sent = time.monotonic()
        try:
            async with asyncio.timeout(patience):
                answer = await connection.post(_path(batch), _body(batch), self._headers(batch))
        except NotSent:
            self._told.refused(batch, "not_sent")
            return False
        except TimeoutError:
            self._told.unanswered += patience == DEADLINE_SECONDS
            self._told.in_doubt(batch, sent=sent)
            return False
        except NoAnswer:
            self._told.in_doubt(batch, sent=sent)
            return False
        return self._enter(batch, answer, sent=sent)

    def _enter(self, batch: Sequence[Made], answer: Answer, *, sent: float) -> bool:
        document = document_of(answer)
        if answer.status == 202 and "accepted" in document:
            self._verdicts(batch, document, sent=sent)
            return True
        reason = document.get("reason")
        if reason is None or reason in (IN_DOUBT, NOT_SAID):
            self._told.in_doubt(batch, sent=sent)
            return False
        self._told.refused(batch, reason)
        if document.get("action") == "retry":
            return False
        self._told.faults.append(f"a whole request was refused with {reason}")
        return True

    def _verdicts(self, batch: Sequence[Made], document: Mapping[str, Any], *, sent: float) -> None:
        refused = {verdict["index"]: verdict["reason"] for verdict in document["rejected"]}
        accepted = [made for index, made in enumerate(batch) if index not in refused]
        if len(accepted) != document["accepted"]:
            self._told.faults.append("a 202 accepts another number of reports than it leaves over")
        self._told.ok(accepted, sent=sent)
        self._accepted += accepted
        for index, reason in refused.items():
            self._told.discarded(batch[index], reason, sent=sent)

    def _headers(self, batch: Sequence[Made]) -> dict[str, str]:
        return {"authorization": f"Bearer {self._tokens[batch[0].tier]}", "content-type": AVRO_SEQUENCE}


def _path(batch: Sequence[Made]) -> str:
    return f"/t/{batch[0].tier}/v1/reports/{REPORT}"


def _body(batch: Sequence[Made]) -> bytes:
    return b"".join(LENGTH.pack(len(made.message)) + made.message for made in batch)


def document_of(answer: Answer) -> dict[str, Any]:
    """The JSON object of an answer; empty where it has none."""
    with suppress(ValueError):
        document = json.loads(answer.body)
        if isinstance(document, dict):
            return document
    return {}
