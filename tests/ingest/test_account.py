"""The gate's bookkeeping, and the series of outcomes that it appends to the control topic."""

import asyncio
import json
import time
from collections.abc import Callable
from datetime import UTC, datetime
from io import BytesIO
from typing import Any

import avro.io
import avro.schema
import fastavro
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ingest.account import (
    ACCEPTED,
    BODY_BOUNDS,
    DURATION_BOUNDS,
    NO_TIER,
    OUTCOMES,
    RECEIVED,
    STATUS_CLASSES,
    Account,
    Buckets,
    OutcomeCount,
    RemarkCount,
)
from ingest.clock import ManualClock
from ingest.outcomes import (
    HEARTBEAT_SECONDS,
    OUTCOMES_PREFIX,
    OUTCOMES_SCHEMA,
    Outcomes,
    OutcomeSeries,
    encode_outcomes,
    report_outcomes,
)
from ingest.problems import Reason
from ingest.report import Remark
from schemas.avro_types import PRIVACY_CLASSES
from schemas.catalogue import Catalogue, load_catalogue
from schemas.plan import UNKNOWN_FIELD, Action, Plan

CATALOGUE = load_catalogue()
GATE = "00112233445566778899aabbccddeeff"
START = 1_795_252_080_000

Record = dict[str, Any]


@pytest.fixture
def account() -> Account:
    """An account of the contracts that are shipped, with nothing counted yet."""
    return Account(CATALOGUE)


def plan_of(tier: str, report: str) -> Plan:
    """The plan of a tier for the newest version of a report."""
    return CATALOGUE.plans[tier, CATALOGUE.latest[report].fingerprint]


def decode(value: bytes) -> Record:
    """A control record as a stranger reads it: with the schema's file and fastavro."""
    assert value.startswith(OUTCOMES_PREFIX)
    record = fastavro.schemaless_reader(BytesIO(value[10:]), OUTCOMES_SCHEMA, None)
    assert isinstance(record, dict)
    return record


def milliseconds(moment: datetime) -> int:
    """Milliseconds since the epoch, of a time that fastavro read."""
    return int(moment.timestamp() * 1000)


class Control:
    """A control topic in memory that fails on demand; `refuse` stores nothing, `lose_answer` stores and then raises."""

    def __init__(self) -> None:
        self.records: list[Record] = []
        self.attempts = 0
        self.refuse = False
        self.lose_answer = False

    async def append(self, value: bytes) -> None:
        self.attempts += 1
        await asyncio.sleep(0)
        if self.refuse:
            raise OSError("no space left")
        self.records.append(decode(value))
        if self.lose_answer:
            raise OSError("connection reset")

    @property
    def sequences(self) -> list[int]:
        return [record["sequence"] for record in self.records]


async def until(condition: Callable[[], bool]) -> None:
    """Wait until `condition` holds, for 10 seconds at most."""
    deadline = time.monotonic() + 10
    while not condition():
        assert time.monotonic() < deadline, "the condition did not come true in time"
        await asyncio.sleep(0.001)


def test_outcome_names_are_the_reasons_and_accepted() -> None:
    """Every reason is an outcome, and neither the count at the door nor an accepted report shares a reason's name."""
    reasons = {reason.value for reason in Reason}
    assert set(OUTCOMES) == reasons | {ACCEPTED}
    assert not {RECEIVED, ACCEPTED} & reasons
    assert Reason.IN_DOUBT.value in OUTCOMES


def test_door_and_outcome_are_counted_apart(account: Account) -> None:
    """What is received and what becomes of it are two counts, neither of which moves the other."""
    account.received("managed", 3)
    account.outcome("managed", ACCEPTED, 2)
    account.outcome("byod", Reason.TRUNCATED.value, 1)
    assert set(account.take()) == {
        OutcomeCount("managed", RECEIVED, 3),
        OutcomeCount("managed", ACCEPTED, 2),
        OutcomeCount("byod", "truncated", 1),
    }


def test_outcome_outside_the_list_is_refused(account: Account) -> None:
    """An outcome that is not in the closed list raises and counts nothing."""
    with pytest.raises(KeyError):
        account.outcome("managed", "fine_i_guess", 1)
    assert account.take() == ()


@given(
    st.text()
    | st.none()
    | st.sampled_from(["", "Managed", "managed ", "none", "managed\n", "admin'--", "\ud800", "a" * 1000])
)
def test_weird_tier_never_becomes_a_label(tier: str | None) -> None:
    """Whatever a request names as its tier, the label is a tier of the catalogue or "none"."""
    account = Account(CATALOGUE)
    account.received(tier, 1)
    account.outcome(tier, ACCEPTED, 1)
    account.checked(tier, 1)
    account.answered(tier, status=202, seconds=0.1, body_bytes=1)
    label = tier if tier is not None and tier in CATALOGUE.tiers else NO_TIER
    assert set(account.take()) == {OutcomeCount(label, RECEIVED, 1), OutcomeCount(label, ACCEPTED, 1)}
    assert {name for name, count in account.checked_totals() if count} == {label}
    assert {name for name, _, _ in account.durations()} == {label}
    assert {name for name, _, _ in account.bodies()} == {label}


def test_checked_reports_are_no_part_of_the_ledger(account: Account) -> None:
    """Reports that were only checked appear in a count of their own and are not taken for the control topic."""
    account.checked("managed", 2)
    assert account.take() == ()
    assert dict(account.checked_totals())["managed"] == 2


def test_remarks_are_counted_by_schema_field_and_action(account: Account) -> None:
    """Remarks add up by tier, report, field path and action, with made-up names together under "unknown"."""
    plan = plan_of("managed", "route_window")
    hostname = plan.schema.fields["hostname"].id
    nested = plan.schema.fields["rows.model"].id
    remarks = [
        Remark(hostname, Action.DROP, 1),
        Remark(nested, Action.COARSEN, 8),
        Remark(UNKNOWN_FIELD, Action.DROP, 4),
    ]
    account.remarks(plan, remarks)
    account.remarks(plan, remarks[:1])
    assert set(account.remark_totals()) == {
        RemarkCount("managed", "route_window", "hostname", "drop", 2),
        RemarkCount("managed", "route_window", "rows.model", "coarsen", 8),
        RemarkCount("managed", "route_window", "unknown", "drop", 4),
    }


def test_every_field_of_every_plan_has_its_own_count(account: Account) -> None:
    """Each field id of each plan is counted under that field's own path."""
    for plan in CATALOGUE.plans.values():
        account.remarks(plan, [Remark(field.id, Action.DROP, field.id) for field in plan.schema.fields.values()])
    expected = {
        RemarkCount(plan.tier.name, plan.schema.name, path, "drop", field.id)
        for plan in CATALOGUE.plans.values()
        for path, field in plan.schema.fields.items()
    }
    assert set(account.remark_totals()) == expected


def test_reload_keeps_counts_and_adds_tiers() -> None:
    """A reloaded catalogue brings its new tiers, and the counts of a tier that is gone stay."""
    only = Catalogue(schemas=CATALOGUE.schemas, tiers={"managed": CATALOGUE.tiers["managed"]}, plans={})
    account = Account(only)
    account.received("byod", 1)
    account.received("managed", 1)
    account.adopt(Catalogue(schemas=CATALOGUE.schemas, tiers={"byod": CATALOGUE.tiers["byod"]}, plans=CATALOGUE.plans))
    account.received("byod", 1)
    account.received("managed", 1)
    account.remarks(plan_of("byod", "route_window"), [Remark(8, Action.DROP, 1)])
    received = {tier: reports for tier, outcome, reports in account.ledger() if outcome == RECEIVED}
    assert received == {"none": 1, "managed": 2, "byod": 1}


@pytest.mark.parametrize(
    ("value", "bucket"),
    [
        pytest.param(0.0, 0, id="zero is in the first"),
        pytest.param(0.001, 0, id="a bound belongs to its own bucket"),
        pytest.param(0.0010001, 1, id="just above a bound"),
        pytest.param(10.0, 12, id="the last bound"),
        pytest.param(11.0, 13, id="above all bounds"),
    ],
)
def test_buckets_include_their_upper_bound(value: float, bucket: int) -> None:
    """An observation falls into the first bucket whose bound is not below it."""
    buckets = Buckets(DURATION_BOUNDS)
    buckets.observe(value)
    assert buckets.counts.index(1) == bucket
    assert buckets.total == value


@pytest.mark.parametrize(
    ("status", "label"),
    [
        pytest.param(202, "2xx", id="accepted"),
        pytest.param(404, "4xx", id="refused"),
        pytest.param(599, "5xx", id="the highest"),
        pytest.param(0, "none", id="nobody left to answer"),
        pytest.param(1000, "none", id="no HTTP status"),
        pytest.param(-1, "none", id="negative"),
    ],
)
def test_requests_are_counted_by_status_class(account: Account, status: int, label: str) -> None:
    """A request is one duration and one body size of its tier and status class."""
    account.answered("managed", status=status, seconds=0.004, body_bytes=700)
    [(tier, status_class, durations)] = account.durations()
    [(_, _, bodies)] = account.bodies()
    assert (tier, status_class) == ("managed", label)
    assert label in STATUS_CLASSES
    assert (sum(durations.counts), durations.total) == (1, 0.004)
    assert (bodies.counts[BODY_BOUNDS.index(1024)], bodies.total) == (1, 700)


def test_take_returns_each_count_once_and_totals_stay(account: Account) -> None:
    """A second take has only what came since the first, while the totals keep everything."""
    account.received("managed", 3)
    assert account.take() == (OutcomeCount("managed", RECEIVED, 3),)
    assert account.take() == ()
    account.received("managed", 2)
    assert account.take() == (OutcomeCount("managed", RECEIVED, 2),)
    assert OutcomeCount("managed", RECEIVED, 5) in set(account.ledger())


def test_restore_gives_counts_back_to_the_next_take(account: Account) -> None:
    """What was restored is taken again, together with what was counted in between."""
    account.received("managed", 3)
    taken = account.take()
    account.received("managed", 2)
    account.restore(taken)
    assert account.take() == (OutcomeCount("managed", RECEIVED, 5),)
    assert account.take() == ()


STEPS = st.lists(
    st.tuples(st.sampled_from(["count", "take", "fail"]), st.sampled_from(["managed", "byod"]), st.integers(1, 5))
)


@given(STEPS)
def test_no_count_is_lost_or_told_twice(steps: list[tuple[str, str, int]]) -> None:
    """However counting, taking and failing to append alternate, what was told adds up to what was counted."""
    account = Account(CATALOGUE)
    counted, told = 0, 0
    for step, tier, reports in steps:
        if step == "count":
            account.received(tier, reports)
            counted += reports
        elif step == "take":
            told += sum(row.reports for row in account.take())
        else:
            account.restore(account.take())
    assert told + sum(row.reports for row in account.take()) == counted


def test_every_field_of_the_control_schema_is_classified() -> None:
    """Each field of the outcomes record, nested ones included, has a doc, a privacy class and a unit."""

    def fields(spec: Record) -> list[Record]:
        items = [field["type"]["items"] for field in spec["fields"] if "items" in field["type"]]
        return [*spec["fields"], *(inner for item in items for inner in fields(item))]

    found = fields(OUTCOMES_SCHEMA)
    assert {"gate_id", "counts", "tier", "count"} <= {field["name"] for field in found}
    assert all(field["privacy"] in PRIVACY_CLASSES and field["doc"] and field["unit"] for field in found)


def test_encoded_outcomes_are_read_by_both_libraries() -> None:
    """A record is an Avro single-object message that Apache's library reads as fastavro does."""
    outcomes = Outcomes(
        gate_id=GATE,
        sequence=7,
        from_time=START,
        to_time=START + 1000,
        final=True,
        counts=(OutcomeCount("managed", RECEIVED, 3),),
    )
    value = encode_outcomes(outcomes)
    reader = avro.io.DatumReader(avro.schema.parse(json.dumps(OUTCOMES_SCHEMA)))
    by_apache = reader.read(avro.io.BinaryDecoder(BytesIO(value[10:])))
    assert value[:2] == b"\xc3\x01"
    assert by_apache == decode(value)
    assert by_apache["from_time"] == datetime.fromtimestamp(START / 1000, UTC)
    assert by_apache["counts"] == [{"tier": "managed", "outcome": "received", "count": 3}]


def test_fingerprint_is_that_of_apache() -> None:
    """The 8 bytes after the marker are the CRC-64-AVRO fingerprint as Apache's library computes it."""
    # Apache's Python library 1.12.2 writes {"type":"long"} for a logical type; the canonical form of the specification,
    # and its Java library, have "long".
    fields = [
        {**field, "type": "long"} if field["name"].endswith("_time") else field for field in OUTCOMES_SCHEMA["fields"]
    ]
    parsed = avro.schema.parse(json.dumps({**OUTCOMES_SCHEMA, "fields": fields}))
    assert parsed.fingerprint("CRC-64-AVRO") == OUTCOMES_PREFIX[2:]


async def test_series_is_contiguous(account: Account) -> None:
    """Records are numbered from 0 without a gap and each begins where the one before it ended."""
    clock, control = ManualClock(START), Control()
    series = OutcomeSeries(account, append=control.append, clock=clock, gate_id=GATE)
    for reports in (1, 2, 3):
        clock.advance(1)
        account.received("managed", reports)
        await series.tick()
    assert control.sequences == [0, 1, 2]
    assert [record["counts"][0]["count"] for record in control.records] == [1, 2, 3]
    borders = [(milliseconds(record["from_time"]), milliseconds(record["to_time"])) for record in control.records]
    assert borders == [(START, START + 1000), (START + 1000, START + 2000), (START + 2000, START + 3000)]
    assert {record["gate_id"] for record in control.records} == {GATE}
    assert not any(record["final"] for record in control.records)


async def test_idle_gate_says_so_once_a_minute(account: Account) -> None:
    """A gate that counts nothing appends an empty record when it starts and then one a minute."""
    clock, control = ManualClock(START), Control()
    series = OutcomeSeries(account, append=control.append, clock=clock, gate_id=GATE)
    await series.tick()
    clock.advance(HEARTBEAT_SECONDS - 1)
    await series.tick()
    assert control.sequences == [0]
    clock.advance(1)
    await series.tick()
    await series.tick()
    assert control.sequences == [0, 1]
    assert [record["counts"] for record in control.records] == [[], []]


async def test_refused_append_keeps_number_span_and_counts(account: Account) -> None:
    """What could not be appended is in the next record, under the same number and from the same moment."""
    clock, control = ManualClock(START), Control()
    series = OutcomeSeries(account, append=control.append, clock=clock, gate_id=GATE)
    account.received("managed", 1)
    control.refuse = True
    await series.tick()
    clock.advance(5)
    account.received("managed", 2)
    control.refuse = False
    await series.tick()
    [record] = control.records
    assert control.attempts == 2
    assert (record["sequence"], milliseconds(record["from_time"])) == (0, START)
    assert record["counts"] == [{"tier": "managed", "outcome": "received", "count": 3}]


async def test_lost_confirmation_is_repaired_by_the_last_record_of_a_number(account: Account) -> None:
    """When an append is stored but not confirmed, the last record of each number adds up to what was counted."""
    control = Control()
    series = OutcomeSeries(account, append=control.append, clock=ManualClock(START), gate_id=GATE)
    for reports, lose_answer in ((1, False), (2, True), (4, True), (8, False), (16, False)):
        control.lose_answer = lose_answer
        account.received("managed", reports)
        await series.tick()
    assert control.sequences == [0, 1, 1, 1, 2]
    last = {record["sequence"]: record for record in control.records}
    assert sum(record["counts"][0]["count"] for record in last.values()) == 31


async def test_cancelled_append_restores_the_counts(account: Account) -> None:
    """A task that is cancelled in the middle of an append leaves the counts to be taken again."""

    async def never(value: bytes) -> None:
        del value
        await asyncio.Event().wait()

    account.received("managed", 1)
    task = asyncio.ensure_future(OutcomeSeries(account, append=never, clock=ManualClock(START), gate_id=GATE).tick())
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert account.take() == (OutcomeCount("managed", RECEIVED, 1),)


async def test_append_that_hangs_is_given_up(account: Account, monkeypatch: pytest.MonkeyPatch) -> None:
    """An append that does not end is left after its time, so that a stop is never held up by the log."""
    monkeypatch.setattr("ingest.outcomes.APPEND_SECONDS", 0.01)

    async def never(value: bytes) -> None:
        del value
        await asyncio.Event().wait()

    account.received("managed", 1)
    series = OutcomeSeries(account, append=never, clock=ManualClock(START), gate_id=GATE)
    await asyncio.wait_for(series.finish(), 10)
    assert account.take() == (OutcomeCount("managed", RECEIVED, 1),)


async def test_stop_appends_a_final_record_with_the_rest(account: Account) -> None:
    """The task appends while it runs, and once it is stopped a last record, marked final, with what was left."""
    control, stop = Control(), asyncio.Event()
    series = OutcomeSeries(account, append=control.append, clock=ManualClock(START), gate_id=GATE)
    task = asyncio.ensure_future(report_outcomes(series, stop=stop, interval=0.001))
    await until(lambda: control.sequences == [0])
    account.received("managed", 1)
    await until(lambda: control.sequences == [0, 1])
    account.received("managed", 2)
    stop.set()
    await asyncio.wait_for(task, 10)
    told = sum(count["count"] for record in control.records for count in record["counts"])
    assert told == 3
    assert [record["final"] for record in control.records] == [False] * (len(control.records) - 1) + [True]
    assert control.sequences == list(range(len(control.records)))


async def test_task_outlives_a_failing_log(account: Account) -> None:
    """While the log fails the task goes on trying, and appends everything once the log is back."""
    control, stop = Control(), asyncio.Event()
    control.refuse = True
    series = OutcomeSeries(account, append=control.append, clock=ManualClock(START), gate_id=GATE)
    task = asyncio.ensure_future(report_outcomes(series, stop=stop, interval=0.001))
    account.received("managed", 1)
    await until(lambda: control.attempts > 3)
    control.refuse = False
    await until(lambda: control.sequences == [0])
    stop.set()
    await asyncio.wait_for(task, 10)
    assert [len(record["counts"]) for record in control.records] == [1, 0]
    assert control.records[-1]["final"]
