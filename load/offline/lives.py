"""The devices of one part of the fleet, one after the other, each twice: often offline, and always online."""

import pickle
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from random import Random
from shutil import rmtree

from ingest.log.memory import MemoryLog
from load.fleet.nouns import Device, Fleet
from load.offline.clock import MovedClock
from load.offline.device import LivingDevice, NeverEmpty
from load.offline.disk import hidden_on_disk, wrong_on_disk
from load.offline.fleet import make_part, numbered, observations
from load.offline.plan import START_MS, Part, Span, outages
from load.offline.wire import Arrived, InMemoryGate, Network, Rejections
from reporter.directory import Directory
from reporter.observing.observation import Observation
from reporter.reports import IDENTIFIERS

OFFLINE, ONLINE = "offline", "online"
FLEET = "fleet"

SEARCHED_EVERY = 50
"""Every so many devices are searched for all forms of what is planted there; the value itself is looked for on all."""

MOST_WRONG = 20


@dataclass(slots=True)
class Lived:
    """What became of a part; `wrong` in words, `counts` of both fleets together but where the name says which."""

    part: Part
    counts: Counter[str] = field(default_factory=Counter)
    wrong: list[str] = field(default_factory=list)


def live(part: Part, folder: Path) -> Lived:
    """Let the part live; what arrived, and the tasks that there were, are in files of `folder` then."""
    fleet = make_part(part)
    lived = Lived(part)
    told = observations(fleet)
    lives = _Lives(part, fleet, told, lived, folder)
    for name in (OFFLINE, ONLINE):
        arrived = [report for device in fleet.devices for report in lives.of(device, name)]
        _write(part.path(folder, name), arrived)
        lived.counts[f"reports, {name}"] += len(arrived)
    lives.end()
    _write(part.path(folder, FLEET), numbered(fleet, part.first))
    lived.counts["devices"] += len(fleet.devices)
    lived.counts["tasks"] += len(fleet.tasks)
    del lived.wrong[MOST_WRONG:]
    return lived


class _Lives:
    """What the devices of a part share: the clock, and the gate's core."""

    def __init__(
        self, part: Part, fleet: Fleet, told: Mapping[int, Sequence[Observation]], lived: Lived, folder: Path
    ) -> None:
        self._part = part
        self._told = told
        self._lived = lived
        self._folder = folder / f"devices.{part.first}"
        self._clock = MovedClock(START_MS)
        self._gate = InMemoryGate(MemoryLog(), fleet.manifest, self._clock)
        self._searched: dict[Path, Mapping[str, str]] = {}

    def of(self, device: Device, name: str) -> Sequence[Arrived]:
        """What arrived of a device, in order."""
        random = self._part.random(f"{name}/{device.index}")
        self._clock.begin_again(START_MS)
        away = outages(random, self._part.plan) if name == OFFLINE else []
        network = Network(self._gate, device.tier, self._clock, away, random)
        path = self._folder / f"{name}.{device.index}"
        wrong = list(self._lived_through(device, path, network, random))
        self._lived.wrong += [f"device {self._part.first + device.index}, {name}: {what}" for what in wrong]
        self._count(name, network, away)
        if path not in self._searched:
            rmtree(path)
        return network.arrived

    def _lived_through(self, device: Device, path: Path, network: Network, random: Random) -> Iterator[str]:
        token = f"token-{random.randbytes(16).hex()}"
        planted = {"token": token} | {one: getattr(device.identifiers, one) for one in IDENTIFIERS}
        living = LivingDevice(device, Directory(path), network, clock=self._clock, random=random, token=token)
        try:
            living.set_up(self._gate.policy(device.tier))
            living.live(self._told[device.index])
            yield from wrong_on_disk(path, planted)
            self._search(device, path, planted)
            living.come_back(self._part.plan.end_ms)
            living.end()
        except (NeverEmpty, Rejections) as error:
            yield str(error)
        yield from wrong_on_disk(path, planted)
        yield from _wrong_counts(living.status().totals, len(network.arrived))
        yield from (f"{number} errors in {place}" for place, number in living.survival.errors.items())

    def _search(self, device: Device, path: Path, planted: Mapping[str, str]) -> None:
        """While most waits on the disk."""
        if device.index % SEARCHED_EVERY == 0:
            self._lived.counts["searched in all forms"] += 1
            self._lived.wrong += hidden_on_disk({path: planted})

    def _count(self, name: str, network: Network, away: Sequence[Span]) -> None:
        counts = self._lived.counts
        counts[f"requests, {name}"] += network.requests
        counts["requests without a network"] += network.unanswered
        counts["days offline"] += round(sum(end - start for start, end in away) / 86_400_000)

    def end(self) -> None:
        """Let go of the gate and of what is left on the disk."""
        self._gate.close()
        rmtree(self._folder, ignore_errors=True)


def _wrong_counts(totals: Mapping[str, int], arrived: int) -> Iterator[str]:
    """The queue's own account has to be what the gate knows: everything closed was taken, nothing was lost."""
    for name, number in totals.items():
        if name.startswith(("lost.", "discarded.")) or name == "queue_damaged":
            yield f"{name} is {number}"
    if not totals.get("windows_closed") == totals.get("accepted") == arrived:
        yield f"closed {totals.get('windows_closed')}, accepted {totals.get('accepted')}, arrived {arrived}"


def _write(path: Path, content: object) -> None:
    path.write_bytes(pickle.dumps(content, protocol=pickle.HIGHEST_PROTOCOL))


def read(path: Path) -> object:
    """What a process of this run wrote."""
    return pickle.loads(path.read_bytes())  # noqa: S301  # our own file, in a folder of this run alone
