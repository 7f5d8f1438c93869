"""A gate as a process: the real App, admission, strip, intake, outcomes and readiness over a simulated log.

It is wired as `tidegate.serving.ingest_half` wires it, without files: tokens are a table, pseudonym keys one constant.
"""

import asyncio
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field

from ingest.access.admission import Admission
from ingest.access.token_view import Credential
from ingest.app import App, Scope, Send
from ingest.clock import Clock
from ingest.gate import Gate
from ingest.http.reading import BodyReader, Receive
from ingest.log import InDoubt, Log, LogUnavailable
from ingest.pipeline import Rules
from ingest.problems import Reason, Rejected
from ingest.readiness import watch
from ingest.records import outcomes_entry
from ingest.schema_topic import publish_schemas
from ingest.telemetry.account import Account
from ingest.telemetry.outcomes import report_outcomes
from ingest.telemetry.tracing import Tracing
from load.simulation.contracts import small_catalogue
from load.simulation.loop import Process
from load.simulation.parts import Parts
from load.simulation.world import ServerClock, World

BODY_SECONDS = 10.0
GRACE_SECONDS = 2.0
GRACEFUL_SECONDS = 4.0
STOP_SECONDS = 9.0
"""As `tidegate.serving` has them: bodies, appends, bodies half received at a stop, requests at a stop, the stop."""

READINESS_SECONDS = 5.0
RESTART_SECONDS = 1.0

OpenLog = Callable[[Clock], Log]


@dataclass
class Life:
    """One process of a gate, kept after its end for the check: which series it wrote, and how it ended."""

    gate_id: str
    process: Process
    gate: Gate
    app: App
    log: Log
    requests: list[asyncio.Task[None]] = field(default_factory=list)
    ended_well: bool = False


class Tokens:
    """Every tier has one token, which is the tier's name."""

    def check(self, token: bytes | None, now_ms: int) -> Credential:
        """As `TokenView.check`."""
        del now_ms
        tier = (token or b"").decode()
        if tier not in small_catalogue().tiers:
            raise Rejected(Reason.WRONG_TOKEN)
        return Credential(tier, tier, "device")


class GateServer:
    """One place where a gate runs: started, stopped or killed, and started again by `keep`."""

    def __init__(self, name: str, world: World, *, open_log: OpenLog, parts: Parts) -> None:
        self.clock = ServerClock(world)
        self.lives: list[Life] = []
        self.listening = False
        self.process: Process | None = None
        self._name = name
        self._world = world
        self._open_log = open_log
        self._parts = parts
        self._starts = 0
        self._told_to_end = False
        self._stop = asyncio.Event()
        self._ended = asyncio.Event()

    async def keep(self) -> None:
        """Start a process, and another one whenever it has ended, until `end`."""
        while not self._told_to_end:
            self._start()
            await self._ended.wait()
            await asyncio.sleep(self._world.short(RESTART_SECONDS))

    async def end(self) -> None:
        """As `stop`, and for good."""
        self._told_to_end = True
        await self.stop()

    async def stop(self) -> None:
        """SIGTERM; returns once the process has ended, well or because its patience has."""
        process = self.process
        self._stop.set()
        if process is None:
            return
        with suppress(TimeoutError):
            async with asyncio.timeout(STOP_SECONDS):
                await self._ended.wait()
        if self.process is process:
            self._world.say("%s: gives up stopping", process.name)
            process.kill()

    def serve(self, scope: Scope, receive: Receive, send: Send) -> asyncio.Task[None]:
        """Handle a request in the gate's process while it listens: a task for each, as uvicorn does it."""
        life = self.lives[-1]
        request = life.process.begin(life.app(scope, receive, send))
        life.requests.append(request)
        return request

    def _start(self) -> None:
        self._stop, self._ended = asyncio.Event(), asyncio.Event()
        self.process = self._world.process(f"{self._name}.{self._starts}")
        self._starts += 1
        self.process.on_kill.append(self._gone)
        self.process.begin(self._run(self.process))

    def _gone(self) -> None:
        self.listening = False
        self.process = None
        self._ended.set()

    async def _run(self, process: Process) -> None:
        gate_id = f"{self._world.chance.getrandbits(128):032x}"
        try:
            log = self._open_log(self.clock)
            gate = self._build(log)
            app = App(gate, _no_service, tracing=Tracing(small_catalogue(), gate_id=gate_id))
            life = Life(gate_id, process, gate, app, log)
            self.lives.append(life)
            await publish_schemas(log, small_catalogue(), now=self.clock.now_ms())
        except (LogUnavailable, InDoubt) as error:
            self._world.say("%s: cannot start, %s", process.name, type(error).__name__)
            process.kill()
        else:
            await self._live(life)

    async def _live(self, life: Life) -> None:
        gate = life.gate
        counting = asyncio.Event()
        outcomes = asyncio.create_task(self._count(life, until=counting))
        health = asyncio.create_task(
            watch(gate.readiness, gate.healthy, changed=self._readiness_changed, every=READINESS_SECONDS)
        )
        self.listening = True
        self._world.say("%s: listens", life.process.name)
        await self._stop.wait()
        self.listening = False
        gate.reader.stop(grace=GRACE_SECONDS)
        await _end_requests(life)
        health.cancel()
        counting.set()
        await asyncio.wait([outcomes, health])
        await life.log.close()
        life.ended_well = True
        self._world.say("%s: ends", life.process.name)
        self._gone()
        life.process.exit()

    async def _count(self, life: Life, *, until: asyncio.Event) -> None:
        async def append(value: bytes) -> None:
            await life.log.append([outcomes_entry(value, gate_id=life.gate_id, now=self.clock.now_ms())])

        series = self._parts.series(life.gate.account, append=append, clock=self.clock, gate_id=life.gate_id)
        await report_outcomes(series, stop=until, interval=self._world.chance.uniform(1, 4))

    def _build(self, log: Log) -> Gate:
        catalogue = small_catalogue()
        limits = {tier.name: tier.admission for tier in catalogue.tiers.values()}
        return self._parts.gate(
            rules=Rules(catalogue=catalogue, names={}, location="here", key=_one_key),
            log=log,
            admission=Admission(limits, Tokens(), clock=self.clock, random=self._world.chance),
            account=Account(catalogue),
            clock=self.clock,
            reader=BodyReader(timeout=BODY_SECONDS),
        )

    def _readiness_changed(self, ready: bool) -> None:  # noqa: FBT001  # the callback of `watch`
        self._world.say("%s: %s", self._name, "ready" if ready else "not ready")


async def _end_requests(life: Life) -> None:
    """As uvicorn ends them: requests under way get their time, and are cancelled then."""
    under_way = [request for request in life.requests if not request.done()]
    if under_way:
        _, late = await asyncio.wait(under_way, timeout=GRACEFUL_SECONDS)
        for request in late:
            request.cancel()
        await asyncio.gather(*late, return_exceptions=True)


def _one_key(tier: str, epoch_days: int, window_start_ms: int) -> bytes:
    del epoch_days, window_start_ms
    return tier.encode().ljust(32, b"k")


async def _no_service(scope: Scope, receive: Receive, send: Send) -> None:
    del scope, receive, send
    raise AssertionError("the simulation posts reports and nothing else")
