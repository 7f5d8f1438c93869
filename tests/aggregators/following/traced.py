"""A follower in a process whose calls that touch the rollups are traced by strace, to be counted, failed or its end."""

import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from subprocess import Popen

import pytest

from aggregators.database import FILE_NAME
from aggregators.repair.workshop import WORKSHOP_NAME
from load.faults.storage_faults import can_fail_syncs
from tests.aggregators.followers import program

APPLIES_SEALS_CLOSES = """
import asyncio, sys
from contextlib import suppress
from pathlib import Path
from aggregators.following import batches, follow
from aggregators.following.follow import Follower
from aggregators.repair.rebuild import make_anew, open_or_rebuild
from aggregators.rollups.rollups import RollupsUnavailable
from ingest.log.embedded import EmbeddedLogReader
from tests.aggregators.followers import clock_at
from tests.aggregators.stored_reports import CATALOGUE

directory, log = Path(sys.argv[1]), Path(sys.argv[2])
batches.MAX_RECORDS = batches.CHUNK = 12
follow.RETRY_SECONDS = 0.01

async def main():
    rollups = open_or_rebuild(directory, tiers=CATALOGUE.tiers)
    with rollups.cursor() as cursor:
        cursor.execute("SET GLOBAL checkpoint_threshold = '150KB'")
    follower = Follower(
        EmbeddedLogReader(log), rollups, clock=clock_at(12), tiers=lambda: CATALOGUE.tiers,
        make_anew=lambda rollups, chain: make_anew(rollups, chain, tiers=CATALOGUE.tiers),
    )
    running = asyncio.create_task(follower.run())
    await follower.drained(timeout=60)
    with suppress(RollupsUnavailable):
        await follower.seal()
    await follower.drained(timeout=60)
    follower.stop()
    await running
    await follower.close()
    print("closed", flush=True)

asyncio.run(main())
"""
"""A whole life, with a checkpoint after every other batch."""

CALLS = ("openat", "pwrite64", "write", "fdatasync", "fsync", "ftruncate", "rename", "unlink")
"""What DuckDB does to its files; what it only reads is of no consequence to those who come later."""

FILES = tuple(
    f"{directory}{FILE_NAME}{suffix}"
    for directory in ("", f"{WORKSHOP_NAME}/")
    for suffix in ("", ".wal", ".wal.checkpoint", ".wal.recovery")
)
"""Where DuckDB keeps the rollups, and those that are being made."""

CHANGES = (f"{FILE_NAME}.wal",)
"""Where commits go. It is looked for once when the rollups are opened, and opened by the first commit after that."""


def require_strace() -> None:
    """Skips the test where no process may be traced, and fails it where CI is set."""
    if not can_fail_syncs():
        (pytest.fail if os.environ.get("CI") else pytest.skip)("no process may be traced here (strace)")


@contextmanager
def traced_life(rollups: Path, log: Path, *options: str, files: Sequence[str] = FILES) -> Iterator[Popen[str]]:
    """The process, under strace with `options` about `files`; it prints "closed" at its end."""
    paths = [part for file in files for part in ("-P", str(rollups / file))]
    strace = ["strace", "-f", "-qq", *paths, "-e", f"trace={','.join(CALLS)}", *options]
    with program(APPLIES_SEALS_CLOSES, rollups, log, under=strace) as process:
        yield process
