"""The gate put together: the rules in force, and everything they act on. Holds no logic of HTTP and none of privacy."""

import dataclasses
from collections.abc import Sequence

from ingest.account import ACCEPTED, Account
from ingest.admission import Admission
from ingest.clock import Clock
from ingest.log import InDoubt, Log, LogUnavailable, StorageFull
from ingest.pipeline import Rules
from ingest.problems import Reason, Rejected
from ingest.readiness import Readiness
from ingest.reading import BodyReader
from ingest.records import to_entry
from ingest.report import StrippedReport
from schemas.catalogue import Catalogue


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

    def put_in_force(self, catalogue: Catalogue) -> None:
        """Go on under another catalogue; requests that are under way end under the one they began with."""
        self.account.adopt(catalogue)
        self.admission.reconfigure({tier.name: tier.admission for tier in catalogue.tiers.values()})
        self.rules = dataclasses.replace(self.rules, catalogue=catalogue)

    async def store(self, reports: Sequence[StrippedReport]) -> None:
        """Make reports durable and count what became of them; raises `Rejected` with what the log said."""
        if not reports:
            return
        now = self.clock.now_ms()
        # Counted as in doubt unless the log says otherwise, so that a cancelled request is not forgotten.
        outcome = Reason.IN_DOUBT.value
        try:
            await self.log.append([to_entry(report, now=now) for report in reports])
            outcome = ACCEPTED
        except StorageFull:
            outcome = Reason.STORAGE_FULL.value
        except LogUnavailable:
            outcome = Reason.LOG_UNAVAILABLE.value
        except InDoubt:
            outcome = Reason.IN_DOUBT.value
        finally:
            self.account.outcome(reports[0].plan.tier.name, outcome, len(reports))
        if outcome != ACCEPTED:
            raise Rejected(Reason(outcome))
        for report in reports:
            self.account.remarks(report.plan, report.remarks)

    async def healthy(self) -> bool:
        """Whether a report that came now could be taken: a policy is in force and the log can be written."""
        try:
            await self.log.probe()
        except LogUnavailable:
            return False
        return bool(self.rules.catalogue.plans)
