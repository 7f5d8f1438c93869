"""kill -9 of a follower at every step of DuckDB's checkpoints: between any two of its calls to the system.

DuckDB takes the write-ahead log into its file when that has grown, and when it is closed. strace kills the process on
entering the n-th call of a kind that touches the rollups, so that the call is not made and all before it are.
"""

import os
import random
import re
import shutil
import signal
from collections import Counter
from pathlib import Path
from typing import NamedTuple

import pytest

from aggregators.database import FILE_NAME
from aggregators.sealing.seal_files import DIRECTORY_NAME as SEALS
from ingest.log.embedded import EmbeddedLog
from tests.aggregators.followers import PATIENCE_SECONDS, apply_everything, contents, follow_to_the_end, program
from tests.aggregators.following.traced import APPLIES_SEALS_CLOSES, CALLS, require_strace, traced_life
from tests.aggregators.stored_reports import fill, stored
from tests.rollups_snapshot import Snapshot

ENTRIES = stored(60, seed=31)
BEFORE = 24
FEW = 4


class Step(NamedTuple):
    """The call on entering which the process is killed: the `number`-th of that name, from 1."""

    call: str
    number: int

    def __str__(self) -> str:
        return f"{self.call} {self.number}"


class Site(NamedTuple):
    """A log, rollups that have a part of it, and what they hold once they have all of it."""

    log: EmbeddedLog
    log_directory: Path
    begun: Path
    whole: Snapshot


@pytest.fixture
async def site(tmp_path: Path) -> Site:
    """Rollups with a seal, closed in order, and more to do in the log."""
    require_strace()
    log = EmbeddedLog(tmp_path / "log", partitions=2)
    await fill(log, ENTRIES[:BEFORE])
    with program(APPLIES_SEALS_CLOSES, tmp_path / "begun", tmp_path / "log") as process:
        assert process.communicate(timeout=PATIENCE_SECONDS)[0] == "closed\n"
    await fill(log, ENTRIES[BEFORE:])
    await apply_everything(tmp_path / "whole", log)
    return Site(log, tmp_path / "log", tmp_path / "begun", contents(tmp_path / "whole"))


def steps_of_a_life(site: Site, scratch: Path) -> list[Step]:
    """Every step of a follower from `site.begun` on to its end, by the names of the calls."""
    rollups, written = scratch / "traced", scratch / "calls"
    shutil.copytree(site.begun, rollups)
    with traced_life(rollups, site.log_directory, "-o", str(written)) as process:
        assert process.communicate(timeout=PATIENCE_SECONDS)[0] == "closed\n"
    text = written.read_text(encoding="utf-8", errors="replace")
    made = Counter(re.findall(r"^(\d+) +(\w+)\(", text, re.MULTILINE))  # strace counts for each thread on its own
    most = {call: max(number for (_, other), number in made.items() if other == call) for _, call in made}
    return [Step(call, number) for call in CALLS for number in range(1, most.get(call, 0) + 1)]


def killed(site: Site, rollups: Path, step: Step) -> bool:
    """Whether a follower was killed at that step, or had come to its end without it."""
    killing = f"inject={step.call}:signal=SIGKILL:when={step.number}"
    with traced_life(rollups, site.log_directory, "-o", os.devnull, "-e", killing) as process:
        out, _ = process.communicate(timeout=PATIENCE_SECONDS)
    assert (process.returncode, out) in ((-signal.SIGKILL, ""), (0, "closed\n"))
    return process.returncode != 0


@pytest.mark.faults
async def test_killed_at_checkpoint(site: Site, tmp_path: Path, request: pytest.FixtureRequest) -> None:
    """Killed at a step, and again while that is repaired or soon after, it goes on, and everything is counted once."""
    seed = random.randrange(2**32)
    print(f"seed {seed}")  # shown when the test fails, to repeat it
    moments = random.Random(seed)
    steps = steps_of_a_life(site, tmp_path)
    calls = sorted({step.call for step in steps})
    # What a checkpoint is made of; without them this would be a test of nothing.
    assert {"pwrite64", "write", "fdatasync", "unlink", "ftruncate"} <= set(calls)
    walked = steps if request.config.getoption("markexpr") == "faults" else moments.sample(steps, FEW)
    rollups = tmp_path / "rollups"
    for step in walked:
        # The kind of the call first: opening what was left makes few calls, and each of them is another.
        call = moments.choice(calls)
        again = moments.choice([one for one in steps if one.call == call])
        shutil.copytree(site.begun, rollups)
        # What is appended to the write-ahead log is cut into one call more or fewer from life to life.
        assert killed(site, rollups, step) or step.call == "write"
        twice = killed(site, rollups, again)
        print(f"killed at {step}, {'and' if twice else 'not'} at {again}")
        await follow_to_the_end(rollups, site.log)
        assert contents(rollups) == site.whole
        assert {file.name for file in rollups.iterdir()} == {FILE_NAME, SEALS}
        shutil.rmtree(rollups)
    await site.log.close()
