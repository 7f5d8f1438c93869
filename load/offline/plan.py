"""How large a run is, what it is seeded with, and when a device has no network. Times in milliseconds, UTC."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from random import Random

DAY_MS = 86_400_000
HOUR_MS = 3_600_000

START_MS = 1_793_577_600_000
"""2026-11-02 00:00 UTC, a Monday."""

AWAY = 0.3
"""Share of devices that are offline from their set-up to the end."""

LONG_AWAY = 0.4
"""Share of those that are offline once or several times for days; the others are so for hours, again and again."""

MOST_LONG, MOST_SHORT = 3, 30
LONGEST_SHORT_HOURS = 20.0

LARGEST_PART = 100
LEAST_PARTS = 8
"""So that a small run has something for every process and something to tell on the way. How many processes there are
must not matter, or a seed would mean another fleet on another machine."""

Span = tuple[int, int]
"""From and to."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """A run; `tasks` is per device. The fleet is made in parts of up to `part` devices, each from a seed of its own."""

    devices: int
    days: int
    tasks: int
    seed: int
    part: int

    @classmethod
    def of(cls, *, devices: int, days: int, tasks: int, seed: int) -> "Plan":
        """A run in parts of a size that suits it."""
        part = min(LARGEST_PART, -(-devices // LEAST_PARTS))
        return cls(devices=devices, days=days, tasks=tasks, seed=seed, part=part)

    @property
    def end_ms(self) -> int:
        """When the days are over."""
        return START_MS + self.days * DAY_MS

    def parts(self) -> list["Part"]:
        """The parts, each with its place in the whole."""
        return [Part(self, first, min(self.part, self.devices - first)) for first in range(0, self.devices, self.part)]


@dataclass(frozen=True, slots=True)
class Part:
    """`devices` devices, of which the first is number `first` of the fleet."""

    plan: Plan
    first: int
    devices: int

    def random(self, what: str) -> Random:
        """A generator for one purpose."""
        return Random(f"{self.plan.seed}/{self.first}/{what}")

    def path(self, folder: Path, what: str) -> Path:
        """The file of this part that holds `what`."""
        return folder / f"{what}.{self.first}"


def outages(random: Random, plan: Plan) -> Sequence[Span]:
    """When a device is offline; they may overlap."""
    draw = random.random()
    if draw < AWAY:
        return [(START_MS, plan.end_ms)]
    if draw < AWAY + LONG_AWAY:
        return [_span(random, plan, plan.days * 12.0) for _ in range(random.randint(1, MOST_LONG))]
    return [_span(random, plan, LONGEST_SHORT_HOURS) for _ in range(random.randint(1, MOST_SHORT))]


def _span(random: Random, plan: Plan, longest_hours: float) -> Span:
    start = random.randrange(START_MS, plan.end_ms)
    return start, min(start + round(random.uniform(0, longest_hours) * HOUR_MS), plan.end_ms)
