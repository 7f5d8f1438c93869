"""Disk full under the rollups: it stops, says so, goes on when there is space, and nothing is counted twice."""

import json
from pathlib import Path

import pytest

from ingest.log.memory import MemoryLog
from tests.aggregators.followers import PATIENCE_SECONDS, contents, follow_to_the_end, program
from tests.aggregators.stored_reports import fill, stored

NO_SPACE_FOR_A_WHILE = """
import asyncio, json, resource, sys
from datetime import datetime
from pathlib import Path
from aggregators.following import batches, follow
from aggregators.following.standing import State
from ingest.log.memory import MemoryLog
from tests.aggregators.followers import drain, following
from tests.aggregators.stored_reports import fill, stored

directory, step = Path(sys.argv[1]), sys.argv[2]
follow.RETRY_SECONDS = 0.05
batches.MAX_RECORDS = batches.CHUNK = 50

def limit(size):
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, resource.RLIM_INFINITY))

async def full(follower):
    while follower.status().state is not State.STORAGE_FULL:
        await asyncio.sleep(0.01)
    return follower.status()

async def main():
    log = MemoryLog()
    await fill(log, stored(400, seed=2))
    async with following(directory, log) as follower:
        if step == "seal":
            await drain(follower)
            limit(2_000)
            follower._sealer._sealed_hour = datetime.min
        else:
            limit(int(step))
        status = await full(follower)
        await asyncio.sleep(0.5)
        still = follower.status()
        limit(resource.RLIM_INFINITY)
        await drain(follower)
        while follower.status().state is not State.FOLLOWING:
            await asyncio.sleep(0.01)
        sealed = await follower.seal() if step == "seal" else None
        after = follower.status()
    print(json.dumps({"why": status.why.value, "detail": status.detail, "still": still.state.value,
                      "after": after.state.value, "applied": after.applied}))

asyncio.run(main())
"""


@pytest.mark.faults
@pytest.mark.parametrize(
    "step",
    [
        pytest.param("300000", id="early"),
        pytest.param("900000", id="in the middle"),
        pytest.param("1500000", id="late"),
        pytest.param("seal", id="while sealing"),
    ],
)
async def test_no_space_for_a_while(tmp_path: Path, step: str) -> None:
    """Where its files may not grow it says so and tries again; with space it goes on, and the tables are whole."""
    with program(NO_SPACE_FOR_A_WHILE, tmp_path / "rollups", step) as process:
        out, err = process.communicate(timeout=PATIENCE_SECONDS)
    assert process.returncode == 0, err
    said = json.loads(out)
    assert (said["why"], said["still"], said["after"]) == ("no_space", "storage_full", "following")
    assert "goes on by itself" in said["detail"]
    log = MemoryLog()
    await fill(log, stored(400, seed=2))
    await follow_to_the_end(tmp_path / "whole", log)
    assert contents(tmp_path / "rollups") == contents(tmp_path / "whole")
    assert [one.name for one in (tmp_path / "rollups").rglob(".*")] == []
