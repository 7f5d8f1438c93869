"""A follower that is stopped (SIGSTOP) and wakes up when another one has taken over, with real processes.

Both have a data directory of their own, whose seals and publications are the same directories, and read the same log.
"""

import asyncio
import hashlib
import os
import signal
from pathlib import Path

import pytest

from aggregators.fence import EPOCHS_NAME
from aggregators.publication.published import numbers as publications
from aggregators.publication.published import verified
from aggregators.repair.rebuild import PUBLISHED_NAME, rebuild
from aggregators.sealing.seal_files import DIRECTORY_NAME, read_chain
from ingest.log.embedded import EmbeddedLog
from tests.aggregators.follower_process import follower_process, says, told
from tests.aggregators.followers import PATIENCE_SECONDS, apply_everything, contents
from tests.aggregators.stored_reports import CATALOGUE, fill, stored

ENTRIES = stored(150, seed=11)


def shared(first: Path, second: Path) -> list[Path]:
    """Two data directories with the same seals and publications."""
    made = []
    for name in (DIRECTORY_NAME, PUBLISHED_NAME):
        (first / "rollups" / name).mkdir(parents=True, mode=0o700)
        (second / "rollups").mkdir(parents=True, exist_ok=True)
        (second / "rollups" / name).symlink_to(first / "rollups" / name)
        made.append(first / "rollups" / name)
    return made


def counting(directories: list[Path]) -> dict[str, str]:
    """Every file that counts, with its SHA-256."""
    return {
        str(file): hashlib.sha256(file.read_bytes()).hexdigest()
        for directory in directories
        for number in directory.glob("[0-9]*")
        for file in number.iterdir()
    }


@pytest.mark.parametrize("place", ["seal.drafted", "seal.placed", "publish.drafted", "publish.placed"])
@pytest.mark.faults
async def test_a_follower_that_wakes_up_adds_nothing(tmp_path: Path, place: str) -> None:
    """It finds that another one has taken over, says so and stops; what the other one made is as it was, and whole."""
    paused_data, data = tmp_path / "paused", tmp_path / "second"
    directories = shared(paused_data, data)
    log = EmbeddedLog(tmp_path / "log", partitions=2)
    await fill(log, ENTRIES[:80])
    deed = "seal" if place.startswith("seal") else "publish"
    with follower_process(paused_data, tmp_path / "log", armed=f"{place}=stop") as paused:
        told(paused, deed)
        assert os.WIFSTOPPED(os.waitpid(paused.pid, os.WUNTRACED)[1])
        with follower_process(data, tmp_path / "log") as second:
            await fill(log, ENTRIES[80:])
            for one in ("seal", "publish"):
                told(second, one)
                assert says(second) == one
            made = counting(directories)
            # Before it wakes up: it may have ended before it could be told.
            told(paused, deed)
            told(paused, "end")
            paused.send_signal(signal.SIGCONT)
            line = says(paused)
            assert line.count(";") >= 2, (line, paused.poll())
            state, why, detail = line.split(";", 2)
            assert (state, why) == ("stopped", "fenced")
            assert f"process {second.pid} on {os.uname().nodename}" in detail
            assert str(tmp_path) not in detail
            assert paused.wait(PATIENCE_SECONDS) == 0
            assert counting(directories) == made
            for one in ("publish", "seal"):
                told(second, one)
                assert says(second) == one
            told(second, "end")
            assert says(second).startswith("following;None")
            assert second.wait(PATIENCE_SECONDS) == 0
    assert counting(directories).items() >= made.items()
    seals, published = directories
    assert [verified(published, number).number for number in publications(published)]
    assert not list(seals.glob(".draft-*"))
    assert [one.name for one in (seals / EPOCHS_NAME).iterdir()]
    chain = read_chain(seals)
    await apply_everything(tmp_path / "whole", log)
    expected = contents(tmp_path / "whole")
    assert contents(data / "rollups") == expected
    await rebuild(data / "rollups", log, chain=chain, tiers=CATALOGUE.tiers, progress=lambda _: None)
    assert contents(data / "rollups") == expected
    await asyncio.wait_for(log.close(), PATIENCE_SECONDS)
