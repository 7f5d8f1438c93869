"""Faults of the disk under the embedded log and the rollups, and records in the log that no gate wrote."""

import asyncio
import dataclasses
import shutil
import signal
import subprocess
from collections.abc import Sequence

from ingest.records import GATES_OWN
from ingest.report import Entry
from load.faults.injections import Stage
from load.faults.world import EmbeddedWorld, World, run_on_thread

LEAST_FILE_BYTES = 4_000
"""Less than a page of any database, and more than the lines that are logged on stderr meanwhile."""

SYNCS = "fsync,fdatasync"
POISON_RECORDS = 3


async def disk_full(stage: Stage) -> str:
    """No file of the process can grow: log and rollups refuse, and recover without a restart."""
    await stage.moment()
    with stage.world.gate.limited_files(LEAST_FILE_BYTES):
        await stage.moment(1.0)
    await stage.moment()
    return "no file can grow"


def can_fail_syncs() -> bool:
    """Whether a process may be traced here, and its calls be made to fail."""
    if shutil.which("strace") is None:
        return False
    tried = subprocess.run(["strace", "-qq", "-e", "trace=none", "true"], check=False, capture_output=True, timeout=10)  # noqa: S607
    return tried.returncode == 0


async def syncs_fail(stage: Stage) -> str:
    """Every fsync of the process fails with EIO for a moment: nothing may be acknowledged that is not durable."""
    await stage.moment()
    tracer = await asyncio.create_subprocess_exec(
        *("strace", "-f", "-qq", "-o", "/dev/null", "-p", str(stage.world.gate.pid)),
        *("-e", f"trace={SYNCS}", "-e", f"inject={SYNCS}:error=EIO"),
        stderr=subprocess.DEVNULL,
    )
    try:
        await stage.moment(1.2)
    finally:
        tracer.send_signal(signal.SIGINT)  # it lets go of the process, which goes on
        await tracer.wait()
    await stage.moment()
    follower = stage.world.gate.get("/v1/status", stage.world.operator)["follower"]
    if follower["why"] != "rollups_damaged":
        return "fsync fails with EIO"
    # What a failed sync left of the DuckDB file cannot be known. Its follower stops, and says what to do: that is done.
    await run_on_thread(stage.world.stop)
    await run_on_thread(stage.world.rebuild)
    return "fsync fails with EIO, and the rollups are rebuilt"


async def tail_torn(stage: Stage) -> str:
    """Killed, and behind the last commit of the write-ahead log are bytes that never became one."""
    world = stage.world
    assert isinstance(world, EmbeddedWorld)  # noqa: S101 - for the type checker; only there is this drawn
    await stage.moment(0.8)
    world.kill()
    file = world.log_directory / "log.sqlite-wal"
    frames = file.read_bytes() if file.exists() else b""
    torn = stage.random.choice([stage.random.randbytes(5_000), frames[32 : 32 + stage.random.randrange(8_200)]])
    with file.open("ab") as opened:
        opened.write(torn)
    return f"SIGKILL, and {len(torn)} bytes of a commit that was torn"


async def poison(stage: Stage) -> str:
    """Records that nobody can read, or under a schema that nobody has, written to the log by hand."""
    world = stage.world
    await stage.moment()
    await run_on_thread(world.stop)
    entries = await _poisoned(world, stage)
    if not entries:
        return "nothing to poison yet"
    await world.write_by_hand(entries)
    world.poison += len(entries)
    return f"{len(entries)} records that nobody can read"


async def _poisoned(world: World, stage: Stage) -> Sequence[Entry]:
    """Entries like one of the log's, with values that are none."""
    like = await _some_report(world)
    if like is None:
        return []
    schema_unknown = like.value[:2] + stage.random.randbytes(8) + like.value[10:]
    values = [stage.random.randbytes(60), schema_unknown, like.value[:40]][:POISON_RECORDS]
    return [dataclasses.replace(like, key=stage.random.randbytes(16), value=value) for value in values]


async def _some_report(world: World) -> Entry | None:
    reader = world.reader()
    try:
        for partition in await reader.partitions():
            if partition.topic not in GATES_OWN:
                for _, entry in await reader.read(partition, after=-1, limit=1):
                    return entry
        return None
    finally:
        await reader.close()
