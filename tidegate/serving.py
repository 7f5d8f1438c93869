"""`tidegate serve`: the gate, its log and its background tasks in one process, from settings to a graceful end."""

import asyncio
import contextlib
import logging
import os
import secrets
import signal
import socket
import sqlite3
import threading
from collections.abc import AsyncIterator, Callable, Iterable, Iterator
from random import SystemRandom
from typing import Any

import uvicorn
import uvloop

from ingest.access.admission import Admission
from ingest.access.token_view import TokenView
from ingest.access.tokens import FILE_NAME as TOKENS_FILE
from ingest.app import App
from ingest.clock import SystemClock
from ingest.gate import Gate
from ingest.http.protocol import HttpProtocol
from ingest.http.reading import BodyReader
from ingest.http.service import build_service
from ingest.keys import DIRECTORY_NAME as KEYS_DIRECTORY
from ingest.keys import Keyring
from ingest.log import InDoubt, Log, LogUnavailable
from ingest.log.embedded import AppendLimits, EmbeddedLog
from ingest.log.memory import MemoryLog
from ingest.pipeline import Rules
from ingest.readiness import watch
from ingest.records import outcomes_entry
from ingest.schema_topic import publish_schemas
from ingest.telemetry.account import Account
from ingest.telemetry.events import Event
from ingest.telemetry.logs import install, know, log, loop_exception_handler
from ingest.telemetry.metrics import Metrics, ReloadResult, Sources
from ingest.telemetry.outcomes import OutcomeSeries, report_outcomes
from ingest.telemetry.tracing import Tracing
from schemas.catalogue import TIERS_DIRECTORY, Catalogue, load_catalogue
from schemas.errors import ContractError, Finding, refuse
from tidegate.settings import LOG_DIRECTORY, Settings

Announce = Callable[[dict[str, Any]], None]

STOP_SECONDS = 9.0
"""How long a stop may take in all. What was acknowledged is durable, so leaving in the middle loses nothing."""

PURGE_EVERY_SECONDS = 3600.0
APPEND_SECONDS = 5.0
"""How long a report waits for the log before its sender is told to retry; shorter than a stop may take."""

GRACEFUL_SECONDS = 4
"""What uvicorn gives requests under way; with the final outcomes the process ends within 10 s of SIGTERM."""


class Serving:
    """One gate process while it runs. `announce` is told its URLs once it takes requests."""

    def __init__(self, settings: Settings, *, announce: Announce) -> None:
        self._settings = settings
        self._announce = announce
        self._gate_id = secrets.token_hex(16)
        self._clock = SystemClock()
        self._stopping = asyncio.Event()
        self._reloading = asyncio.Lock()
        catalogue = load_policies(settings)
        self._keyring = Keyring(settings.data / KEYS_DIRECTORY, self._clock)
        self._tokens = TokenView(settings.data / TOKENS_FILE, self._clock)
        self._log = open_log(settings)
        self._gate = self._build_gate(catalogue)
        self._tracing = Tracing(catalogue, gate_id=self._gate_id)
        self._metrics = Metrics(self._sources(), gate_id=self._gate_id)

    async def run(self) -> None:
        """Serve until SIGTERM or SIGINT; then refuse what is new, finish what is under way, and say so."""
        loop = asyncio.get_running_loop()
        loop.set_exception_handler(loop_exception_handler)
        app = App(self._gate, build_service(self._gate, metrics=self._metrics.prometheus_text), tracing=self._tracing)
        server = _Server(self._uvicorn(app), started=self._started)
        await publish_schemas(self._log, self._gate.rules.catalogue, now=self._clock.now_ms())
        with listening(self._settings) as listener, self._signals(loop, server):
            async with self._background():
                await server.serve(sockets=[listener])
        # Together: each may wait for a collector that does not answer.
        await asyncio.gather(asyncio.to_thread(self._metrics.shutdown), asyncio.to_thread(self._tracing.shutdown))
        await self._log.close()
        self._tokens.close()
        self._keyring.close()
        log(Event.GATE_STOPPED)

    def _build_gate(self, catalogue: Catalogue) -> Gate:
        know([*catalogue.tiers, *catalogue.latest])
        limits = {tier.name: tier.admission for tier in catalogue.tiers.values()}
        return Gate(
            rules=Rules(catalogue=catalogue, names={}, location=self._settings.location, key=self._keyring.key),
            log=self._log,
            admission=Admission(limits, self._tokens, clock=self._clock, random=SystemRandom()),
            account=Account(catalogue),
            clock=self._clock,
            reader=BodyReader(timeout=self._settings.body_timeout_seconds),
        )

    def _sources(self) -> Sources:
        gate = self._gate
        return Sources(
            account=gate.account,
            active_requests=lambda: {tier: gate.admission.under_way(tier) for tier in self._tiers()},
            log_entries=lambda: self._log.entries,
            log_commits=lambda: self._log.commits,
            ready=lambda: gate.readiness.ready,
            policy_versions=lambda: {tier.name: tier.version for tier in gate.rules.catalogue.tiers.values()},
        )

    def _tiers(self) -> list[str]:
        return list(self._gate.rules.catalogue.tiers)

    def _uvicorn(self, app: App) -> uvicorn.Config:
        settings = self._settings
        return uvicorn.Config(
            app,
            loop="uvloop",
            http=HttpProtocol,
            ws="none",
            lifespan="off",
            access_log=False,
            log_config=None,
            server_header=False,
            # Unless a proxy is named, X-Forwarded-For is a device's own words.
            proxy_headers=bool(settings.trusted_proxies),
            forwarded_allow_ips=settings.trusted_proxies or None,
            ssl_certfile=settings.tls_certificate,
            ssl_keyfile=settings.tls_key,
            timeout_graceful_shutdown=GRACEFUL_SECONDS,
        )

    def _started(self, address: tuple[str, int]) -> None:
        catalogue = self._gate.rules.catalogue
        log(
            Event.GATE_READY,
            tiers=len(catalogue.tiers),
            reports=len(catalogue.latest),
            plans=len(catalogue.plans),
        )
        scheme = "http" if self._settings.tls_certificate is None else "https"
        host = f"[{address[0]}]" if ":" in address[0] else address[0]
        root = f"{scheme}://{host}:{address[1]}"
        self._announce(
            {"event": "ready", "url": root, "tiers": {tier: f"{root}/t/{tier}" for tier in sorted(catalogue.tiers)}}
        )

    @contextlib.contextmanager
    def _signals(self, loop: asyncio.AbstractEventLoop, server: "_Server") -> Iterator[None]:
        def stop() -> None:
            log(Event.GATE_STOPPING, requests=sum(self._gate.admission.under_way(tier) for tier in self._tiers()))
            self._gate.reader.stop(grace=self._settings.stop_grace_seconds)
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
        # One at a time: of two reloads at once the one that read the older files might end last.
        async with self._reloading:
            await self._reload()

    async def _reload(self) -> None:
        try:
            catalogue = await asyncio.to_thread(load_policies, self._settings)
            await publish_schemas(self._log, catalogue, now=self._clock.now_ms())
        except ContractError as error:
            self._refuse_policies(error.findings)
            return
        except (LogUnavailable, InDoubt):
            problem, fix = "the log cannot be written, and it must have the new schemas first", "send SIGHUP again"
            self._refuse_policies([Finding(str(self._settings.tiers or TIERS_DIRECTORY), 0, problem, fix)])
            return
        for name in sorted(set(self._tiers()) - set(catalogue.tiers)):
            log(Event.POLICY_WITHDRAWN, tier=name)
        know([*catalogue.tiers, *catalogue.latest])
        self._tracing.adopt(catalogue)
        self._gate.put_in_force(catalogue)
        self._metrics.reloaded(ReloadResult.APPLIED)
        for tier in catalogue.tiers.values():
            log(Event.POLICY_RELOADED, tier=tier.name, version=tier.version)

    def _refuse_policies(self, findings: Iterable[Finding]) -> None:
        self._metrics.reloaded(ReloadResult.REFUSED)
        for finding in findings:
            log(Event.POLICY_REFUSED, file=finding.file, line=finding.line, problem=finding.problem, fix=finding.fix)

    @contextlib.asynccontextmanager
    async def _background(self) -> AsyncIterator[None]:
        """The tasks beside the requests; the outcomes end last, when every request has been counted."""
        series = OutcomeSeries(
            self._gate.account, append=self._append_outcomes, clock=self._clock, gate_id=self._gate_id
        )
        outcomes = asyncio.create_task(report_outcomes(series, stop=self._stopping))
        others = [
            asyncio.create_task(watch(self._gate.readiness, self._healthy, changed=_readiness_changed)),
            asyncio.create_task(self._purge_keys()),
        ]
        for task in (outcomes, *others):
            task.add_done_callback(_tell_if_failed)
        try:
            yield
        finally:
            for task in others:
                task.cancel()
            self._stopping.set()
            await asyncio.gather(outcomes, *others, return_exceptions=True)

    async def _healthy(self) -> bool:
        return self._tokens.fresh() and await self._gate.healthy()

    async def _append_outcomes(self, value: bytes) -> None:
        await self._log.append([outcomes_entry(value, gate_id=self._gate_id, now=self._clock.now_ms())])

    async def _purge_keys(self) -> None:
        """Destroy the pseudonym keys whose time has passed, hourly: a pseudonym expires with its key."""
        while True:
            try:
                self._purge_once()
            except (OSError, sqlite3.Error) as error:
                log(Event.TASK_FAILED, error=error)
            await asyncio.sleep(PURGE_EVERY_SECONDS)

    def _purge_once(self) -> None:
        tiers = self._gate.rules.catalogue.tiers
        # A tier that was taken out of the policies still has keys; the longest horizon in force is long enough for it.
        longest = max(tier.horizon_days for tier in tiers.values())
        for name in {*tiers, *(record.tier for record in self._keyring.epochs())}:
            horizon = tiers[name].horizon_days if name in tiers else longest
            self._keyring.purge(name, horizon_days=horizon, now_ms=self._clock.now_ms())


class _Server(uvicorn.Server):
    """uvicorn, with our signals instead of its own, and a word when it listens."""

    def __init__(self, config: uvicorn.Config, *, started: Callable[[tuple[str, int]], None]) -> None:
        super().__init__(config)
        self._tell_started = started

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Nothing: uvicorn would raise the signal again at the end, and the final outcomes would be lost."""
        yield

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        if sockets:
            self._tell_started(sockets[0].getsockname()[:2])


def _tell_if_failed(task: asyncio.Task[None]) -> None:
    """A background task that ends by an exception is a fault of ours, and must not end in silence."""
    if not task.cancelled() and (error := task.exception()) is not None:
        log(Event.TASK_FAILED, error=error)


def _readiness_changed(ready: bool) -> None:  # noqa: FBT001  # the callback of `watch`
    log(Event.READINESS_CHANGED, ready=int(ready))


def load_policies(settings: Settings) -> Catalogue:
    """The catalogue of the policy files that the settings name; raises `ContractError`."""
    try:
        return load_catalogue(tiers=settings.tiers or TIERS_DIRECTORY)
    except OSError as error:
        fix = "make it a file that this process may read, or remove it"
        raise refuse(str(error.filename), f"cannot be read: {error.strerror}", fix=fix) from None


def open_log(settings: Settings) -> Log:
    """The log that the settings ask for."""
    if settings.log == "memory":
        return MemoryLog()
    return EmbeddedLog(settings.data / LOG_DIRECTORY, limits=AppendLimits(seconds=APPEND_SECONDS))


@contextlib.contextmanager
def listening(settings: Settings) -> Iterator[socket.socket]:
    """A socket bound to the settings' address; raises OSError if that cannot be had."""
    family = socket.AF_INET6 if ":" in settings.host else socket.AF_INET
    with socket.socket(family) as listener:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind((settings.host, settings.port))
        yield listener


def give_up_after(seconds: float) -> None:
    """End the process in `seconds` if it has not ended by then: a hung disk keeps threads that nobody can interrupt."""

    def give_up() -> None:
        log(Event.STOP_GIVEN_UP)
        os._exit(1)

    timer = threading.Timer(seconds, give_up)
    timer.daemon = True
    timer.start()


def serve(settings: Settings, *, announce: Announce) -> None:
    """Run a gate until it is told to stop; raises what says why it could not start."""
    install(settings.log_level.upper())
    # uvicorn warns of every request that is no HTTP, so a stranger could fill the disk with warnings.
    logging.getLogger("uvicorn.error").setLevel(logging.ERROR)

    async def run() -> None:
        await Serving(settings, announce=announce).run()

    uvloop.run(run())
