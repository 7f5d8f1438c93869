"""The schedule holds a real gate to what a fault may do to it: what else goes wrong is not taken for the fault."""

import shutil
import signal
from collections.abc import AsyncIterator
from pathlib import Path
from random import Random

import pytest

from ingest.log import embedded
from ingest.log.checksum import StoredRow
from load.faults import gate, injections, second_process
from load.faults.damage import byte_flipped
from load.faults.gate import GateFailed, GateProcess
from load.faults.injections import Stage, policy_broken, policy_rolled_back, until
from load.faults.made import ReportMaker
from load.faults.proxy import fault_proxy
from load.faults.second_process import second_follower
from load.faults.storage_faults import can_fail_syncs, disk_full, syncs_fail
from load.faults.told import Told
from load.faults.world import EmbeddedWorld, World

pytestmark = pytest.mark.faults


@pytest.fixture
async def stage(tmp_path: Path) -> AsyncIterator[Stage]:
    """A gate that runs, and all that a fault may touch."""
    world = EmbeddedWorld(tmp_path)
    with fault_proxy(lambda: world.address) as proxy:
        try:
            world.start()
            yield Stage(world, proxy, Random(1), Told(), ReportMaker(world.catalogue, seed=1))
        finally:
            world.close()


async def ended(stage: Stage, number: signal.Signals) -> None:
    """The gate gets a signal that nobody of the schedule sends, and has ended."""
    running = stage.world.gate
    running.signal(number)
    await until(lambda: not running.alive, "the gate has ended", seconds=30)


@pytest.mark.parametrize("number", [signal.SIGABRT, signal.SIGKILL, signal.SIGTERM])
async def test_a_gate_that_ends_by_itself_is_found(stage: Stage, number: signal.Signals) -> None:
    """An end that no fault caused is no kill: it is told with the exit code, whoever comes to it first."""
    await ended(stage, number)
    with pytest.raises(GateFailed, match=r"a gate ended by itself, with (-6|-9|0)"):
        stage.world.revive()
    stage.world.start()
    await ended(stage, number)
    with pytest.raises(GateFailed, match="a gate ended by itself"):
        stage.world.kill()
    assert stage.world.processes.killed == 0


async def test_a_failpoint_that_was_armed_is_a_kill(stage: Stage) -> None:
    """A gate that kills itself where it was armed to is counted as killed, and one that was not armed runs after it."""
    stage.world.ensure("gate.durable=kill")
    assert await stage.post() == "in_doubt"
    await until(lambda: not stage.world.runs, "the gate has killed itself")
    stage.world.revive()
    assert stage.world.processes.killed == 1
    assert await stage.post() == "accepted"


async def test_a_run_that_has_ended_starts_no_gate(stage: Stage) -> None:
    """Whoever comes to start a gate while the run ends, on any thread, leaves none behind."""
    stage.world.kill()
    stage.world.close()
    begun: list[GateProcess] = []
    begin = stage.world._begin  # what is started has to be known here

    def note() -> None:
        begin()
        begun.append(stage.world.gate)

    stage.world._begin = note  # type: ignore[method-assign]
    with pytest.raises(GateFailed, match="the run has ended"):
        stage.world.start()
    assert [one.alive for one in begun] == [False]


async def test_a_full_disk_is_held_to_the_same_process(stage: Stage) -> None:
    """While no file can grow reports are refused, and afterwards the same process takes them."""
    before = stage.world.gate.pid
    assert await disk_full(stage) == "no file can grow"
    assert stage.world.gate.pid == before
    assert "accepted" not in {one.outcome for one in stage.told.heard[:1]}


@pytest.mark.skipif(not can_fail_syncs(), reason="no process may be traced here (strace)")
async def test_a_log_that_does_not_sync_is_found(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    """Failing syncs go by unnoticed where a log makes none: its 202 is seen, and the real log's refusals pass."""
    assert (await syncs_fail(stage)).startswith("fsync fails")
    stage.world.ensure()
    stage.world.stop()
    monkeypatch.setattr(gate, "PROGRAM", "tests.load.faults.without_syncs")
    stage.world.start()
    with pytest.raises(GateFailed, match="answered with accepted while nothing could be stored"):
        await syncs_fail(stage)


async def test_a_policy_rolled_back(stage: Stage) -> None:
    """The file of a lower version is put in force as any other."""
    assert await policy_rolled_back(stage) == "a policy was changed and rolled back"
    assert await stage.post() == "accepted"


async def test_a_start_is_refused_for_the_policy_alone(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    """A gate that does not start for any other reason than the policy, or does start, is found."""
    assert await policy_broken(stage) == "a policy file was broken at reload and at start"
    monkeypatch.setattr(stage.world, "log_settings", lambda: ("--log", "nowhere"))
    with pytest.raises(GateFailed, match="ended with 2"):
        await injections.refused_start(stage.world)
    monkeypatch.undo()
    monkeypatch.setattr(injections, "START_SECONDS", 4.0)
    with pytest.raises(GateFailed, match="has not ended after 4 s"):
        await injections.refused_start(stage.world)


async def test_a_flipped_byte(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its place is told and it is not served; a reader that looks at no checksum serves it, and is found."""
    assert await byte_flipped(stage) == "a byte of the log flipped, and restored"
    stage.world.revive()
    assert stage.world.gate.publish(stage.world.operator).status_code == 200
    monkeypatch.setattr(embedded, "checked", lambda _, columns: StoredRow(*columns))
    with pytest.raises(GateFailed, match="1 entries are served where one is damaged"):
        await byte_flipped(stage)


async def test_a_second_follower(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    """It takes over, and the first one comes back behind it; where they share no history no one is fenced: found."""
    for _ in range(2):
        assert (await second_follower(stage)).startswith("a second follower took over")
        stage.world.revive()
        assert stage.world.gate.publish(stage.world.operator).status_code == 200
    shutil.rmtree(stage.world.data_beside / "rollups")
    monkeypatch.setattr(second_process, "FENCED_SECONDS", 2.0)
    monkeypatch.setattr(second_process, "_same_history", World.log_beside)
    with pytest.raises(GateFailed, match="the first follower says that it is fenced"):
        await second_follower(stage)
