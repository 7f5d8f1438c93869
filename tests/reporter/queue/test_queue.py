"""The queue: order, limits, verdicts, and that whatever leaves it is counted."""

import json
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from ingest.clock import ManualClock
from ingest.http.policy_document import policy_document
from reporter.policy import LEAST, BadPolicy
from reporter.queue.nouns import Accepted, Discarded, Held, Limits, Queued, Untouched, Verdict
from reporter.queue.queue import Queue
from schemas.catalogue import load_catalogue
from tests.reporter.made_up import (
    BYOD,
    CONTRACTOR,
    EVERY_CONSENT,
    HOUR_MS,
    MANAGED,
    MINUTE_MS,
    NOW_MS,
    due,
    ids,
    put,
    queue,
    report,
)

DAY_MS = 24 * HOUR_MS


def test_oldest_first(tmp_path: Path) -> None:
    """A batch has reports of any type, in the order of their windows and not of their arrival."""
    waiting = queue(tmp_path)
    starts = [NOW_MS - hours * HOUR_MS for hours in (3, 5, 4)]
    health = [report("health_window", start=start) for start in starts]
    older = report("trace_window", start=NOW_MS - 6 * HOUR_MS)
    put(waiting, *health, older)
    assert [one.queued for one in due(waiting)] == [older, health[1], health[2], health[0]]


def test_limits_of_a_batch(tmp_path: Path) -> None:
    """A batch has no more reports and bytes than it may, but one report in any case."""
    waiting = queue(tmp_path)
    reports = [report(start=NOW_MS - hours * HOUR_MS) for hours in (5, 4, 3, 2)]
    put(waiting, *reports)
    size = len(reports[0].message.content)

    def taken(limit_bytes: int, limit_reports: int) -> int:
        return len(waiting.due("managed", EVERY_CONSENT, limit_bytes=limit_bytes, limit_reports=limit_reports))

    assert [taken(1 << 20, 3), taken(2 * size, 9), taken(3 * size - 1, 9), taken(1, 9)] == [3, 2, 2, 1]


TIERS = [
    pytest.param(MANAGED, "managed", 1, id="its own tier"),
    pytest.param(MANAGED, "byod", 0, id="another tier"),
    pytest.param(MANAGED, None, 0, id="no tier is known"),
    pytest.param(LEAST, "managed", 1, id="made under the least, for any tier"),
    pytest.param(LEAST, None, 1, id="made under the least, while no tier is known"),
]


@pytest.mark.parametrize(("policy", "tier", "number"), TIERS)
def test_a_report_goes_to_its_tier(tmp_path: Path, policy: Any, tier: str | None, number: int) -> None:
    """A report is due for the tier that it was made for, and for no other one."""
    waiting = queue(tmp_path)
    put(waiting, report(policy=policy))
    assert len(due(waiting, tier)) == number


def test_a_window_that_was_coarsened_waits(tmp_path: Path) -> None:
    """A window of five minutes that is told as an hour goes when the gate takes that hour, and not before."""
    clock = ManualClock(NOW_MS + 5 * MINUTE_MS)
    waiting = queue(tmp_path, clock)
    put(waiting, report(policy=BYOD, start=NOW_MS))
    assert not due(waiting, "byod")
    clock.advance(50 * 60 - 1)
    assert not due(waiting, "byod")
    clock.advance(1)
    assert len(due(waiting, "byod")) == 1


VERDICTS = [
    pytest.param(Accepted(), 0, 0, {"accepted": 1}, id="accepted"),
    pytest.param(Discarded("window_too_old"), 0, 0, {"discarded.window_too_old": 1}, id="discarded"),
    pytest.param(Held("unknown_schema", 3600.0), 0, 1, {}, id="held"),
    pytest.param(Untouched(), 1, 1, {}, id="untouched"),
]


@pytest.mark.parametrize(("verdict", "now", "later", "counted"), VERDICTS)
def test_verdicts(tmp_path: Path, verdict: Verdict, now: int, later: int, counted: dict[str, int]) -> None:
    """Each verdict has its effect on its report, is counted, and leaves the one behind it alone."""
    clock = ManualClock(NOW_MS)
    waiting = queue(tmp_path, clock)
    first, second = report(start=NOW_MS - 10 * MINUTE_MS), report(start=NOW_MS - 5 * MINUTE_MS)
    put(waiting, first, second)
    waiting.settle(due(waiting)[:1], [verdict], uploaded=70)
    assert ids(due(waiting)) == [first.report_id] * now + [second.report_id]
    assert waiting.status().totals == {"windows_closed": 2, "bytes_uploaded": 70, **counted}
    clock.advance(3600)
    assert len(due(waiting)) == 1 + later


def test_a_verdict_on_what_is_gone(tmp_path: Path) -> None:
    """A report that was given up while it was being sent is counted as that, and not as accepted too."""
    waiting = queue(tmp_path)
    put(waiting, report())
    sent = due(waiting)
    waiting.empty()
    put(waiting, other := report())
    waiting.settle(sent, [Accepted()], uploaded=0)
    assert ids(due(waiting)) == [other.report_id]
    assert waiting.status().totals == {"windows_closed": 2, "lost.emptied": 1}


def test_the_oldest_make_room(tmp_path: Path) -> None:
    """When there is no room the oldest windows go, however late they were put in, and each is counted."""
    reports = [report(start=NOW_MS - hours * HOUR_MS) for hours in (4, 9, 2, 3)]
    put(queue(tmp_path), reports[0])
    room = 2 * queue(tmp_path).depth().bytes
    waiting = queue(tmp_path, limits=Limits(bytes=room))
    for one in reports[1:]:
        put(waiting, one)
        assert waiting.depth().bytes <= room
    assert ids(due(waiting)) == [reports[3].report_id, reports[2].report_id]
    assert waiting.status().totals == {"windows_closed": 4, "lost.queue_full": 2}


def test_the_file_is_bounded(tmp_path: Path) -> None:
    """However many small reports are put in, the file does not grow without end: what leaves makes room."""
    room = 200_000
    waiting = queue(tmp_path, limits=Limits(bytes=room))
    for _ in range(4):
        put(waiting, *[report("trace_window") for _ in range(400)])
    assert waiting.status().totals["lost.queue_full"] > 800
    assert room / 2 < (tmp_path / "queue.db").stat().st_size < 2 * room


def test_what_a_trace_window_tells(tmp_path: Path) -> None:
    """Each number is told once; a delay counts from the window's end and only beyond a window's length."""
    clock = ManualClock(NOW_MS)
    waiting = queue(tmp_path, clock)
    put(waiting, report(start=NOW_MS - 10 * MINUTE_MS), report(start=NOW_MS - 2 * HOUR_MS))
    waiting.settle(due(waiting), [Accepted(), Accepted()], uploaded=140)
    waiting.give_up("another window", "disk_full", reports=3)
    with waiting.closing("third") as closing:
        closing.put(report())
        untold = closing.untold()
        closing.put(report("trace_window"), tells=untold)
    assert (untold.closed, untold.lost, untold.bytes_uploaded, untold.uploads_delayed) == (6, 3, 140, 1)
    assert sum(untold.delays.values()) == 1
    with waiting.closing("fourth") as closing:
        again = closing.untold()
    assert (again.closed, again.lost, again.bytes_uploaded, again.uploads_delayed, again.delays) == (1, 0, 0, 0, {})


def test_a_trace_window_that_is_given_up_is_told_again(tmp_path: Path) -> None:
    """What a trace_window told comes back when it is discarded, and it counts itself as lost."""
    waiting = queue(tmp_path)
    waiting.give_up("a window", "clock")
    with waiting.closing("next") as closing:
        closing.put(report("trace_window"), tells=closing.untold())
    waiting.settle(due(waiting), [Discarded("window_too_old")], uploaded=0)
    with waiting.closing("third") as closing:
        untold = closing.untold()
    assert (untold.closed, untold.lost) == (2, 2)


def test_a_trace_window_that_is_put_in_again(tmp_path: Path) -> None:
    """Nothing is taken to be told by a trace_window that is there already, and says something else."""
    waiting = queue(tmp_path)
    trace = report("trace_window")
    for cause in ("disk_full", "clock"):
        waiting.give_up("a window", cause)
        with waiting.closing("next") as closing:
            closing.put(trace, tells=closing.untold())
    with waiting.closing("third") as closing:
        untold = closing.untold()
    assert (untold.closed, untold.lost) == (2, 1)


def test_threads_that_give_up_at_the_same_time(tmp_path: Path) -> None:
    """What could not be written is counted once, by whichever thread of a process writes next."""
    waiting = queue(tmp_path)
    put(waiting, report())
    with ThreadPoolExecutor(8) as threads:
        for number in range(40):
            threads.submit(waiting.give_up, f"window {number}", "disk_full")
    assert waiting.status().totals == {"windows_closed": 41, "lost.disk_full": 40}


def test_closing_is_all_or_nothing(tmp_path: Path) -> None:
    """An error of the caller leaves reports, presence, numbers and the open marker as they were."""
    waiting = queue(tmp_path)
    put(waiting, report())
    waiting.opened("second", NOW_MS)
    before = waiting.status()

    def fail() -> None:
        with waiting.closing("second") as closing:
            closing.put(report())
            closing.presence = {"1": {}}
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        fail()
    assert waiting.status() == before
    with waiting.closing("second") as closing:
        assert closing.presence is None
    assert waiting.status().open_windows == 0


def test_presence_is_shared(tmp_path: Path) -> None:
    """What one process remembers of what was said is what the next one begins with."""
    one, other = queue(tmp_path), queue(tmp_path)
    for number, waiting in enumerate((one, other, one)):
        with waiting.closing("a window") as closing:
            assert (closing.presence or {}).get("said", 0) == number
            closing.presence = {"said": number + 1}


LEAVING: list[Any] = [
    pytest.param(lambda waiting: waiting.forget("fallback_reports"), "consent_withdrawn", id="a consent"),
    pytest.param(lambda waiting: waiting.keep_only(frozenset({"location"})), "consent_withdrawn", id="all but another"),
    pytest.param(lambda waiting: due(waiting, "byod", frozenset()), "consent_withdrawn", id="not given when it is due"),
    pytest.param(lambda waiting: waiting.discard_other_tiers("managed"), "tier_changed", id="another tier"),
    pytest.param(lambda waiting: waiting.empty(), "emptied", id="the owner's wish"),
]


@pytest.mark.parametrize(("leave", "cause"), LEAVING)
def test_what_is_given_up_is_gone_from_the_disk(tmp_path: Path, leave: Callable[[Queue], object], cause: str) -> None:
    """A report that may not be kept is counted, and its bytes are in no file any more."""
    waiting = queue(tmp_path)
    fallback = report("fallback_window", policy=BYOD)
    put(waiting, fallback)
    assert fallback.message.content in on_disk(tmp_path)
    leave(waiting)
    assert waiting.status().totals == {"windows_closed": 1, f"lost.{cause}": 1}
    assert fallback.message.content not in on_disk(tmp_path)
    assert fallback.report_id not in on_disk(tmp_path)


def test_what_is_held_back_is_forgotten_too(tmp_path: Path) -> None:
    """A report that the gate wants later goes with the consent that it rests on, to its last byte."""
    waiting = queue(tmp_path)
    put(waiting, *(held := [report("fallback_window", policy=BYOD) for _ in range(20)]))
    waiting.settle(due(waiting, "byod"), [Held("policy_unknown", 86_400.0)] * len(held), uploaded=0)
    assert waiting.status().held == {"policy_unknown": len(held)}
    waiting.forget("fallback_reports")
    assert waiting.depth().reports == 0
    assert not [one for one in held if one.report_id in on_disk(tmp_path)]


def on_disk(folder: Path) -> bytes:
    """Every byte of every file."""
    return b"".join(file.read_bytes() for file in folder.iterdir())


def test_a_consent_that_is_withdrawn_takes_nothing_else(tmp_path: Path) -> None:
    """Files that were set aside may rest on the consent and go as well; reports that do not rest on it stay."""
    waiting = queue(tmp_path)
    (tmp_path / "queue.db.damaged-1").touch()
    put(waiting, report("fallback_window", policy=BYOD), other := report("route_window", policy=BYOD))
    waiting.forget("fallback_reports")
    assert ids(due(waiting, "byod")) == [other.report_id]
    assert not list(tmp_path.glob("*.damaged*"))


def test_age(tmp_path: Path) -> None:
    """What is older than the horizon, or far ahead of the clock, is given up, and the rest stays."""
    waiting = queue(tmp_path)
    starts = (NOW_MS - 46 * DAY_MS, NOW_MS - 44 * DAY_MS, NOW_MS + DAY_MS, NOW_MS + 3 * DAY_MS)
    put(waiting, *[report(start=start) for start in starts])
    waiting.expire(horizon_days=45)
    assert waiting.status().totals == {"windows_closed": 4, "lost.too_old": 1, "lost.in_future": 1}


def test_a_clock_that_jumped(tmp_path: Path) -> None:
    """A report that was held while the clock was years ahead is due once the clock is right again."""
    ahead = ManualClock(NOW_MS + 3000 * DAY_MS)
    put(queue(tmp_path), held := report())
    waiting = queue(tmp_path, ahead)
    waiting.settle(due(waiting), [Held("unknown_schema", 86_400.0)], uploaded=0)
    assert not due(waiting)
    assert ids(due(queue(tmp_path))) == [held.report_id]


def test_a_consent_that_was_never_asked_for_is_not_needed(tmp_path: Path) -> None:
    """A report that rests on nothing is due without any consent."""
    waiting = queue(tmp_path)
    put(waiting, report("route_window", policy=CONTRACTOR, minutes=60, consents=frozenset()))
    assert len(due(waiting, "contractor", frozenset())) == 1


def test_only_its_owner_reads_it(tmp_path: Path) -> None:
    """No file of the queue can be read by anybody else."""
    put(queue(tmp_path), report())
    assert {file.stat().st_mode & 0o777 for file in tmp_path.iterdir()} == {0o600}


def test_policy_of_an_endpoint(tmp_path: Path) -> None:
    """A policy is known for the endpoint that published it, to every process; one that is none changes nothing."""
    catalogue = load_catalogue()
    document = json.dumps(policy_document(catalogue, catalogue.tiers["byod"])).encode()
    waiting = queue(tmp_path)
    assert waiting.policy("https://a") is None
    assert waiting.keep_policy("https://a", document, '"1"').tier == "byod"
    with pytest.raises(BadPolicy):
        waiting.keep_policy("https://a", b"{}", None)
    known = queue(tmp_path).policy("https://a")
    assert known is not None
    assert (known.tier, known.etag) == ("byod", '"1"')
    assert waiting.policy("https://b") is None


def test_the_same_report_twice(tmp_path: Path) -> None:
    """A report that is put in again, because nobody knew whether it was, is there once."""
    waiting = queue(tmp_path)
    again: Queued = report()
    put(waiting, again)
    put(waiting, again)
    assert waiting.depth().reports == 1
    assert waiting.status().totals == {"windows_closed": 1}
