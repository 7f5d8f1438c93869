"""What goes wrong in a seed: some kinds of faults out of all, each once or twice, at any moment, all over in the end.

Only some kinds in one seed, because faults hide each other: a gate that is killed every second never has a full disk.
"""

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any, cast

from load.simulation.broker import HOP_SECONDS, Cluster
from load.simulation.disk import COMMIT_SECONDS, Disk
from load.simulation.loop import Process
from load.simulation.network import Weather
from load.simulation.site import ClusterStorage, DiskStorage, Site

Fault = Callable[[Site], Coroutine[Any, Any, None]]

FAULTS_UNTIL = 20.0
"""Seconds: no fault begins later."""

MEAN_SECONDS = 4.0
LONGEST_SECONDS = 12.0
"""How long one lasts; the longest is longer than an append may take, so that callers see a disk that hangs."""

LONGEST_STALE_SECONDS = 7.0
"""A broker that was cut off hears that it leads no more; the follower has ten seconds of patience (`follow.LOOKS`)."""

MOMENT_SECONDS = 0.5

SHARE_OF_KINDS = 0.25
MOST_OF_A_KIND = 2

CALM = Weather()
STORM = Weather(seconds=0.2, never_arrives=0.1, cut=0.15, stalls=0.05, answer_lost=0.2, twice=0.1)

SLOW_SECONDS = 0.2
"""A commit of the embedded log, or a hop in a cluster, on a bad day."""

DAY_MS = 86_400_000
STEPS_BACK_MS = (2_000, 60_000, 3_600_000)
LEAPS_MS = (60_000, 3_600_000, DAY_MS)


async def gate_killed(site: Site) -> None:
    """SIGKILL between any two steps of a gate."""
    if (process := site.world.chance.choice(site.gates).process) is not None:
        process.kill()


async def gate_restarted(site: Site) -> None:
    """SIGTERM, as for a new release."""
    site.world.say("a gate is told to stop")
    await site.world.chance.choice(site.gates).stop()


async def gate_paused(site: Site) -> None:
    """SIGSTOP, and SIGCONT some seconds later."""
    await _pause(site, site.world.chance.choice(site.gates).process)


async def follower_killed(site: Site) -> None:
    """SIGKILL between any two steps of the follower."""
    if (process := site.follower.process) is not None:
        process.kill()


async def follower_killed_in_a_batch(site: Site) -> None:
    """SIGKILL between the rows of a batch and the end of their transaction."""
    site.rollups.kill_next = True


async def follower_paused(site: Site) -> None:
    """SIGSTOP, and SIGCONT some seconds later."""
    await _pause(site, site.follower.process)


async def rollups_full(site: Site) -> None:
    """The disk under the rollups has no space."""
    site.rollups.full = True
    await _lasts(site, "the disk under the rollups is full")
    site.rollups.full = False


async def clock_steps_back(site: Site) -> None:
    """A gate's clock is set back, and right again later."""
    clock = site.world.chance.choice(site.gates).clock
    clock.wrong_ms = -site.world.chance.choice(STEPS_BACK_MS)
    await _lasts(site, f"a gate's clock is {clock.wrong_ms} ms off")
    clock.wrong_ms = 0


async def time_leaps(site: Site) -> None:
    """Everything sleeps, and wakes up at a later time of day."""
    site.world.leapt_ms += site.world.chance.choice(LEAPS_MS)
    site.world.say("it is %d ms later", site.world.leapt_ms)


async def storm(site: Site) -> None:
    """The network cuts, stalls, repeats and loses."""
    site.network.weather = STORM
    await _lasts(site, "the network storms")
    site.network.weather = CALM


async def power_lost(site: Site) -> None:
    """Every process on the machine of the embedded log ends at once, and what its kernel had is gone."""
    site.world.say("the power fails")
    for process in (*(gate.process for gate in site.gates), site.follower.process):
        if process is not None:
            process.kill()


async def disk_hangs(site: Site) -> None:
    """Commits of the embedded log take until the disk comes back."""
    seconds = _seconds(site)
    _disk(site).hung_until = site.world.loop.time() + seconds
    await _lasts(site, "the disk hangs", seconds=seconds)


async def disk_slow(site: Site) -> None:
    """Each commit takes a fifth of a second."""
    disk = _disk(site)
    disk.seconds = SLOW_SECONDS
    await _lasts(site, "the disk is slow")
    disk.seconds = COMMIT_SECONDS


async def disk_full(site: Site) -> None:
    """The disk of the embedded log has no space."""
    _disk(site).full = True
    await _lasts(site, "the disk is full")
    _disk(site).full = False


async def disk_fails(site: Site) -> None:
    """The disk refuses writes, and some reads."""
    _disk(site).failing = True
    await _lasts(site, "the disk fails")
    _disk(site).failing = False


async def sync_fails(site: Site) -> None:
    """A sync fails: nobody knows what the disk has."""
    _disk(site).sync_fails = True
    await _lasts(site, "fsync fails")
    _disk(site).sync_fails = False


async def brokers_down(site: Site) -> None:
    """No broker can be reached."""
    _cluster(site).down = True
    await _lasts(site, "the brokers are down")
    _cluster(site).down = False


async def brokers_hang(site: Site) -> None:
    """The brokers take what is sent to them, and go on with it later."""
    seconds = _seconds(site)
    _cluster(site).hung_until = site.world.loop.time() + seconds
    await _lasts(site, "the brokers hang", seconds=seconds)


async def brokers_slow(site: Site) -> None:
    """Each hop takes a fifth of a second."""
    _cluster(site).seconds = SLOW_SECONDS
    await _lasts(site, "the brokers are slow")
    _cluster(site).seconds = HOP_SECONDS


async def brokers_refuse(site: Site) -> None:
    """Acks are lost, then the gate's right to write is taken away, and given back later."""
    cluster = _cluster(site)
    await _acks_lost_for_a_moment(site)
    cluster.refusing = True
    await _lasts(site, "the brokers refuse")
    cluster.refusing = False


async def acks_lost(site: Site) -> None:
    """Half of the acknowledgements do not arrive."""
    _cluster(site).acks_lost = 0.5
    await _lasts(site, "acks are lost")
    _cluster(site).acks_lost = 0.0


async def leaders_move(site: Site) -> None:
    """Another broker leads, and lacks some of what was not replicated; the old one may believe that it leads still."""
    cluster = _cluster(site)
    site.world.say("the leaders move")
    cluster.leaders_move()
    if site.world.likely(0.5):
        cluster.go_stale()
        await _lasts(site, "a stale leader answers readers", seconds=min(_seconds(site), LONGEST_STALE_SECONDS))
        cluster.stale.clear()


async def producers_forgotten(site: Site) -> None:
    """Acks are lost, and the brokers forget which sequence numbers they have seen: OutOfOrderSequenceNumber."""
    await _acks_lost_for_a_moment(site)
    site.world.say("the brokers forget the producers")
    _cluster(site).forget_producers()


EVERYWHERE: tuple[Fault, ...] = (
    gate_killed,
    gate_restarted,
    gate_paused,
    follower_killed,
    follower_killed_in_a_batch,
    follower_paused,
    rollups_full,
    clock_steps_back,
    time_leaps,
    storm,
)
ON_A_DISK: tuple[Fault, ...] = (power_lost, disk_hangs, disk_slow, disk_full, disk_fails, sync_fails)
ON_BROKERS: tuple[Fault, ...] = (
    brokers_down,
    brokers_hang,
    brokers_slow,
    brokers_refuse,
    acks_lost,
    leaders_move,
    leaders_move,
    producers_forgotten,
)


async def inject(site: Site) -> None:
    """Draw faults and let them happen; returns when all are over."""
    chance = site.world.chance
    kinds = (*EVERYWHERE, *(ON_A_DISK if isinstance(site.storage, DiskStorage) else ON_BROKERS))
    drawn = [
        (chance.uniform(0, FAULTS_UNTIL), fault)
        for fault in kinds
        if site.world.likely(SHARE_OF_KINDS)
        for _ in range(chance.randint(1, MOST_OF_A_KIND))
    ]
    site.faults = len(drawn)
    await asyncio.gather(*(_later(site, at, fault) for at, fault in drawn))
    site.rollups.kill_next = False


async def _later(site: Site, at: float, fault: Fault) -> None:
    await asyncio.sleep(at)
    await fault(site)


async def _acks_lost_for_a_moment(site: Site) -> None:
    cluster = _cluster(site)
    cluster.acks_lost = 1.0
    await asyncio.sleep(site.world.short(MOMENT_SECONDS))
    cluster.acks_lost = 0.0


async def _pause(site: Site, process: Process | None) -> None:
    if process is not None and not process.stopped:
        process.stop()
        seconds = await _lasts(site, f"{process.name} is stopped")
        process.go_on()
        process.stopped_seconds += seconds


async def _lasts(site: Site, what: str, *, seconds: float | None = None) -> float:
    """Let something go on for as long as the seed says, or for `seconds`; how long it was."""
    if seconds is None:
        seconds = _seconds(site)
    site.world.say("%s, for %.1f s", what, seconds)
    await asyncio.sleep(seconds)
    site.world.say("no more: %s", what)
    return seconds


def _seconds(site: Site) -> float:
    return min(site.world.short(MEAN_SECONDS), LONGEST_SECONDS)


def _disk(site: Site) -> Disk:
    return cast("DiskStorage", site.storage).disk


def _cluster(site: Site) -> Cluster:
    return cast("ClusterStorage", site.storage).cluster
