"""kill -9 of gate and follower in one process, at random moments: what was answered with 202 is in the rollups once.

What the log holds at the end says what the rollups have to hold: the log is the only thing that both read.
"""

import random
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import duckdb
import pytest

from aggregators.database import FILE_NAME
from ingest.records import GATES_OWN
from ingest.report import Entry
from schemas.catalogue import Catalogue, load_catalogue
from tests.end_to_end.posting import Client, Repeater, killed_while_posting
from tests.running_gate import RunningGate, change_tier, running_gate, tier_files
from tidegate.settings import ROLLUPS_DIRECTORY

LIVES, MANY_LIVES = 5, 50
CLIENTS = 3
LONGEST_LIFE_SECONDS = 2.0
"""From the first answer on: long enough for several batches to be applied, and for publications and their files."""


@pytest.fixture
def lives(request: pytest.FixtureRequest) -> int:
    """How often the process is killed: more often where only such tests were asked for (`make faults`)."""
    return MANY_LIVES if request.config.getoption("markexpr") == "faults" else LIVES


def one_life(folder: Path, tiers: Path, catalogue: Catalogue, moments: random.Random) -> Sequence[Client]:
    """Start a process, let clients post and an operator publish, and kill it at a random moment."""
    with running_gate(folder, tiers=tiers, only=None, publish_every_seconds=0.3, settle_seconds=0) as gate:
        makers = [Client, *[Repeater] * (CLIENTS - 1)]
        clients = [make(gate, catalogue, moments.randrange(2**32)) for make in makers]
        killed_while_posting(gate, clients, after=moments.uniform(0, LONGEST_LIFE_SECONDS))
    return clients


@pytest.mark.faults
def test_killed_with_its_rollups(tmp_path: Path, lives: int) -> None:
    """However often the process is killed, the rollups hold every report answered with 202 once, and nothing else."""
    seed = random.randrange(2**32)
    print(f"seed {seed}")  # shown when the test fails, to repeat it
    moments = random.Random(seed)
    tiers = tier_files(tmp_path / "tiers")
    change_tier(tiers / "managed.toml", requests_per_second="100000.0", burst="100000")
    catalogue = load_catalogue(tiers=tiers)
    clients = [client for _ in range(lives) for client in one_life(tmp_path, tiers, catalogue, moments)]
    accepted = {report_id for client in clients for report_id in client.accepted}
    with running_gate(tmp_path, tiers=tiers, only=None) as gate:
        assert gate.publish().status == 200
        assert gate.stop() == 0
        entries = [entry for entry in gate.entries() if entry.topic not in GATES_OWN]
    stored = Counter(entry.key for entry in entries)
    assert len(accepted) > lives
    assert accepted <= stored.keys()
    assert max(stored.values()) > 1, "nothing was posted twice, so nothing is shown about duplicates"
    assert in_rollups(tmp_path / "data" / ROLLUPS_DIRECTORY) == {
        "reports": len(stored),
        "ids": len(stored),
        "duplicates": len(entries) - len(stored),
        "parked": 0,
        "tasks": tasks_once(gate, entries),
    }


def tasks_once(gate: RunningGate, entries: Sequence[Entry]) -> int:
    """The tasks in the rows of the reports in the log, each report counted once."""
    once = {entry.key: entry for entry in entries}
    return sum(row["tasks"] for entry in once.values() for row in gate.decoded(entry)["rows"])


def in_rollups(directory: Path) -> dict[str, int]:
    """What a process that has ended in good order left in its rollups."""
    sums = {
        "reports": "SELECT sum(accepted) FROM receipts",
        "ids": "SELECT count(DISTINCT (hour, id)) FROM seen",
        "duplicates": "SELECT sum(duplicates) FROM receipts",
        "parked": "SELECT count(*) FROM parked",
        "tasks": "SELECT sum(tasks) FROM route_rows",
    }
    with duckdb.connect(str(directory / FILE_NAME), read_only=True) as database:
        found = {name: database.execute(sql).fetchall()[0][0] for name, sql in sums.items()}
    return {name: int(number) for name, number in found.items()}
