"""The network between devices and gates: a request takes its time, is cut, stalls, arrives twice, or loses its answer.

A request is handed to a gate as uvicorn would hand it over (ASGI), in one to three pieces. Only the sender's side can
tell what it knows: an answer, or nothing; that a connection was refused, so that nothing was sent, is known as well.
"""

import asyncio
import json
from collections.abc import MutableMapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from typing import Any

from load.simulation.gate import GateServer
from load.simulation.loop import Process
from load.simulation.world import World

STALLED_SECONDS = 100.0
"""Longer than any gate waits for a body."""

ACCEPTED, INTERNAL, IN_DOUBT = 202, 500, "in_doubt"

Event = MutableMapping[str, Any]


class NotSent(Exception):
    """Nobody listened: not a byte was sent."""


class NoAnswer(Exception):
    """No answer came; what became of the request is not known."""


@dataclass(frozen=True, slots=True)
class Answer:
    """What came back. `repeated`: a copy of the request is on its way, which says nothing to its sender."""

    status: int
    retry_after: int | None
    document: dict[str, Any]
    repeated: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Weather:
    """How likely each trouble is for one request; `seconds` is the mean of a delay."""

    seconds: float = 0.02
    never_arrives: float = 0.0
    cut: float = 0.0
    stalls: float = 0.0
    answer_lost: float = 0.0
    twice: float = 0.0


@dataclass
class Exchange:
    """One request at one gate: what arrives of it, what is sent back, and when; `whole_at`: all of it had arrived."""

    world: World
    process: Process
    pieces: list[bytes]
    gaps: list[float]
    cut: bool = False
    began: float = 0.0
    whole_at: float | None = None
    ended: float | None = None
    status: int = 0
    reason: str | None = None
    body: bytes = b""
    """All that its sender sent, whatever arrived."""

    _headers: dict[bytes, bytes] = field(default_factory=dict)
    _reset: asyncio.Event = field(default_factory=asyncio.Event)

    def __post_init__(self) -> None:
        self.began = self.world.loop.time()
        self.answer: asyncio.Future[Answer | None] = self.world.loop.create_future()

    async def receive(self) -> Event:
        """The next piece of the body, or that the connection is gone."""
        if self._reset.is_set() or not self.pieces:
            if not self.cut:
                await self._reset.wait()
            return {"type": "http.disconnect"}
        if gap := self.gaps.pop():
            await asyncio.sleep(gap)
        piece = self.pieces.pop()
        if not self.pieces and not self.cut:
            self.whole_at = self.world.loop.time()
        return {"type": "http.request", "body": piece, "more_body": self.whole_at is None}

    async def send(self, event: Event) -> None:
        """What the gate answers; nobody may be there any more."""
        if event["type"] == "http.response.start":
            self.status = event["status"]
            self._headers = dict(event["headers"])
            return
        retry_after = self._headers.get(b"retry-after")
        document = json.loads(event["body"])
        self.reason = document.get("reason")
        answer = Answer(self.status, None if retry_after is None else int(retry_after), document)
        self._settle(None if self.cut else answer)

    @property
    def may_have_stored(self) -> bool:
        """Whether its reports may be in the log for it: nobody was told that they are not."""
        return self.status in (0, ACCEPTED, INTERNAL) or self.reason == IN_DOUBT

    def reset(self) -> None:
        """The connection is gone; with the gate's process, or because the request has ended without an answer."""
        self._reset.set()
        self._settle(None)

    def _settle(self, answer: Answer | None) -> None:
        if self.ended is None:
            self.ended = self.world.loop.time()
        if not self.answer.done():
            self.answer.set_result(answer)


@dataclass
class Network:
    """Between all devices and all gates; `weather` changes. `exchanges` is kept for the check."""

    world: World
    gates: Sequence[GateServer]
    weather: Weather = field(default_factory=Weather)
    exchanges: list[Exchange] = field(default_factory=list)

    async def post(self, path: str, headers: dict[bytes, bytes], body: bytes, *, patience: float) -> Answer:
        """The answer to a POST; raises `NotSent`, and `NoAnswer` after `patience` seconds at the latest."""
        world, weather = self.world, self.weather
        try:
            async with asyncio.timeout(patience):
                await self._delay()
                if world.likely(weather.never_arrives):
                    await asyncio.sleep(2 * patience)
                exchange = self._deliver(world.chance.choice(self.gates), path, headers, body)
                repeated = world.likely(weather.twice)
                if repeated:
                    self._repeat(path, headers, body)
                answer = await asyncio.shield(exchange.answer)
                await self._delay()
                if answer is None:
                    raise NoAnswer
                if world.likely(weather.answer_lost):
                    world.say("network: loses an answer")
                    raise NoAnswer
                return replace(answer, repeated=True) if repeated else answer
        except TimeoutError:
            raise NoAnswer from None

    def _repeat(self, path: str, headers: dict[bytes, bytes], body: bytes) -> None:
        """As a proxy that tries another gate on its own; its sender hears of one answer."""
        self.world.say("network: delivers a request twice")
        with suppress(NotSent):
            self._deliver(self.world.chance.choice(self.gates), path, headers, body)

    async def _delay(self) -> None:
        await asyncio.sleep(self.world.short(self.weather.seconds))

    def _deliver(self, gate: GateServer, path: str, headers: dict[bytes, bytes], body: bytes) -> Exchange:
        """Hand a request to the gate, as much of it as arrives; raises `NotSent`."""
        process = gate.process
        if process is None or not gate.listening:
            raise NotSent
        world, weather = self.world, self.weather
        pieces, cut = self._pieces(body), False
        if world.likely(weather.cut):
            world.say("network: cuts a request")
            pieces, cut = pieces[: world.chance.randrange(len(pieces) + 1)], True
        gaps = [0.0, *(world.short(weather.seconds) for _ in pieces[1:])]
        if world.likely(weather.stalls):
            world.say("network: a request stalls")
            gaps[-1] += STALLED_SECONDS
        exchange = Exchange(world, process, pieces[::-1], gaps[::-1], cut=cut, body=body)
        process.on_kill.append(exchange.reset)
        self.exchanges.append(exchange)
        gate.serve(_scope(path, headers, body), exchange.receive, exchange.send).add_done_callback(
            lambda _: exchange.reset()
        )
        return exchange

    def _pieces(self, body: bytes) -> list[bytes]:
        """The body as it comes: mostly whole, sometimes in two or three pieces."""
        if self.world.likely(0.7):
            return [body]
        cuts = sorted(self.world.chance.randrange(len(body)) for _ in range(self.world.chance.choice((1, 2))))
        return [body[start:end] for start, end in zip([0, *cuts], [*cuts, len(body)], strict=True)]


def _scope(path: str, headers: dict[bytes, bytes], body: bytes) -> Event:
    return {
        "type": "http",
        "method": "POST",
        "path": path,
        "query_string": b"",
        "headers": [*headers.items(), (b"content-length", str(len(body)).encode())],
        "client": ("127.0.0.1", 1),
    }
