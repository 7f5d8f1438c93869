"""The series of outcomes that a gate appends to the control topic: numbered, contiguous, complete, final."""

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

from ingest.clock import ManualClock
from ingest.telemetry.account import RECEIVED, Account, OutcomeCount
from ingest.telemetry.outcomes import (
    HEARTBEAT_SECONDS,
    OUTCOMES_FINGERPRINT,
    OUTCOMES_SCHEMA,
    Outcomes,
    OutcomeSeries,
    encode_outcomes,
    report_outcomes,
)
from schemas.avro_types import PRIVACY_CLASSES
from schemas.catalogue import load_catalogue

CATALOGUE = load_catalogue()
GATE = "00112233445566778899aabbccddeeff"
START = 1_795_252_080_000

Record = dict[str, Any]


@pytest.fixture
def account() -> Account:
    """An account of the contracts that are shipped, with nothing counted yet."""
    return Account(CATALOGUE)


def decode(value: bytes) -> Record:
    """A control record as a stranger reads it: with the schema's file and fastavro."""
    record = fastavro.schemaless_reader(BytesIO(value), OUTCOMES_SCHEMA, None)
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
    by_apache = reader.read(avro.io.BinaryDecoder(BytesIO(value)))
    assert by_apache == decode(value)
    assert by_apache["from_time"] == datetime.fromtimestamp(START / 1000, UTC)
    assert by_apache["counts"] == [{"tier": "managed", "outcome": "received", "count": 3}]


def test_fingerprint_is_that_of_apache() -> None:
    """What names the schema of the outcomes is the CRC-64-AVRO fingerprint as Apache's library computes it."""
    # Apache's Python library 1.12.2 writes {"type":"long"} for a logical type; the canonical form of the specification,
    # and its Java library, have "long".
    fields = [
        {**field, "type": "long"} if field["name"].endswith("_time") else field for field in OUTCOMES_SCHEMA["fields"]
    ]
    parsed = avro.schema.parse(json.dumps({**OUTCOMES_SCHEMA, "fields": fields}))
    assert parsed.fingerprint("CRC-64-AVRO") == OUTCOMES_FINGERPRINT


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


class SetClock(ManualClock):
    """A clock that somebody sets, forward and back."""

    def set(self, seconds: float) -> None:
        """Show another time, by so many seconds."""
        self._now_ms += seconds * 1000


async def test_a_later_try_of_a_number_ends_later(account: Account) -> None:
    """The tries of one number tell ever later ends, even while the clock steps back, so that the last counts win."""
    clock, control = SetClock(START), Control()
    series = OutcomeSeries(account, append=control.append, clock=clock, gate_id=GATE)
    control.lose_answer = True
    for seconds in (10, -5, 0, 7):
        clock.set(seconds)
        account.received("managed", 1)
        await series.tick()
    control.lose_answer = False
    await series.tick()
    ends = [milliseconds(record["to_time"]) - START for record in control.records]
    assert ends == [10_000, 10_001, 10_002, 12_000, 12_001]
    assert control.sequences == [0] * 5
    await series.finish()
    assert milliseconds(control.records[-1]["from_time"]) - START == 12_001


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
    monkeypatch.setattr("ingest.telemetry.outcomes.APPEND_SECONDS", 0.01)

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
