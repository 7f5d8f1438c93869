"""Whatever the order of partitions, the size of batches and pieces, and how often an entry comes: equal rollups."""

import dataclasses
import tempfile
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from random import Random
from unittest.mock import patch

from hypothesis import given, settings
from hypothesis import strategies as st

from aggregators.rollups import load
from aggregators.rollups.rollups import Rollups
from aggregators.rollups.stripped import Batch
from ingest.report import Entry, Partition, StoredEntry
from ingest.telemetry.account import OutcomeCount
from load.reports import MS_PER_HOUR
from tests.rollups_input import CATALOGUE, NOW, outcomes_of, placed, seeded_report, stripped_records
from tests.rollups_snapshot import Snapshot, differences, snapshot

RECORDS = stripped_records()


@cache
def entries() -> tuple[Entry, ...]:
    """Reports of every type and tier over three hours; some twice, some with another's id, some damaged; outcomes."""
    random = Random(7)
    pairs = [(tier.name, name) for tier in CATALOGUE.tiers.values() for name in tier.reports]
    made = [_report(random, tier=tier, name=name) for tier, name in pairs for _ in range(4)]
    made += random.sample(made, len(made) // 5)
    made += [_report(random, tier=tier, name=name, report_id=b"the same id each") for tier, name in pairs * 2]
    made += [dataclasses.replace(one, value=one.value[:-1]) for one in random.sample(made, 5)]
    made += [outcomes_of("a gate", sequence, OutcomeCount("managed", "accepted", 3)) for sequence in (0, 1, 1, 2)]
    random.shuffle(made)
    return tuple(made)


def _report(random: Random, *, tier: str, name: str, report_id: bytes | None = None) -> Entry:
    now = NOW - random.randrange(3) * MS_PER_HOUR
    return seeded_report(name, random, tier=tier, now=now, report_id=report_id)


@cache
def expected() -> Snapshot:
    """What one batch of everything says."""
    return rolled_up([list(placed(entries(), partitions=3).items())])


def rolled_up(batches: list[Batch]) -> Snapshot:
    """The snapshot of fresh rollups after these batches."""
    with tempfile.TemporaryDirectory() as directory:
        rollups = Rollups.open(Path(directory))
        for batch in batches:
            rollups.apply(batch, RECORDS)
        found = snapshot(rollups)
        rollups.close()
    return found


def cut(random: Random, size: int) -> Iterator[Batch]:
    """All entries in batches of up to `size`, each of some entries of one partition after another, in any order."""
    left = placed(entries(), partitions=3)
    batch: list[tuple[Partition, list[StoredEntry]]] = []
    room = random.randint(1, size)
    while left:
        partition = random.choice(sorted(left))
        taken = left[partition][: random.randint(1, room)]
        batch.append((partition, taken))
        left[partition] = left[partition][len(taken) :]
        if not left[partition]:
            del left[partition]
        room -= len(taken)
        if room <= 0:
            yield batch
            batch, room = [], random.randint(1, size)
    if batch:
        yield batch


@settings(max_examples=6, deadline=None)
@given(
    seed=st.integers(0, 2**32), size=st.sampled_from([40, 100, 300]), piece=st.sampled_from([3_000, load.PIECE_BYTES])
)
def test_any_order_and_any_batches_give_equal_rollups(seed: int, size: int, piece: int) -> None:
    """However the log is cut into batches and pieces, and partitions take turns, every table says the same."""
    with patch.object(load, "PIECE_BYTES", piece):
        found = rolled_up(list(cut(Random(seed), size)))
    assert differences(expected(), found) == []


def test_the_tables_are_filled() -> None:
    """The entries of this test leave rows in every table, so that their equality says something."""
    assert [table for table, rows in expected().items() if not rows] == []
