"""From an application of ten lines to an answer: real process, real gate, real rollups."""

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from ingest.clock import ManualClock, SystemClock
from reporter.observing.said import TaskSaid
from reporter.reporter import Reporter
from tests.reporter.api.device import PATIENCE_SECONDS
from tests.reporter.borders import keep_away_from_a_border
from tests.reporter.made_up import HOUR_MS
from tests.running_gate import RunningGate, running_gate, tier_files

APPLICATION = Path(__file__).with_name("app_of_ten_lines.py")
ROOT = Path(__file__).parents[3]
DEVICES = 5
"""As many as k of the managed tier: were the gate's first publication to fall among them, it would show nothing yet."""

QUESTION: TaskSaid = {"data_class": "internal", "task_kind": "interactive", "planned": "on_device"}


@pytest.fixture(scope="module")
def gate(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningGate]:
    """Gate and answers in one process."""
    folder = tmp_path_factory.mktemp("gate")
    settings: dict[str, Any] = {"only": None, "publish_every_seconds": 3600, "settle_seconds": 0}
    with running_gate(folder, tiers=tier_files(folder / "tiers"), **settings) as running:
        yield running


def test_ten_lines_to_an_answer(tmp_path: Path, gate: RunningGate) -> None:
    """Five devices run the application of the manual once; the answers count the tasks of all of them, by route."""
    # In each of two hours there would be fewer of them than k.
    keep_away_from_a_border(seconds=60)
    for number in range(DEVICES):
        folder = tmp_path / str(number)
        device = Reporter(f"{gate.url}/t/managed", gate.tokens["managed"], directory=folder)
        # As `tidegate agent init` does it: the policy is known before the first window.
        assert device.flush(PATIENCE_SECONDS)
        device.close()
        environment = {**os.environ, "TIDEGATE_REPORTER_DIR": str(folder), "PYTHONPATH": str(ROOT)}
        done = subprocess.run(
            [sys.executable, str(APPLICATION)],
            env=environment,
            capture_output=True,
            timeout=PATIENCE_SECONDS,
            check=True,
        )
        assert (done.stdout, done.stderr) == (b"", b"")
        # On a busy machine the end of a process may have been too short to send everything: the next one does.
        after = Reporter(directory=folder)
        assert after.flush(PATIENCE_SECONDS)
        after.close()
    assert gate.publish().status == 200
    rows = gate.ask("/v1/answers/R1?by=route&bucket=hour").document["rows"]
    assert {row["route"]: int(row["tasks"]) for row in rows} == {
        "on_device": 8 * DEVICES, "managed_cloud": 2 * DEVICES,
    }  # fmt: skip


def test_the_window_of_a_contractor(tmp_path: Path, gate: RunningGate) -> None:
    """A contractor's hour is sent once it is over; what its tier drops was never on the disk but in the settings."""
    names = {"user_email": "alice@example.com", "hostname": "alices-laptop", "serial": "SN-4711"}
    now = SystemClock().now_ms()
    clock = ManualClock(now - now % HOUR_MS - HOUR_MS // 2)
    reporter = Reporter(
        f"{gate.url}/t/contractor",
        gate.tokens["contractor"],
        directory=tmp_path,
        clock=clock,
        identifiers=names,
        device={"site": "north-wing", "hardware_model": "ThinkBook 14", "os_version": "14.5.1"},
    )
    for _ in range(7):
        with reporter.task(**QUESTION) as task:
            task.ran_on("on_device", model="pocket-chat", region="north-wing")
    reporter.flush(PATIENCE_SECONDS)
    clock.advance(1800)
    assert reporter.flush(PATIENCE_SECONDS)
    reporter.close()
    entries = [entry for entry in gate.entries() if entry.topic == "tidegate.contractor.route_window.v1"]
    (kept,) = (gate.decoded(entry) for entry in entries)
    assert sum(row["tasks"] for row in kept["rows"]) == 7
    planted = [*names.values(), "north-wing", "ThinkBook 14", "14.5.1"]
    for file in set(tmp_path.iterdir()) - {tmp_path / "settings.json"}:
        content = file.read_bytes()
        assert not [name for name in planted if name.encode() in content], file.name
