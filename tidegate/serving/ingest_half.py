"""The half that takes reports: the gate, its log, keys and tokens, and the tasks beside the requests."""

import asyncio
import sqlite3
from random import SystemRandom
from typing import Any

from ingest.access.admission import Admission
from ingest.access.token_view import TokenView
from ingest.clock import Clock
from ingest.gate import Gate
from ingest.http.reading import BodyReader
from ingest.keys import DIRECTORY_NAME as KEYS_DIRECTORY
from ingest.keys import Keyring
from ingest.names_view import NamesView
from ingest.operator_documents import FILE_NAME as OPERATOR_FILE
from ingest.pipeline import Rules
from ingest.readiness import watch
from ingest.records import outcomes_entry
from ingest.registry.ids import IdSource, OwnIds, RegisteredIds, Registration
from ingest.registry.registered import RegisteredView
from ingest.telemetry.account import Account
from ingest.telemetry.events import Event
from ingest.telemetry.logs import log
from ingest.telemetry.outcomes import OutcomeSeries, report_outcomes
from ingest.telemetry.sources import Sources
from ingest.telemetry.tracing import Tracing
from schemas.catalogue import Catalogue
from tidegate.log_source import open_log, require_topics
from tidegate.serving.background import Background
from tidegate.settings import OWN_REGISTRY, Settings

PURGE_EVERY_SECONDS = 3600.0


class IngestHalf:
    """One gate while it runs. Raises what says why it cannot start, on construction or in `start`."""

    def __init__(
        self, settings: Settings, catalogue: Catalogue, *, tokens: TokenView, clock: Clock, gate_id: str
    ) -> None:
        self._settings = settings
        self._clock = clock
        self._gate_id = gate_id
        self._tokens = tokens
        self._keyring = Keyring(settings.data / KEYS_DIRECTORY, clock)
        self._names = NamesView(settings.data / OPERATOR_FILE, clock)
        self.log = open_log(settings)
        self._registration = Registration(self.log, ids=id_source(settings), clock=clock)
        self.registered = RegisteredView(self.log, clock=clock, topic_prefix=settings.kafka_topic_prefix)
        self.gate = self._build_gate(catalogue)
        self.tracing = Tracing(catalogue, gate_id=gate_id)
        self._stopping = asyncio.Event()
        self._outcomes = Background()
        self._others = Background()

    def _build_gate(self, catalogue: Catalogue) -> Gate:
        limits = {tier.name: tier.admission for tier in catalogue.tiers.values()}
        return Gate(
            rules=Rules(
                catalogue=catalogue,
                names=self._names.current(),
                location=self._settings.location,
                key=self._keyring.key,
                framing=self._registration.framing,
            ),
            log=self.log,
            admission=Admission(limits, self._tokens, clock=self._clock, random=SystemRandom()),
            account=Account(catalogue),
            clock=self._clock,
            reader=BodyReader(timeout=self._settings.body_timeout_seconds),
        )

    def sources(self) -> Sources:
        """Where the metrics find the gate's numbers."""
        gate = self.gate
        return Sources(
            account=gate.account,
            active_requests=lambda: {tier: gate.admission.under_way(tier) for tier in gate.rules.catalogue.tiers},
            log_entries=lambda: self.log.entries,
            log_commits=lambda: self.log.commits,
            ready=lambda: gate.readiness.ready,
            policy_versions=lambda: {tier.name: tier.version for tier in gate.rules.catalogue.tiers.values()},
        )

    @property
    def ready(self) -> bool:
        """Whether a report would be taken now."""
        return self.gate.readiness.ready and not self.gate.reader.stopping

    async def prepare(self, catalogue: Catalogue) -> None:
        """As `PolicyUser.prepare`: the log must hold a schema, and its id, before a record is written under it."""
        await require_topics(self.log, catalogue)
        await self._registration.prepare(catalogue)

    def adopt(self, catalogue: Catalogue) -> None:
        """As `PolicyUser.adopt`."""
        self.tracing.adopt(catalogue)
        self.gate.put_in_force(catalogue)

    async def start(self) -> None:
        """Begin what goes on beside the requests; raises `ContractError`, `LogUnavailable` or `InDoubt`."""
        try:
            await self.prepare(self.gate.rules.catalogue)
        except BaseException:  # whatever it was, it goes on; nobody else will close what was connected
            await self.log.close()
            raise
        series = OutcomeSeries(
            self.gate.account, append=self._append_outcomes, clock=self._clock, gate_id=self._gate_id
        )
        self._outcomes.begin(report_outcomes(series, stop=self._stopping))
        self._others.begin(watch(self.gate.readiness, self._healthy, changed=_readiness_changed))
        self._others.begin(self._names.follow(self.gate.name))
        self._others.begin(self._purge_keys())

    def started(self, root: str) -> dict[str, Any]:
        """Say that reports are taken at `root`; returns what the line on stdout has of it."""
        catalogue = self.gate.rules.catalogue
        log(
            Event.GATE_READY,
            tiers=len(catalogue.tiers),
            reports=len(catalogue.latest),
            plans=len(catalogue.plans),
        )
        return {"tiers": {tier: f"{root}/t/{tier}" for tier in sorted(catalogue.tiers)}}

    def stop_soon(self) -> None:
        """Refuse what is new, and give bodies that are half received their grace."""
        requests = sum(self.gate.admission.under_way(tier) for tier in self.gate.rules.catalogue.tiers)
        log(Event.GATE_STOPPING, requests=requests)
        self.gate.reader.stop(grace=self._settings.stop_grace_seconds)

    async def finish(self) -> None:
        """End the tasks; the outcomes end last, when every request has been counted."""
        await self._others.cancel()
        self._stopping.set()
        await self._outcomes.done()
        await asyncio.to_thread(self.tracing.shutdown)

    async def close(self) -> None:
        """Release the log, the names and the keys."""
        await self.log.close()
        self._names.close()
        self._keyring.close()
        log(Event.GATE_STOPPED)

    async def _healthy(self) -> bool:
        return self._tokens.fresh() and await self.gate.healthy()

    async def _append_outcomes(self, body: bytes) -> None:
        now, framing = self._clock.now_ms(), self.gate.rules.framing
        await self.log.append([outcomes_entry(body, gate_id=self._gate_id, now=now, framing=framing)])

    async def _purge_keys(self) -> None:
        """Destroy the pseudonym keys whose time has passed, hourly: a pseudonym expires with its key."""
        while True:
            try:
                self._purge_once()
            except (OSError, sqlite3.Error) as error:
                log(Event.TASK_FAILED, error=error)
            await asyncio.sleep(PURGE_EVERY_SECONDS)

    def _purge_once(self) -> None:
        tiers = self.gate.rules.catalogue.tiers
        # A tier that was taken out of the policies still has keys; the longest horizon in force is long enough for it.
        longest = max(tier.horizon_days for tier in tiers.values())
        for name in {*tiers, *(record.tier for record in self._keyring.epochs())}:
            horizon = tiers[name].horizon_days if name in tiers else longest
            self._keyring.purge(name, horizon_days=horizon, now_ms=self._clock.now_ms())


def id_source(settings: Settings) -> IdSource | None:
    """Who gives schemas their ids, as the settings say."""
    external = settings.external_registry()
    if external is not None:
        return RegisteredIds(external, topic_prefix=settings.kafka_topic_prefix)
    return OwnIds() if settings.schema_registry == OWN_REGISTRY else None


def _readiness_changed(ready: bool) -> None:  # noqa: FBT001  # the callback of `watch`
    log(Event.READINESS_CHANGED, ready=int(ready))
