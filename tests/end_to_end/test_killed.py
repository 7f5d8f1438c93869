"""kill -9 at random moments: what was answered with 202 is in the log once, and nothing half-written."""

import random
import sqlite3
from collections import Counter
from contextlib import closing
from pathlib import Path

import pytest

from ingest.log.sqlite_file import FILE_NAME
from ingest.records import GATES_OWN
from schemas.catalogue import Catalogue, load_catalogue
from tests.end_to_end.posting import BATCH, Client, killed_while_posting
from tests.running_gate import change_tier, running_gate, tier_files
from tidegate.settings import LOG_DIRECTORY

LIVES, MANY_LIVES = 4, 20
CLIENTS = 6
LONGEST_LIFE_SECONDS = 0.25
"""From the first answer on; a commit takes about a millisecond, so the kill falls into any phase of one."""


@pytest.fixture
def lives(request: pytest.FixtureRequest) -> int:
    """How often the process is killed: more often where only such tests were asked for (`make faults`)."""
    return MANY_LIVES if request.config.getoption("markexpr") == "faults" else LIVES


def one_life(folder: Path, tiers: Path, catalogue: Catalogue, moments: random.Random) -> list[Client]:
    """Start a gate, let clients post, and kill it at a random moment after its first answers."""
    with running_gate(folder, tiers=tiers) as gate:
        clients = [Client(gate, catalogue, moments.randrange(2**32)) for _ in range(CLIENTS)]
        killed_while_posting(gate, clients, after=moments.uniform(0, LONGEST_LIFE_SECONDS))
    return clients


@pytest.mark.faults
def test_killed_at_any_moment(tmp_path: Path, lives: int) -> None:
    """However often it is killed among posts, every report that was answered with 202 is in the log exactly once."""
    seed = random.randrange(2**32)
    print(f"seed {seed}")  # shown when the test fails, to repeat it
    moments = random.Random(seed)
    tiers = tier_files(tmp_path / "tiers")
    change_tier(tiers / "managed.toml", requests_per_second="100000.0", burst="100000")
    catalogue = load_catalogue(tiers=tiers)
    clients = [client for _ in range(lives) for client in one_life(tmp_path, tiers, catalogue, moments)]
    accepted = {report_id for client in clients for report_id in client.accepted}
    sent = {report_id for client in clients for report_id in client.sent}
    with running_gate(tmp_path, tiers=tiers) as gate:
        assert gate.stop() == 0
        entries = gate.entries()
    for entry in entries:
        gate.decoded(entry)
    stored = Counter(entry.key for entry in entries if entry.topic not in GATES_OWN)
    assert len(accepted) > lives * BATCH
    assert accepted <= stored.keys() <= sent
    assert set(stored.values()) == {1}
    assert_batches_are_whole(clients, stored)
    assert integrity(tmp_path / "data" / LOG_DIRECTORY) == "ok"


def assert_batches_are_whole(clients: list[Client], stored: Counter[bytes]) -> None:
    """What was in the log without an answer is at most one post of each client: the one that the kill interrupted."""
    for client in clients:
        unanswered = {report_id for report_id in client.sent if report_id in stored} - set(client.accepted)
        assert len(unanswered) in {0, 1, BATCH}


def integrity(directory: Path) -> str:
    """What SQLite says of the whole file."""
    with closing(sqlite3.connect(directory / FILE_NAME)) as database:
        (verdict,) = database.execute("PRAGMA integrity_check").fetchone()
    return str(verdict)
