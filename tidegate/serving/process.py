"""One process of `tidegate serve`: from settings to a graceful end. It takes reports, answers questions, or both.

The two halves know nothing of each other but the log. Whatever becomes of the answers, the gate goes on.

A stop, which has `STOP_SECONDS` in all: new reports are refused and the follower is told to stop, both at once;
requests under way are answered; the follower ends its batch while the last outcomes are appended; then telemetry is
sent and every file is closed.
"""

import asyncio
import contextlib
import gc
import logging
import os
import secrets
import signal
import sys
from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING, Any

import uvloop

from aggregators.answering.elsewhere_api import answers_elsewhere_router
from ingest import failpoint
from ingest.access.token_view import TokenView
from ingest.access.tokens import FILE_NAME as TOKENS_FILE
from ingest.app import App
from ingest.clock import Clock, SystemClock
from ingest.http.service import Readiness, build_service, contracts_router, operations_router
from ingest.log import LogReader
from ingest.registry.api import PATH as REGISTRY_PATH
from ingest.registry.api import registry_application
from ingest.telemetry.events import Event
from ingest.telemetry.logs import install, log, loop_exception_handler
from ingest.telemetry.metrics import Metrics, ReloadResult
from schemas.catalogue import TIERS_DIRECTORY
from tidegate.log_source import open_reader
from tidegate.serving.background import STOP_SECONDS, give_up_after
from tidegate.serving.ingest_half import IngestHalf
from tidegate.serving.policies import Policies
from tidegate.serving.web_server import WebServer, listening
from tidegate.settings import Settings

if TYPE_CHECKING:
    from tidegate.serving.answers_half import AnswersHalf

Announce = Callable[[dict[str, Any]], None]

SWITCH_SECONDS = 0.0005
"""How long a thread may keep the interpreter while another waits for it, where there are both halves. Python's own 5 ms
would be added to a request at each of its steps while the follower decodes beside it."""


class Process:
    """The halves that the settings ask for, behind one socket. `announce` is told its URLs once it takes requests."""

    def __init__(self, settings: Settings, *, announce: Announce) -> None:
        self._settings = settings
        self._announce = announce
        clock, gate_id = SystemClock(), secrets.token_hex(16)
        self._policies = Policies(settings.tiers or TIERS_DIRECTORY)
        self._tokens = TokenView(settings.data / TOKENS_FILE, clock)
        self._ingest = None if settings.only == "answers" else self._ingest_half(clock, gate_id)
        self._answers = None if settings.only == "ingest" else self._answers_half(clock)
        self._metrics = Metrics(*(half.sources() for half in self._halves()), gate_id=gate_id)

    def _ingest_half(self, clock: Clock, gate_id: str) -> IngestHalf:
        catalogue = self._policies.catalogue
        return IngestHalf(self._settings, catalogue, tokens=self._tokens, clock=clock, gate_id=gate_id)

    def _answers_half(self, clock: Clock) -> "AnswersHalf":
        # Not before it is needed: a gate alone does without the tens of megabytes of DuckDB and Arrow.
        from tidegate.serving.answers_half import AnswersHalf  # noqa: PLC0415

        return AnswersHalf(self._settings, self._policies, self._reader(), tokens=self._tokens, clock=clock)

    def _reader(self) -> LogReader:
        """What the follower reads: a connection of its own, so that nobody who appends waits for it."""
        if self._settings.log == "memory" and self._ingest is not None:
            return self._ingest.log
        return open_reader(self._settings)

    def _halves(self) -> "Sequence[IngestHalf | AnswersHalf]":
        return [half for half in (self._ingest, self._answers) if half is not None]

    async def run(self) -> None:
        """Serve until SIGTERM or SIGINT; then refuse what is new, finish what is under way, and say so."""
        loop = asyncio.get_running_loop()
        loop.set_exception_handler(loop_exception_handler)
        server = WebServer(self._application(), self._settings, started=self._started)
        with listening(self._settings) as listener, self._signals(loop, server):
            try:
                for half in self._halves():
                    await half.start()
                await server.serve(sockets=[listener])
            finally:
                await asyncio.gather(*(half.finish() for half in self._halves()))
        await asyncio.to_thread(self._metrics.shutdown)
        for half in reversed(self._halves()):
            await half.close()
        self._tokens.close()
        # Else DuckDB's module, which goes first at the end, tells stderr of every object of its own that is left.
        gc.unfreeze()

    def _application(self) -> Any:
        """What uvicorn calls: the gate's hot route in front of FastAPI, or FastAPI alone."""
        routers = [operations_router(metrics=self._metrics.prometheus_text, readiness=self._readiness)]
        routers += self._answers.routers() if self._answers is not None else [answers_elsewhere_router()]
        if self._ingest is None:
            return build_service(*routers)
        service = build_service(contracts_router(self._ingest.gate), *routers)
        service.mount(REGISTRY_PATH, registry_application(self._ingest.registered, clock=self._ingest.gate.clock))
        return App(self._ingest.gate, service, tracing=self._ingest.tracing)

    def _readiness(self) -> Readiness:
        """Where there is a gate, it decides: a load balancer must not turn devices away for want of answers."""
        if self._ingest is None:
            assert self._answers is not None  # noqa: S101 - for the type checker; one of the two is there
            return self._answers.readiness()
        more = {} if self._answers is None else {"answers": self._answers.readiness().more}
        return Readiness(self._ingest.ready, more)

    def _started(self, root: str) -> None:
        if self._ingest is not None and self._answers is not None:
            sys.setswitchinterval(SWITCH_SECONDS)
        # What is here now stays until the end, and a full collection need not look at it: it took up to 60 ms.
        gc.collect()
        gc.freeze()
        document: dict[str, Any] = {"event": "ready", "url": root}
        for half in self._halves():
            document |= half.started(root)
        self._announce(document)

    @contextlib.contextmanager
    def _signals(self, loop: asyncio.AbstractEventLoop, server: WebServer) -> Iterator[None]:
        def stop() -> None:
            for half in self._halves():
                half.stop_soon()
            server.should_exit = True
            give_up_after(STOP_SECONDS)

        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, stop)
        loop.add_signal_handler(signal.SIGHUP, lambda: asyncio.ensure_future(self.reload()))
        try:
            yield
        finally:
            for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
                loop.remove_signal_handler(number)

    async def reload(self) -> None:
        """Put the policy files as they are now in force; if anything is wrong with them the old ones stay."""
        applied = await self._policies.reload([self._ingest] if self._ingest is not None else [])
        self._metrics.reloaded(ReloadResult.APPLIED if applied else ReloadResult.REFUSED)


def serve(settings: Settings, *, announce: Announce) -> None:
    """Run until told to stop; raises what says why it could not start."""
    # DuckDB makes its files by the umask, and nothing here is for anybody else.
    os.umask(0o077)
    install(settings.log_level.upper())
    # uvicorn warns of every request that is no HTTP, so a stranger could fill the disk with warnings.
    logging.getLogger("uvicorn.error").setLevel(logging.ERROR)
    for armed in failpoint.ARMED:
        log(Event.FAILPOINT_ARMED, failpoint=armed.name, action=armed.action, time=armed.time)

    async def run() -> None:
        await Process(settings, announce=announce).run()

    uvloop.run(run())
