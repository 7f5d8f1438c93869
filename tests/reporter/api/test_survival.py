"""What goes wrong inside, or is said wrongly, does not reach the application."""

from pathlib import Path
from typing import Any

import pytest

from reporter.closing.adding_up import AddingUp
from reporter.closing.saying import SAYS
from reporter.observing.running_task import RunningTask
from reporter.survival import MOST_ERRORS
from tests.reporter.api.device import PATIENCE_SECONDS, Bench, only_row, reporter_in, sent
from tests.reporter.sending.made_up_gate import MadeUpGate

SECRET = "alice@example.com"


class Unhashable(Exception):
    """An error of an application, whose text and name are its own."""


class Hostile:
    """Something that no comparison, no hash and no arithmetic gets out of."""

    def __hash__(self) -> int:
        raise Unhashable(SECRET)

    def __eq__(self, other: object) -> bool:
        raise Unhashable(SECRET)

    def __add__(self, other: object) -> object:
        raise Unhashable(SECRET)


class HostileText(str):
    """A text that is none when it is looked at."""

    __slots__ = ()

    def __hash__(self) -> int:
        raise Unhashable(SECRET)

    def __eq__(self, other: object) -> bool:
        raise Unhashable(SECRET)

    def __len__(self) -> int:
        raise Unhashable(SECRET)


class Faceless:
    """Something that does not even say of what kind it is, nor whether it is true."""

    @property  # type: ignore[misc]
    def __class__(self) -> Any:
        raise Unhashable(SECRET)

    def __bool__(self) -> bool:
        raise Unhashable(SECRET)

    def __float__(self) -> float:
        raise Unhashable(SECRET)


def misuse(reporter: Any) -> None:
    """Calls with names and places that do not exist, or without those that have to be."""
    with reporter.task("internal", planned="edge", colour="blue") as task:
        task.ran_on("edge", "pocket-chat", nonsense=1)
        task.ran_on()
        task.fell_back()
        task.end()
    reporter.sync(store="memory", flavour=1)
    reporter.violation()
    reporter.consent("marketing", True)  # noqa: FBT003  # what a person answered


def test_misuse_is_counted_and_the_rest_is_done(tmp_path: Path) -> None:
    """A call with a name that does not exist counts for what is right in it, and is counted as misused."""
    gate = MadeUpGate()
    reporter = reporter_in(tmp_path, gate)
    misuse(reporter)
    assert reporter.flush(PATIENCE_SECONDS)
    reporter.close()
    assert only_row(sent(gate, "route_window")[0])["actual_route"] == "edge"
    misused = reporter.status()["misused"]
    assert {name: misused[name] for name in ("task", "ran_on", "Sync", "consent")} == {
        "task": 1, "ran_on": 2, "Sync": 1, "consent": 1,
    }  # fmt: skip


VALUES = [
    pytest.param(None, id="nothing"),
    pytest.param(Hostile(), id="hostile"),
    pytest.param(HostileText("edge"), id="a hostile text"),
    pytest.param(Faceless(), id="no kind"),
    pytest.param(1.5, id="between whole numbers"),
    pytest.param(float("inf"), id="without end"),
    pytest.param([SECRET], id="a list"),
    pytest.param(SECRET * 1000, id="a long text"),
    pytest.param(b"\xff", id="bytes"),
    pytest.param(float("nan"), id="no number"),
    pytest.param(1 << 200, id="a huge number"),
    pytest.param(-5, id="a negative number"),
    pytest.param("\ud800", id="half a surrogate pair"),
]


def say_everywhere(reporter: Any, value: Any) -> None:
    """The value in every place where an application may say something."""
    for name in ("data_class", "planned", "reason", "approved", "policy", "offline", "session"):
        with reporter.task(**{name: value}):
            pass
    with reporter.task(planned=value) as task:
        task.ran_on(value, model=value, version=value, precision=value, region=value)
        task.fell_back(value, consent=value, disclosed=value, bytes_moved=value, seconds=value)
        task.returned(value, by_canary=value)
        task.disclosed(value)
        task.tokens(value, value)
        task.took(value, first_token_ms=value)
        task.sent(value)
        task.contract(valid=value)
        task.citations(value, value)
    reporter.sync(store=value, syncs=value, latency_ms=value)
    reporter.offline_queue(depth=value, left_after_s=value)
    reporter.path_probe(service_role=value, http_status=value, certificate_days_left=value, dns_ms=value)
    reporter.capability_probe(capability=value, probes=value)
    reporter.inventory(manifest_age_s=value, model=value, removal=value, bytes_wasted=value)
    reporter.health(battery=value, update_status=value, crashes=value)
    reporter.violation(value, value)
    for call in (reporter.take, reporter.note, reporter.observe, reporter.flush):
        call(value)
    reporter.consent(value, value)
    with reporter.session() as session:
        session.steadiness(switches=value, shortest_s=value)
        session.held(value)


@pytest.mark.parametrize("value", VALUES)
def test_any_value(tmp_path: Path, value: Any) -> None:
    """Whatever an application says, nothing is raised, no report is lost for it, and it is in no count of errors."""
    gate = MadeUpGate()
    reporter = reporter_in(tmp_path, gate)
    say_everywhere(reporter, value)
    with reporter.task(planned="edge"):
        pass
    assert reporter.flush(PATIENCE_SECONDS)
    status = reporter.status()
    assert (status["errors"], [name for name in status["queue"]["totals"] if name.startswith("lost")]) == ({}, [])
    reporter.close(value)
    rows = [row for report in sent(gate, "route_window") for row in report["rows"]]
    assert any(row["planned_route"] == "edge" for row in rows)
    assert SECRET not in str(reporter.status())
    assert "Unhashable" not in str(reporter.status())
    on_disk = b"".join(file.read_bytes() for file in tmp_path.iterdir())
    assert SECRET.encode() not in on_disk


def test_too_many_errors_turn_it_off(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """After a hundred errors of its own the library does nothing more, and says so."""

    def broken(*_: Any) -> None:
        raise RuntimeError(SECRET)

    monkeypatch.setattr(AddingUp, "_add_task", broken)
    reporter = reporter_in(tmp_path)
    for _ in range(MOST_ERRORS):
        with reporter.task():
            pass
    reporter.flush(PATIENCE_SECONDS)
    status = reporter.status()
    assert (status["state"], status["why"]) == ("off", "too many errors of its own")
    assert status["errors"] == {"reporter.closing.adding_up RuntimeError": MOST_ERRORS}
    with reporter.task() as task:
        task.ran_on("edge")


def test_an_error_in_one_report(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A report that cannot be made costs no other one, and is told as lost."""
    bench = Bench(tmp_path).knows_policy()
    bench.task()
    monkeypatch.setitem(SAYS, "stability_window", lambda *_: 1 / 0)
    bench.round()
    bench.work.close_all()
    assert {one.report for one in bench.queued()} == {"route_window", "fallback_window", "trace_window"}
    assert bench.work.parts().queue.status().totals["lost.unfit"] == 1
    assert bench.survival.errors == {"reporter.closing.closer ZeroDivisionError": 1}


def test_what_is_no_number(tmp_path: Path) -> None:
    """A number that is none is counted as misused, not as an error that would turn the library off."""
    bench = Bench(tmp_path).knows_policy()

    def tell(task: RunningTask) -> None:
        task.tokens("many")  # type: ignore[arg-type]
        task.sent(7)

    bench.task(tell)
    bench.round()
    bench.work.close_all()
    assert only_row(bench.said("route_window")[0])["bytes_sent"] == 7
    assert (bench.survival.misused, bench.survival.errors) == ({"tokens": 1}, {})
