"""What is reported in the simulation: one small report of the shipped ones, in every tier that ships.

`trace_window` is the smallest report that all three tiers take: 170 bytes, 50 µs to strip. Every one names its
device in fields that no tier lets through as they are, in bytes that can be searched for.
"""

from dataclasses import dataclass, replace
from functools import cache
from random import Random
from typing import Any

from load.reports import encode, make_report
from schemas.catalogue import Catalogue, load_catalogue
from schemas.tier import Tier

REPORT = "trace_window"
MS_PER_HOUR = 3_600_000
WINDOW_MS = 300_000
PLANTED = b"planted-"
"""What every value begins with that names a device."""

CONCURRENCY = 6
"""Requests of a tier at once: few, so that some are turned away."""


@dataclass(frozen=True, slots=True, kw_only=True)
class MadeReport:
    """A report as its device has it."""

    tier: str
    report_id: bytes
    window_start: int
    decisions: int
    message: bytes


@cache
def small_catalogue() -> Catalogue:
    """The shipped policies for `REPORT` alone."""
    shipped = load_catalogue()
    tiers = {name: _simulated(tier) for name, tier in shipped.tiers.items()}
    schema = shipped.latest[REPORT]
    plans = {
        (name, schema.fingerprint): replace(shipped.plans[name, schema.fingerprint], tier=tier)
        for name, tier in tiers.items()
    }
    return Catalogue(schemas=(schema,), tiers=tiers, plans=plans)


def _simulated(tier: Tier) -> Tier:
    admission = tier.admission.model_copy(update={"concurrency": CONCURRENCY})
    return tier.model_copy(update={"admission": admission})


def make(tier: str, random: Random, *, window_start: int, refused: bool = False) -> MadeReport:
    """A report; `refused` makes it one that its tier does not take, for what it names."""
    schema = small_catalogue().latest[REPORT]
    report_id, mark = random.randbytes(16), f"{PLANTED.decode()}{random.getrandbits(48):012x}"
    decisions = random.randrange(1, 1_000)
    values = _template() | {
        "report_id": report_id,
        "window_start": window_start,
        "window_end": window_start + WINDOW_MS,
        "device_id": mark,
        "hostname": mark,
        "attributes": {mark: mark},
        "decisions": decisions,
        "user_email": f"{mark}@example.org" if refused else None,
    }
    return MadeReport(
        tier=tier,
        report_id=report_id,
        window_start=window_start,
        decisions=decisions,
        message=encode(schema, values),
    )


@cache
def _template() -> dict[str, Any]:
    return make_report(small_catalogue().latest[REPORT], Random(1), now=MS_PER_HOUR)
