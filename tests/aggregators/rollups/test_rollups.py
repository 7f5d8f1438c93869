"""Batches into rollups: whole or not at all, once each, and what is refused."""

import dataclasses
from pathlib import Path
from random import Random
from typing import Any
from unittest.mock import patch

import pytest

from aggregators.rollups import load
from aggregators.rollups.rollups import (
    Applied,
    Rollups,
)
from aggregators.rollups.stripped import OutcomesRecord, StrippedRecord, StrippedRecords
from ingest.records import schema_entry
from ingest.report import Entry, Partition
from ingest.schema_topic import schemas_of
from ingest.telemetry.account import OutcomeCount
from load.reports import MS_PER_HOUR
from tests.rollups_input import (
    CATALOGUE,
    HOUR,
    NOW,
    entry_of,
    one_batch,
    outcomes_of,
    placed,
    row_of,
    seeded_report,
    stripped_records,
)
from tests.rollups_snapshot import differences, rows_of, snapshot

RECORDS = stripped_records()
ROOT = Path(__file__).resolve().parents[3]


def reports(count: int, *, seed: int = 1) -> list[Entry]:
    """Different reports of one type."""
    random = Random(seed)
    return [seeded_report("route_window", random, tier="managed") for _ in range(count)]


def test_a_batch_is_there_after_it_was_applied(rollups: Rollups, directory: Path) -> None:
    """What was applied is in the file: another opening finds the same rows and the offsets to go on behind."""
    batch = one_batch([*reports(3), outcomes_of("a gate", 0, OutcomeCount("managed", "received", 3))])
    assert rollups.apply(batch, RECORDS) == Applied(entries=4, reports=3)
    before = snapshot(rollups)
    assert rollups.offsets() == {partition: len(entries) - 1 for partition, entries in batch}
    rollups.close()
    again = Rollups.open(directory)
    assert differences(before, snapshot(again)) == []
    again.close()


def test_an_empty_batch_changes_nothing(rollups: Rollups) -> None:
    """A batch without entries, or with partitions that have none, is no transaction."""
    assert rollups.apply([(Partition("tidegate.control", 0), [])], RECORDS) == Applied()
    assert rollups.offsets() == {}


@pytest.mark.parametrize(
    "again",
    [
        pytest.param([0], id="an entry again"),
        pytest.param([2], id="the last one again"),
        pytest.param([4, 3], id="not in order"),
        pytest.param([3, 3], id="twice in one batch"),
    ],
)
def test_nothing_is_applied_twice(rollups: Rollups, again: list[int]) -> None:
    """An entry at or behind the stored offset of its partition, or out of order, is refused, and nothing is stored."""
    ((partition, entries),) = one_batch(reports(5))
    rollups.apply([(partition, entries[:3])], RECORDS)
    before = snapshot(rollups)
    with pytest.raises(ValueError, match="was applied already"):
        rollups.apply([(partition, [entries[offset] for offset in again])], RECORDS)
    assert differences(before, snapshot(rollups)) == []


class Stumbling(StrippedRecords):
    """Reads some entries and then fails as no entry makes it fail."""

    def __init__(self, *, after: int) -> None:
        super().__init__()
        self.learn(schemas_of(CATALOGUE))
        self._left = after

    def read(self, entry: Entry) -> StrippedRecord | OutcomesRecord:
        self._left -= 1
        if self._left < 0:
            raise RuntimeError("the fault of this test")
        return super().read(entry)


def test_a_failure_in_the_middle_leaves_nothing(rollups: Rollups) -> None:
    """When a later piece of a batch fails, nothing of the earlier ones stays, and the same batch can be applied."""
    first, second = reports(3), reports(9, seed=2)
    ((partition, entries),) = one_batch([*first, *second])
    rollups.apply([(partition, entries[:3])], RECORDS)
    before = snapshot(rollups)
    with patch.object(load, "PIECE_BYTES", 1), pytest.raises(RuntimeError, match="the fault"):
        rollups.apply([(partition, entries[3:])], Stumbling(after=6))
    assert differences(before, snapshot(rollups)) == []
    assert rollups.apply([(partition, entries[3:])], RECORDS).reports == 9


def test_a_cursor_sees_whole_batches(rollups: Rollups) -> None:
    """A transaction of a reader sees the same rows before and after a batch that was applied meanwhile."""
    entries = placed(reports(4))
    ((partition, stored),) = entries.items()
    rollups.apply([(partition, stored[:2])], RECORDS)
    with rollups.cursor() as reader:
        reader.begin()
        count = "SELECT count(*) FROM seen"
        assert reader.execute(count).fetchall() == [(2,)]
        rollups.apply([(partition, stored[2:])], RECORDS)
        assert reader.execute(count).fetchall() == [(2,)]
        reader.commit()
        assert reader.execute(count).fetchall() == [(4,)]


def again_with(changes: dict[str, Any]) -> list[Entry]:
    """A report, and one like it but for the changes; both with one id."""
    values: dict[str, Any] = {"report_id": b"one and the same", "rows": [row_of("route_window", "rows", tasks=1)]}
    return [entry_of("route_window", values), entry_of("route_window", values | changes)]


@pytest.mark.parametrize(
    ("entries", "tasks", "duplicates"),
    [
        pytest.param(again_with({}), 1, 1, id="the same report"),
        pytest.param(
            again_with({"rows": [row_of("route_window", "rows", tasks=9)]}), 1, 1, id="other values: the first stands"
        ),
        pytest.param(again_with({"window_start": HOUR + 300_000}), 1, 1, id="another window of the hour"),
        pytest.param(again_with({"window_start": HOUR - MS_PER_HOUR}), 2, 0, id="another hour: another report"),
        pytest.param(again_with({"report_id": b"quite another id"}), 2, 0, id="another id"),
    ],
)
@pytest.mark.parametrize("batches", [1, 2])
def test_the_first_of_an_id_counts(
    rollups: Rollups, entries: list[Entry], tasks: int, duplicates: int, batches: int
) -> None:
    """A report counts once in its hour, in one batch or in two, and every further one of its id is a duplicate."""
    ((partition, stored),) = one_batch(entries)
    cut = [stored] if batches == 1 else [stored[:1], stored[1:]]
    applied = sum((rollups.apply([(partition, part)], RECORDS) for part in cut), Applied())
    assert applied == Applied(entries=2, reports=2 - duplicates, duplicates=duplicates)
    assert rows_of(rollups, "SELECT sum(tasks) FROM route_rows") == [(tasks,)]
    assert rows_of(rollups, "SELECT sum(accepted), sum(duplicates) FROM receipts") == [(2 - duplicates, duplicates)]
    assert rows_of(rollups, "SELECT count(*) FROM seen") == [(2 - duplicates,)]


def test_an_id_is_looked_for_in_its_own_hour(rollups: Rollups) -> None:
    """An id of one hour is another report in the next, also where the batch speaks of both."""
    ((partition, stored),) = one_batch(
        [
            *again_with({"window_start": HOUR - MS_PER_HOUR}),
            entry_of("route_window", {"report_id": b"quite another id"}),
        ]
    )
    rollups.apply([(partition, stored[:1])], RECORDS)
    assert rollups.apply([(partition, stored[1:])], RECORDS) == Applied(entries=2, reports=2)


def test_an_id_of_another_topic_is_another_report(rollups: Rollups) -> None:
    """The same id under another type or another tier is not a duplicate."""
    values = {"report_id": b"one and the same"}
    entries = [
        entry_of("route_window", values),
        entry_of("health_window", values),
        entry_of("route_window", values, tier="byod"),
    ]
    assert rollups.apply(one_batch(entries), RECORDS) == Applied(entries=3, reports=3)


def test_receipts_say_under_what_a_report_was_accepted(rollups: Rollups) -> None:
    """Receipts are counted by tier, report, schema version and policy version, and by the hour of each append."""
    values = {"report_id": b"one and the same"}
    entries = [entry_of("health_window", values), entry_of("health_window", values, now=NOW + MS_PER_HOUR)]
    rollups.apply(one_batch(entries), RECORDS)
    version = CATALOGUE.tiers["managed"].version
    assert rows_of(
        rollups,
        "SELECT epoch_ms(received), tier, report, schema_version, policy_version, accepted, duplicates "
        "FROM receipts ORDER BY ALL",
    ) == [
        (NOW, "managed", "health_window", 1, version, 1, 0),
        (NOW + MS_PER_HOUR, "managed", "health_window", 1, version, 0, 1),
    ]


def test_what_cannot_be_read_is_parked(rollups: Rollups) -> None:
    """A damaged entry is parked by place, reason and length; everything beside it is counted."""
    good, bad = reports(2)
    broken = dataclasses.replace(bad, value=bad.value[:-3])
    foreign = dataclasses.replace(bad, topic="orders", timestamp=-5)
    applied = rollups.apply(one_batch([good, broken, foreign]), RECORDS)
    assert applied == Applied(entries=3, reports=1, parked=2)
    assert rows_of(
        rollups, 'SELECT topic, "partition", "offset", reason, length, epoch_ms(received) FROM parked ORDER BY topic'
    ) == [
        ("orders", 0, 0, "foreign_topic", len(bad.value), 0),
        (good.topic, 0, 1, "undecodable", len(bad.value) - 3, NOW),
    ]


def test_what_nobody_taught_is_parked(rollups: Rollups) -> None:
    """Records whose schema is unknown are parked and passed; outcomes need none, and schemas are only passed."""
    entries = [
        *reports(2),
        outcomes_of("a gate", 0, OutcomeCount("managed", "accepted", 2)),
        schema_entry(b"12345678", {}, now=NOW),
    ]
    assert rollups.apply(one_batch(entries), StrippedRecords()) == Applied(entries=4, parked=2)
    assert rows_of(rollups, "SELECT DISTINCT reason FROM parked") == [("unknown_schema",)]
    assert rows_of(rollups, "SELECT gate, sequence, tier, outcome, reports FROM gate_outcomes") == [
        ("a gate", 0, "managed", "accepted", 2)
    ]
    assert len(rollups.offsets()) == 3


def test_outcomes_keep_their_place(rollups: Rollups) -> None:
    """Records of one sequence number all stay, each with its place in the partition, so that the last can be told."""
    first = outcomes_of("a gate", 4, OutcomeCount("managed", "accepted", 2))
    later = outcomes_of("a gate", 4, OutcomeCount("managed", "accepted", 3), OutcomeCount("byod", "too_large", 1))
    rollups.apply(one_batch([first, later]), RECORDS)
    assert rows_of(rollups, "SELECT place, tier, outcome, reports FROM gate_outcomes ORDER BY ALL") == [
        (0, "managed", "accepted", 2),
        (1, "byod", "too_large", 1),
        (1, "managed", "accepted", 3),
    ]
    assert rows_of(
        rollups, "SELECT place, epoch_ms(from_time), epoch_ms(to_time), final FROM gate_spans ORDER BY 1"
    ) == [
        (0, NOW - 1000, NOW, False),
        (1, NOW - 1000, NOW, False),
    ]


def test_the_hour_of_receipt_of_a_partition_only_rises(rollups: Rollups) -> None:
    """A partition's hour of receipt is the greatest that was met in it, whatever the last entry says."""
    late, early = reports(2)
    ((partition, stored),) = one_batch([dataclasses.replace(late, timestamp=NOW + MS_PER_HOUR + 5), early])
    for entry in stored:
        rollups.apply([(partition, [entry])], RECORDS)
    assert rows_of(rollups, "SELECT last, epoch_ms(received) FROM offsets") == [(1, NOW + MS_PER_HOUR)]


def test_rows_are_of_the_segment_in_force(rollups: Rollups) -> None:
    """Rows carry the number of seals that there are when they are written."""
    ((partition, stored),) = one_batch(reports(2))
    rollups.apply([(partition, stored[:1])], RECORDS)
    with rollups.transaction() as connection:
        connection.execute("UPDATE about SET segment = 7")
    rollups.apply([(partition, stored[1:])], RECORDS)
    for table in ("seen", "receipts", "remarks", "route_rows", "route_latency"):
        assert rows_of(rollups, f"SELECT DISTINCT segment FROM {table} ORDER BY ALL") == [(0,), (7,)]  # noqa: S608  # names of this line


def test_entries_of_one_partition_may_come_in_parts(rollups: Rollups) -> None:
    """A batch may name a partition more than once, as long as its entries stay in order."""
    ((partition, stored),) = one_batch(reports(4))
    assert rollups.apply([(partition, stored[:1]), (partition, stored[1:])], RECORDS).reports == 4
    assert rollups.offsets() == {partition: 3}
