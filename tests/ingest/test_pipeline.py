"""The order in which a message is judged, and every reason that the policy of a tier, the clock or the place gives."""

import gzip
import json
from random import Random
from typing import Any

import pytest

from ingest.decode import decode
from ingest.json_reports import Message
from ingest.pipeline import (
    AVRO,
    AVRO_SEQUENCE,
    JSON,
    Rules,
    Submission,
    judge,
    messages_of,
    require_location,
    require_window,
    strip_message,
)
from ingest.problems import Reason, Rejected
from ingest.report import StrippedReport
from load.reports import make_report
from schemas.catalogue import Catalogue, load_catalogue
from schemas.tier import Tier
from tests.made_up import made_up_tier
from tests.reference_strip import decode_output
from tests.strategies import HOUR, MANIFEST, NOW, encode

CATALOGUE = load_catalogue()
START = NOW - HOUR
MINUTE = 60_000


def key(tier: str, epoch_days: int, window_start: int) -> bytes:
    """A key of its own for every question."""
    return f"{tier} {epoch_days} {window_start}".encode()


RULES = Rules(CATALOGUE, MANIFEST, "here", key)


def submission(
    report: str | None = "route_window", *, tier: str = "managed", body: bytes = b"", **rest: str
) -> Submission:
    """A submission; `rest` may name media_type and coding."""
    return Submission(tier, report, rest.get("media_type", AVRO), rest.get("coding", ""), body)


def message(report: str = "route_window", **changes: Any) -> Message:
    """A valid message with some fields changed; it lacks what the contractor tier refuses."""
    schema = CATALOGUE.latest[report]
    values = make_report(schema, Random(1), now=NOW) | {"user_email": None, "serial": None}
    return Message(encode(schema, values | {"window_start": START, "window_end": START + 5 * MINUTE} | changes))


def refusal_of(content: Message, posted: Submission, rules: Rules = RULES) -> tuple[Reason, str | None]:
    """Why a message is refused, and where."""
    with pytest.raises(Rejected) as refusal:
        strip_message(content, posted, rules, now=NOW)
    return refusal.value.reason, refusal.value.path


DAY = 24 * HOUR

WINDOWS = [
    pytest.param(START, START + 1, None, id="a millisecond"),
    pytest.param(START, START + HOUR, None, id="a whole hour, its end being the border"),
    pytest.param(START + HOUR - 1, START + HOUR, None, id="the last millisecond of an hour"),
    pytest.param(START, START, Reason.WINDOW_INVERTED, id="no time at all"),
    pytest.param(START, START - 1, Reason.WINDOW_INVERTED, id="an end before the start"),
    pytest.param(2**63 - 1, -(2**63), Reason.WINDOW_INVERTED, id="the whole of 64 bits, the wrong way"),
    pytest.param(-(2**63), 2**63 - 1, Reason.WINDOW_TOO_LONG, id="the whole of 64 bits"),
    pytest.param(START, START + HOUR + 1, Reason.WINDOW_TOO_LONG, id="a millisecond over an hour"),
    pytest.param(START + 1, START + HOUR + 1, Reason.WINDOW_CROSSES_HOUR, id="an hour across a border"),
    pytest.param(START - 1, START + 1, Reason.WINDOW_CROSSES_HOUR, id="two milliseconds across a border"),
    pytest.param(NOW, NOW + 5 * MINUTE, None, id="as far ahead as clocks may be"),
    pytest.param(NOW, NOW + 5 * MINUTE + 1, Reason.WINDOW_IN_FUTURE, id="a millisecond further ahead"),
    pytest.param(NOW - 45 * DAY, NOW - 45 * DAY + 1, None, id="as old as the horizon"),
    pytest.param(NOW - 45 * DAY - 1, NOW - 45 * DAY, Reason.WINDOW_TOO_OLD, id="a millisecond older"),
    pytest.param(-5 * MINUTE, 0, Reason.WINDOW_TOO_OLD, id="before 1970"),
]


@pytest.mark.parametrize("tier", sorted(CATALOGUE.tiers))
@pytest.mark.parametrize(("start", "end", "reason"), WINDOWS)
def test_windows(tier: str, start: int, end: int, reason: Reason | None) -> None:
    """A window lies within one hour, not ahead of the clock and not behind the horizon, to the millisecond."""
    content = message(window_start=start, window_end=end)
    posted = submission(tier=tier)
    if reason is None:
        assert isinstance(strip_message(content, posted, RULES, now=NOW), StrippedReport)
    else:
        path = "window_start" if reason is Reason.WINDOW_TOO_OLD else "window_end"
        assert refusal_of(content, posted) == (reason, path)


def test_a_tier_has_a_clock_and_a_horizon_of_its_own() -> None:
    """How far ahead and how old a window may be is what the tier's file says."""
    tier = made_up_tier(clock_ahead_seconds=0, horizon_days=1)
    report = decode(message(window_start=NOW, window_end=NOW + 1).content, CATALOGUE.by_fingerprint)
    require_window(report, tier, NOW + 1)
    require_window(report, tier, NOW + DAY)
    for now, reason in ((NOW, Reason.WINDOW_IN_FUTURE), (NOW + DAY + 1, Reason.WINDOW_TOO_OLD)):
        with pytest.raises(Rejected) as refusal:
            require_window(report, tier, now)
        assert refusal.value.reason is reason


POLICY = [
    pytest.param("capability_probe", "contractor", {}, Reason.REPORT_NOT_ALLOWED, None, id="not for this tier"),
    pytest.param("route_window", "nobody", {}, Reason.REPORT_NOT_ALLOWED, None, id="a tier that does not exist"),
    pytest.param(
        "fallback_window",
        "byod",
        {"consent_fallback_reports": False},
        Reason.CONSENT_ABSENT,
        "consent_fallback_reports",
        id="a fallback report without its consent",
    ),
    pytest.param(
        "path_probe",
        "byod",
        {"consent_diagnostics": False},
        Reason.CONSENT_ABSENT,
        "consent_diagnostics",
        id="diagnostics without their consent",
    ),
    pytest.param(
        "route_window",
        "contractor",
        {"user_email": ""},
        Reason.FIELD_REFUSED,
        "user_email",
        id="a field that is refused",
    ),
]


@pytest.mark.parametrize(("report", "tier", "changes", "reason", "path"), POLICY)
def test_what_a_tier_does_not_take(
    report: str, tier: str, changes: dict[str, Any], reason: Reason, path: str | None
) -> None:
    """A report that the tier's policy does not let in is refused, at the field that decides."""
    assert refusal_of(message(report, **changes), submission(report, tier=tier)) == (reason, path)


@pytest.mark.parametrize("tier", ["byod", "contractor"])
def test_a_consent_that_is_given_lets_the_report_in(tier: str) -> None:
    """The report that needs a consent is taken with it."""
    content = message("fallback_window", consent_fallback_reports=True)
    assert isinstance(strip_message(content, submission("fallback_window", tier=tier), RULES, now=NOW), StrippedReport)


def test_a_message_of_another_report_is_refused() -> None:
    """The schema of a message has to be one of the report that was posted to."""
    assert refusal_of(message("health_window"), submission("route_window")) == (Reason.WRONG_REPORT, None)


def located(residency: dict[str, list[str]]) -> Tier:
    """A tier that stores by region."""
    return made_up_tier(residency=residency)


LOCATIONS = [
    pytest.param({"*": ["*"]}, "eu-west", True, id="anything anywhere"),
    pytest.param({"eu-west": ["here"]}, "eu-west", True, id="the region is stored here"),
    pytest.param({"eu-west": ["there", "here"]}, "eu-west", True, id="among other places"),
    pytest.param({"eu-west": ["there"]}, "eu-west", False, id="the region is stored elsewhere"),
    pytest.param({"eu-west": ["there"], "*": ["here"]}, "eu-west", False, id="its own rule goes first"),
    pytest.param({"eu-west": ["there"], "*": ["here"]}, "us-east", True, id="the rule for all others"),
    pytest.param({"eu-west": ["there"], "*": ["here"]}, None, True, id="no region is one of all others"),
    pytest.param({"eu-west": ["here"]}, "us-east", False, id="a region without a rule is stored nowhere"),
    pytest.param({"eu-west": ["here"]}, None, False, id="so is none"),
    pytest.param({"eu-west": []}, "eu-west", False, id="a rule without a place"),
]


@pytest.mark.parametrize(("residency", "region", "allowed"), LOCATIONS)
def test_residency(residency: dict[str, list[str]], region: str | None, allowed: bool) -> None:
    """A report is stored only where the tier lets its region be stored."""
    report = decode(message(region=region).content, CATALOGUE.by_fingerprint)
    if allowed:
        require_location(report, located(residency), "here")
    else:
        with pytest.raises(Rejected) as refusal:
            require_location(report, located(residency), "here")
        assert (refusal.value.reason, refusal.value.path) == (Reason.WRONG_LOCATION, "region")


@pytest.mark.parametrize("reason", [Reason.EPOCH_CLOSED, Reason.KEY_MISSING])
def test_a_key_that_is_not_there_refuses_the_report(reason: Reason) -> None:
    """What the keyring says of the window's epoch is the verdict, if the report has a value to pseudonymise."""

    def closed(_tier: str, _days: int, _start: int) -> bytes:
        raise Rejected(reason)

    rules = Rules(CATALOGUE, MANIFEST, "here", closed)
    assert refusal_of(message(device_id="d"), submission(), rules) == (reason, None)
    strip_message(message(device_id=None), submission(), rules, now=NOW)
    strip_message(message(device_id="d"), submission(tier="byod"), rules, now=NOW)


def test_the_key_is_that_of_the_window() -> None:
    """The keyring is asked by tier, by the epoch of its policy and by the start of the window, not by the clock."""
    asked: list[tuple[str, int, int]] = []

    def note(tier: str, epoch_days: int, window_start: int) -> bytes:
        asked.append((tier, epoch_days, window_start))
        return bytes(32)

    old = START - 30 * DAY
    content = message(device_id="d", window_start=old, window_end=old + 1)
    strip_message(content, submission(), Rules(CATALOGUE, MANIFEST, "here", note), now=NOW)
    assert asked == [("managed", 30, old)]


def test_unknown_names_reach_the_remarks() -> None:
    """Names that were taken off a JSON report on the way are counted in its remarks."""
    stripped = strip_message(message()._replace(unknown=3), submission(tier="byod"), RULES, now=NOW)
    counted = {remark.field: remark.values for remark in stripped.remarks}
    assert counted[0] == 3 + 1, "three of JSON, one of attributes"


ORDER = [
    pytest.param(b"\xc3\x01", "route_window", Reason.TRUNCATED, id="the message before all"),
    pytest.param(message("health_window").content[:60], "route_window", Reason.WRONG_REPORT, id="then the report"),
    pytest.param(
        message("capability_probe", window_end=0).content,
        "capability_probe",
        Reason.REPORT_NOT_ALLOWED,
        id="then the tier",
    ),
    pytest.param(
        message("fallback_window", window_end=0, consent_fallback_reports=False).content,
        "fallback_window",
        Reason.WINDOW_INVERTED,
        id="then the window",
    ),
    pytest.param(
        message("fallback_window", consent_fallback_reports=False).content[:-1],
        "fallback_window",
        Reason.CONSENT_ABSENT,
        id="then the consent",
    ),
    pytest.param(message().content[:-1], "route_window", Reason.WRONG_LOCATION, id="then the place"),
]


@pytest.mark.parametrize(("content", "report", "reason"), ORDER)
def test_the_order_of_the_steps(content: bytes, report: str, reason: Reason) -> None:
    """Where several things are wrong, the step that comes first says so."""
    contractor = CATALOGUE.tiers["contractor"].model_copy(update={"residency": {"*": ("there",)}})
    plans = {
        place: plan if place[0] != "contractor" else elsewhere(plan, contractor)
        for place, plan in CATALOGUE.plans.items()
    }
    catalogue = Catalogue(CATALOGUE.schemas, {**CATALOGUE.tiers, "contractor": contractor}, plans)
    rules = Rules(catalogue, MANIFEST, "here", key)
    assert refusal_of(Message(content), submission(report, tier="contractor"), rules)[0] is reason


def elsewhere(plan: Any, tier: Tier) -> Any:
    """The plan under another form of its tier."""
    return type(plan)(schema=plan.schema, tier=tier, fields=plan.fields, output=plan.output)


def test_judging_makes_a_value_of_a_refusal() -> None:
    """A refused message is a verdict like any other, and one that was refused before stays so."""
    before = Rejected(Reason.BAD_FRAMING)
    assert judge(before, submission(), RULES, now=NOW) is before
    verdict = judge(Message(b""), submission(), RULES, now=NOW)
    assert isinstance(verdict, Rejected)
    assert verdict.reason is Reason.BAD_MARKER
    assert isinstance(judge(message(), submission(), RULES, now=NOW), StrippedReport)


def test_a_fault_of_ours_is_no_verdict() -> None:
    """What is not the sender's doing is raised, not counted as a refusal."""

    def broken(_tier: str, _days: int, _start: int) -> bytes:
        raise OSError("the disk is gone")

    with pytest.raises(OSError, match="the disk is gone"):
        judge(message(device_id="d"), submission(), Rules(CATALOGUE, MANIFEST, "here", broken), now=NOW)


BODIES = [
    pytest.param("drift_sketch", AVRO, "", b"x", Reason.UNKNOWN_REPORT, id="a report that does not exist"),
    pytest.param("route_window", "text/plain", "", b"x", Reason.UNSUPPORTED_MEDIA_TYPE, id="another media type"),
    pytest.param("route_window", "", "", b"x", Reason.UNSUPPORTED_MEDIA_TYPE, id="no media type"),
    pytest.param(None, JSON, "", b"[{}]", Reason.UNSUPPORTED_MEDIA_TYPE, id="JSON that may be any report"),
    pytest.param("route_window", AVRO, "br", b"x", Reason.UNSUPPORTED_CODING, id="another coding"),
    pytest.param("route_window", AVRO, "gzip", b"x", Reason.BAD_COMPRESSION, id="not the coding that it names"),
    pytest.param("route_window", AVRO, "", b"", Reason.EMPTY_BODY, id="nothing"),
    pytest.param("route_window", JSON, "gzip", gzip.compress(b""), Reason.EMPTY_BODY, id="nothing, compressed"),
    pytest.param("route_window", JSON, "", b"{", Reason.BAD_JSON, id="half an object"),
]


@pytest.mark.parametrize(("report", "media_type", "coding", "body", "reason"), BODIES)
def test_a_body_that_cannot_be_cut(
    report: str | None, media_type: str, coding: str, body: bytes, reason: Reason
) -> None:
    """A submission that holds no messages is refused as a whole."""
    with pytest.raises(Rejected) as refusal:
        list(messages_of(submission(report, media_type=media_type, coding=coding, body=body), RULES))
    assert refusal.value.reason is reason


def test_one_bad_record_spoils_nothing_else() -> None:
    """The messages around a bad one are what they would be alone, in a sequence as in a JSON array."""
    good, bad = message().content, b"\xc3\x02"
    body = b"".join(len(part).to_bytes(4, "big") + part for part in (good, bad, good))
    posted = submission(media_type=AVRO_SEQUENCE, coding="gzip", body=gzip.compress(body))
    verdicts = [judge(part, posted, RULES, now=NOW) for part in messages_of(posted, RULES)]
    assert [isinstance(verdict, StrippedReport) for verdict in verdicts] == [True, False, True]

    least = {"report_id": "0" * 32, "window_start": START, "window_end": START + 1, "hardware_tier": "small"}
    reports = [least | {"network_context": "home"}, least, least | {"network_context": "home", "x": 1}]
    posted = submission(media_type=JSON, body=json.dumps(reports).encode())
    found = [judge(part, posted, RULES, now=NOW) for part in messages_of(posted, RULES)]
    assert [verdict.reason for verdict in found if isinstance(verdict, Rejected)] == [Reason.MISSING_FIELD]
    assert [len(verdict.remarks) for verdict in found if isinstance(verdict, StrippedReport)] == [0, 1]


def test_contractors_are_stored_by_whole_hours() -> None:
    """Whatever minutes a contractor's window has, the record tells the hour."""
    content = message(window_start=START + 5 * MINUTE, window_end=START + 10 * MINUTE)
    stripped = strip_message(content, submission(tier="contractor"), RULES, now=NOW)
    record = decode_output(stripped.plan, stripped.body)
    assert (record["window_start"], record["window_end"]) == (START, START + HOUR)
