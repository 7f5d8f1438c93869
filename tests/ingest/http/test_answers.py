"""What devices are told, and what never."""

import json
from random import Random
from typing import Any

import pytest

from ingest.decode import decode
from ingest.http.answers import accepted, checked, encode, rejected, taken_off
from ingest.problems import Reason, Rejected
from ingest.report import StrippedReport
from ingest.strip import strip
from load.reports import make_report
from schemas.catalogue import load_catalogue
from tests.strategies import MANIFEST, NOW
from tests.strategies import encode as encode_report

CATALOGUE = load_catalogue()
ROUTE = CATALOGUE.latest["route_window"]
BEFORE = 1_767_225_600_000
PLANTED = "planted-value"


def stripped(tier: str = "managed", *, unknown: int = 0, **changes: Any) -> StrippedReport:
    """A stripped route_window whose identifiers are planted ones."""
    values = make_report(ROUTE, Random(1), now=NOW) | {"user_id": PLANTED, "attributes": {PLANTED: PLANTED}}
    message = encode_report(ROUTE, values | {"rows": [], "violations": [], "region": "eu-west"} | changes)
    plan = CATALOGUE.plans[tier, ROUTE.fingerprint]
    report = decode(message, CATALOGUE.by_fingerprint)
    return strip(report, plan, names=MANIFEST, key=lambda: bytes(32), now=BEFORE, unknown=unknown)


def test_a_refused_record_is_told_by_its_place() -> None:
    """A record of a batch that was not taken is named by its index, with reason, path and what to do."""
    assert rejected(7, Rejected(Reason.BAD_ENUM_INDEX, path="rows.precision")) == {
        "index": 7,
        "outcome": "rejected",
        "reason": "bad_enum_index",
        "path": "rows.precision",
        "action": "discard",
    }
    assert "path" not in rejected(0, Rejected(Reason.TRAILING_BYTES))


def test_a_batch_is_answered_by_what_became_of_each() -> None:
    """Accepted records are counted, refused ones listed, and the policy's version is told where one was applied."""
    verdicts: list[StrippedReport | Rejected] = [
        stripped(),
        Rejected(Reason.TRUNCATED, path="rows"),
        stripped(),
        Rejected(Reason.BAD_MARKER),
    ]
    answer = accepted(verdicts)
    assert (answer["accepted"], answer["policy_version"]) == (2, 1)
    assert [(problem["index"], problem["reason"]) for problem in answer["rejected"]] == [
        (1, "truncated"),
        (3, "bad_marker"),
    ]


def test_a_batch_of_any_reports_names_them() -> None:
    """Where the reports of a batch may be of any type, what was taken off is told with its report."""
    told = accepted([stripped(user_email=None)], of_any_report=True)["taken_off"]
    assert told
    assert {entry["report"] for entry in told} == {"route_window"}
    plain = accepted([stripped(user_email=None)])["taken_off"]
    assert [{"report": "route_window", **entry} for entry in plain] == told


def test_the_least_answer() -> None:
    """Whoever has no use for it is not told what was taken off: counts, refusals and the policy's version remain."""
    refusal = Rejected(Reason.BAD_MARKER)
    assert accepted([stripped(), refusal], minimal=True) == {
        "accepted": 1,
        "rejected": [rejected(1, refusal)],
        "policy_version": 1,
    }


def test_nothing_accepted_applied_no_policy() -> None:
    """Where every record was refused there is nothing to tell of what was taken off."""
    assert set(accepted([Rejected(Reason.BAD_MARKER)])) == {"accepted", "rejected"}


def test_what_was_taken_off_is_told_once() -> None:
    """Each schema field is named once with its action, however many records had it, and with its day of refusal."""
    told = taken_off([stripped("byod", unknown=4), stripped("byod", user_id=None)])
    fields = {entry["field"]: entry for entry in told["taken_off"]}
    assert len(fields) == len(told["taken_off"])
    assert fields["user_id"] == {"field": "user_id", "action": "drop"}
    assert fields["user_email"] == {"field": "user_email", "action": "drop", "refused_from": "2027-07-01"}
    assert fields["window_start"]["action"] == "coarsen"
    assert told["unknown_names"] == 4 + 1 + 1


def test_a_field_that_met_two_actions_is_told_twice() -> None:
    """What happened to a field may differ by consent: both are told."""
    told = taken_off([stripped("byod", site="elsewhere", consent_location=given) for given in (False, True)])
    assert sorted(entry["action"] for entry in told["taken_off"] if entry["field"] == "site") == ["coarsen", "drop"]


@pytest.mark.parametrize("tier", sorted(CATALOGUE.tiers))
def test_no_value_is_repeated(tier: str) -> None:
    """No answer holds a value that was taken off, nor a name that a device made up; the kept region is there."""
    record = stripped(tier, user_email=None, serial=None)
    refusal = Rejected(Reason.BAD_UTF8, path="user_id")
    shown = encode([accepted([record, refusal]), checked([record, refusal])]).decode()
    assert PLANTED not in shown
    assert "eu-west" in shown


def test_a_check_shows_what_would_be_stored() -> None:
    """The sender sees the record as it would be stored, with its topic and times that a person can read."""
    [shown, refused] = checked([stripped("contractor", user_email=None), Rejected(Reason.BAD_MARKER)])["checked"]
    assert (shown["outcome"], shown["topic"]) == ("accepted", "tidegate.contractor.route_window.v1")
    assert shown["stripped"]["window_start"].endswith(":00:00.000+00:00")
    assert "device_id" not in shown["stripped"]
    assert refused == {"index": 1, "outcome": "rejected", "reason": "bad_marker", "action": "discard"}


def test_documents_are_compact_json() -> None:
    """An answer takes no more bytes than it must, and never holds what JSON does not have."""
    assert encode({"a": [1, None]}) == b'{"a":[1,null]}'
    assert json.loads(encode({"é": "\n"})) == {"é": "\n"}
    with pytest.raises(ValueError, match="JSON compliant"):
        encode(float("nan"))
