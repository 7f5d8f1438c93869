"""Bad bodies over HTTP to a running gate: each gets its status, its reason of the closed list, and its action.

Every position at which a message may be cut, and every way in which a value may be wrong, is in the tests of the core;
here it is shown that the refusal arrives at the sender as it was meant, and that it repeats nothing.
"""

import gzip
import json
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import dataclass
from random import Random
from typing import Any

import pytest
import zstandard

from ingest.clock import SystemClock
from ingest.keys import DIRECTORY_NAME, Epoch, Keyring
from ingest.problems import Reason
from tests.end_to_end.avro_by_hand import long, text
from tests.end_to_end.reports import HOUR_MS, MINUTE_MS, SEED, Reports, this_hour
from tests.end_to_end.wire import assert_refused
from tests.running_gate import DAY_MS, RunningGate, change_tier, copy_tier, running_gate, tier_files

EPOCH_DAYS = 10
CLOSED_DAYS_AGO, MISSING_DAYS_AGO = 15, 30
"""Two windows within the horizon of 45 days, in different epochs, and neither in the epoch of today."""

MIB = 1 << 20


def window_days_ago(days: int) -> int:
    """The beginning of an hour that many days ago."""
    return this_hour() - days * DAY_MS


@pytest.fixture(scope="module")
def gate(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningGate]:
    """A gate with one destroyed and one lost pseudonym key, and a tier whose reports are stored elsewhere."""
    folder = tmp_path_factory.mktemp("gate")
    tiers = tier_files(folder / "tiers")
    change_tier(tiers / "managed.toml", epoch_days=str(EPOCH_DAYS))
    copy_tier(tiers / "managed.toml", "exiled", **{'"*"': '["elsewhere"]'})
    with closing(Keyring(folder / "data" / DIRECTORY_NAME, SystemClock())) as keyring:
        for days in (CLOSED_DAYS_AGO, MISSING_DAYS_AGO):
            keyring.key("managed", EPOCH_DAYS, window_days_ago(days))
        closed, missing = (
            Epoch(EPOCH_DAYS, window_days_ago(days) // (EPOCH_DAYS * DAY_MS))
            for days in (CLOSED_DAYS_AGO, MISSING_DAYS_AGO)
        )
        keyring.destroy("managed", closed)
    (folder / "data" / DIRECTORY_NAME / "managed" / f"{missing}.key").unlink()
    with running_gate(folder, tiers=tiers) as running:
        yield running


@pytest.fixture(scope="module")
def reports(gate: RunningGate) -> Reports:
    """Valid reports to start from."""
    return Reports(gate.catalogue)


@dataclass(frozen=True, slots=True)
class Case:
    """A body and what it gets; `path` is the schema path that the refusal names."""

    body: Callable[[Reports], bytes]
    reason: str
    status: int
    action: str
    path: str | None = None
    tier: str = "managed"
    report: str = "route_window"


def bad(
    body: Callable[[Reports], bytes], reason: str, why: str, *, status: int = 400, action: str = "discard", **rest: Any
) -> Any:
    """One row of a table; most bad bytes get 400 and are to be discarded."""
    return pytest.param(Case(body, reason, status, action, **rest), id=why)


def at(path: str, value: bytes, reason: str, why: str) -> Any:
    """A row whose body has these bytes in the place of one field."""
    return bad(lambda reports: reports.message(instead={path: value}), reason, why, path=path)


def window(start: Callable[[], int], length: int, reason: str, why: str, *, action: str = "discard") -> Any:
    """A row for a window; `start` is looked at when the test runs, as the clock goes on."""
    path = "window_start" if reason == "window_too_old" else "window_end"
    return bad(
        lambda reports: reports.window(start(), start() + length), reason, why, status=422, action=action, path=path
    )


PAIR = text(b"key") + text(b"value")

BYTES = [
    bad(lambda _: b"device 17 was here", "bad_marker", "not Avro"),
    bad(lambda reports: b"\xc3\x02" + reports.message()[2:], "bad_marker", "the marker of another version"),
    bad(lambda _: b"", "empty_body", "nothing at all"),
    bad(lambda _: b"\xc3\x01", "truncated", "a marker and nothing else"),
    bad(
        lambda reports: b"\xc3\x01" + b"\x17" * 8 + reports.message()[10:],
        "unknown_schema",
        "unknown fingerprint, which a newer gate may know",
        status=422,
        action="keep",
    ),
    bad(lambda reports: reports.message("health_window"), "wrong_report", "the schema of another report", status=422),
    bad(lambda reports: reports.message() + b"\x00", "trailing_bytes", "one byte more than the schema has"),
    at("rows.data_class", long(-1), "bad_enum_index", "enum index -1"),
    at("rows.data_class", long(5), "bad_enum_index", "enum index one past the last symbol"),
    at("network_context", long(2**40), "bad_enum_index", "enum index far outside"),
    at("device_id", long(-1), "bad_union_index", "union index -1"),
    at("device_id", long(2), "bad_union_index", "union index past the last branch"),
    at("region", long(-1), "bad_union_index", "union index -1 in what the gate reads first"),
    at("first_of_hour", b"\x02", "bad_boolean", "a boolean that is 2"),
    at("rows.tasks", long(2**31), "int_out_of_range", "an int one past 32 bits"),
    at("rows.tasks", long(-(2**40)), "int_out_of_range", "an int far below 32 bits"),
    at("rows.tasks", b"\x80" * 10 + b"\x01", "bad_varint", "a varint of 11 bytes"),
    at("window_start", b"\xff" * 9 + b"\x7f", "bad_varint", "a varint of 10 bytes and 70 bits"),
    at("hostname", b"\x02" + text(b"\xff\xfe"), "bad_utf8", "invalid UTF-8 in a field that is dropped"),
    at("agent_version", b"\x02" + text(b"1.\xed\xa0\x80"), "bad_utf8", "a surrogate in a field that is kept"),
    at("region", b"\x02" + text(b"\xc0\xaf"), "bad_utf8", "an overlong form in what the gate reads first"),
    at("hostname", b"\x02" + long(-5), "bad_length", "a negative length"),
    at("hostname", b"\x02" + long(2**62), "truncated", "a length of exabytes"),
    at("attributes", long(2) + PAIR + PAIR + b"\x00", "duplicate_key", "the same map key twice"),
    at("attributes", (long(1) + PAIR) * 2 + b"\x00", "duplicate_key", "the same map key in two blocks"),
    at("attributes", long(-1) + long(len(PAIR) - 1) + PAIR + b"\x00", "bad_block", "a sized block of another size"),
    at("attributes", long(-1) + long(-1) + PAIR + b"\x00", "bad_block", "a block of a negative size"),
    at("attributes", long(20_000_000), "truncated", "a block of millions of items in five bytes"),
    at("rows", long(-(2**63)) + long(0), "truncated", "a block of the most negative count"),
    at("rows", long(2**63 - 1), "truncated", "a block of the largest count"),
    bad(lambda _: b"{} and more", "bad_marker", "JSON under the content type of Avro"),
]

MEANING = [
    window(this_hour, -MINUTE_MS, "window_inverted", "a window that ends before it starts"),
    window(this_hour, 0, "window_inverted", "a window without length"),
    window(lambda: this_hour() - 5 * HOUR_MS, 2 * HOUR_MS, "window_too_long", "a window longer than an hour"),
    window(lambda: this_hour() - HOUR_MS - MINUTE_MS, 2 * MINUTE_MS, "window_crosses_hour", "a window across an hour"),
    window(lambda: this_hour() + 2 * HOUR_MS, MINUTE_MS, "window_in_future", "a window in the future", action="keep"),
    window(lambda: this_hour() - 46 * DAY_MS, MINUTE_MS, "window_too_old", "a window older than the horizon"),
    window(lambda: -(2**63), MINUTE_MS, "window_too_old", "a window at the beginning of all time"),
    bad(
        lambda reports: reports.message("health_window"),
        "report_not_allowed",
        "a report that the tier does not take",
        status=422,
        tier="contractor",
        report="health_window",
    ),
    bad(
        lambda reports: reports.message(user_email="somebody@example.org"),
        "field_refused",
        "a field that must not be present",
        status=422,
        tier="contractor",
        path="user_email",
    ),
    bad(
        lambda reports: reports.message("fallback_window", consent_fallback_reports=False),
        "consent_absent",
        "a report that needs a consent, without it",
        status=422,
        tier="contractor",
        report="fallback_window",
        path="consent_fallback_reports",
    ),
    bad(
        lambda reports: reports.window(start := window_days_ago(CLOSED_DAYS_AGO), start + MINUTE_MS, device_id="pc-17"),
        "epoch_closed",
        "the pseudonym key of the window is destroyed",
        status=422,
    ),
    bad(
        lambda reports: reports.window(
            start := window_days_ago(MISSING_DAYS_AGO), start + MINUTE_MS, device_id="pc-17"
        ),
        "key_missing",
        "the pseudonym key of the window is lost, which is our trouble",
        status=503,
        action="retry",
    ),
    bad(
        lambda reports: reports.message(),
        "wrong_location",
        "a report that may not be stored here",
        status=421,
        action="ask_admin",
        tier="exiled",
        path="region",
    ),
]


@pytest.mark.parametrize("case", [*BYTES, *MEANING])
def test_bad_bodies_are_refused(gate: RunningGate, reports: Reports, case: Case) -> None:
    """A bad body is answered with its status, reason and action, in a document that holds nothing of it."""
    answer = gate.post(case.tier, case.report, case.body(reports))
    assert_refused(answer, case.reason, gate.catalogue, status=case.status, action=case.action)
    assert answer.document.get("path") == case.path


def test_a_message_cut_anywhere_is_truncated(gate: RunningGate, reports: Reports) -> None:
    """A message that ends at any byte before its last is refused, wherever the cut is."""
    whole = reports.message("capability_probe")
    for length in range(1, len(whole)):
        answer = gate.post("managed", "capability_probe", whole[:length])
        reason = "bad_marker" if length < 2 else "truncated"
        assert_refused(answer, reason, gate.catalogue, status=400, action="discard")


ACCEPTED = [
    pytest.param({"attributes": long(-1) + long(len(PAIR)) + PAIR + b"\x00"}, id="a sized block"),
    pytest.param({"attributes": long(1) + PAIR + long(1) + text(b"b") + text(b"") + b"\x00"}, id="two blocks"),
    pytest.param({"rows.tasks": b"\x82" + b"\x80" * 8 + b"\x00"}, id="a varint of 10 bytes that is 1"),
    pytest.param({"rows.tasks": long(2**31 - 1)}, id="the largest int"),
]


@pytest.mark.parametrize("instead", ACCEPTED)
def test_what_avro_allows_is_accepted(gate: RunningGate, reports: Reports, instead: dict[str, bytes]) -> None:
    """An encoding that no common writer chooses, but that the specification allows, is taken."""
    assert gate.post("managed", "route_window", reports.message(instead=instead)).document["accepted"] == 1


def test_the_same_report_again_is_taken_again(gate: RunningGate, reports: Reports) -> None:
    """The same report_id gets 202 a second time, whatever its content, for a retry must never be told to give up."""
    report_id = bytes(range(16))
    first, second = (reports.message(report_id=report_id) for _ in range(2))
    assert first != second
    assert [gate.post("managed", "route_window", body).status for body in (first, first, second)] == [202, 202, 202]


def as_json(**changes: Any) -> dict[str, Any]:
    """A report as a person with curl would write it."""
    start = this_hour() - HOUR_MS
    return {
        "report_id": "00112233-4455-6677-8899-aabbccddeeff",
        "window_start": start,
        "window_end": start + 5 * MINUTE_MS,
        "hardware_tier": "small",
        "network_context": "office",
        **changes,
    }


JSON_BODIES = [
    pytest.param(b'{"report_id": ', 400, "bad_json", None, id="JSON that ends too soon"),
    pytest.param(b"\xff\xfe{}", 400, "bad_json", None, id="not UTF-8"),
    pytest.param(b"[" * 100_000, 400, "bad_json", None, id="nesting without end"),
    pytest.param(b'{"crashes": NaN}', 400, "not_finite", None, id="NaN"),
    pytest.param(b'{"crashes": -Infinity}', 400, "not_finite", None, id="infinity"),
    pytest.param(b'{"os": "a", "os": "b"}', 400, "duplicate_key", None, id="the same key twice"),
    pytest.param(b"17", 422, "wrong_type", None, id="a number where a report should be"),
    pytest.param(b"{}", 422, "missing_field", "report_id", id="a report without its identifier"),
    pytest.param(b"[]", 400, "empty_body", None, id="an array without a report"),
]


@pytest.mark.parametrize(("body", "status", "reason", "path"), JSON_BODIES)
def test_bad_json_is_refused(gate: RunningGate, body: bytes, status: int, reason: str, path: str | None) -> None:
    """Bad JSON is answered as bad Avro is."""
    answer = gate.post("managed", "health_window", body, headers={"content-type": "application/json"})
    assert_refused(answer, reason, gate.catalogue, status=status, action="discard")
    assert answer.document.get("path") == path


JSON_VALUES = [
    pytest.param({"hardware_tier": "enormous"}, 400, "bad_enum_index", "hardware_tier", id="an unknown symbol"),
    pytest.param({"crashes": 2**31}, 400, "int_out_of_range", "crashes", id="an int over 32 bits"),
    pytest.param({"crashes": 1.5}, 422, "wrong_type", "crashes", id="a fraction of a crash"),
    pytest.param({"crashes": True}, 422, "wrong_type", "crashes", id="a flag where a count should be"),
    pytest.param({"os": "\ud800"}, 400, "bad_utf8", "os", id="a lone surrogate"),
    pytest.param({"report_id": "17"}, 422, "wrong_type", "report_id", id="an identifier that is too short"),
    pytest.param({"window_end": "2026-11-21T08:00:00"}, 422, "wrong_type", "window_end", id="a time without an offset"),
]


@pytest.mark.parametrize(("changes", "status", "reason", "path"), JSON_VALUES)
def test_bad_json_values_are_refused(
    gate: RunningGate, changes: dict[str, Any], status: int, reason: str, path: str
) -> None:
    """A JSON value that its field cannot hold is refused with the path of the field."""
    body = json.dumps(as_json(**changes)).encode()
    answer = gate.post("managed", "health_window", body, headers={"content-type": "application/json"})
    assert_refused(answer, reason, gate.catalogue, status=status, action="discard")
    assert answer.document.get("path") == path


def noise(size: int) -> bytes:
    """Bytes that compress about 20 times: under the ratio, so that the size is what is refused."""
    random = Random(SEED)
    return b"".join(random.randbytes(32) * 20 for _ in range(size // 640 + 1))


CODED = [
    pytest.param("gzip", gzip.compress(noise(3 * MIB)), "expanded_too_large", 413, "discard", id="gzip of 3 MiB"),
    pytest.param("zstd", zstandard.compress(noise(3 * MIB)), "expanded_too_large", 413, "discard", id="zstd of 3 MiB"),
    pytest.param("gzip", gzip.compress(bytes(MIB)), "ratio_too_high", 413, "discard", id="gzip over the ratio"),
    pytest.param("zstd", zstandard.compress(bytes(MIB)), "ratio_too_high", 413, "discard", id="zstd over the ratio"),
    pytest.param("gzip", b"no gzip", "bad_compression", 400, "discard", id="what is no gzip"),
    pytest.param("zstd", b"no zstd", "bad_compression", 400, "discard", id="what is no zstd"),
    pytest.param("gzip", gzip.compress(b"cut short")[:-4], "bad_compression", 400, "discard", id="gzip cut short"),
    pytest.param("br", b"x", "unsupported_coding", 415, "ask_admin", id="a coding that the gate does not know"),
    pytest.param("gzip, gzip", b"x", "unsupported_coding", 415, "ask_admin", id="stacked codings"),
]


@pytest.mark.parametrize(("coding", "body", "reason", "status", "action"), CODED)
def test_bad_codings_are_refused(
    gate: RunningGate, coding: str, body: bytes, reason: str, status: int, action: str
) -> None:
    """What cannot be decompressed within the bounds is refused before it takes the memory."""
    answer = gate.post("managed", "route_window", body, headers={"content-encoding": coding})
    assert_refused(answer, reason, gate.catalogue, status=status, action=action)


REASONS_HERE = frozenset(
    {row.values[0].reason for row in (*BYTES, *MEANING)}
    | {row.values[2] for row in (*JSON_BODIES, *JSON_VALUES)}
    | {row.values[2] for row in CODED}
)

ELSEWHERE = {
    "test_bad_requests.py": {
        "body_too_large",
        "unsupported_media_type",
        "unknown_report",
        "not_found",
        "method_not_allowed",
        "bad_query",
        "malformed_request",
        "no_token",
        "wrong_token",
        "token_expired",
        "token_revoked",
        "token_of_another_tier",
        "token_kind_not_accepted",
        "misdirected",
        "too_many_reports",
    },
    "test_batches.py": {"bad_framing", "report_too_large", "check_too_large"},
    "test_limits.py": {"rate_exceeded", "concurrency_exceeded"},
    "test_storage.py": {"storage_full", "log_unavailable", "in_doubt"},
    "test_slow_senders.py": {"body_timeout", "disconnected", "stopping"},
    "tests/ingest/access/test_tokens.py": {"tokens_unreadable"},
    "tests/ingest, because a fault of ours cannot be asked for": {"internal"},
}


def test_every_reason_is_met_somewhere() -> None:
    """Every reason of the closed list is met over HTTP, but for the two that only time or a fault of ours brings."""
    met = REASONS_HERE.union(*ELSEWHERE.values())
    assert met == {reason.value for reason in Reason}
