"""The sender with a gate in memory: what goes when, to whom, and what becomes of it."""

import dataclasses
import json
from pathlib import Path
from typing import Any

import pytest

from ingest.clock import ManualClock
from reporter.policy import LEAST
from reporter.queue.unavailable import Unavailable
from reporter.sending.answers import Answer, NoAnswer
from tests.reporter.made_up import BYOD, EVERY_CONSENT, HOUR_MS, MANAGED, NOW_MS, put, report
from tests.reporter.sending.made_up_gate import MadeUpDevice, MadeUpGate, accepted, report_of

DAY_SECONDS = 86_400.0
PLANTED = "tango-foxtrot"


def nobody() -> Answer:
    """There is no network."""
    raise NoAnswer("unreachable")


def test_everything_is_sent_once_and_oldest_first(tmp_path: Path) -> None:
    """A backlog of several types arrives whole, in the order of its windows and in one batch; nothing stays behind."""
    gate = MadeUpGate()
    device = MadeUpDevice(tmp_path, gate)
    names = ("health_window", "trace_window", "route_window")
    reports = [report(name, start=NOW_MS - hours * HOUR_MS) for hours in range(1, 30) for name in names]
    put(device.queue, *reports)
    device.run(120)
    assert sorted(gate.ids) == sorted(one.report_id for one in reports)
    (batch,) = gate.posted
    for place, name in enumerate(names):
        of_a_type = [one for one in batch if report_of(one) == name]
        assert of_a_type == [one.message.content for one in reversed(reports[place::3])]
    assert device.queue.depth().reports == 0


def test_it_is_quiet_when_there_is_nothing(tmp_path: Path) -> None:
    """With nothing to send a device asks for the policy every six hours, and holds no connection meanwhile."""
    gate = MadeUpGate()
    device = MadeUpDevice(tmp_path, gate)
    device.run(7 * 3600)
    assert len(gate.asked) == 2
    assert not gate.posted
    assert gate.hung_up > len(gate.asked)


def test_the_policy_is_asked_for_by_its_tag(tmp_path: Path) -> None:
    """A policy that is known is asked for with If-None-Match, by the next process too, and 304 keeps it."""
    gate = MadeUpGate()
    before = MadeUpDevice(tmp_path, gate)
    before.run(1)
    before.sender.close()
    gate.asked.clear()
    gate.policy = lambda: Answer(304, {}, b"")
    after = MadeUpDevice(tmp_path, gate)
    put(after.queue, report())
    after.run(200)
    assert [dict(headers) for headers in gate.asked] == [{"If-None-Match": '"1"'}]
    assert len(gate.ids) == 1


NO_POLICY: list[Any] = [
    pytest.param(Answer(200, {}, b"<html>hotel</html>"), id="a portal"),
    pytest.param(Answer(200, {}, b'{"tier": "managed"}'), id="half a policy"),
    pytest.param(Answer(500, {}, b""), id="a fault"),
    pytest.param(Answer(200, {}, b"\xff"), id="no text"),
]


@pytest.mark.parametrize("answer", NO_POLICY)
def test_no_policy_at_the_first_start(tmp_path: Path, answer: Answer) -> None:
    """While no policy is known what was stripped to the operational goes, without identifiers, and nothing else."""
    gate = MadeUpGate()
    gate.policy = lambda: answer
    device = MadeUpDevice(tmp_path, gate, identifiers={"device_id": PLANTED})
    put(device.queue, least := report(policy=LEAST, start=NOW_MS - 2 * HOUR_MS, minutes=60), report(policy=MANAGED))
    device.run(300)
    assert gate.posted == [[least.message.content]]
    gate.policy = MadeUpGate().policy
    device.run(1200)
    assert len(gate.ids) == 2


def test_the_policy_is_asked_for_again_soon(tmp_path: Path) -> None:
    """A device that was started before its network was there knows its policy within seconds of that."""
    gate = MadeUpGate()
    gate.policy = nobody
    device = MadeUpDevice(tmp_path, gate)
    device.run(20)
    gate.policy = MadeUpGate().policy
    device.run(60)
    assert device.queue.policy(device.settings.endpoint) is not None


def test_a_policy_that_does_not_get_through(tmp_path: Path) -> None:
    """Where only the policy has no answer, reports go all the same, and are in no doubt."""
    gate = MadeUpGate()
    gate.policy = nobody
    device = MadeUpDevice(tmp_path, gate)
    reports = [report(name, policy=LEAST, minutes=60) for name in ("health_window", "trace_window", "route_window")]
    put(device.queue, *reports)
    device.run(300)
    assert sorted(gate.ids) == sorted(one.report_id for one in reports)


def test_identifiers_are_put_in_on_the_way(tmp_path: Path) -> None:
    """What the policy lets through of the identifiers is in what is posted and in no file; the others are nowhere."""
    gate = MadeUpGate()
    device = MadeUpDevice(tmp_path, gate, identifiers={"device_id": "a-device", "user_email": PLANTED})
    put(device.queue, report())
    device.run(120)
    (message,) = gate.posted[0]
    assert b"a-device" in message
    assert PLANTED.encode() not in message
    files = b"".join(file.read_bytes() for file in tmp_path.iterdir())
    assert b"a-device" not in files
    assert PLANTED.encode() not in files


@pytest.mark.parametrize(("choice", "left"), [("keep", 1), ("discard", 0)])
def test_a_tier_that_changes(tmp_path: Path, choice: str, left: int) -> None:
    """What was made for the tier before is never sent to the new one: it waits for its return, or is given up."""
    gate = MadeUpGate()
    device = MadeUpDevice(tmp_path, gate, on_tier_change=choice)
    gate.verdict = lambda _: Answer(503, {"retry-after": "30"}, b"")
    put(device.queue, old := report(policy=MANAGED))
    device.run(60)
    gate.posted.clear()
    gate.tier, gate.verdict = "byod", accepted
    device.settings = dataclasses.replace(device.settings, endpoint="https://gate.example/t/byod")
    put(device.queue, new := report(policy=BYOD, start=NOW_MS - 3 * HOUR_MS, consents=frozenset()))
    device.run(600)
    assert gate.ids == [new.report_id]
    assert device.queue.depth().reports == left
    gate.tier = "managed"
    device.settings = dataclasses.replace(device.settings, endpoint="https://gate.example/t/managed")
    device.run(600)
    assert gate.ids == [new.report_id] + [old.report_id] * left


def test_a_tier_that_changes_behind_one_endpoint(tmp_path: Path) -> None:
    """With another token the policy is asked for first: it may be the token of another tier, at the same address."""
    gate = MadeUpGate()
    device = MadeUpDevice(tmp_path, gate)
    gate.verdict = lambda _: Answer(403, {}, b'{"reason": "token_of_another_tier", "action": "ask_admin"}')
    put(device.queue, report(policy=MANAGED), report("trace_window", policy=MANAGED))
    device.run(60)
    gate.posted.clear()
    gate.tier, gate.verdict = "byod", accepted
    device.settings = dataclasses.replace(device.settings, token="of-the-new-tier")
    assert device.sender.flush(5.0)
    device.run(600)
    assert (gate.posted, device.queue.depth().reports) == ([], 2)


def test_a_choice_that_changes(tmp_path: Path) -> None:
    """An operator who decides later that reports of the tier before are discarded need not start anything again."""
    gate = MadeUpGate()
    device = MadeUpDevice(tmp_path, gate)
    put(device.queue, report(policy=BYOD, consents=frozenset()))
    device.run(60)
    device.settings = dataclasses.replace(device.settings, on_tier_change="discard")
    device.run(100)
    assert device.queue.status().totals == {"windows_closed": 1, "lost.tier_changed": 1}


def test_a_tier_that_changed_while_nothing_ran(tmp_path: Path) -> None:
    """Reports of the tier before are discarded with the first step where the policy is known, before it is asked."""
    gate = MadeUpGate()
    before = MadeUpDevice(tmp_path, gate, on_tier_change="discard")
    before.run(1)
    before.sender.close()
    device = MadeUpDevice(tmp_path, gate, on_tier_change="discard")
    put(device.queue, report(policy=BYOD, consents=frozenset()), report(policy=MANAGED))
    device.sender.step()
    assert (len(gate.asked), device.queue.depth().reports) == (1, 1)


def test_nothing_goes_to_an_endpoint_whose_tier_is_not_known(tmp_path: Path) -> None:
    """With another endpoint the tier is not known any more, and reports made for one wait until it is."""
    gate = MadeUpGate()
    device = MadeUpDevice(tmp_path, gate)
    device.run(1)
    gate.policy = lambda: Answer(500, {}, b"")
    device.settings = dataclasses.replace(device.settings, endpoint="https://another.example")
    put(device.queue, report(policy=MANAGED))
    device.run(3600)
    assert not gate.posted


def test_a_consent_that_is_withdrawn(tmp_path: Path) -> None:
    """What rests on a consent is not sent once that is withdrawn, by whichever process, and what does not goes."""
    gate = MadeUpGate("byod")
    device = MadeUpDevice(tmp_path, gate, consents=EVERY_CONSENT)
    put(device.queue, report("fallback_window", policy=BYOD, start=NOW_MS - 3 * HOUR_MS))
    put(device.queue, route := report("route_window", policy=BYOD, start=NOW_MS - 3 * HOUR_MS))
    device.sender.step()
    device.settings = dataclasses.replace(device.settings, consents=frozenset({"diagnostics", "location"}))
    device.run(300)
    assert gate.ids == [route.report_id]
    assert device.queue.status().totals["lost.consent_withdrawn"] == 1


def test_a_consent_that_was_withdrawn_while_nothing_ran(tmp_path: Path) -> None:
    """What rests on a consent that is not given any more is gone with the first step, due or not."""
    gate = MadeUpGate("byod")
    device = MadeUpDevice(tmp_path, gate, consents=frozenset())
    put(device.queue, report("fallback_window", policy=BYOD, start=NOW_MS))
    device.sender.step()
    assert device.queue.depth().reports == 0


def test_a_token_that_was_revoked(tmp_path: Path) -> None:
    """A device whose token is refused asks ever more rarely, loses nothing, and goes on at once with another token."""
    gate = MadeUpGate()
    device = MadeUpDevice(tmp_path, gate)
    problem = json.dumps({"reason": "token_revoked", "action": "ask_admin"}).encode()
    gate.verdict = lambda _: Answer(401, {}, problem)
    put(device.queue, report())
    device.run(DAY_SECONDS)
    assert 20 <= len(gate.posted) <= 35
    answer = device.queue.status().facts["answer"]
    assert (answer["status"], answer["reason"], answer["circuit"]) == (401, "token_revoked", "open")
    gate.verdict = accepted
    device.settings = dataclasses.replace(device.settings, token="another")
    device.run(1)
    assert device.queue.depth().reports == 0


def test_offline(tmp_path: Path) -> None:
    """Offline, a device tries every few minutes; after the first answer a small batch goes, and then the rest."""
    gate, tries = MadeUpGate(), 0

    def nobody() -> Any:
        nonlocal tries
        tries += 1
        raise NoAnswer("unreachable")

    device = MadeUpDevice(tmp_path, gate)
    gate.policy, gate.verdict = nobody, lambda _: nobody()
    reports = [report(policy=LEAST, start=NOW_MS - hours * HOUR_MS, minutes=60) for hours in range(1, 100)]
    put(device.queue, *reports)
    device.run(DAY_SECONDS / 4)
    assert 20 < tries < 75
    gate.policy, gate.verdict = MadeUpGate().policy, accepted
    device.run(2000)
    assert [len(messages) for messages in gate.posted] == [8, 91]
    assert gate.ids == [one.report_id for one in reversed(reports)]


def test_another_policy_is_noticed(tmp_path: Path) -> None:
    """An answer under another version of the policy has it asked for within a minute or so."""
    gate = MadeUpGate()
    device = MadeUpDevice(tmp_path, gate)
    gate.verdict = lambda number: accepted(number, policy_version=2)
    put(device.queue, report())
    device.run(200)
    assert len(gate.asked) == 2


def test_a_report_that_spoils_its_batch(tmp_path: Path) -> None:
    """A body that is refused for one report's sake is cut until that is found; every other report arrives."""
    gate = MadeUpGate()
    device = MadeUpDevice(tmp_path, gate)
    reports = [report(start=NOW_MS - (1 + number) * HOUR_MS) for number in range(40)]
    bad = reports[17].report_id
    taken: list[bytes] = []

    def exchange(method: str, path: str, headers: Any, body: bytes | None) -> Answer:
        answer = MadeUpGate.exchange(gate, method, path, headers, body)
        if method == "GET":
            return answer
        sent = gate.ids
        gate.posted.clear()
        if bad in sent:
            return Answer(400, {}, b'{"reason": "bad_length", "action": "discard"}')
        taken.extend(sent)
        return answer

    gate.exchange = exchange  # type: ignore[method-assign]
    put(device.queue, *reports)
    device.run(600)
    assert sorted(taken) == sorted(one.report_id for one in reports if one.report_id != bad)
    totals = device.queue.status().totals
    assert (totals["accepted"], totals["discarded.bad_length"]) == (39, 1)


@pytest.mark.parametrize(("date", "left"), [("", 0), ("Sat, 21 Nov 2020 08:00:00 GMT", 1)])
def test_age_counts_by_a_clock_that_the_gate_agrees_with(tmp_path: Path, date: str, left: int) -> None:
    """A clock that jumped ahead does not cost a device what waits: the gate's own clock has to agree."""
    clock = ManualClock(NOW_MS + 46 * 24 * HOUR_MS)
    gate = MadeUpGate()
    device = MadeUpDevice(tmp_path, gate, clock)
    gate.verdict = lambda number: Answer(202, {"date": date}, accepted(number).body)
    put(device.queue, report(policy=BYOD, start=NOW_MS - 2 * HOUR_MS, consents=frozenset()))
    put(device.queue, report(start=NOW_MS + 45 * 24 * HOUR_MS))
    device.run(300)
    assert device.queue.depth().reports == left


def test_a_clock_that_was_set_back(tmp_path: Path) -> None:
    """While the clock stands years too early nothing is lost; once it is right again all of it goes."""
    gate = MadeUpGate()
    early = ManualClock(NOW_MS - 3000 * 24 * HOUR_MS)
    device = MadeUpDevice(tmp_path, gate, early)
    gate.verdict = lambda number: Answer(202, {"date": "Sat, 21 Nov 2026 08:00:00 GMT"}, accepted(number).body)
    put(device.queue, report(), report("trace_window"), report(start=early.now_ms() - HOUR_MS))
    device.run(300)
    assert (len(gate.ids), device.queue.depth().reports) == (1, 2)
    device.sender.close()
    MadeUpDevice(tmp_path, gate).run(300)
    assert len(gate.ids) == 3


def test_one_sender_for_a_device(tmp_path: Path) -> None:
    """A second process that could send leaves it to the first one, and takes over when that has gone."""
    gate, other = MadeUpGate(), MadeUpGate()
    first, second = MadeUpDevice(tmp_path, gate), MadeUpDevice(tmp_path, other)
    first.run(1)
    put(second.queue, report())
    second.run(300)
    assert not other.posted
    first.sender.close()
    second.run(300)
    assert len(other.ids) == 1


def test_what_was_accepted_and_cannot_be_deleted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """While the queue cannot be written the same report is sent again, ever more rarely, and is deleted in the end."""
    gate = MadeUpGate()
    device = MadeUpDevice(tmp_path, gate)
    put(device.queue, report())
    device.run(1)

    def full(*_: Any, **__: Any) -> None:
        raise Unavailable("disk_full")

    with monkeypatch.context() as patched:
        patched.setattr(device.queue, "settle", full)
        device.run(DAY_SECONDS)
    assert 50 < len(gate.ids) < 300
    assert len(set(gate.ids)) == 1
    device.run(1000)
    assert device.queue.depth().reports == 0


def test_flush(tmp_path: Path) -> None:
    """Whoever waits has everything that is due sent without a pause, and knows whether it was."""
    gate = MadeUpGate()
    device = MadeUpDevice(tmp_path, gate)
    put(device.queue, report("health_window"), report("trace_window"), report("route_window"))
    assert device.sender.flush(2.0)
    assert device.clock.monotonic() == 0
    assert len(gate.ids) == 3
    gate.verdict = lambda _: Answer(500, {}, b"")
    put(device.queue, report())
    assert not device.sender.flush(2.0)


def test_no_settings(tmp_path: Path) -> None:
    """Without settings, or with bad ones, nothing is sent and nothing is raised."""
    gate = MadeUpGate()
    device = MadeUpDevice(tmp_path, gate)
    put(device.queue, report())
    device.settings = None  # type: ignore[assignment]
    device.run(300)
    assert not gate.asked
