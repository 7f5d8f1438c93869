"""Two processes on one log: another gate that takes reports beside the first, another follower that takes over.

A second process has a data directory of its own, as it must (docs/operations.md). It lies in that of the first, so that
every disk that is searched has it.
"""

import asyncio
import shutil
import signal
from collections.abc import Sequence
from pathlib import Path

from aggregators.repair.rebuild import PUBLISHED_NAME
from aggregators.sealing.seal_files import DIRECTORY_NAME as SEALS_NAME
from load.faults.clients import Clients
from load.faults.gate import GateFailed, GateProcess
from load.faults.injections import Stage, until
from load.faults.world import World, run_on_thread

CONNECTIONS = 2
TAKE_OVER_SECONDS = 60.0
"""A follower that has just begun reads the whole log, on a machine that may have other things to do."""

ASLEEP_SECONDS = 12.0
"""The first process takes reports as well, and its clients wait for it: it is woken up at the latest after this."""

FENCED_SECONDS = 30.0


async def second_gate(stage: Stage) -> str:
    """Another gate takes reports on the same log for a moment, and is killed or told to stop."""
    world, kill = stage.world, stage.random.random() < 1 / 2
    tokens = world.tokens_beside
    await run_on_thread(lambda: world.start_beside("--only", "ingest"))
    clients = Clients(
        world.beside.address, tokens, told=stage.told, maker=stage.maker, random=stage.random, accepted=[]
    )
    stop = asyncio.Event()
    posting = asyncio.create_task(clients.post_until(stop, connections=CONNECTIONS, now=world.now))
    try:
        await stage.moment(1.5)
        await run_on_thread(world.kill_beside if kill else world.stop_beside)
        await stage.moment(0.2)  # clients find it gone
    finally:
        stop.set()
        await posting
    return f"a second gate on the same log was {'killed' if kill else 'told to stop'}"


async def second_follower(stage: Stage) -> str:
    """Another follower takes over seals and publications while the first stands still; who wakes up adds nothing.

    Then the second one is killed, and the first gate, begun anew, takes over again.
    """
    world, paused = stage.world, stage.random.random() < 1 / 2
    await stage.moment()
    first, seals = world.gate, len(_seals(world))
    if paused:
        first.signal(signal.SIGSTOP)
    asleep = asyncio.get_running_loop().call_later(ASLEEP_SECONDS, first.signal, signal.SIGCONT)
    try:
        await run_on_thread(lambda: world.start_beside(*_same_history(world), "--only", "answers"))
        second = world.beside
        await until(lambda: _publishes(second, world), "the second follower has published", seconds=TAKE_OVER_SECONDS)
    finally:
        asleep.cancel()
        first.signal(signal.SIGCONT)
    await until(lambda: _fenced(first, world), "the first follower says that it is fenced", seconds=FENCED_SECONDS)
    if await stage.post() != "accepted":
        raise GateFailed("a gate whose follower is fenced does not take reports")
    await run_on_thread(world.end_beside)
    made = _made(world)
    await run_on_thread(world.stop)
    if _made(world) != made:
        raise GateFailed("a follower that was fenced has changed seals or publications")
    if len(_seals(world)) > seals:  # they know more than its rollups: a person has these made anew
        await run_on_thread(world.rebuild)
    return f"a second follower took over from one that {'was stopped and woke up' if paused else 'was running'}"


def _same_history(world: World) -> Sequence[str]:
    """The options of a follower of the same log, whose seals and publications are the first one's."""
    data = world.data_beside
    shutil.rmtree(data / "rollups", ignore_errors=True)  # of an earlier round: older than the seals by now
    (data / "rollups").mkdir(parents=True, exist_ok=True)
    for name in (SEALS_NAME, PUBLISHED_NAME):
        (world.data / "rollups" / name).mkdir(mode=0o700, exist_ok=True)
        (data / "rollups" / name).symlink_to(world.data / "rollups" / name)
    return world.log_beside()


def _publishes(follower: GateProcess, world: World) -> bool:
    return follower.publish(world.operator_beside).status_code == 200


def _fenced(gate: GateProcess, world: World) -> bool:
    return bool(gate.get("/v1/status", world.operator)["follower"]["why"] == "fenced")


def _seals(world: World) -> Sequence[Path]:
    return list((world.data / "rollups" / SEALS_NAME).glob("[0-9]*"))


def _made(world: World) -> Sequence[tuple[str, bytes]]:
    """The files of seals and publications that count, with what is in them."""
    folders = [world.data / "rollups" / name for name in (SEALS_NAME, PUBLISHED_NAME)]
    files: list[Path] = sorted(file for folder in folders for file in folder.glob("[0-9]*/*") if file.is_file())
    return [(str(file), file.read_bytes()) for file in files]
