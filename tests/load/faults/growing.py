"""`tidegate` whose follower keeps 32 MiB for every batch that it applies, for a test that has to see it found out.

    python -m tests.load.faults.growing CLOCK_FILE tidegate serve --data ./data

Stands in the place of `load.faults.turned_clock`.
"""

from aggregators.rollups.load import Applied
from aggregators.rollups.rollups import Rollups
from aggregators.rollups.stripped import Batch, StrippedRecords
from load.faults import turned_clock

KEPT_BYTES = 32 << 20

apply = Rollups.apply
kept: list[bytes] = []


def growing(rollups: Rollups, batch: Batch, records: StrippedRecords) -> Applied:
    """As `Rollups.apply`, broken on purpose."""
    if any(entries for _, entries in batch):
        kept.append(b"\1" * KEPT_BYTES)
    return apply(rollups, batch, records)


if __name__ == "__main__":
    setattr(Rollups, "apply", growing)  # noqa: B010  # mypy takes an assignment for a mistake
    turned_clock.main()
