"""kill -9 of a follower at each named point: what it was doing happened whole or not at all, and goes on once."""

import signal
from contextlib import closing
from pathlib import Path

import pytest

from aggregators.publication.published import numbers as publications
from aggregators.repair.rebuild import PUBLISHED_NAME, rebuild
from aggregators.rollups.rollups import Rollups
from aggregators.sealing.seal_files import DIRECTORY_NAME, numbers, read_chain
from ingest.log.embedded import EmbeddedLog
from tests.aggregators.follower_process import follower_process, says, told
from tests.aggregators.followers import PATIENCE_SECONDS, apply_everything, contents
from tests.aggregators.stored_reports import CATALOGUE, fill, stored

ENTRIES = stored(120, seed=14)


def applied(directory: Path) -> int:
    """How many entries are in the rollups."""
    with closing(Rollups.open(directory)) as rollups:
        return sum(last + 1 for last in rollups.offsets().values())


@pytest.mark.parametrize(
    ("point", "counted", "sealed", "published"),
    [
        pytest.param("follower.rolled_up", False, 1, 1, id="rows are in the transaction"),
        pytest.param("follower.committed", True, 1, 1, id="and committed"),
        pytest.param("seal.drafted", True, 1, 1, id="a seal has no name yet"),
        pytest.param("seal.placed", True, 2, 1, id="a seal has its name, and is not counted"),
        pytest.param("publish.drafted", True, 2, 1, id="a publication has no name yet"),
        pytest.param("publish.placed", True, 2, 2, id="a publication has its name, and is not in the tables"),
    ],
)
@pytest.mark.faults
async def test_killed_at(tmp_path: Path, point: str, counted: bool, sealed: int, published: int) -> None:
    """Killed there in its second round, it leaves whole files, and the next process goes on behind them."""
    log = EmbeddedLog(tmp_path / "log", partitions=2)
    await fill(log, ENTRIES[:60])
    rollups = tmp_path / "rollups"
    with follower_process(tmp_path, tmp_path / "log", armed=f"{point}=kill@2") as process:
        for deed in ("seal", "publish"):
            told(process, deed)
            assert says(process) == deed
        await fill(log, ENTRIES[60:])
        told(process, "seal\npublish")  # at once: it may be dead before it could be told to publish
        assert process.wait(PATIENCE_SECONDS) == -signal.SIGKILL
    assert applied(rollups) == (len(ENTRIES) if counted else 60)
    assert numbers(rollups / DIRECTORY_NAME)[-1] == sealed
    assert len(publications(rollups / PUBLISHED_NAME)) == published
    with follower_process(tmp_path, tmp_path / "log") as process:
        for deed in ("seal", "publish"):
            told(process, deed)
            assert says(process) == deed
        told(process, "end")
        assert says(process).startswith("following;None")
        assert process.wait(PATIENCE_SECONDS) == 0
    await apply_everything(tmp_path / "whole", log)
    expected = contents(tmp_path / "whole")
    assert contents(rollups) == expected
    chain = read_chain(rollups / DIRECTORY_NAME)
    await rebuild(rollups, log, chain=chain, tiers=CATALOGUE.tiers, progress=lambda _: None)
    assert contents(rollups) == expected
    assert not list(rollups.rglob(".draft-*"))
    await log.close()


async def test_a_second_one_on_the_same_rollups_is_refused_and_fences_nobody(tmp_path: Path) -> None:
    """DuckDB has the file locked, so the second process ends; the first one seals and publishes as if nothing was."""
    log = EmbeddedLog(tmp_path / "log", partitions=2)
    await fill(log, ENTRIES[:60])
    with follower_process(tmp_path, tmp_path / "log") as first:
        told(first, "seal")
        assert says(first) == "seal"
        with follower_process(tmp_path, tmp_path / "log") as second:
            _, complaint = second.communicate(timeout=PATIENCE_SECONDS)
            assert second.returncode == 1
            assert "is open in another process" in complaint
        await fill(log, ENTRIES[60:])
        for deed in ("seal", "publish"):
            told(first, deed)
            assert says(first) == deed
        told(first, "end")
        assert says(first).startswith("following;None")
        assert first.wait(PATIENCE_SECONDS) == 0
    await log.close()
