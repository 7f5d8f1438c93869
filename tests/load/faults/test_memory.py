"""The bound on memory is broken by a process that grows, and by nothing that DuckDB may keep."""

from pathlib import Path
from random import Random
from types import SimpleNamespace
from typing import cast

import pytest

from load.faults import gate
from load.faults.clients import Clients
from load.faults.evidence import DATABASE
from load.faults.gate import GateProcess
from load.faults.made import ReportMaker
from load.faults.memory import MEMORY_BYTES, Memory
from load.faults.told import Told
from load.faults.world import EmbeddedWorld

MIB = 1 << 20
BATCHES = 6
"""More than would fill the bound, at 32 MiB each."""


@pytest.fixture(autouse=True)
def one_look(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing else runs in these processes that a second look could find to be over."""
    monkeypatch.setattr("load.faults.memory.CALM_SECONDS", 0.0)


def holding(mebibytes: int) -> GateProcess:
    """Stands for a process that holds so much."""
    return cast("GateProcess", SimpleNamespace(own_bytes=lambda: mebibytes * MIB))


def said(memory: Memory, mebibytes: int) -> list[str]:
    """What is wrong with a process that holds so much."""
    return [str(violation) for violation in memory.violations(holding(mebibytes))]


def test_what_is_more_than_the_first_one_had(tmp_path: Path) -> None:
    """A process may hold so much more than the first one, and not a MiB beyond it."""
    memory, most = Memory(tmp_path), MEMORY_BYTES // MIB
    assert said(memory, 100) == []
    assert said(memory, 100 + most) == []
    assert said(memory, 101 + most) == [
        f"I6: the process holds {most + 1} MiB more than the first one after its first round"
    ]


def test_what_duckdb_keeps_of_its_file_is_no_growth(tmp_path: Path) -> None:
    """Where file and write-ahead log grow the process may grow as much, and by no more than that."""
    memory, most = Memory(tmp_path), MEMORY_BYTES // MIB
    said(memory, 100)
    for name in (DATABASE, f"{DATABASE}.wal"):
        with (tmp_path / name).open("wb") as file:
            file.truncate(200 * MIB)
    assert said(memory, 500 + most) == []
    assert said(memory, 501 + most)


def test_a_young_process_beside_it(tmp_path: Path) -> None:
    """One that has just begun on the same data holds less than one that grew, however large the data made both."""
    memory, most = Memory(tmp_path), MEMORY_BYTES // MIB
    said(memory, 400 + most)
    assert list(memory.violations_beside(holding(400))) == []
    assert [one.invariant for one in memory.violations_beside(holding(399))] == ["I6"]


@pytest.mark.faults
@pytest.mark.parametrize(
    ("program", "expected"),
    [
        pytest.param("load.faults.turned_clock", [], id="as it is"),
        pytest.param("tests.load.faults.growing", ["I6"], id="keeps 32 MiB for every batch"),
    ],
)
async def test_a_process_that_grows_is_found(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, program: str, expected: list[str]
) -> None:
    """A gate whose follower keeps something for every batch is found, and the same gate without that fault is not."""
    monkeypatch.setattr(gate, "PROGRAM", program)
    world = EmbeddedWorld(tmp_path)
    memory, maker = Memory(world.data / "rollups"), ReportMaker(world.catalogue, seed=1)
    try:
        world.start()
        clients = Clients(world.gate.address, world.tokens, told=Told(), maker=maker, random=Random(1), accepted=[])
        found = []
        for _ in range(1 + BATCHES):
            await clients.post_once(maker.make("managed", now=world.now()))
            assert world.gate.publish(world.operator).status_code == 200
            found = [violation.invariant for violation in memory.violations(world.gate)]
    finally:
        world.close()
    assert found == expected
