"""A checker that cannot fail is worthless: each invariant is broken by hand, and has to be seen broken."""

import time
from collections.abc import Callable
from copy import deepcopy
from dataclasses import dataclass, replace
from pathlib import Path

import pytest

from load.faults.evidence import InLog, InRollups, Span
from load.faults.leaked import Place, Search, on_disk
from load.faults.made import CONTROL, PLANTED, Made
from load.faults.rounds import failure, total
from load.faults.told import Standing, Told
from load.faults.verdict import (
    UNTOLD_SECONDS,
    Processes,
    Violation,
    fold,
    ledger_violations,
    living_violations,
    log_violations,
    may_lack,
    rollup_violations,
    still_lacking,
    unknown_spans,
)

HOUR = 1_790_000_000_000 // 3_600_000 * 3_600_000
TASKS = {"on_device": 4, "managed_cloud": 3}


def made(number: int, tier: str = "managed") -> Made:
    """A report of seven tasks."""
    return Made(number.to_bytes(16), tier, HOUR, dict(TASKS), None, b"message")


@dataclass
class Case:
    """All that is looked at, and nothing wrong with it until somebody changes it."""

    told: Told
    log: InLog
    rollups: InRollups
    processes: Processes

    def violations(self) -> list[Violation]:
        return [
            *log_violations(self.told, self.log),
            *rollup_violations(self.told, self.log, self.rollups, poison=0),
            *ledger_violations(self.told, self.log, self.processes),
        ]


def span(sequence: int, *, final: bool = False, to_time: int = 0, **counts: int) -> Span:
    """A record of a gate's series, of the managed tier."""
    return Span("gate", sequence, to_time or sequence, final, {("managed", name): n for name, n in counts.items()})


def whole() -> Case:
    """Ten reports accepted, one of them twice, one in doubt that landed, one in doubt that did not, two refused."""
    told = Told()
    told.ok([made(number) for number in range(10)])
    told.ok([made(3)])
    told.in_doubt([made(10), made(11)])
    told.refused([made(12), made(13)], "log_unavailable")
    log = InLog()
    for number in [*range(11), 3]:
        key = number.to_bytes(16)
        log.stored[key] += 1
        log.tiers[key] = "managed"
        log.tasks[key] = dict(TASKS)
    log.spans = [
        span(0, received=9, accepted=8, log_unavailable=1),
        span(1, final=True, received=6, accepted=4, in_doubt=1, log_unavailable=1),
    ]
    tasks, accepted, duplicates = fold(told, log)
    return Case(told, log, InRollups(dict(tasks), accepted, duplicates, 11, 0), Processes(1, 0))


def test_nothing_is_wrong_with_what_is_right() -> None:
    """Where log, rollups and ledger are what was told, nothing is found; the fold is what it is by hand."""
    case = whole()
    assert case.violations() == []
    assert case.rollups.tasks == {(HOUR, "managed", "on_device"): 44, (HOUR, "managed", "managed_cloud"): 33}
    assert (case.rollups.accepted, case.rollups.duplicates) == ({"managed": 11}, {"managed": 1})


def removed(case: Case) -> None:
    """A report that got its 202 is not in the log."""
    for held in (case.log.stored, case.log.tiers, case.log.tasks):
        del held[(2).to_bytes(16)]


def landed(case: Case, number: int) -> None:
    """A report is in the log that should not be."""
    key = number.to_bytes(16)
    case.log.stored[key] += 1
    case.log.tiers[key] = "managed"
    case.log.tasks[key] = dict(TASKS)


def counted(case: Case, **changes: object) -> None:
    """The rollups say something else."""
    case.rollups = replace(case.rollups, **changes)  # type: ignore[arg-type]  # each test names a field


def spans(case: Case, *found: Span) -> None:
    """The gate said something else."""
    case.log.spans = list(found)


FIRST = span(0, received=9, accepted=8, log_unavailable=1)
LAST = span(1, final=True, received=6, accepted=4, in_doubt=1, log_unavailable=1)
RECEIVED = ("managed", "received")
CELL = (HOUR, "managed", "on_device")

TAMPERED: list[object] = [
    pytest.param(removed, "I1", "lost", id="a record is missing from the log"),
    pytest.param(lambda case: counted(case, accepted={"managed": 10}), "I1", "lost", id="a report is not counted"),
    pytest.param(
        lambda case: counted(case, accepted={"managed": 12}), "I1", "counted twice", id="one is counted twice"
    ),
    pytest.param(lambda case: case.told.ok([made(3)]), "I1", "lost", id="a second 202 without a second record"),
    pytest.param(lambda case: landed(case, 12), "I2", "other", id="what was refused is in the log"),
    pytest.param(lambda case: landed(case, 77), "I2", "other", id="what nobody posted is in the log"),
    pytest.param(lambda case: landed(case, 10), "I2", "other", id="what is in doubt is in the log twice"),
    pytest.param(lambda case: counted(case, duplicates={"managed": 0}), "I4", "other", id="a duplicate is not counted"),
    pytest.param(lambda case: counted(case, tasks={}), "I5", "lost", id="no tasks at all"),
    pytest.param(
        lambda case: counted(case, tasks={**case.rollups.tasks, CELL: 45}), "I5", "counted twice", id="a task too many"
    ),
    pytest.param(
        lambda case: counted(case, tasks={**case.rollups.tasks, (HOUR, "byod", "offline"): 1}),
        "I5",
        "counted twice",
        id="tasks of another tier",
    ),
    pytest.param(lambda case: counted(case, ids=10), "I5", "other", id="an id was not remembered"),
    pytest.param(lambda case: counted(case, parked=1), "I5", "other", id="a good record is parked"),
    pytest.param(lambda case: case.log.tasks.update({made(1).report_id: {}}), "I5", "other", id="a record says less"),
    pytest.param(
        lambda case: case.log.tiers.update({made(1).report_id: "byod"}), "I5", "other", id="another tier's log"
    ),
    pytest.param(lambda case: spans(case, FIRST, replace_final(LAST)), "I4", "other", id="no final record"),
    pytest.param(lambda case: spans(case, LAST), "I4", "other", id="a record of a gate is missing"),
    pytest.param(
        lambda case: spans(case, FIRST, span(1, final=True, received=6, accepted=4)), "I4", "other", id="no balance"
    ),
    pytest.param(
        lambda case: spans(case, FIRST, span(1, final=True, received=9, accepted=9)), "I4", "other", id="too many taken"
    ),
    pytest.param(
        lambda case: spans(case, FIRST, span(1, final=True, received=1, accepted=1)), "I4", "other", id="too few taken"
    ),
]


def replace_final(one: Span) -> Span:
    """The record of a gate that was killed."""
    return one._replace(final=False)


@pytest.mark.parametrize(("tamper", "invariant", "kind"), TAMPERED)
def test_what_is_tampered_with_is_found(tamper: Callable[[Case], object], invariant: str, kind: str) -> None:
    """A change to log, rollups, ledger or what was told is found as a violation of that invariant and of that kind."""
    case = whole()
    tamper(case)
    assert (invariant, kind) in {(found.invariant, found.kind) for found in case.violations()}


def test_a_killed_gate_owes_no_last_second() -> None:
    """A gate that was killed has no final record and may have stored some more than it said, but no gap inside."""
    case = whole()
    case.processes = Processes(stopped=0, killed=1, lacking={("managed", "stored"): 4})
    spans(case, FIRST)
    assert case.violations() == []
    case.processes = replace(case.processes, lacking={("managed", "stored"): 3})
    assert {found.invariant for found in case.violations()} == {"I4"}
    case.processes = replace(case.processes, lacking={("managed", "stored"): 4})
    spans(case, FIRST, replace_final(LAST)._replace(sequence=2))
    assert {found.invariant for found in case.violations()} == {"I4"}


def test_a_refusal_that_was_told_is_in_a_record() -> None:
    """What a 202 refused by name has to be in the gates' records under its reason, but for what a kill may hide."""
    case = whole()
    case.told.discarded(replace(made(20), refused="window_too_old"), "window_too_old")
    assert [found.invariant for found in case.violations()] == ["I4"]
    case.processes = replace(case.processes, lacking={("managed", "window_too_old"): 1})
    assert case.violations() == []
    case.processes = Processes(1, 0)
    spans(case, FIRST, LAST._replace(counts={**LAST.counts, RECEIVED: 7, ("managed", "window_too_old"): 1}))
    assert case.violations() == []


def test_what_a_kill_may_hide() -> None:
    """Of each kill only what was posted in the seconds before may be missing, and what is not needed is not kept."""
    case = whole()
    now = time.monotonic()
    case.told.ok([made(30), made(31)], sent=now - 1)
    case.told.in_doubt([made(32)], sent=now - 2)
    case.told.discarded(replace(made(33), refused="window_too_old"), "window_too_old", sent=now - 1)
    case.told.ok([made(34)], sent=now - UNTOLD_SECONDS - 1)
    case.told.ok([made(35)], sent=now + 1)
    lacking = may_lack(case.told, [now])
    assert lacking == {("managed", "stored"): 3, ("managed", "window_too_old"): 1}
    assert may_lack(case.told, []) == {}
    assert may_lack(case.told, [now], stood_still=2)["managed", "stored"] == 4
    assert still_lacking(case.told, case.log, lacking) == {("managed", "stored"): 0, ("managed", "window_too_old"): 1}


def test_what_was_acknowledged_in_between() -> None:
    """Only what was sent and answered with 202 within a fault counts as acknowledged during it."""
    told = Told()
    before = time.monotonic()
    told.ok([made(1)], sent=before - 1)
    told.in_doubt([made(2)], sent=before + 1e-9)
    assert told.acknowledged(after=before, before=before + 60) == 0
    told.ok([made(3), made(4)], sent=before + 1e-6)
    assert told.acknowledged(after=before, before=before + 60) == 2
    assert told.acknowledged(after=before, before=before) == 0


@pytest.mark.parametrize(
    ("status", "reason", "standing"),
    [
        pytest.param(202, "", Standing.ACCEPTED, id="accepted"),
        pytest.param(503, "stopping", Standing.REFUSED, id="refused for certain"),
        pytest.param(503, "in_doubt", Standing.DOUBTFUL, id="the answer says in doubt"),
        pytest.param(0, "", Standing.DOUBTFUL, id="closed without an answer"),
    ],
)
def test_a_body_half_received_is_booked_by_its_reason(status: int, reason: str, standing: Standing) -> None:
    """What a stopping gate says of a body half received decides how the report stands, and is no fault of the gate."""
    told = Told()
    told.enter([made(1)], status, reason=reason)
    assert [tries.standing for tries in told.reports.values()] == [standing]
    assert told.faults == []
    told.enter([made(1)], 500, reason="internal")
    assert len(told.faults) == 1


def test_the_last_line_says_what_else_is_wrong() -> None:
    """The last line of a run is all zeros only where nothing at all is wrong."""
    assert total([]) == "lost 0, counted twice 0, leaked 0"
    found = [Violation("I4", "a ledger"), Violation("I1", "gone", "lost", 3), failure(OSError("no disk"))]
    assert total(found) == "lost 3, counted twice 0, leaked 0, other 2"


def test_of_two_records_of_one_number_the_longer_one_counts() -> None:
    """A record that was tried again counts once, wherever it landed."""
    case = whole()
    spans(case, FIRST, LAST, span(1, to_time=-1, final=False, received=1, accepted=1))
    assert case.violations() == []


METRICS = """
tidegate_gate_received_total{tier="managed"} 5.0
tidegate_gate_reports_total{outcome="accepted",tier="managed"} 4.0
"""


def test_a_gate_that_is_idle_accounts_for_all() -> None:
    """What a living gate received and does not account for is found in its metrics, and so is a gate without any."""
    assert len(list(living_violations(METRICS))) == 1
    assert list(living_violations(METRICS.replace("5.0", "4.0"))) == []
    assert len(list(living_violations(""))) == 1


@pytest.mark.parametrize("name", sorted(PLANTED))
def test_a_planted_identifier_is_found(name: str) -> None:
    """Whatever a report plants is found, and told without its value."""
    text = f"{CONTROL} and then {PLANTED[name]} in the middle"
    (leak,) = Search().violations({"a disk": Place({"a file": text.encode()}, CONTROL)})
    assert (leak.invariant, leak.kind) == ("I3", "leaked")
    assert PLANTED[name] not in str(leak)


def test_a_place_without_its_control_was_not_searched() -> None:
    """A search that does not find what is there for every right reason is a violation as well."""
    (nothing,) = Search().violations({"a disk": Place({"a file": b"nothing"}, CONTROL)})
    assert "nothing was searched" in str(nothing)


def test_every_file_of_a_disk_is_searched(tmp_path: Path) -> None:
    """A file in any directory of a disk is searched, whatever its name."""
    (tmp_path / "disk" / "deep" / "down").mkdir(parents=True)
    (tmp_path / "disk" / "deep" / "down" / ".hidden").write_text(PLANTED["serial"])
    (tmp_path / "disk" / "log").write_text(CONTROL)
    found = Search().violations({"disk": on_disk({"disk": tmp_path / "disk"}, empty_rollups(tmp_path))["disk"]})
    assert [violation.kind for violation in found] == ["leaked"]


def empty_rollups(folder: Path) -> Path:
    """A DuckDB file without anything in it."""
    import duckdb  # noqa: PLC0415

    duckdb.connect(str(folder / "empty.duckdb")).close()
    return folder / "empty.duckdb"


def test_what_is_told_is_kept_apart() -> None:
    """What is only in doubt, only refused, or accepted after all stands so, whatever came before."""
    told = Told()
    told.in_doubt([made(1), made(2)])
    told.refused([made(2), made(3)], "log_unavailable")
    told.ok([made(1)])
    assert told.summary() == {"accepted": 1, "doubtful": 1, "refused": 1}
    before = deepcopy(told.faults)
    told.ok([replace(made(4), refused="window_too_old")])
    told.discarded(made(5), "window_too_old")
    assert len(told.faults) - len(before) == 2


def of(gate: str, sequence: int, minutes: int) -> Span:
    """A record of a gate that tells of the time up to so many minutes, and of nothing more."""
    return span(sequence, to_time=minutes * 60_000)._replace(gate=gate)


@pytest.mark.parametrize(
    ("spans", "unknown"),
    [
        pytest.param([of("killed", 0, 0), of("killed", 1, 1)], 0, id="nobody goes on behind it"),
        pytest.param([of("killed", 0, 0), of("next", 0, 1)], 0, id="not for long enough"),
        pytest.param([of("killed", 0, 0), of("next", 0, 2)], 1, id="a killed gate"),
        pytest.param([of("killed", 0, 0)._replace(final=True), of("next", 0, 2)], 0, id="it ended in good order"),
        pytest.param([of("next", 0, 2), of("killed", 0, 0)], 0, id="what is later lies before it"),
        pytest.param([of("hung", 0, 0), of("next", 0, 2), of("hung", 1, 3)], 0, id="it goes on"),
        pytest.param([of("gap", 0, 0), of("gap", 3, 0)], 2, id="numbers inside"),
    ],
)
def test_what_is_unknown(spans: list[Span], unknown: int) -> None:
    """A series that broke off is one span where others went on behind it for two minutes; missing numbers are more."""
    assert unknown_spans(spans) == unknown
