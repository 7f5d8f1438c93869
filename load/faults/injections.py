"""The faults of process, network, clock and policy, which every kind of log has: what happens while clients post.

Each is a coroutine that is given a `Stage`, does its harm for a moment, and says in a few words what it did. It leaves
the network, the clock and the policies as they have to be; a gate that is gone or stopped is brought back by the round.
"""

import asyncio
import re
import signal
import subprocess
import sys
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path
from random import Random

from load.faults.clients import Clients
from load.faults.gate import GateFailed
from load.faults.half_sent import HalfSent
from load.faults.made import Made, ReportMaker
from load.faults.proxy import BlackHole, Cut, Fault, FaultProxy, HalfClose, Pass
from load.faults.standstill import Deadline
from load.faults.told import Told
from load.faults.world import World, run_on_thread
from load.server_process import START_SECONDS

REQUEST_BYTES, ANSWER_BYTES = 12_000, 700
"""About the length of a request and of an answer: cuts fall into any part of the first few on a connection."""

HOUR_MS = 3_600_000
REFUSED_START = 1
BROKEN = "managed.toml"
REFUSED_FOR = ("the schemas and policies cannot be used", BROKEN)
"""What a gate says on stderr that does not start for a broken policy."""


@dataclass(frozen=True, slots=True)
class Stage:
    """What a fault may touch."""

    world: World
    proxy: FaultProxy
    random: Random
    told: Told
    maker: ReportMaker

    def moment(self, longest: float = 0.4) -> Awaitable[None]:
        """A moment that nobody could predict but from the seed."""
        return asyncio.sleep(self.random.uniform(0.05, longest))

    async def post(self) -> str:
        """Post a report that nothing is wrong with to the gate itself, past the network; what was told of it."""
        world = self.world
        (made,) = good_reports(self, 1)
        clients = Clients(
            world.gate.address, world.tokens, told=self.told, maker=self.maker, random=self.random, accepted=[]
        )
        return await clients.post_once(made)


@dataclass(frozen=True, slots=True)
class Injection:
    """A fault by its name; `failpoints` says with what a gate has to be started for it, `weight` how often it comes."""

    name: str
    happen: Callable[[Stage], Awaitable[str]]
    weight: int = 1
    failpoints: Callable[[Random], str] | None = None
    network: bool = False


# --- The process ---------------------------------------------------------------------------------------------------


async def killed(stage: Stage) -> str:
    """SIGKILL at a random moment."""
    await stage.moment(0.8)
    stage.world.kill()
    return "SIGKILL"


def at(*names: str, latest: int) -> Callable[[Random], str]:
    """A failpoint of these that kills, at the n-th time that it is reached."""
    return lambda random: f"{random.choice(names)}=kill@{random.randint(1, latest)}"


GATE_POINTS = at(
    "gate.body_read", "gate.decoded", "gate.stripped", "gate.appended", "gate.durable", "gate.before_answer", latest=20
)
FOLLOWER_POINTS = at("follower.rolled_up", "follower.committed", "publish.drafted", "publish.placed", latest=2)
SEAL_POINTS = at("seal.drafted", "seal.placed", latest=1)


async def killed_at_failpoint(stage: Stage) -> str:
    """The gate kills itself; where it does not come by in time it is killed."""
    return await _wait_for_the_end(stage, 4.0)


async def killed_while_sealing(stage: Stage) -> str:
    """An hour passes on the gate's clock, so that the follower seals, and kills itself there."""
    await stage.moment()
    stage.world.turn_clock(HOUR_MS)
    return await _wait_for_the_end(stage, 6.0)


async def _wait_for_the_end(stage: Stage, seconds: float) -> str:
    for _ in range(int(seconds / 0.02)):
        if not stage.world.runs:
            return "it killed itself"
        await asyncio.sleep(0.02)
    stage.world.kill()
    return "it never came by, and was killed"


async def paused(stage: Stage) -> str:
    """SIGSTOP, and SIGCONT after a moment."""
    await stage.moment()
    with stage.world.gate.paused():
        await stage.moment(1.0)
    await stage.moment()
    return "SIGSTOP, SIGCONT"


async def told_to_stop(stage: Stage) -> str:
    """SIGTERM with bodies half received: each is answered with 202 or 503, and the process ends within 10 s."""
    gate = stage.world.gate
    await stage.moment()
    waiting = [HalfSent(gate.address, stage.world.tokens, made) for made in good_reports(stage, 4)]
    try:
        for one in waiting:
            await one.begin()
        gate.signal(signal.SIGTERM)
        await stage.moment(0.2)
        answers = await asyncio.gather(*(one.end(complete=number % 2 == 0) for number, one in enumerate(waiting)))
    finally:
        for one in waiting:
            one.close()
    code = await asyncio.get_running_loop().run_in_executor(None, gate.wait_until_ended)
    if code != 0:
        raise GateFailed(f"SIGTERM with bodies half received: it ended with {code}")
    for one, (status, reason) in zip(waiting, answers, strict=True):
        stage.told.enter([one.made], status, reason=reason, sent=one.sent)
    stage.world.ended()
    return f"SIGTERM with bodies half received: answered {sorted(status for status, _ in answers)}"


def good_reports(stage: Stage, how_many: int) -> list[Made]:
    """New reports of the tier that may say most, none of which has to be refused."""
    made: list[Made] = []
    while len(made) < how_many:
        made += [one for one in [stage.maker.make("managed", now=stage.world.now())] if one.refused is None]
    return made


# --- The network ---------------------------------------------------------------------------------------------------


def _cut(random: Random) -> Fault:
    if random.random() < 1 / 2:
        return Cut("up", random.randrange(REQUEST_BYTES))
    return Cut("down", random.randrange(ANSWER_BYTES))


NETWORK: dict[str, Callable[[Random], Fault]] = {
    "answers are lost": lambda _: Cut("down", 0),
    "connections are cut": _cut,
    "the network is slow": lambda random: Pass(random.uniform(0.01, 0.15)),
    "the network is a black hole": lambda _: BlackHole(),
    "clients close their half": lambda random: HalfClose(random.randrange(REQUEST_BYTES)),
}


def network(name: str) -> Injection:
    """A fault of the network, for a share of the connections."""
    make = NETWORK[name]

    async def happen(stage: Stage) -> str:
        share = stage.random.uniform(0.3, 1.0)
        stage.proxy.fault = lambda: make(stage.random) if stage.random.random() < share else Pass()
        stage.proxy.hang_up()  # what is open would go on as it was
        await asyncio.sleep(stage.random.uniform(0.4, 0.9))
        stage.proxy.fault = Pass
        stage.proxy.hang_up()
        return f"{name} ({share:.0%} of connections)"

    return Injection(name, happen, network=True)


# --- The clock and the policies ------------------------------------------------------------------------------------


async def clock_steps_back(stage: Stage) -> str:
    """The gate's clock goes back by minutes or hours, and later to where it was."""
    by = -stage.random.randrange(1_000, 3 * HOUR_MS)
    await stage.moment()
    stage.told.permitted = frozenset({"window_in_future"})
    stage.world.turn_clock(by)
    await stage.moment(1.5)
    stage.world.turn_clock(-by)
    return f"the clock stepped back by {-by // 1000} s"


async def policy_broken(stage: Stage) -> str:
    """A policy file that cannot be read, at a reload and at a start: the old one stays, and no gate starts with it."""
    world = stage.world
    file = world.tiers / BROKEN
    good = file.read_bytes()
    refusals = len(world.gate.events("policy_refused"))
    broken = stage.random.choice([b"[[rule", b"\xff\xfe" + good, b"", good.replace(b"tier =", b"tear =", 1)])
    file.write_bytes(broken)
    try:
        world.gate.signal(signal.SIGHUP)
        await until(lambda: len(world.gate.events("policy_refused")) > refusals, "a broken policy was refused")
        await stage.moment()
        await run_on_thread(world.stop)
        await refused_start(world)
    finally:
        file.write_bytes(good)
    return "a policy file was broken at reload and at start"


async def policy_changed(stage: Stage) -> str:
    """A policy is tightened, and loosened again at the next such fault, both by SIGHUP."""
    file = stage.world.tiers / "contractor.toml"
    text = file.read_text(encoding="utf-8")
    tighten = KEPT in text
    changed = text.replace(KEPT, "") if tighten else text.replace(BEFORE_IT, BEFORE_IT + KEPT)
    file.write_text(_next_version(changed), encoding="utf-8")
    await _reloaded(stage, file)
    await stage.moment()
    return f"a policy was {'tightened' if tighten else 'loosened'}"


async def policy_rolled_back(stage: Stage) -> str:
    """A policy is changed, and then the file of before is put back: a lower version is put in force as any other is."""
    file = stage.world.tiers / "contractor.toml"
    before = file.read_text(encoding="utf-8")
    try:
        file.write_text(_next_version(before), encoding="utf-8")
        await _reloaded(stage, file)
        await stage.moment()
    finally:
        file.write_text(before, encoding="utf-8")
    await _reloaded(stage, file)
    await stage.moment()
    return "a policy was changed and rolled back"


async def _reloaded(stage: Stage, file: Path) -> None:
    """The gate is told, and says that the version in the file is in force; raises `GateFailed`."""
    gate, version = stage.world.gate, _version(file)

    def in_force() -> list[str]:
        return [str(event["version"]) for event in gate.events("policy_reloaded") if event["tier"] == file.stem]

    reloads = len(in_force())
    gate.signal(signal.SIGHUP)
    await until(lambda: in_force()[reloads:] == [version], f"version {version} of a policy is in force")


def _version(file: Path) -> str:
    (version,) = VERSION.findall(file.read_text(encoding="utf-8"))
    return str(version)


def _next_version(text: str) -> str:
    return VERSION.sub(lambda found: f"version = {int(found[1]) + 1}", text, count=1)


BEFORE_IT, KEPT = '"rows.refused", ', '"rows.degraded", '
"""A field of the strictest tier that no other rule of the lint has to do with, and the one that stands before it."""

VERSION = re.compile(r"(?m)^version = ([0-9]+)")


async def refused_start(world: World) -> None:
    """A gate does not start, and says that it is for the policy; raises `GateFailed`."""
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "tidegate", "serve", *world.settings()),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
    )
    try:
        async with asyncio.timeout(START_SECONDS):
            _, said = await process.communicate()
    except TimeoutError:
        raise GateFailed(f"a gate with a broken policy has not ended after {START_SECONDS:.0f} s") from None
    finally:
        if process.returncode is None:  # the policy is mended now, and it might start
            process.kill()
            await process.wait()
    words = said.decode(errors="replace")
    if process.returncode != REFUSED_START or any(word not in words for word in REFUSED_FOR):
        raise GateFailed(f"a gate with a broken policy ended with {process.returncode}, and said:\n{words[-500:]}")


async def until(condition: Callable[[], bool], what: str, *, seconds: float = 10.0) -> None:
    """Return once `condition`, which is asked on a thread, is true; raises `GateFailed` where it is not in time."""
    deadline = Deadline(seconds)
    while not await asyncio.to_thread(condition):
        if deadline.is_over:
            raise GateFailed(f"not within {seconds:.0f} s: {what}")
        await asyncio.sleep(0.02)
