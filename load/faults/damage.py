"""A byte of the embedded log that the disk has changed: told with its place and never served, and whole again after it.

Such damage is found by the next who reads the entry, so it is done to one that no follower has read: a gate that takes
reports alone has appended it.
"""

from collections.abc import Iterator
from contextlib import contextmanager

from ingest.log import LogDamaged
from ingest.log.sqlite_file import FILE_NAME
from ingest.report import Partition
from load.faults.gate import GateFailed
from load.faults.injections import Stage, until
from load.faults.told import ACCEPTED
from load.faults.world import EmbeddedWorld, run_on_thread

REPORTS = 3
MOST_READ = 1_000
PARTITION = Partition("tidegate.managed.route_window.v1", 0)
"""Where what is posted here comes to: topics of the embedded log have one partition."""

SOUGHT_BYTES = 64
"""The beginning of a value is in the row's own page, and has the report's id in it: it is there once for each post."""


async def byte_flipped(stage: Stage) -> str:
    """A byte of an entry changes while no gate runs: the follower says where, nobody is served it; it is restored."""
    world = stage.world
    assert isinstance(world, EmbeddedWorld)  # noqa: S101 - for the type checker; only there is this drawn
    await stage.moment()
    await run_on_thread(world.stop)
    behind = await _end(world)
    await run_on_thread(lambda: world.start(only=("--only", "ingest")))
    for _ in range(REPORTS):
        if (said := await stage.post()) != ACCEPTED:
            raise GateFailed(f"a gate that takes reports alone answers {said}")
    await run_on_thread(world.stop)
    offset, good = await _unread(world, behind)
    at = stage.random.randrange(SOUGHT_BYTES)
    bad = good[:at] + bytes([good[at] ^ (1 << stage.random.randrange(8))]) + good[at + 1 :]
    with _replaced(world, good, bad):
        await run_on_thread(world.start)
        place = f"offset {offset} of partition {PARTITION.number} of {PARTITION.topic} "
        await until(lambda: _tells(world, place), "the follower tells the place of the damage", seconds=30)
        await _never_served(world, offset, place)
        if (said := await stage.post()) != ACCEPTED:
            raise GateFailed(f"a gate whose log is damaged answers {said}")
        await run_on_thread(world.stop)
    return "a byte of the log flipped, and restored"


@contextmanager
def _replaced(world: EmbeddedWorld, good: bytes, bad: bytes) -> Iterator[None]:
    """In the body the log says `bad` where it said `good`; no gate runs before and behind it."""
    _replace(world, good, bad)
    yield
    _replace(world, bad, good)


def _replace(world: EmbeddedWorld, old: bytes, new: bytes) -> None:
    """Wherever the bytes are by now: rows move as others come. Raises `GateFailed` where they are not there once."""
    file = world.log_directory / FILE_NAME
    content = file.read_bytes()
    if content.count(old) != 1:
        raise GateFailed(f"what has to be changed in the log is there {content.count(old)} times")
    file.write_bytes(content.replace(old, new))


async def _end(world: EmbeddedWorld) -> int:
    """Where the next report will be."""
    reader = world.reader()
    try:
        return (await reader.extent(PARTITION)).end
    finally:
        await reader.close()


async def _unread(world: EmbeddedWorld, behind: int) -> tuple[int, bytes]:
    """A report that no follower has read, which was posted once: its offset, and how its value begins."""
    content = (world.log_directory / FILE_NAME).read_bytes()
    reader = world.reader()
    try:
        found = await reader.read(PARTITION, after=behind - 1, limit=MOST_READ)
    finally:
        await reader.close()
    for offset, entry in found:
        if content.count(begins := entry.value[:SOUGHT_BYTES]) == 1:
            return offset, begins
    raise GateFailed("of the reports that no follower has read none is in the log once")


def _tells(world: EmbeddedWorld, place: str) -> bool:
    follower = world.gate.get("/v1/status", world.operator)["follower"]
    return follower["why"] == "log_damaged" and place in follower["detail"]


async def _never_served(world: EmbeddedWorld, offset: int, place: str) -> None:
    """Whoever asks for the entry is told of the damage; raises `GateFailed`."""
    reader = world.reader()
    try:
        served = await reader.read(PARTITION, after=offset - 1, limit=1)
    except LogDamaged as error:
        if place not in str(error):
            raise GateFailed("a damaged entry is told with another place") from None
    else:
        raise GateFailed(f"{len(served)} entries are served where one is damaged")
    finally:
        await reader.close()
