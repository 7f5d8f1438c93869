"""The gate put together: the rules in force, and everything they act on. Holds no logic of HTTP and none of privacy."""

import dataclasses
from collections.abc import Sequence

from ingest.access.admission import Admission
from ingest.clock import Clock
from ingest.coarsen import Names
from ingest.failpoint import reached
from ingest.http.reading import BodyReader
from ingest.log import InDoubt, Log, LogUnavailable, StorageFull
from ingest.pipeline import Rules
from ingest.problems import Reason, Rejected
from ingest.readiness import Readiness
from ingest.records import to_entry
from ingest.report import StrippedReport
from ingest.telemetry.account import ACCEPTED, Account
from ingest.telemetry.events import Event
from ingest.telemetry.logs import log
from schemas.catalogue import Catalogue

OUR_TROUBLE = frozenset(
    {Reason.TOKENS_UNREADABLE, Reason.KEY_MISSING, Reason.STORAGE_FULL, Reason.LOG_UNAVAILABLE, Reason.IN_DOUBT}
)
"""Refusals that an operator has to hear of. `internal` is told where it happens, with the place of the fault."""

TELL_EVERY_SECONDS = 60.0
"""One line a minute for each reason: a full disk refuses thousands of reports a second, and logs to the same disk."""


class Gate:
    """One gate process. Everything is used from one event loop."""

    def __init__(
        self, *, rules: Rules, log: Log, admission: Admission, account: Account, clock: Clock, reader: BodyReader
    ) -> None:
        self.rules = rules
        self.log = log
        self.admission = admission
        self.account = account
        self.clock = clock
        self.reader = reader
        self.readiness = Readiness()
        self._quiet_until: dict[Reason, float] = {}

    def put_in_force(self, catalogue: Catalogue) -> None:
        """Go on under another catalogue; a request whose body is still arriving is judged under the new one."""
        self.account.adopt(catalogue)
        self.rules = dataclasses.replace(self.rules, catalogue=catalogue)
        self.admission.reconfigure({tier.name: tier.admission for tier in catalogue.tiers.values()})

    def name(self, names: Names) -> None:
        """Go on with other names of the manifest; what is being judged ends with those that it began with."""
        self.rules = dataclasses.replace(self.rules, names=names)

    def count_refused(self, tier: str | None, reason: Reason, reports: int) -> None:
        """Enter refused reports into the ledger; a refusal that is our own trouble is told to the operator as well."""
        self.account.outcome(tier, reason.value, reports)
        if reason in OUR_TROUBLE and self._may_tell(reason):
            log(Event.REPORTS_REFUSED, reason=reason, tier=tier, reports=reports)

    def _may_tell(self, reason: Reason) -> bool:
        now = self.clock.monotonic()
        if now < self._quiet_until.get(reason, now):
            return False
        self._quiet_until[reason] = now + TELL_EVERY_SECONDS
        return True

    async def store(self, reports: Sequence[StrippedReport]) -> None:
        """Make reports durable and count what became of them; raises `Rejected` with what the log said."""
        if not reports:
            return
        now = self.clock.now_ms()
        tier = reports[0].plan.tier.name
        entries = [to_entry(report, now=now, framing=self.rules.framing) for report in reports]
        # In doubt unless the log says otherwise, so that a request that is cancelled meanwhile is not forgotten.
        trouble: Reason | None = Reason.IN_DOUBT
        try:
            await self.log.append(entries)
            reached("gate.durable")
            trouble = None
        except StorageFull:
            trouble = Reason.STORAGE_FULL
        except LogUnavailable:
            trouble = Reason.LOG_UNAVAILABLE
        except InDoubt:
            trouble = Reason.IN_DOUBT
        finally:
            self._count_stored(tier, trouble, len(reports))
        if trouble is not None:
            raise Rejected(trouble)
        for report in reports:
            self.account.remarks(report.plan, report.remarks)

    def _count_stored(self, tier: str, trouble: Reason | None, reports: int) -> None:
        if trouble is None:
            self.account.outcome(tier, ACCEPTED, reports)
        else:
            self.count_refused(tier, trouble, reports)

    async def healthy(self) -> bool:
        """Whether a report that came now could be taken: a policy is in force and the log can be written."""
        try:
            await self.log.probe()
        except LogUnavailable:
            return False
        return bool(self.rules.catalogue.plans)
