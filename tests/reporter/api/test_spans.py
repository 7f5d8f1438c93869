"""When windows begin and end, under which policy and consents, and what becomes of them on a full disk."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from reporter.closing.span import bounds
from reporter.queue import processes
from reporter.queue.unavailable import Unavailable
from reporter.sending.answers import NoAnswer
from reporter.state import read, write
from reporter.work import DISK_SECONDS, LOOK_SECONDS, MOST_UNCLOSED, SWEEP_SECONDS
from tests.reporter.api.device import Bench, sent
from tests.reporter.made_up import HOUR_MS, MINUTE_MS, NOW_MS
from tests.reporter.sending.made_up_gate import MadeUpGate


@pytest.mark.parametrize(
    ("minute", "minutes", "start", "end"),
    [
        pytest.param(0, 5, 0, 5, id="the first"),
        pytest.param(59, 5, 55, 60, id="the last"),
        pytest.param(12, 60, 0, 60, id="whole hours"),
        pytest.param(58, 7, 56, 60, id="the last is shorter"),
        pytest.param(3, 7, 0, 7, id="a length that no hour is made of"),
    ],
)
def test_the_grid(minute: int, minutes: int, start: int, end: int) -> None:
    """Spans begin anew with each hour, and none reaches over one."""
    found = bounds(NOW_MS + minute * MINUTE_MS, minutes)
    assert found == (NOW_MS + start * MINUTE_MS, NOW_MS + end * MINUTE_MS)


def windows(bench: Bench) -> list[tuple[int, int]]:
    """Tasks and minute of each queued window, by the clock of a test that began at minute 0."""
    reports = bench.said("route_window")
    return sorted(
        ((values["window_start"].timestamp() * 1000 - NOW_MS) // MINUTE_MS, sum(row["tasks"] for row in values["rows"]))
        for values in reports
    )


def test_a_window_ends_with_its_time(tmp_path: Path) -> None:
    """A window is closed when its five minutes are over, and a task after that begins another."""
    bench = Bench(tmp_path).knows_policy()
    for minute in (0, 1, 4, 5, 11):
        bench.at_ms = NOW_MS + minute * MINUTE_MS
        bench.task()
        bench.round()
    assert windows(bench) == [(0, 3), (5, 1)]
    bench.at_ms = NOW_MS + 15 * MINUTE_MS
    bench.round()
    assert windows(bench) == [(0, 3), (5, 1), (10, 1)]


def test_threads_overtake_each_other(tmp_path: Path) -> None:
    """A task that comes in a moment after its window was ended is counted in the next one, not lost."""
    bench = Bench(tmp_path).knows_policy()
    for at_ms in (NOW_MS + 5 * MINUTE_MS + 2, NOW_MS + 5 * MINUTE_MS - 3):
        bench.at_ms = at_ms
        bench.task()
    bench.round()
    bench.work.close_all()
    assert windows(bench) == [(5, 2)]


@pytest.mark.parametrize(
    "jump_ms",
    [pytest.param(-3 * MINUTE_MS, id="back within the window"), pytest.param(-50 * HOUR_MS, id="back by days"),
     pytest.param(90_000, id="ahead within the window"), pytest.param(50 * HOUR_MS, id="ahead by days")],
)  # fmt: skip
def test_a_clock_that_jumps(tmp_path: Path, jump_ms: int) -> None:
    """A jump of the clock ends the open window: what is before and after it is told apart, and all of it is told."""
    bench = Bench(tmp_path).knows_policy()
    bench.at_ms = NOW_MS + 3 * MINUTE_MS
    bench.round()
    bench.task()
    bench.round()
    bench.passed += LOOK_SECONDS
    bench.at_ms += jump_ms
    bench.round()
    bench.task()
    bench.round()
    bench.work.close_all()
    assert [tasks for _, tasks in windows(bench)] == [1, 1]


def test_the_policy_comes_later(tmp_path: Path) -> None:
    """A window that began while no policy was known ends with the grid of the policy, once there is one."""
    gate = MadeUpGate()
    policy = gate.policy
    bench = Bench(tmp_path, gate)

    def unreachable() -> None:
        raise NoAnswer("unreachable")

    gate.policy = unreachable  # type: ignore[assignment]
    bench.at_ms = NOW_MS + 37 * MINUTE_MS
    bench.work.step()
    bench.task()
    bench.round()
    assert bench.work.seconds_to_close() == 23 * 60
    gate.policy = policy
    bench.advance(15 * 60)
    bench.task()
    bench.round()
    bench.work.step()
    assert bench.work.seconds_to_close() == 3 * 60
    bench.advance(3 * 60)
    bench.round()
    assert windows(bench) == [(35, 2)]


def test_no_policy_is_known(tmp_path: Path) -> None:
    """While no policy was ever known, reports are of whole hours, for any tier, and say only what is operational."""
    bench = Bench(tmp_path)
    for _ in range(5):
        bench.task(model="alice-tuned", data_class="restricted", served_region="eu-west")
    bench.round()
    bench.work.close_all()
    queued = bench.queued(None)
    assert {(one.tier, one.window_end - one.window_start) for one in queued} == {(None, HOUR_MS)}
    (values,) = bench.said("route_window", None)
    assert {row["model"] for row in values["rows"]} <= {None, "other"}
    assert b"alice" not in (tmp_path / "queue.db").read_bytes()


def agreed(bench: Bench, *purposes: str) -> None:
    """Somebody else writes the consents into the settings."""
    path = bench.directory.settings
    write(path, replace(read(path), consents=frozenset(purposes)))
    bench.advance(LOOK_SECONDS)
    bench.work.look()


def test_a_consent_holds_from_the_next_window_on(tmp_path: Path) -> None:
    """A report that asks for consent is made of windows that began under it, not of tasks from before."""
    gate = MadeUpGate("byod")
    bench = Bench(tmp_path, gate, endpoint="https://gate.example/t/byod").knows_policy()
    bench.task()
    bench.round()
    agreed(bench, "fallback_reports")
    bench.work.close_all()
    assert not bench.said("fallback_window", "byod")
    bench.task()
    bench.round()
    bench.work.close_all()
    assert len(bench.said("fallback_window", "byod")) == 1


def test_a_consent_that_is_withdrawn(tmp_path: Path) -> None:
    """What rests on a consent leaves the disk when somebody withdraws it, and the open window says nothing of it."""
    gate = MadeUpGate("byod")
    bench = Bench(
        tmp_path, gate, endpoint="https://gate.example/t/byod", consents=frozenset({"fallback_reports"})
    ).knows_policy()
    bench.task()
    bench.round()
    bench.work.close_all()
    assert len(bench.said("fallback_window", "byod")) == 1
    bench.task()
    bench.round()
    agreed(bench)
    assert not bench.said("fallback_window", "byod")
    bench.work.close_all()
    assert not bench.said("fallback_window", "byod")


def test_presence_is_said_once_by_all_processes(tmp_path: Path) -> None:
    """Two processes of a device say once that it was there in this hour."""
    bench = Bench(tmp_path).knows_policy()
    other = bench.new_work()
    other.follow_settings()
    for work in (bench.work, other):
        bench.task()
        work.add_up(bench.inbox)
        work.close_all()
    first, second = bench.said("route_window")
    assert [values["first_of_hour"] for values in (first, second)].count(True) == 1
    assert [values["rows"][0]["first_of_week"] for values in (first, second)].count(True) == 1


def broken(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> Callable[[], None]:
    """A disk without room; what ends that."""
    queue = bench.work.parts().queue

    def full(_: str) -> None:
        raise Unavailable("disk_full")

    monkeypatch.setattr(queue, "closing", full)
    return monkeypatch.undo


def test_a_full_disk_for_a_while(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """While the disk is full a few windows wait in memory, and are written when there is room again."""
    bench = Bench(tmp_path).knows_policy()
    mended = broken(bench, monkeypatch)
    for _ in range(MOST_UNCLOSED):
        bench.task()
        bench.round()
        bench.advance(300)
    bench.round()
    assert (bench.work.trouble, windows(bench)) == ("disk_full", [])
    mended()
    bench.advance(DISK_SECONDS)
    bench.round()
    assert bench.work.trouble is None
    assert [tasks for _, tasks in windows(bench)] == [1] * MOST_UNCLOSED


def test_a_full_disk_for_long(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where the disk stays full the oldest windows are given up, and the next trace_window says how many."""
    bench = Bench(tmp_path).knows_policy()
    mended = broken(bench, monkeypatch)
    for _ in range(MOST_UNCLOSED + 4):
        bench.task()
        bench.round()
        bench.advance(300)
    bench.round()
    mended()
    bench.advance(DISK_SECONDS)
    bench.round()
    assert len(windows(bench)) == MOST_UNCLOSED
    assert bench.work.parts().queue.status().totals["lost.disk_full"] == 4
    assert bench.said("trace_window")[0]["windows_lost"] == "n2_to_5"


def test_settings_that_were_removed(tmp_path: Path) -> None:
    """Where the settings are gone no report is written or sent, and the window is counted as lost."""
    bench = Bench(tmp_path).knows_policy()
    bench.task()
    bench.directory.settings.unlink()
    bench.round()
    bench.work.close_all()
    bench.advance(3600)
    bench.work.step()
    assert (bench.queued(), sent(bench.gate, "route_window")) == ([], [])
    totals = bench.work.parts().queue.status().totals
    assert (totals["lost.no_settings"], totals["windows_closed"]) == (1, 1)


def test_a_full_disk_is_tried_now_and_then(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """While the disk is full a window is made anew every half minute, and not with each task."""
    bench = Bench(tmp_path).knows_policy()
    tries: list[str] = []

    def full(name: str) -> None:
        tries.append(name)
        raise Unavailable("disk_full")

    monkeypatch.setattr(bench.work.parts().queue, "closing", full)
    bench.task()
    bench.round()
    bench.advance(300)
    for _ in range(120):
        bench.task()
        bench.round()
        bench.advance(0.5)
    assert 2 <= len(tries) <= 3


def test_a_process_that_died_meanwhile(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A process that runs for days notices within the hour that another was killed, and counts its window as lost."""
    bench = Bench(tmp_path).knows_policy()
    queue = bench.work.parts().queue
    bench.work.begin()
    with monkeypatch.context() as dying:
        dying.setattr(processes, "_boot", lambda: "another boot")
        queue.opened("a window", NOW_MS)
    bench.advance(SWEEP_SECONDS)
    bench.round()
    assert (queue.status().open_windows, queue.status().totals) == (0, {"windows_closed": 1, "lost.killed": 1})


def test_many_rows_fit_into_a_report(tmp_path: Path) -> None:
    """However many combinations an application has, its report stays within what a gate takes, and counts all tasks."""
    bench = Bench(tmp_path).knows_policy()
    long = "m" * 60
    for number in range(600):
        bench.task(
            served_region=f"{long}{number}",
            model=f"{long}{number}",
            model_version=f"{long}{number}",
            latency_ms=float(1 << (number % 24)),
            disclosures=frozenset({"residency"}),
        )
    bench.round()
    bench.work.close_all()
    (one,) = [one for one in bench.queued() if one.report == "route_window"]
    assert 20_000 < len(one.message.content) < 1 << 16
    assert windows(bench) == [(0, 600)]
