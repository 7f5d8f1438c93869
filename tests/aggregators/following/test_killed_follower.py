"""kill -9 of a follower at any moment of applying and sealing: the tables are those of an uninterrupted life."""

import random
import threading
import time
from contextlib import closing
from pathlib import Path

import pytest

from aggregators.repair.rebuild import rebuild
from aggregators.rollups.rollups import Rollups
from aggregators.sealing.seal_files import DIRECTORY_NAME, read_chain
from ingest.log.embedded import EmbeddedLog
from ingest.telemetry.events import Event
from tests.aggregators.followers import PATIENCE_SECONDS, apply_everything, contents, follow_to_the_end, program
from tests.aggregators.stored_reports import CATALOGUE, fill, stored

APPLY_AND_SEAL = """
import asyncio, sys
from pathlib import Path
from aggregators.following import batches
from aggregators.sealing import seal
from aggregators.repair.rebuild import open_or_rebuild
from aggregators.following.standing import State
from ingest.log.embedded import EmbeddedLogReader
from tests.aggregators.followers import clock_at
from tests.aggregators.stored_reports import CATALOGUE
from aggregators.following.follow import Follower

batches.MAX_RECORDS = batches.CHUNK = 10
data = Path(sys.argv[1])
passes = 0

def due(sealer, **_):
    global passes
    passes += 1
    print("pass", flush=True)
    return passes % 2 == 0

seal.Sealer.due = due

async def main():
    rollups = open_or_rebuild(data / "rollups", tiers=CATALOGUE.tiers)
    follower = Follower(
        EmbeddedLogReader(data / "log"), rollups, clock=clock_at(12), tiers=lambda: CATALOGUE.tiers
    )
    print("running", flush=True)
    await follower.run()
    print(follower.status(), flush=True)

asyncio.run(main())
"""

ENTRIES_OF_A_LIFE = 60
LONGEST_LIFE_PASSES = 5


@pytest.fixture
def lives(request: pytest.FixtureRequest) -> int:
    """How often the process is killed: in a run of all tests a few times, in `make faults` many times."""
    return 50 if request.config.getoption("markexpr") == "faults" else 5


def killed(data: Path, moments: random.Random) -> None:
    """Follow for some passes and a part of one more, with a seal after every second one, and be killed."""
    with program(APPLY_AND_SEAL, data) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "running\n", process.communicate()[1]
        begun, passes = time.monotonic(), moments.randrange(1, LONGEST_LIFE_PASSES)
        for _ in range(passes):
            assert process.stdout.readline() == "pass\n"
        # Not a wait for something to happen: the moment is what is drawn, from as long as two passes take here.
        threading.Event().wait(moments.uniform(0, 2 * (time.monotonic() - begun) / passes))
        process.kill()
        said = process.communicate(timeout=PATIENCE_SECONDS)[1]
        # At the log's end a follower says so, and where nobody has said where to, the bare name comes to stderr.
        assert set(said.splitlines()) <= {str(Event.FOLLOWER_STATE)}


@pytest.mark.faults
async def test_killed_at_any_moment(tmp_path: Path, lives: int) -> None:
    """However often it is killed, every report is counted once, and seals and log make equal tables."""
    seed = random.randrange(2**32)
    print(f"seed {seed}")  # shown when the test fails, to repeat it
    moments = random.Random(seed)
    entries = stored(ENTRIES_OF_A_LIFE * lives, seed=7)
    log = EmbeddedLog(tmp_path / "log", partitions=2)
    progress = []
    for life in range(lives):
        # A part of the log for every life, so that none of them finds nothing to do.
        await fill(log, entries[life * len(entries) // lives : (life + 1) * len(entries) // lives])
        killed(tmp_path, moments)
        with closing(Rollups.open(tmp_path / "rollups")) as rollups:
            progress.append(sum(last + 1 for last in rollups.offsets().values()))
    assert progress == sorted(progress)
    assert progress[-1] > 0
    await follow_to_the_end(tmp_path / "rollups", log)
    await apply_everything(tmp_path / "whole", log)
    expected = contents(tmp_path / "whole")
    assert contents(tmp_path / "rollups") == expected
    chain = read_chain(tmp_path / "rollups" / DIRECTORY_NAME)
    print(f"applied {progress}, {len(chain)} seals")
    await rebuild(tmp_path / "rollups", log, chain=chain, tiers=CATALOGUE.tiers, progress=lambda step: print(step.what))
    assert contents(tmp_path / "rollups") == expected
    await log.close()
