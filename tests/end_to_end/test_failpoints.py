"""kill -9 at each named point of a gate: what its client was told holds, and one retry makes it whole."""

import os
from collections import Counter
from pathlib import Path

import httpx
import pytest

from ingest.failpoint import NAMES, VARIABLE
from ingest.records import GATES_OWN
from tests.end_to_end.reports import Reports
from tests.end_to_end.test_killed_serve import in_rollups
from tests.running_gate import RunningGate, eventually, refused_start, running_gate, tier_files
from tidegate.settings import ROLLUPS_DIRECTORY

TIME = 20
"""At this time of coming by: schemas and the gate's own records are appended as well, the first before it is ready."""

STORED = {
    "gate.body_read": 0,
    "gate.decoded": 0,
    "gate.stripped": 0,
    "gate.appended": 0,
    "gate.durable": 1,
    "gate.before_answer": 1,
}
"""How often a report that gets this far is in the log once its gate was killed there; its sender cannot know."""


def stored(gate: RunningGate) -> Counter[bytes]:
    """How often each report is in the log."""
    return Counter(entry.key for entry in gate.entries() if entry.topic not in GATES_OWN)


def test_every_failpoint_of_the_gate_is_in_the_table() -> None:
    """The table below has each point of a gate, and in their order."""
    assert list(STORED) == [name for name in NAMES if name.startswith("gate.")]


@pytest.mark.parametrize("name", STORED)
@pytest.mark.faults
def test_killed_at(tmp_path: Path, name: str) -> None:
    """What was answered with 202 is there once, what was under way once or not at all, and a retry counts once."""
    tiers = tier_files(tmp_path / "tiers")
    environment = {**os.environ, VARIABLE: f"{name}=kill@{TIME}"}
    with running_gate(tmp_path, tiers=tiers, environment=environment) as gate:
        (armed,) = gate.events("failpoint_armed")
        assert (armed["failpoint"], armed["action"], armed["time"]) == (name, "kill", TIME)
        reports = Reports(gate.catalogue)
        accepted, doomed = posted_until_killed(gate, reports)
    with running_gate(tmp_path, tiers=tiers, only=None) as gate:
        expected = Counter(accepted) + Counter({doomed: STORED[name]})
        assert stored(gate) == expected
        assert gate.post("managed", "route_window", reports.message(report_id=doomed)).status == 202
        assert gate.publish().status == 200
        assert gate.stop() == 0
        assert stored(gate) == expected + Counter([doomed])
    counted = in_rollups(tmp_path / "data" / ROLLUPS_DIRECTORY)
    assert (counted["reports"], counted["ids"]) == (len(accepted) + 1,) * 2
    assert counted["duplicates"] == STORED[name]


def posted_until_killed(gate: RunningGate, reports: Reports) -> tuple[list[bytes], bytes]:
    """The reports that were answered with 202, and the one that was under way when the gate was gone."""
    accepted: list[bytes] = []
    while True:
        report_id = len(accepted).to_bytes(16)
        try:
            answer = gate.post("managed", "route_window", reports.message(report_id=report_id))
        except httpx.TransportError:
            eventually(lambda: gate.process.poll() is not None, "the gate is gone")
            return accepted, report_id
        assert answer.status == 202
        accepted.append(report_id)
        assert len(accepted) < TIME, "the gate was not killed"


def test_a_failpoint_that_there_is_not(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A gate does not start with a failpoint that does not exist, and names the nearest that does."""
    monkeypatch.setenv(VARIABLE, "gate.durabel=kill")
    code, said = refused_start(tmp_path, tiers=tier_files(tmp_path / "tiers"))
    assert code == 2
    assert "did you mean gate.durable" in said
    assert "Traceback" not in said
