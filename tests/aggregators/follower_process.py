"""A follower in a process of its own, which does what it is told line by line, and can be cut short at a failpoint."""

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from ingest.failpoint import VARIABLE
from tests.aggregators.followers import ROOT

FOLLOW_SEAL_PUBLISH = """
import asyncio, sys
from pathlib import Path
from aggregators.fence import Fenced
from aggregators.following.follow import Follower, FollowerStopped
from aggregators.publication.measures import load_measures
from aggregators.publication.publications import Publications, Rulebook
from aggregators.repair.rebuild import PUBLISHED_NAME, open_or_rebuild
from ingest.log.embedded import EmbeddedLogReader
from tests.aggregators.followers import clock_at
from tests.aggregators.stored_reports import CATALOGUE

data, log = Path(sys.argv[1]), Path(sys.argv[2])

def tiers():
    return CATALOGUE.tiers

async def main():
    clock = clock_at(12)
    rollups = open_or_rebuild(data / "rollups", tiers=tiers())
    follower = Follower(EmbeddedLogReader(log), rollups, clock=clock, tiers=tiers)
    book = Rulebook(measures=load_measures(), tiers=tiers, documents=data / "documents.sqlite3",
                    directory=data / "rollups" / PUBLISHED_NAME)
    publications = Publications(follower, book, clock=clock, settle_ms=0)
    running = asyncio.create_task(follower.run())
    try:
        await follower.drained(timeout=60)
        await publications._take_over()
        for line in iter(sys.stdin.readline, "end\\n"):
            await follower.drained(timeout=60)
            if line == "seal\\n":
                await follower.seal()
            else:
                await publications.publish_everything(complete_to=clock.now_ms())
            print(line, end="", flush=True)
    except (Fenced, FollowerStopped):
        await asyncio.wait_for(running, 60)
    status = follower.status()
    print(status.state.value, status.why and status.why.value, status.detail, sep=";", flush=True)
    follower.stop()
    await running
    await follower.close()

asyncio.run(main())
"""


@contextmanager
def follower_process(data: Path, log: Path, *, armed: str = "") -> Iterator[subprocess.Popen[str]]:
    """A process that seals or publishes what the log holds for every line that it is sent, until "end".

    `armed` are failpoints; it is killed in the end if it is still there.
    """
    environment = os.environ | {VARIABLE: armed}
    command = [sys.executable, "-c", FOLLOW_SEAL_PUBLISH, str(data), str(log)]
    with subprocess.Popen(
        command,
        cwd=ROOT,
        env=environment,
        text=True,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    ) as process:
        try:
            yield process
        finally:
            process.kill()


def told(process: subprocess.Popen[str], line: str) -> None:
    """Send a line."""
    assert process.stdin is not None
    process.stdin.write(line + "\n")
    process.stdin.flush()


def says(process: subprocess.Popen[str]) -> str:
    """The next line that it prints."""
    assert process.stdout is not None
    return process.stdout.readline().strip()
