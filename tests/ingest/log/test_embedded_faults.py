"""What the embedded log keeps when its process is killed or its storage ends.

Real processes and real disks. That acknowledged entries also outlive a power cut rests on SQLite's syncs, which no
test here can show (`test_embedded.py` holds the setting).
"""

import asyncio
import json
import random
import shutil
import signal
import sqlite3
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import pytest

from ingest.log import InDoubt, LogUnavailable, StorageFull
from ingest.log.embedded import EmbeddedLog
from ingest.report import Entry

ROOT = Path(__file__).resolve().parents[3]
PATIENCE_SECONDS = 60.0


async def keys(log: EmbeddedLog) -> list[bytes]:
    """The keys of all entries."""
    return [
        stored.entry.key
        for partition in await log.partitions()
        for stored in await log.read(partition, after=-1, limit=1_000_000)
    ]


@contextmanager
def program(text: str, *arguments: object, wrapper: Sequence[str] = ()) -> Iterator[subprocess.Popen[str]]:
    """A Python process that runs `text`, killed at the end if it is still there."""
    command = [*wrapper, sys.executable, "-c", text, *map(str, arguments)]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        try:
            yield process
        finally:
            process.kill()


async def test_a_full_database_recovers(tmp_path: Path) -> None:
    """An append that finds no space is refused whole, and the same append succeeds once there is space."""
    log = EmbeddedLog(tmp_path / "log")
    await log.append([Entry("topic", b"before", b"", 0)])

    async def limit_pages(pages: int) -> None:
        pragma = f"PRAGMA max_page_count = {pages}"
        await asyncio.get_running_loop().run_in_executor(log._executor, lambda: log._writer.open().execute(pragma))

    await limit_pages(1)
    refused = [Entry("a new topic", b"%d" % number, bytes(3000), 0) for number in range(20)]
    for _ in range(3):
        with pytest.raises(StorageFull):
            await log.append(refused)
    assert await keys(log) == [b"before"]
    await limit_pages(1_000_000)
    positions = await log.append(refused)
    assert [position.offset for position in positions] == list(range(20)), "refused appends used up no offset"
    assert sorted(await keys(log)) == sorted([b"before", *(one.key for one in refused)])
    await log.close()


STORAGE_THAT_ENDS = """
import asyncio, json, resource, sys
from pathlib import Path
from ingest.log import LogUnavailable
from ingest.log.embedded import EmbeddedLog
from ingest.report import Entry

directory, kind = Path(sys.argv[1]), sys.argv[2]
acknowledged, errors = [], []

def use_up():
    if kind == "file-size":
        resource.setrlimit(resource.RLIMIT_FSIZE, (1_000_000, resource.RLIM_INFINITY))
    else:
        (directory / "ballast").write_bytes(bytes(1_000_000))

def give_back():
    if kind == "file-size":
        resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
    else:
        (directory / "ballast").unlink()

async def append(log, call):
    try:
        await log.append([Entry("topic", f"{call}/{part}".encode(), bytes(10_000), 0) for part in range(10)])
        acknowledged.append(call)
    except LogUnavailable as error:
        errors.append(type(error).__name__)

async def main():
    log = EmbeddedLog(directory / "log")
    connection = log._writer.open()
    use_up()
    for call in range(60):
        await append(log, call)
    give_back()
    refused = len(errors)
    for call in range(100, 105):
        await append(log, call)
    print(json.dumps({"acknowledged": acknowledged, "errors": sorted(set(errors)), "refused": refused,
                      "refused afterwards": len(errors) - refused,
                      "opened anew": log._writer.open() is not connection}))
    await log.close()

asyncio.run(main())
"""

OWN_MOUNT = ("unshare", "--map-root-user", "--mount", "sh", "-c", 'mount -t tmpfs -o size=4m tmpfs "$0" && exec "$@"')


def own_mount(directory: Path) -> list[str]:
    """What to put before a command so that `directory` is a disk of 4 MB for it."""
    wrapper = [*OWN_MOUNT, str(directory)]
    if not shutil.which("unshare") or subprocess.run([*wrapper, "true"], check=False, capture_output=True).returncode:
        pytest.skip("this machine lets nobody mount a small disk; test_a_full_database_recovers runs everywhere")
    return wrapper


@pytest.mark.faults
@pytest.mark.parametrize(
    ("kind", "error"),
    [
        pytest.param("disk", "StorageFull", id="a full disk is told apart"),
        pytest.param("file-size", "LogUnavailable", id="another failed write: the file is opened anew"),
    ],
)
async def test_storage_that_ends(tmp_path: Path, kind: str, error: str) -> None:
    """Where the storage ends appends are refused and nothing of them is kept, and the log recovers by itself."""
    # Copied out, as the small disk is gone with its process.
    disk, kept = tmp_path / "disk", tmp_path / "kept"
    disk.mkdir()
    copying = STORAGE_THAT_ENDS + "\nimport shutil; shutil.copytree(directory / 'log', sys.argv[3])"
    with program(copying, disk, kind, kept, wrapper=own_mount(disk) if kind == "disk" else ()) as process:
        out, err = await asyncio.to_thread(process.communicate, timeout=PATIENCE_SECONDS)
    assert process.returncode == 0, err
    said = json.loads(out)
    assert said["errors"] == [error]
    assert said["refused"] > 10
    assert said["refused afterwards"] == 0
    assert said["opened anew"] is (kind == "file-size")
    log = EmbeddedLog(kept)
    expected = Counter(f"{call}/{part}".encode() for call in said["acknowledged"] for part in range(10))
    assert Counter(await keys(log)) == expected
    await log.close()
    assert integrity(kept) == "ok"


def integrity(directory: Path) -> str:
    """What SQLite says of the whole file."""
    database = sqlite3.connect(directory / "log.sqlite")
    (verdict,) = database.execute("PRAGMA integrity_check").fetchone()
    database.close()
    return str(verdict)


APPEND_UNTIL_KILLED = """
import asyncio, os, sys
from itertools import count
from pathlib import Path
from ingest.log.embedded import EmbeddedLog
from ingest.report import Entry

directory, life = Path(sys.argv[1]), int(sys.argv[2])

async def append_on(log, caller):
    for call in count():
        name, parts = f"{life}.{caller}.{call}", (caller + call) % 7 + 1
        await log.append([
            Entry(f"topic-{caller % 3}", f"{name}/{part}/{parts}".encode(), os.urandom(700), life, (("of", b"call"),))
            for part in range(parts)
        ])
        os.write(1, f"{name}/{parts}\\n".encode())

async def main():
    log = EmbeddedLog(directory, partitions=2)
    os.write(1, b"open\\n")
    await asyncio.gather(*(append_on(log, caller) for caller in range(16)))

asyncio.run(main())
"""

LIVES, MANY_LIVES = 5, 20


@pytest.fixture
def lives(request: pytest.FixtureRequest) -> int:
    """How often the process is killed: more often where only such tests were asked for (`make faults`)."""
    return MANY_LIVES if request.config.getoption("markexpr") == "faults" else LIVES


@pytest.mark.faults
async def test_killed_at_any_moment(tmp_path: Path, lives: int) -> None:
    """However often it is killed, what was acknowledged is there once, every call is whole or absent."""
    seed = random.randrange(2**32)
    print(f"seed {seed}")  # shown when the test fails, to repeat it
    moments = random.Random(seed)  # no secret
    acknowledged: list[str] = []
    life = 0
    while life < lives or (len(acknowledged) <= lives and life < 10 * lives):  # a slow machine gets to little in a life
        acknowledged += await asyncio.to_thread(acknowledged_until_killed, tmp_path, life, moments.uniform(0, 0.15))
        life += 1
    log = EmbeddedLog(tmp_path)
    found = Counter(await keys(log))
    assert all(times == 1 for times in found.values())
    calls: dict[str, set[int]] = {}
    for key in found:
        name, part, parts = key.decode().split("/")
        calls.setdefault(f"{name}/{parts}", set()).add(int(part))
    assert len(acknowledged) > lives
    assert set(acknowledged) <= calls.keys()
    assert all(parts == set(range(int(call.rpartition("/")[2]))) for call, parts in calls.items())
    await log.close()
    assert integrity(tmp_path) == "ok"


def acknowledged_until_killed(directory: Path, life: int, seconds: float) -> list[str]:
    """The calls that a process said were stored before it was killed, that long after it had opened the log."""
    with program(APPEND_UNTIL_KILLED, directory, life) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "open\n", process.communicate()[1]
        time.sleep(seconds)
        process.send_signal(signal.SIGKILL)
        # The last line may have been cut off with its process.
        return process.stdout.read().split("\n")[:-1]


async def test_a_probe_that_is_in_doubt_says_that_the_log_cannot_be_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A probe whose commit fails raises `LogUnavailable` and nothing else, and the next one succeeds."""
    log = EmbeddedLog(tmp_path / "log")
    try:
        with monkeypatch.context() as patch:
            patch.setattr(log._writer, "probe", _raise_in_doubt)
            with pytest.raises(LogUnavailable):
                await log.probe()
        await log.probe()
    finally:
        await log.close()


def _raise_in_doubt() -> None:
    raise InDoubt("a sync that failed")
