"""Who is in the fleet: laptops and on-premises workstations of three tiers, in five regions, with their owners' names.

Three quarters are laptops and one quarter workstations, as 1,500 and 500 of 2,000. Every count is dealt exactly and
only its place is drawn, so a small fleet has the same shares as a large one.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from random import Random
from typing import TypeVar

from load.fleet.nouns import Device, Identifiers

T = TypeVar("T")

REGIONS = {"eu-west": 0.30, "eu-north": 0.16, "us-east": 0.26, "us-west": 0.14, "ap-south": 0.14}
"""Region -> share of the devices."""

UTC_OFFSET_HOURS = {"eu-west": 1, "eu-north": 2, "us-east": -5, "us-west": -8, "ap-south": 5}
"""What the clocks of a region show; whole hours, as the fleet counts time in hours."""

SITES = {region: (f"plant-{region}", f"campus-{region}") for region in REGIONS}

LAPTOP_SHARE = 0.75
LAPTOP_TIERS = {"managed": 0.54, "byod": 0.32, "contractor": 0.14}
WORKSTATION_TIERS = {"managed": 0.80, "byod": 0.04, "contractor": 0.16}
"""Together about 60 % managed, 25 % byod, 15 % contractor."""

LAPTOP_HARDWARE = {"small": 0.34, "medium": 0.46, "large": 0.20}
WORKSTATION_HARDWARE = {"workstation": 0.85, "large": 0.15}

NETWORKS = {
    ("laptop", "managed"): {"office": 0.45, "vpn": 0.30, "home": 0.20, "guest": 0.05},
    ("laptop", "byod"): {"home": 0.60, "guest": 0.15, "vpn": 0.25},
    ("laptop", "contractor"): {"guest": 0.40, "vpn": 0.45, "home": 0.15},
}
LINES = {
    "windows": ("ThinkPad T14", "Latitude 5000", "EliteBook 840", "Surface Pro"),
    "macos": ("MacBook Air", "MacBook Pro"),
    "linux": ("ThinkPad X1 Carbon", "Framework Laptop 13"),
    "workstation": ("Precision 5000", "ZBook Studio", "ThinkPad P1", "Hand-built tower"),
}
"""Model lines by system; two of them are on no tier's list."""

OS_VERSIONS = {
    "windows": ("10.0.22631", "10.0.26100"),
    "macos": ("14.7.1", "15.1"),
    "linux": ("6.8.0-45-generic", "6.11"),
}

AGENTS = {"3.2.9": 0.08, "3.3.4": 0.22, "3.4.0": 0.30, "3.4.1": 0.35, "3.5.0-rc.1+nightly": 0.05}
"""Agent version -> share of the devices: 3.4 is being rolled out, and a few try the next one."""

CHATTY = frozenset({"3.2.9", "3.3.4", "3.5.0-rc.1+nightly"})
"""Agents that attach a map of their own to every report; the last one while its developers look for a fault."""

CONSENTS = {"managed": (1.0, 0.9, 0.9), "byod": (0.75, 0.5, 0.35), "contractor": (0.7, 0.3, 0.15)}
"""Share of people who agree to fallback reports, diagnostics and location. Managed devices send the first by rule."""

APPROVED = {"managed": 0.92, "byod": 0.35, "contractor": 0.25}
"""Share of devices that may handle restricted data."""

UNLISTED = 0.01
"""Share of devices that run a model or a version that the manifest does not name."""

FIRST = ("alice", "bruno", "chandra", "dmitri", "elena", "farid", "greta", "hiroshi", "ines", "jonas", "kavya", "lena")
LAST = ("anders", "bianchi", "castro", "dubois", "eriksen", "fischer", "gupta", "hansen", "ivanov", "jensen", "kaya")


@dataclass(frozen=True, slots=True)
class Profile:
    """A device with what decides its tasks and routes and is in no report: all of it drawn once."""

    device: Device
    activity: float
    """How many tasks it has, relative to others."""
    approved: bool
    field_worker: bool
    unlisted: str | None
    """model or version: what of its models the manifest does not name."""


def make_profiles(random: Random, *, devices: int) -> tuple[Profile, ...]:
    """The population, in random order; `Device.index` is the place."""
    laptops = round(devices * LAPTOP_SHARE)
    kinds = ["laptop"] * laptops + ["workstation"] * (devices - laptops)
    tiers = dealt(random, LAPTOP_TIERS, laptops) + dealt(random, WORKSTATION_TIERS, devices - laptops)
    hardware = dealt(random, LAPTOP_HARDWARE, laptops) + dealt(random, WORKSTATION_HARDWARE, devices - laptops)
    places = list(zip(kinds, tiers, hardware, strict=True))
    random.shuffle(places)
    regions, agents = dealt(random, REGIONS, devices), dealt(random, AGENTS, devices)
    unlisted = dealt(random, {"model": UNLISTED / 2, "version": UNLISTED / 2, "": 1 - UNLISTED}, devices)
    return tuple(
        _profile(random, index, place, region=regions[index], agent=agents[index], unlisted=unlisted[index] or None)
        for index, place in enumerate(places)
    )


def dealt(random: Random, shares: dict[T, float], count: int) -> list[T]:
    """`count` values in random order, each as often as its share says, rounded so that the sum is right."""
    values: list[T] = []
    upto = 0.0
    for value, share in shares.items():
        upto += share
        values += [value] * (round(upto * count) - len(values))
    values += [next(iter(shares))] * (count - len(values))
    random.shuffle(values)
    return values


def drawn(random: Random, shares: dict[T, float]) -> T:
    """One value by its share."""
    return random.choices(tuple(shares), tuple(shares.values()))[0]


def _profile(
    random: Random, index: int, place: tuple[str, str, str], *, region: str, agent: str, unlisted: str | None
) -> Profile:
    kind, tier, _ = place
    return Profile(
        device=_device(random, index, place, region=region, agent=agent),
        # Few do much: the busiest tenth has about a third of all tasks.
        activity=random.lognormvariate(0, 0.7),
        approved=random.random() < APPROVED[tier],
        field_worker=kind == "laptop" and random.random() < 0.12,
        unlisted=unlisted,
    )


def _device(random: Random, index: int, place: tuple[str, str, str], *, region: str, agent: str) -> Device:
    kind, tier, hardware = place
    system = drawn(
        random, {"windows": 0.62, "macos": 0.26, "linux": 0.12} if kind == "laptop" else {"windows": 0.6, "linux": 0.4}
    )
    fallback_reports, diagnostics, location = (random.random() < share for share in CONSENTS[tier])
    return Device(
        index=index,
        tier=tier,
        region=region,
        site=random.choice(SITES[region]),
        kind=kind,
        hardware_tier=hardware,
        hardware_model=random.choice(LINES["workstation" if kind == "workstation" else system]),
        os=system,
        os_version=random.choice(OS_VERSIONS[system]),
        agent_version=agent,
        network_context=drawn(random, NETWORKS.get((kind, tier), {"office": 1.0})),
        consent_fallback_reports=fallback_reports,
        consent_diagnostics=diagnostics,
        consent_location=location,
        identifiers=_identifiers(random, index, tier, agent),
    )


def _identifiers(random: Random, index: int, tier: str, agent: str) -> Identifiers:
    """What this agent sends of its owner: each value is of this device alone and at least 8 bytes long."""
    name, mark = f"{random.choice(FIRST)}.{random.choice(LAST)}", f"{index:05d}{random.randbytes(3).hex()}"
    contractor = tier == "contractor"
    mail = f"{name}.{mark}@example.{'net' if contractor else 'org'}"
    # What contractors' agents send although that tier refuses it: two old releases, of which one sends the serial.
    sends_mail = agent in ("3.2.9", "3.3.4") and not contractor
    sends_serial = agent == "3.2.9" if contractor else agent in ("3.2.9", "3.5.0-rc.1+nightly")
    attributes = _attributes(random, name, mark) if agent in CHATTY else ()
    return Identifiers(
        device_id=f"dev-{mark}",
        user_id=f"{name}-{mark}" if agent != "3.4.1" else None,
        user_email=mail if sends_mail else None,
        hostname=f"{name.partition('.')[0]}s-pc-{mark}" if agent.startswith(("3.2", "3.3")) else None,
        serial=f"SN{mark.upper()}" if sends_serial else None,
        ip_address=f"10.{index // 250 + 100}.{index % 250 + 100 % 150}.{random.randrange(100, 250)}"
        if agent == "3.3.4"
        else None,
        attributes=attributes,
    )


def _attributes(random: Random, name: str, mark: str) -> tuple[tuple[str, str], ...]:
    """What developers attach while they look for a fault: a path, nested junk, and a key that is a name itself."""
    return (
        ("home", f"/home/{name}-{mark}/drafts"),
        ("debug", f'{{"user":{{"login":"{name}","badge":"B{mark}"}},"tries":[{random.randrange(9)},2]}}'),
        (f"profile-of-{name}-{mark}", "on"),
    )


def by_region(profiles: Sequence[Profile]) -> dict[str, list[Profile]]:
    """The profiles of each region, in their order."""
    found: dict[str, list[Profile]] = {region: [] for region in REGIONS}
    for profile in profiles:
        found[profile.device.region].append(profile)
    return found
