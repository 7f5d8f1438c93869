"""Read first: what happens to one message, in the order in which it happens.

    bytes --decode--> Report --strip--> StrippedReport --record--> Entry --append--> Position

Pure: the clock, the keys and the manifest's names are handed in through `Rules`. Every step either goes on or raises
`Rejected` with one reason of the closed list; nothing that a device sent is in it.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass

from ingest.body import expand, split_sequence
from ingest.coarsen import MS_PER_HOUR, Names
from ingest.decode import decode
from ingest.failpoint import reached
from ingest.json_reports import Message, encode_json, split_json
from ingest.problems import Reason, Rejected
from ingest.report import Report, StrippedReport
from ingest.strip import strip
from schemas.catalogue import Catalogue
from schemas.framing import SINGLE_OBJECT, Framing
from schemas.plan import Plan
from schemas.report_schema import ReportSchema
from schemas.tier import Tier

AVRO = "application/avro"
AVRO_SEQUENCE = "application/avro-sequence"
JSON = "application/json"

MAX_REPORT = 1 << 16
"""Bytes of one report: 80 times a usual one, and at the worst 20 ms of one core."""

Verdict = StrippedReport | Rejected
"""What became of one message, before the log is asked."""


@dataclass(frozen=True, slots=True)
class Rules:
    """Everything in force at one moment; replaced as a whole, never changed.

    `location` is where this gate stores; `key(tier, epoch_days, window_start_ms)` gives the pseudonym key of a window
    and may raise `Rejected`; `framing` says how a value in the log begins.
    """

    catalogue: Catalogue
    names: Names
    location: str
    key: Callable[[str, int, int], bytes]
    framing: Framing = SINGLE_OBJECT


@dataclass(frozen=True, slots=True)
class Submission:
    """What crosses from HTTP into the core: no address, no header, no token has a place here.

    `report` is None where each message says by its fingerprint which report it is; `minimal` is set by a sender that
    has no use for the list of what was taken off.
    """

    tier: str
    report: str | None
    media_type: str
    coding: str
    body: bytes
    minimal: bool = False


def messages_of(submission: Submission, rules: Rules) -> Iterable[Message | Rejected]:
    """The messages of a submission; raises `Rejected` where there is nothing to cut into messages."""
    schema = None
    if submission.report is not None:
        schema = rules.catalogue.latest.get(submission.report)
        if schema is None:
            raise Rejected(Reason.UNKNOWN_REPORT)
    cut = CUT.get(submission.media_type)
    if cut is None:
        raise Rejected(Reason.UNSUPPORTED_MEDIA_TYPE)
    body = expand(submission.body, submission.coding)
    if not body:
        raise Rejected(Reason.EMPTY_BODY)
    return cut(body, schema)


def judge(message: Message | Rejected, submission: Submission, rules: Rules, *, now: int) -> Verdict:
    """`strip_message`, with a refusal as a value: one bad record spoils nothing else."""
    if isinstance(message, Rejected):
        return message
    try:
        return strip_message(message, submission, rules, now=now)
    except Rejected as refusal:
        return refusal


def strip_message(message: Message, submission: Submission, rules: Rules, *, now: int) -> StrippedReport:
    """What the tier lets through of one message at `now`, milliseconds since the epoch; raises `Rejected`."""
    report = decode(message.content, rules.catalogue.by_fingerprint)
    reached("gate.decoded")
    require_size(message)
    require_report(report, submission.report)
    plan = require_plan(report, submission.tier, rules.catalogue)
    require_window(report, plan.tier, now)
    require_consent(report, plan.tier)
    require_location(report, plan.tier, rules.location)
    key = key_for(report, plan, rules)
    stripped = strip(report, plan, names=rules.names, key=key, now=now, unknown=message.unknown)
    reached("gate.stripped")
    return stripped


def require_size(message: Message) -> None:
    """One report is bounded, because the walk over it lets nobody else have a turn."""
    if len(message.content) > MAX_REPORT:
        raise Rejected(Reason.REPORT_TOO_LARGE)


def require_report(report: Report, name: str | None) -> None:
    """The schema of the message is one of the report that was posted to, where one was."""
    if name is not None and report.schema.name != name:
        raise Rejected(Reason.WRONG_REPORT)


def require_plan(report: Report, tier: str, catalogue: Catalogue) -> Plan:
    """The plan of the tier for this schema; a tier without one does not take the report."""
    plan = catalogue.plans.get((tier, report.schema.fingerprint))
    if plan is None:
        raise Rejected(Reason.REPORT_NOT_ALLOWED)
    return plan


def require_window(report: Report, tier: Tier, now: int) -> None:
    """The window lies within one hour, neither ahead of the clock nor behind the horizon."""
    start, end = report.window_start, report.window_end
    if end <= start:
        raise Rejected(Reason.WINDOW_INVERTED, path="window_end")
    if end - start > MS_PER_HOUR:
        raise Rejected(Reason.WINDOW_TOO_LONG, path="window_end")
    if start // MS_PER_HOUR != (end - 1) // MS_PER_HOUR:
        raise Rejected(Reason.WINDOW_CROSSES_HOUR, path="window_end")
    if end > now + tier.clock_ahead_seconds * 1000:
        raise Rejected(Reason.WINDOW_IN_FUTURE, path="window_end")
    if start < now - tier.horizon_ms:
        raise Rejected(Reason.WINDOW_TOO_OLD, path="window_start")


def require_consent(report: Report, tier: Tier) -> None:
    """A report that needs a consent has it."""
    purpose = tier.requires_consent.get(report.schema.name)
    if purpose is not None and purpose not in report.consents:
        raise Rejected(Reason.CONSENT_ABSENT, path=f"consent_{purpose}")


def require_location(report: Report, tier: Tier, location: str) -> None:
    """The region's reports may be stored where this gate stores."""
    allowed = tier.stores_in(report.region)
    if "*" not in allowed and location not in allowed:
        raise Rejected(Reason.WRONG_LOCATION, path="region")


def key_for(report: Report, plan: Plan, rules: Rules) -> Callable[[], bytes]:
    """The key of the window's epoch, looked up only if a value needs it."""

    def key() -> bytes:
        # A tier without an epoch has no rule that pseudonymises (schemas.tier holds that), so nobody asks.
        days = plan.tier.pseudonym.epoch_days if plan.tier.pseudonym else 0
        return rules.key(plan.tier.name, days, report.window_start)

    return key


def _one_message(body: bytes, _: ReportSchema | None) -> Iterable[Message | Rejected]:
    return (Message(body),)


def _sequence(body: bytes, _: ReportSchema | None) -> Iterable[Message | Rejected]:
    return (part if isinstance(part, Rejected) else Message(part) for part in split_sequence(body))


def _json(body: bytes, schema: ReportSchema | None) -> Iterable[Message | Rejected]:
    if schema is None:  # an object does not say which report it is
        raise Rejected(Reason.UNSUPPORTED_MEDIA_TYPE)
    for value in split_json(body):
        try:
            yield encode_json(value, schema)
        except Rejected as refusal:
            yield refusal


CUT: dict[str, Callable[[bytes, ReportSchema | None], Iterable[Message | Rejected]]] = {
    AVRO: _one_message,
    AVRO_SEQUENCE: _sequence,
    JSON: _json,
}
"""How a body of each media type is cut into messages."""
