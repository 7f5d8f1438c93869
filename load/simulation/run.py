"""One seed from its beginning to its end: devices post, faults happen and end, everything drains, and is checked."""

import asyncio
import traceback
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from random import Random

from load.simulation.check import Broken, Finding, findings
from load.simulation.contracts import MS_PER_HOUR, WINDOW_MS, make, small_catalogue
from load.simulation.device import Device, Post, Sent
from load.simulation.faults import DAY_MS, inject
from load.simulation.parts import Parts
from load.simulation.site import Site, make_site
from load.simulation.world import Tell, World, product_events

POSTS_UNTIL = 20.0
"""Seconds: no report is first posted later."""

LAST_PATIENCE_SECONDS = 30.0
LAST_TRIES = 8
"""Of the report that must be taken in the end: a gate may have to start first, and take its time."""

DRAIN_SECONDS = 60.0
SETTLE_SECONDS = 0.001
"""What is under way in a loop that is about to rest has ended by then."""


class NotTaken(Exception):
    """The gates take no reports, though the faults are over."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Ended:
    """How a seed ended; `findings` is empty when all is well."""

    seed: int
    findings: tuple[Finding, ...]
    reports: int
    accepted: int
    refused: int
    in_doubt: int
    duplicates: int
    faults: int


def run_seed(seed: int, *, parts: Parts | None = None, tell: Tell | None = None) -> Ended:
    """Simulate one seed; `tell` takes its trace."""
    world = World(seed, tell=tell)
    site = make_site(world, parts or Parts())
    sent: list[Sent] = []
    with product_events(world):
        found = tuple(_lived(site, sent))
        for broken, what in found:
            world.say("WRONG  %s: %s", broken.value, what)
        world.end()
    return Ended(
        seed=seed,
        findings=found,
        reports=len(sent),
        accepted=sum(one.accepted for one in sent),
        refused=sum(not one.accepted and not one.doubtful for one in sent),
        in_doubt=sum(not one.accepted and one.doubtful for one in sent),
        duplicates=site.rollups.tables.duplicates,
        faults=site.faults,
    )


def run_seeds(seeds: range) -> list[Ended]:
    """Simulate some seeds, one after the other."""
    return [run_seed(seed) for seed in seeds]


def _lived(site: Site, sent: list[Sent]) -> Iterator[Finding]:
    """Let it all happen, and see what is wrong then."""
    try:
        site.world.loop.run_until_complete(_story(site, sent))
    except Exception as error:  # noqa: BLE001  # whatever ended the story early is told with its seed
        site.world.say("%s", "".join(traceback.format_exception(error)).rstrip())
        yield Finding(Broken.LEFT, f"not drained: {type(error).__name__}: {error}")
    yield from findings(site, sent)


async def _story(site: Site, sent: list[Sent]) -> None:
    keepers = [asyncio.create_task(server.keep()) for server in site.servers]
    fleet = asyncio.gather(*(_device(site, number, sent) for number in range(site.world.chance.randint(3, 7))))
    await inject(site)
    site.world.say("the faults are over")
    await fleet
    await _again(site, sent)
    await _last(site, sent)
    await site.follower.drained(timeout=DRAIN_SECONDS)
    site.world.say("everything has drained")
    for gate in site.gates:
        await gate.end()
    await site.follower.drained(timeout=DRAIN_SECONDS)
    await site.follower.end()
    await asyncio.gather(*keepers)
    await asyncio.sleep(SETTLE_SECONDS)


async def _device(site: Site, number: int, sent: list[Sent]) -> None:
    """A device with its posts; what it made is entered into `sent`."""
    chance = site.world.chance
    tier = chance.choice(sorted(small_catalogue().tiers))
    clock_ms = _wrong_clock(chance)
    posts = []
    for _ in range(chance.randint(1, 4)):
        reports = [_report(site, tier, clock_ms) for _ in range(chance.choice((1, 1, 1, 2, 3)))]
        sent.extend(reports)
        posts.append(_post(chance, reports, at=chance.uniform(0, POSTS_UNTIL)))
    await Device(f"device-{number}", site.world, site.network).live(sorted(posts, key=lambda post: post.at))


async def _again(site: Site, sent: Sequence[Sent]) -> None:
    """Some send what they have sent before, in any order and more than once, perhaps after weeks without a network."""
    chance = site.world.chance
    site.world.leapt_ms += chance.choice((0, 0, MS_PER_HOUR, 30 * DAY_MS, 50 * DAY_MS))
    again = [one for one in sent if site.world.likely(0.15) for _ in range(chance.randint(1, 3))]
    chance.shuffle(again)
    copies = [Sent(one.report) for one in again]
    for one in copies:
        await Device("device-again", site.world, site.network).deliver(_post(chance, [one], at=0.0))
    for one, copy in zip(again, copies, strict=True):
        one.accepted |= copy.accepted
        one.doubtful |= copy.doubtful


async def _last(site: Site, sent: list[Sent]) -> None:
    """A report that has to be taken, now that nothing is wrong any more; raises `NotTaken`."""
    start = site.world.now_ms() - MS_PER_HOUR
    last = Sent(make("managed", site.world.chance, window_start=start - start % WINDOW_MS))
    sent.append(last)
    post = Post(at=0.0, reports=[last], patience=LAST_PATIENCE_SECONDS, tries=LAST_TRIES)
    await Device("device-last", site.world, site.network).deliver(post)
    if not last.accepted:
        raise NotTaken


def _post(chance: Random, reports: Sequence[Sent], *, at: float) -> Post:
    return Post(at=at, reports=reports, patience=chance.choice((3.0, 8.0, 30.0)), tries=chance.choice((1, 2, 8, 8, 8)))


def _report(site: Site, tier: str, clock_ms: int) -> Sent:
    """A report of a window that ended minutes, or up to 50 days ago, by a clock that may be wrong."""
    chance = site.world.chance
    age = chance.choice((chance.randrange(2 * MS_PER_HOUR), chance.randrange(50 * DAY_MS)))
    start = site.world.now_ms() + clock_ms - age - WINDOW_MS
    refused = tier == "contractor" and site.world.likely(0.2)
    return Sent(make(tier, chance, window_start=start - start % WINDOW_MS, refused=refused))


def _wrong_clock(chance: Random) -> int:
    """Milliseconds: most clocks are right."""
    return chance.choice((0, 0, 0, 0, chance.randint(-30 * DAY_MS, 30 * DAY_MS)))
