"""Faults of the disk under the embedded log and the rollups, and records in the log that no gate wrote."""

import asyncio
import dataclasses
import shutil
import signal
import subprocess
import time
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

from ingest.records import GATES_OWN
from ingest.report import Entry
from load.faults.gate import GateFailed
from load.faults.injections import Stage, until
from load.faults.told import ACCEPTED, IN_DOUBT
from load.faults.world import EmbeddedWorld, World, run_on_thread

LEAST_FILE_BYTES = 4_000
"""Less than a page of any database, and more than the lines that are logged on stderr meanwhile."""

SYNCS = "fsync,fdatasync"
TAKES_AGAIN_SECONDS = 30.0
"""How long after the end of a fault the same process may still refuse; its clients try every half a second."""

SAYS_SO_SECONDS = 20.0
"""A gate looks at its log every two seconds, and says that it is not ready after the second time."""

REFUSED_FOR_STORAGE = ("storage_full", "log_unavailable", "key_missing", IN_DOUBT)
"""The reasons of a 503 where nothing can be stored; the third where a new pseudonym key would have to be."""

POISON_RECORDS = 3


async def disk_full(stage: Stage) -> str:
    """No file of the process can grow: log and rollups refuse, and recover without a restart."""
    await stage.moment()
    with stage.world.gate.limited_files(LEAST_FILE_BYTES):
        since = time.monotonic()
        await _refuses(stage)
        await stage.moment(1.0)
        _nothing_acknowledged(stage, since=since, what="no file could grow")
    await _takes_again(stage)
    return "no file can grow"


async def _refuses(stage: Stage) -> None:
    """A report is turned away for the storage's sake; raises `GateFailed`."""
    said = await stage.post()
    if said not in REFUSED_FOR_STORAGE:
        raise GateFailed(f"a report was answered with {said} while nothing could be stored")


def _nothing_acknowledged(stage: Stage, *, since: float, what: str) -> None:
    """No report that was posted since got a 202 yet; raises `GateFailed`. What was under way before is not counted."""
    if taken := stage.told.acknowledged(after=since, before=time.monotonic()):
        raise GateFailed(f"{taken} reports were answered with 202 while {what}")


async def _takes_again(stage: Stage) -> None:
    """The gate that refused, and no other, takes a report; raises `GateFailed`."""
    gate = stage.world.gate
    deadline = time.monotonic() + TAKES_AGAIN_SECONDS
    while (said := await stage.post()) != ACCEPTED:
        if not gate.alive or time.monotonic() > deadline:
            state = "is gone" if not gate.alive else f"answers {said} {TAKES_AGAIN_SECONDS:.0f} s after the fault ended"
            raise GateFailed(f"the gate {state}:\n{gate.last_words()}")
        await asyncio.sleep(0.1)
    if stage.world.gate is not gate:
        raise GateFailed("another gate took the place of one that has to recover by itself")


def can_fail_syncs() -> bool:
    """Whether a process may be traced here, and its calls be made to fail."""
    if shutil.which("strace") is None:
        return False
    tried = subprocess.run(["strace", "-qq", "-e", "trace=none", "true"], check=False, capture_output=True, timeout=10)  # noqa: S607
    return tried.returncode == 0


async def syncs_fail(stage: Stage) -> str:
    """Every fsync of the process fails with EIO for a moment: nothing may be acknowledged that is not durable."""
    await stage.moment()
    gate = stage.world.gate
    tracer = await asyncio.create_subprocess_exec(
        *("strace", "-f", "-qq", "-o", "/dev/null", "-p", str(gate.pid)),
        *("-e", f"trace={SYNCS}", "-e", f"inject={SYNCS}:error=EIO"),
        stderr=subprocess.DEVNULL,
    )
    try:
        await until(lambda: traced(gate.pid), "every thread of the gate is traced")
        since = time.monotonic()
        await _refuses(stage)
        await until(lambda: not gate.says_ready(), "the gate says that it is not ready", seconds=SAYS_SO_SECONDS)
        await _refuses(stage)
        _nothing_acknowledged(stage, since=since, what="every sync failed")
    finally:
        with suppress(ProcessLookupError):
            tracer.send_signal(signal.SIGINT)  # it lets go of the process, which goes on
        await tracer.wait()
    await _takes_again(stage)
    return "fsync fails with EIO"


def traced(pid: int) -> bool:
    """Whether every thread of a process has a tracer, so that none of its calls goes by it."""
    texts = [file.read_text(encoding="ascii") for file in Path(f"/proc/{pid}/task").glob("*/status")]
    return bool(texts) and not any("TracerPid:\t0\n" in text for text in texts)


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
    begin, end = (1, 5) if like.value.startswith(b"\0") else (2, 10)  # a schema's id, or its fingerprint
    schema_unknown = like.value[:begin] + stage.random.randbytes(end - begin) + like.value[end:]
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
