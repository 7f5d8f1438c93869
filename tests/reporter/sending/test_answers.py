"""What each answer means, for the reports and for the sender."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ingest.problems import PROBLEMS, Reason, problem_document
from reporter.queue.nouns import Accepted, Discarded, Held, SetAside, Untouched, Verdict
from reporter.sending.answers import (
    DAY_SECONDS,
    MINUTE_SECONDS,
    Answer,
    GoOn,
    Next,
    Pause,
    Shrink,
    Wait,
    WaitAndShrink,
    decide,
    retry_after,
)

PLANTED = "tango-foxtrot"


def answer(status: int, document: Any = None, **headers: str) -> Answer:
    """An answer with a JSON body, or with these bytes."""
    body = document if isinstance(document, bytes) else json.dumps(document).encode()
    return Answer(status, {name.replace("_", "-"): text for name, text in headers.items()}, body)


def rejected(*entries: tuple[int, str, str]) -> list[dict[str, Any]]:
    """Entries of `rejected`: index, reason, action."""
    return [{"index": at, "outcome": "rejected", "reason": why, "action": act} for at, why, act in entries]


def test_all_accepted() -> None:
    """A 202 that rejects nothing takes every report, and says by which version of the policy."""
    decision = decide(answer(202, {"accepted": 2, "rejected": [], "policy_version": 7}), 2)
    assert (decision.verdicts, decision.then) == ((Accepted(), Accepted()), GoOn())
    assert (decision.reason, decision.policy_version) == (None, 7)


RECORDS = [
    pytest.param("discard", Discarded("window_too_old"), id="discard"),
    pytest.param("keep", Held("window_too_old", DAY_SECONDS), id="keep, for a day"),
    pytest.param("ask_admin", Held("window_too_old", DAY_SECONDS), id="ask_admin, for a day"),
    pytest.param("retry", Held("window_too_old", MINUTE_SECONDS), id="retry, in a minute"),
    pytest.param("an action of next year", Held("window_too_old", DAY_SECONDS), id="an action that is not known"),
]


@pytest.mark.parametrize(("action", "verdict"), RECORDS)
def test_one_record_of_a_batch(action: str, verdict: Verdict) -> None:
    """A record is treated by its own action, and those beside it are accepted."""
    said = {"accepted": 2, "rejected": rejected((1, "window_too_old", action)), "policy_version": 1}
    decision = decide(answer(202, said), 3)
    assert decision.verdicts == (Accepted(), verdict, Accepted())
    assert (decision.then, decision.reason) == (GoOn(), "window_too_old")


GARBAGE = [
    pytest.param(b"", id="nothing"),
    pytest.param(b"<html>welcome to the hotel</html>", id="a page"),
    pytest.param(b"[" * 100_000, id="deep JSON"),
    pytest.param(b"[]", id="a list"),
    pytest.param(b'"accepted"', id="a text"),
    pytest.param(b'{"accepted": 3}', id="no rejected"),
    pytest.param(b'{"accepted": 2, "rejected": []}', id="one report not accounted for"),
    pytest.param(b'{"accepted": 4, "rejected": []}', id="more than were sent"),
    pytest.param(b'{"accepted": "3", "rejected": []}', id="a text for a number"),
    pytest.param(b'{"accepted": true, "rejected": [{"index": 0}, {"index": 1}]}', id="a truth for a number"),
    pytest.param(json.dumps({"accepted": 2, "rejected": rejected((3, "x", "discard"))}).encode(), id="index too great"),
    pytest.param(json.dumps({"accepted": 2, "rejected": rejected((-1, "x", "discard"))}).encode(), id="negative index"),
    pytest.param(
        json.dumps({"accepted": 1, "rejected": rejected((0, "x", "discard"), (0, "x", "discard"))}).encode(),
        id="the same index twice",
    ),
    pytest.param(b'{"accepted": 2, "rejected": ["x"]}', id="an entry that is none"),
    pytest.param(b'{"accepted": 4, "rejected": [{"index": 0}], "rejected": -1}', id="rejected is a number"),
]


@pytest.mark.parametrize("body", GARBAGE)
def test_a_202_that_nobody_can_read(body: bytes) -> None:
    """An answer that does not account for every report accepts none of them: they are sent again."""
    decision = decide(answer(202, body), 3)
    assert (decision.verdicts, decision.then, decision.reason) == ((Untouched(),) * 3, Wait(), "garbage")


WHOLE: list[Any] = [
    pytest.param(
        answer(503, {"reason": "stopping", "action": "retry"}, retry_after="7"), Untouched(), Wait(7.0), id="503"
    ),
    pytest.param(answer(429, b"slow down", retry_after="30"), Untouched(), Wait(30.0), id="a proxy's 429"),
    pytest.param(answer(500, {"reason": "internal", "action": "retry"}), Untouched(), WaitAndShrink(), id="500"),
    pytest.param(answer(502, b"<html>", retry_after="9"), Untouched(), WaitAndShrink(9.0), id="a proxy's 502"),
    pytest.param(answer(200, b"<html>"), Untouched(), Wait(), id="a portal's page"),
    pytest.param(answer(200, {"accepted": 5, "rejected": []}), Untouched(), Wait(), id="a 200, whatever it says"),
    pytest.param(answer(200, {"reason": "gone", "action": "discard"}), Untouched(), Wait(), id="no refusal"),
    pytest.param(answer(302, {"action": "discard"}), Untouched(), Wait(), id="a redirect with a word of its own"),
    pytest.param(answer(302, b"", location="https://evil.example"), Untouched(), Wait(), id="a redirect"),
    pytest.param(answer(308, b"", location="https://evil.example"), Untouched(), Wait(), id="a permanent redirect"),
    pytest.param(answer(401, {"reason": "token_revoked", "action": "ask_admin"}), Untouched(), Pause(), id="revoked"),
    pytest.param(answer(403, b"forbidden"), Untouched(), Pause(), id="a proxy's 403"),
    pytest.param(answer(421, {"reason": "misdirected", "action": "ask_admin"}), Untouched(), Pause(), id="misdirected"),
    pytest.param(answer(404, {"reason": "not_found", "action": "ask_admin"}), Untouched(), Pause(), id="wrong path"),
    pytest.param(
        answer(404, {"reason": "unknown_report", "action": "keep"}),
        Held("unknown_report", DAY_SECONDS),
        GoOn(),
        id="keep",
    ),
    pytest.param(answer(413, {"reason": "body_too_large", "action": "discard"}), Untouched(), Shrink(), id="too large"),
    pytest.param(answer(413, {"reason": "too_many_reports", "action": "keep"}), Untouched(), Shrink(), id="too many"),
    pytest.param(answer(413, b"nginx"), Untouched(), Shrink(), id="a proxy's 413"),
    pytest.param(answer(400, {"reason": "bad_compression", "action": "discard"}), Untouched(), Shrink(), id="bad body"),
]


@pytest.mark.parametrize(("said", "verdict", "then"), WHOLE)
def test_a_request_that_was_refused(said: Answer, verdict: Verdict, then: Next) -> None:
    """What concerns the request as a whole costs no report, whoever it was that answered."""
    decision = decide(said, 5)
    assert (decision.verdicts, decision.then) == ((verdict,) * 5, then)


def test_a_fault_met_alone() -> None:
    """A report that meets a fault alone is set aside, but not for a gate or a proxy that is busy with all of them."""
    fault = answer(500, {"reason": "internal", "action": "retry"})
    assert decide(fault, 1).verdicts == (SetAside("internal"),)
    assert [decide(answer(status, b""), 1).verdicts for status in (429, 503, 200)] == [(Untouched(),)] * 3


@pytest.mark.parametrize("reason", tuple(Reason), ids=lambda reason: reason.value)
def test_every_refusal_of_the_gate(reason: Reason) -> None:
    """No reason that the gate has for refusing a request loses a batch of reports, and each is known by its name."""
    problem = PROBLEMS[reason]
    decision = decide(answer(problem.status, problem_document(reason)), 5)
    assert decision.reason == reason.value
    assert not any(isinstance(verdict, Accepted | Discarded) for verdict in decision.verdicts)


@pytest.mark.parametrize(
    ("action", "verdict"),
    [("discard", Discarded("body_too_large")), ("keep", Held("body_too_large", DAY_SECONDS))],
)
def test_a_single_report_that_is_too_large(action: str, verdict: Verdict) -> None:
    """What cannot be made smaller is discarded or held, so that those behind it go on."""
    decision = decide(answer(413, {"reason": "body_too_large", "action": action}), 1)
    assert (decision.verdicts, decision.then) == ((verdict,), GoOn())


def test_what_others_say_is_not_written_down() -> None:
    """A reason that is no name of one is replaced: it ends in a status that people read."""
    said = {"reason": f"{PLANTED} <b>", "action": "keep"}
    assert decide(answer(404, said), 1).reason == "http_404"
    entry = {"index": 0, "reason": PLANTED, "action": "discard"}
    assert decide(answer(202, {"accepted": 0, "rejected": [entry]}), 1).verdicts == (Discarded("unknown"),)


DATE = "Sat, 21 Nov 2026 08:00:00 GMT"
TIMES = [
    pytest.param({"retry_after": "120"}, 120.0, id="seconds"),
    pytest.param({"retry_after": "999999999999999999999"}, 86_400.0, id="no longer than a day"),
    pytest.param({"retry_after": "Sat, 21 Nov 2026 08:02:00 GMT", "date": DATE}, 120.0, id="a date"),
    pytest.param({"retry_after": "Sat, 21 Nov 2026 07:00:00 GMT", "date": DATE}, 0.0, id="a date that is past"),
    pytest.param({"retry_after": "Sat, 21 Nov 2026 08:02:00 GMT"}, None, id="a date, and no word of the present"),
    pytest.param({"retry_after": "-5"}, None, id="negative"),
    pytest.param({"retry_after": "soon"}, None, id="a word"),
    pytest.param({"retry_after": "²"}, None, id="no digit of ASCII"),
    pytest.param({}, None, id="nothing"),
]


@pytest.mark.parametrize(("headers", "seconds"), TIMES)
def test_retry_after(headers: dict[str, str], seconds: float | None) -> None:
    """Seconds and dates are both understood; a date counts from the gate's own clock."""
    assert retry_after(answer(503, b"", **headers)) == seconds


JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-3, 3) | st.text(max_size=3) | st.sampled_from(["discard", "keep"]),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(["accepted", "rejected", "index", "reason", "action", "policy_version"]), inner, max_size=4
        )
    ),
    max_leaves=12,
)


@given(status=st.integers(100, 599), document=JSON | st.binary(max_size=20), size=st.integers(1, 4))
def test_any_answer_has_a_meaning(status: int, document: Any, size: int) -> None:
    """Whatever is answered there is one verdict for each report, and only a 202 accepts any."""
    decision = decide(answer(status, document), size)
    assert len(decision.verdicts) == size
    assert status == 202 or Accepted() not in decision.verdicts
