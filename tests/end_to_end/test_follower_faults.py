"""What goes wrong behind the gate: records that nobody can read, rollups that are gone or damaged. The gate goes on."""

import asyncio
import json
import shutil
import time
from pathlib import Path
from typing import Any

import pytest

from aggregators.database import FILE_NAME
from aggregators.following.standing import ABSURD_RECORDS
from ingest.log.embedded import EmbeddedLog
from ingest.report import Entry
from load.leaks import Scanner
from tests.end_to_end.fleet_of_ten import DEVICES, post_all
from tests.running_gate import RunningGate, eventually, refused_start, running_gate, tier_files
from tidegate.settings import LOG_DIRECTORY, ROLLUPS_DIRECTORY

BOTH: dict[str, Any] = {"only": None, "publish_every_seconds": 3600, "settle_seconds": 3600}
R1 = "/v1/answers/R1?by=route&bucket=hour"
TOPIC = "tidegate.managed.route_window.v1"
SECRET = b"ada.lovelace@example.org, bytes that nobody can read"


def damage_log(data: Path, entries: int) -> None:
    """Append entries that no gate would write; the gate must not be running."""

    async def append() -> None:
        log = EmbeddedLog(data / LOG_DIRECTORY)
        await log.append(
            [Entry(TOPIC, number.to_bytes(16), SECRET, time.time_ns() // 1_000_000) for number in range(entries)]
        )
        await log.close()

    asyncio.run(append())


def answered(gate: RunningGate) -> list[dict[str, Any]]:
    """The published rows of R1."""
    assert gate.publish().status == 200
    return list(gate.ask(R1).document["rows"])


def test_a_damaged_record_is_parked(tmp_path: Path) -> None:
    """A record that cannot be read is parked without its bytes, and everything around it is counted."""
    tiers = tier_files(tmp_path / "tiers")
    with running_gate(tmp_path, tiers=tiers) as gate:
        post_all(gate)
        gate.stop()
    damage_log(tmp_path / "data", 1)
    with running_gate(tmp_path, tiers=tiers, **BOTH) as gate:
        post_all(gate, fleet=2)
        assert answered(gate)
        status = gate.ask("/v1/status").document["follower"]
        assert (status["state"], status["applied"], status["parked"]) == ("following", 2 * DEVICES, 1)
        gate.stop()
    assert not Scanner({"the record": SECRET}).scan({"rollups": (rollups(tmp_path) / FILE_NAME).read_bytes()})


def test_records_that_are_absurd(tmp_path: Path) -> None:
    """Where too many records cannot be read the follower stops and says why, and the gate takes reports as before."""
    tiers = tier_files(tmp_path / "tiers")
    with running_gate(tmp_path, tiers=tiers) as gate:
        gate.stop()
    damage_log(tmp_path / "data", ABSURD_RECORDS)
    with running_gate(tmp_path, tiers=tiers, **BOTH) as gate:
        stopped = eventually(
            lambda: (found := gate.get("/readyz/answers").document)["state"] == "stopped" and found, "it has stopped"
        )
        assert (stopped["status"], stopped["why"]) == ("not ready", "too_many_unreadable")
        assert "detail" not in stopped, "it may name a path, and nobody showed a token"
        assert "tidegate rebuild" in gate.ask("/v1/status").document["follower"]["detail"]
        assert gate.get("/readyz/answers").status == 503
        eventually(lambda: gate.get("/readyz").status == 200, "the gate is ready")
        assert gate.get("/readyz").document["answers"].keys() == {"state", "why", "lag"}
        assert gate.get("/readyz").document["answers"]["state"] == "stopped"
        post_all(gate)
        assert gate.metrics()['tidegate_follower_state{state="stopped"}'] == 1
        refused = gate.publish()
        assert (refused.status, refused.document["reason"]) == (503, "rollups_unavailable")
        assert any("too_many_unreadable" in json.dumps(line) for line in gate.events("follower_state"))
        assert any("tidegate rebuild" in note for note in gate.ask(R1).document["notes"])
        assert gate.stop() == 0
        assert SECRET not in gate.stderr


@pytest.mark.parametrize("also", ["", ".wal"])
def test_rollups_that_are_gone(tmp_path: Path, also: str) -> None:
    """A DuckDB file that was removed is made anew from the log, and what was published stays as it was."""
    tiers = tier_files(tmp_path / "tiers")
    with running_gate(tmp_path, tiers=tiers, **BOTH) as gate:
        post_all(gate)
        before = answered(gate)
        gate.stop()
    (rollups(tmp_path) / FILE_NAME).unlink()
    if also:
        (rollups(tmp_path) / f"{FILE_NAME}{also}").write_bytes(b"of the file that is gone")
    with running_gate(tmp_path, tiers=tiers, **BOTH) as gate:
        assert gate.ask(R1).document["rows"] == before
        assert answered(gate) == before
        applied = gate.ask("/v1/status").document["follower"]["applied"]
        # Where an hour of the log turned meanwhile there is a seal, and only what is behind it comes from the log.
        assert applied == DEVICES or (gate.events("sealed") and applied < DEVICES)


def test_a_directory_that_cannot_be_written(tmp_path: Path) -> None:
    """Where no rollups can be made, the refusal says so without a traceback, and that ingest alone may still start."""
    tiers = tier_files(tmp_path / "tiers")
    (tmp_path / "data").mkdir(mode=0o700)
    rollups(tmp_path).write_bytes(b"a file where the directory should be")
    code, said = refused_start(tmp_path, tiers=tiers, only=None)
    assert code == 1
    assert "--only ingest" in said
    assert "Traceback" not in said


def test_rollups_that_are_damaged(tmp_path: Path) -> None:
    """A damaged DuckDB file is refused with the command that mends it, left as it is, and ingest alone still starts."""
    tiers = tier_files(tmp_path / "tiers")
    with running_gate(tmp_path, tiers=tiers, **BOTH) as gate:
        post_all(gate)
        gate.stop()
    file = rollups(tmp_path) / FILE_NAME
    file.write_bytes(b"\xff" * file.stat().st_size)
    shutil.copyfile(file, tmp_path / "as it was")
    for only in (None, "answers"):
        code, said = refused_start(tmp_path, tiers=tiers, only=only)
        assert code == 1
        assert f"tidegate rebuild --data {tmp_path / 'data'}" in said
        assert "--only ingest" in said
        assert "Traceback" not in said
    assert file.read_bytes() == (tmp_path / "as it was").read_bytes()
    with running_gate(tmp_path, tiers=tiers) as gate:
        post_all(gate, fleet=2)
        assert gate.stop() == 0


def rollups(folder: Path) -> Path:
    """Where a gate in `folder` keeps them."""
    return folder / "data" / ROLLUPS_DIRECTORY
