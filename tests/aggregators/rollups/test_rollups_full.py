"""A disk that is full under the rollups: said so, nothing counted twice, and on with it once there is space."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[3]

STORAGE_THAT_ENDS = """
import json, resource, signal, sys
from pathlib import Path
from random import Random

import duckdb

from aggregators.rollups.rollups import Rollups, RollupsFull
from tests.rollups_input import placed, seeded_report, stripped_records
from tests.rollups_snapshot import differences, snapshot

directory, spare, threshold, size = Path(sys.argv[1]), int(sys.argv[2]), sys.argv[3], 40
random = Random(5)
entries = [seeded_report("route_window", random, tier="managed") for _ in range(12 * size)]
((partition, stored),) = placed(entries).items()
batches = [stored[at : at + size] for at in range(0, len(stored), size)]
records = stripped_records()

rollups = Rollups.open(directory / "whole")
for batch in batches:
    rollups.apply([(partition, batch)], records)
expected = snapshot(rollups)
rollups.close()


def use(rollups):
    cursor = rollups.cursor()
    cursor.execute(f"SET GLOBAL checkpoint_threshold = '{threshold}'")
    return cursor


signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
rollups = Rollups.open(directory / "full")
reader = use(rollups)
resource.setrlimit(resource.RLIMIT_FSIZE, (spare, hard))
full, invalid, said, left = 0, 0, set(), list(batches)
while left:
    after = rollups.offsets().get(partition, -1)
    left = [batch for batch in batches if batch[-1].offset > after]
    try:
        for batch in left:
            rollups.apply([(partition, batch)], records)
        left = []
    except RollupsFull as error:
        full += 1
        said.add(str(error))
        try:
            reader.execute("SELECT count(*) FROM seen").fetchall()
        except duckdb.FatalException:
            invalid += 1
        if full % 3 == 0:
            resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
        try:
            rollups.reopen()
        except RollupsFull:
            resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
            rollups.reopen()
        reader = use(rollups)
resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
wrong = differences(expected, snapshot(rollups))
print(json.dumps({"full": full, "invalid": invalid, "said": sorted(said), "differences": wrong}))
rollups.close()
"""


@pytest.mark.faults
@pytest.mark.parametrize(
    ("spare", "threshold", "invalid"),
    [
        pytest.param(300_000, "16MB", False, id="in the write-ahead log"),
        pytest.param(900_000, "50KB", True, id="in a checkpoint, after which DuckDB refuses everything"),
    ],
)
def test_a_full_disk_is_survived(tmp_path: Path, spare: int, threshold: str, invalid: bool) -> None:
    """Wherever the space ends, applying says so, and after reopening with space all is counted exactly once."""
    command = [sys.executable, "-c", STORAGE_THAT_ENDS, str(tmp_path), str(spare), threshold]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False, timeout=120)
    assert done.returncode == 0, done.stderr[-2000:]
    found = json.loads(done.stdout)
    assert found["full"] > 0
    assert bool(found["invalid"]) is invalid
    assert all("no space left for the rollups" in text for text in found["said"])
    assert found["differences"] == []
