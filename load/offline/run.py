"""A whole run, in several processes: lives, replay, comparison. Everything it writes is in one folder."""

import logging
import signal
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from multiprocessing import get_context
from multiprocessing.pool import Pool
from pathlib import Path
from time import monotonic

from ingest.telemetry.logs import LOGGER_NAME
from load.offline.comparison import different, untrue
from load.offline.lives import FLEET, OFFLINE, ONLINE, Lived, live
from load.offline.plan import HOUR_MS, Part, Plan
from load.offline.replay import (
    PATIENCE_SECONDS,
    TIMES,
    Followed,
    Order,
    Stored,
    as_it_came,
    follow,
    store,
    three_times_in_random_order,
)

AFTER_HOURS = 72
"""After the end of the days: every device has come back."""

Say = Callable[[str], None]


@dataclass(slots=True)
class Found:
    """What a run came to: `wrong` is empty where everything held, `compared` says what was held against what."""

    counts: Counter[str] = field(default_factory=Counter)
    compared: list[str] = field(default_factory=list)
    wrong: list[str] = field(default_factory=list)
    seconds: dict[str, float] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class _Run:
    plan: Plan
    folder: Path
    pool: Pool
    found: Found
    say: Say

    @property
    def now_ms(self) -> int:
        """When everything is replayed."""
        return self.plan.end_ms + AFTER_HOURS * HOUR_MS

    def files(self, what: str) -> list[Path]:
        """The files of all parts that hold `what`."""
        return [part.path(self.folder, what) for part in self.plan.parts()]

    def data(self, name: str) -> Path:
        """The data directory of one of the two fleets."""
        return self.folder / f"{name}.data"

    @contextmanager
    def stage(self, name: str) -> Iterator[None]:
        """What is done in the block is timed and told."""
        began = monotonic()
        yield
        self.found.seconds[name] = monotonic() - began
        self.say(f"{name}: {self.found.seconds[name]:.0f} s")


def run(plan: Plan, folder: Path, *, processes: int, say: Say) -> Found:
    """Everything; leaving it by an exception ends every process."""
    found = Found()
    # Spawned: nothing of this process, its threads least of all, is to be in the others.
    with get_context("spawn").Pool(processes, initializer=_begin) as pool:
        ours = _Run(plan, folder, pool, found, say)
        with ours.stage("the devices' days"):
            _live(ours)
        with ours.stage("replay and comparison"):
            _replay(ours)
    return found


def _begin() -> None:
    """Ctrl-C goes to the whole group; the process that started this one ends it. What the product logs is left out."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    logging.getLogger(LOGGER_NAME).addHandler(logging.NullHandler())


def _live(ours: _Run) -> None:
    parts = ours.plan.parts()
    coming = ours.pool.imap_unordered(partial(_live_part, ours.folder), parts)
    began, done = monotonic(), 0
    for _ in parts:
        lived: Lived = coming.next(timeout=PATIENCE_SECONDS)
        done += lived.part.devices
        ours.found.counts += lived.counts
        ours.found.wrong += lived.wrong
        spent = monotonic() - began
        left = spent / done * (ours.plan.devices - done)
        ours.say(f"{done:,} of {ours.plan.devices:,} devices have lived; {spent:.0f} s, about {left:.0f} s to go")


def _live_part(folder: Path, part: Part) -> Lived:
    return live(part, folder)


def _replay(ours: _Run) -> None:
    """One process stores and follows the replays, another one the reports of those that were always online."""
    offline = ours.pool.apply_async(_replayed, (OFFLINE, three_times_in_random_order), _of(ours))
    online = ours.pool.apply_async(_replayed, (ONLINE, as_it_came), _of(ours))
    _judge(ours, ONLINE, *online.get(PATIENCE_SECONDS), times=1)
    truth = ours.pool.apply_async(untrue, (ours.data(ONLINE), ours.files(FLEET)))
    _judge(ours, OFFLINE, *offline.get(PATIENCE_SECONDS), times=TIMES)
    _enter(ours, f"{ONLINE} with the plain truth about every task", *truth.get(PATIENCE_SECONDS))
    # After that: rollups are open in one process at a time.
    both = ours.data(ONLINE), ours.data(OFFLINE)
    how = f"{OFFLINE}, replayed {TIMES} times, with {ONLINE}, bucket by bucket"
    _enter(ours, how, *ours.pool.apply(different, both))


def _enter(ours: _Run, how: str, wrong: list[str], cells: int) -> None:
    if not cells:
        wrong = [*wrong, f"{how}: there was nothing to compare"]
    ours.found.wrong += wrong
    ours.found.compared.append(f"{how}: {cells:,} cells, {len(wrong) or 'no'} differences")
    ours.say(ours.found.compared[-1])


def _of(ours: _Run) -> dict[str, object]:
    return {"folder": ours.folder, "parts": ours.plan.parts(), "seed": ours.plan.seed, "now_ms": ours.now_ms}


def _replayed(
    name: str, order: Order, *, folder: Path, parts: list[Part], seed: int, now_ms: int
) -> tuple[Stored, Followed]:
    data = folder / f"{name}.data"
    data.mkdir()
    stored = store([part.path(folder, name) for part in parts], data, order, seed=seed, now_ms=now_ms)
    return stored, follow(data, now_ms=now_ms)


def _judge(ours: _Run, name: str, stored: Stored, followed: Followed, *, times: int) -> None:
    """Every report counted once, every copy seen as one."""
    counts = ours.found.counts
    counts[f"posts, {name}"] = stored.posted
    counts[f"copies recognised, {name}"] = followed.duplicates
    counts[f"cells published, {name}"] = followed.cells
    counts[f"cells withheld, {name}"] = followed.withheld
    ours.say(f"{stored.posted:,} posts of {stored.reports:,} reports of the fleet that was {name} are in its rollups")
    expected = (stored.reports, stored.reports * (times - 1), 0)
    if followed[:3] != expected or stored.posted != times * stored.reports:
        ours.found.wrong.append(f"{name}: counted, copies and unreadable are {followed[:3]}, not {expected}")
