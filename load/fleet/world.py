"""What the fleet cannot help: outages, sites that are full, people who travel, lines that are down. All of it seeded.

A span is a pair of milliseconds, its end excluded. Capacity of a site is counted in tasks a minute, so whoever comes
late in a full minute is turned away.
"""

from bisect import bisect_right
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from random import Random

from load.fleet.devices import REGIONS, SITES, Profile

MS_PER_MINUTE = 60_000
MS_PER_DAY = 86_400_000

CLOUD_OUTAGES = 2.0
"""How often in three days the private cloud of a region cannot be reached, on average; as often the vendor is full."""

SITE_OUTAGES = 1.5
SITE_SQUEEZES = 3.0
"""The same for a site's own machines, and for the times when it has a quarter of its capacity."""

DEVICES_A_SLOT = 60
"""A site serves one task a minute for every so many of its devices, and one at least."""

TRAVELLERS = 0.3
"""Share of laptops that travel."""


class Spans:
    """Spans of time that do not overlap, in order."""

    __slots__ = ("_ends", "_starts")

    def __init__(self, spans: Sequence[tuple[int, int]]) -> None:
        merged: list[tuple[int, int]] = []
        for start, end in sorted(spans):
            if merged and start <= merged[-1][1]:
                merged[-1] = (merged[-1][0], max(end, merged[-1][1]))
            else:
                merged.append((start, end))
        self._starts = [start for start, _ in merged]
        self._ends = [end for _, end in merged]

    def __contains__(self, moment: int) -> bool:
        at = bisect_right(self._starts, moment) - 1
        return at >= 0 and moment < self._ends[at]


@dataclass(slots=True)
class World:
    """Everything outside the devices. Only `take_slot` changes anything."""

    private_down: dict[str, Spans]
    vendor_full: dict[str, Spans]
    site_down: dict[str, Spans]
    site_squeezed: dict[str, Spans]
    slots: dict[str, int]
    offline: list[Spans]
    roaming: list[Spans]
    _taken: Counter[tuple[str, int]] = field(default_factory=Counter)

    def is_offline(self, profile: Profile, at: int) -> bool:
        """The device has no network at `at` (ms)."""
        return at in self.offline[profile.device.index]

    def is_roaming(self, profile: Profile, at: int) -> bool:
        """The person travels, so no site is near."""
        return at in self.roaming[profile.device.index]

    def is_full(self, site: str, at: int) -> bool:
        """The site has no slot left in the minute of `at` (ms)."""
        slots = self.slots[site] // 4 if at in self.site_squeezed[site] else self.slots[site]
        return self._taken[site, at // MS_PER_MINUTE] >= slots

    def take_slot(self, site: str, at: int) -> None:
        """One more task of the site in this minute."""
        self._taken[site, at // MS_PER_MINUTE] += 1


def make_world(random: Random, profiles: Sequence[Profile], *, start: int, end: int) -> World:
    """The outside of a fleet from `start` to `end`, milliseconds since the epoch."""
    draw = _Draw(random, start, end)
    sites = tuple(site for of_region in SITES.values() for site in of_region)
    regions = tuple(REGIONS)
    at_site = Counter(profile.device.site for profile in profiles)
    roaming = [_travels(draw, profile) for profile in profiles]
    return World(
        private_down={region: Spans(draw.spans(CLOUD_OUTAGES, minutes=(15, 75))) for region in regions},
        vendor_full={region: Spans(draw.spans(CLOUD_OUTAGES, minutes=(10, 60))) for region in regions},
        site_down={site: Spans(draw.spans(SITE_OUTAGES, minutes=(20, 90))) for site in sites},
        site_squeezed={site: Spans(draw.spans(SITE_SQUEEZES, minutes=(30, 120))) for site in sites},
        slots={site: max(1, round(at_site[site] / DEVICES_A_SLOT)) for site in sites},
        offline=[_offline(draw, profile, spans) for profile, spans in zip(profiles, roaming, strict=True)],
        roaming=[Spans(spans) for spans in roaming],
    )


@dataclass(frozen=True, slots=True)
class _Draw:
    """Draws spans within the time looked at."""

    random: Random
    start: int
    end: int

    def spans(self, times: float, *, minutes: tuple[float, float]) -> list[tuple[int, int]]:
        """Spans that come `times` in three days on average, each so many minutes long, from and to."""
        number = self._number(times * (self.end - self.start) / (3 * MS_PER_DAY))
        return [self._span(self.start, self.end, minutes) for _ in range(number)]

    def within(self, spans: Sequence[tuple[int, int]], *, minutes: tuple[float, float]) -> list[tuple[int, int]]:
        """One or two spans that begin within each of `spans`."""
        return [self._span(*outer, minutes) for outer in spans for _ in range(self.random.randrange(1, 3))]

    def _span(self, start: int, end: int, minutes: tuple[float, float]) -> tuple[int, int]:
        begins = self.random.randrange(start, end)
        return begins, begins + round(self.random.uniform(*minutes) * MS_PER_MINUTE)

    def _number(self, mean: float) -> int:
        """A Poisson count of a small mean: arrivals of a clock that runs from 0 to 1."""
        number, elapsed = 0, self.random.expovariate(mean)
        while elapsed < 1:
            number, elapsed = number + 1, elapsed + self.random.expovariate(mean)
        return number


def _travels(draw: _Draw, profile: Profile) -> list[tuple[int, int]]:
    if profile.device.kind != "laptop" or not (profile.field_worker or draw.random.random() < TRAVELLERS):
        return []
    return draw.spans(6 if profile.field_worker else 3, minutes=(60, 240))


def _offline(draw: _Draw, profile: Profile, travels: Sequence[tuple[int, int]]) -> Spans:
    """Lines that fail wherever the device is, and tunnels on the way; workstations hang on a cable."""
    times = 0.3 if profile.device.kind == "workstation" else 1.5
    return Spans([*draw.spans(times, minutes=(3, 45)), *draw.within(travels, minutes=(10, 50))])
