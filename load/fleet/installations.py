"""What a device says of its model files at the end of an hour."""

from collections.abc import Iterator, Mapping
from random import Random
from typing import NamedTuple

from load.fleet.devices import Profile
from load.fleet.models import MIRROR_OF, MIRRORS, ON_DEVICE, Held, Shelf, digest, wanted_version
from load.fleet.nouns import Installation
from load.fleet.trace import MS_PER_HOUR

FILE_BYTES = {"pocket-chat": 2_300_000_000, "pocket-summary": 1_400_000_000, "field-guide": 900_000_000}
OTHER_FILE_BYTES = 14_000_000_000

CRASH_SHARE = 0.01
BAD_SIGNATURE = 0.01
BAD_CHECKSUM = 0.03
OTHER_MIRROR = 0.08

REVOKED = {(model.name, model.revoked) for model in ON_DEVICE}


class Usage(NamedTuple):
    """Which file of which device, in which hour (ms since the epoch)."""

    device: int
    hour: int
    model: str


def installations_of(
    random: Random, profile: Profile, shelf: Shelf, usage: Mapping[Usage, tuple[int, int]], *, hour: int
) -> Iterator[Installation]:
    """One for each file that is on the device at the end of the hour, and for a revoked one that was removed."""
    for model, files in shelf.files.items():
        there = [held for held in files if held.since < hour + MS_PER_HOUR]
        for held in there:
            serving = held is there[-1]
            # What was replaced stays for half a day, as a way back; that a revoked file is gone is told for a day.
            if serving or _still_told(held, there[-1], model, hour):
                tasks = usage.get(Usage(profile.device.index, hour, model), (0, 0)) if serving else (0, 0)
                yield _installation(random, profile, shelf, model, held, hour=hour, serving=serving, tasks=tasks)


def _still_told(held: Held, newest: Held, model: str, hour: int) -> bool:
    since = hour + MS_PER_HOUR - newest.since
    return since <= 24 * MS_PER_HOUR if (model, held.version) in REVOKED else since <= 12 * MS_PER_HOUR


def _installation(  # noqa: PLR0913  # a file and everything that happened to it
    random: Random,
    profile: Profile,
    shelf: Shelf,
    model: str,
    held: Held,
    *,
    hour: int,
    serving: bool,
    tasks: tuple[int, int],
) -> Installation:
    device = profile.device
    revoked = (model, held.version) in REVOKED
    wanted = wanted_version(model, device.region, device.index) if shelf.manifest_age != "never" else None
    fresh = serving and hour <= held.since < hour + MS_PER_HOUR
    signature, checksum = (int(fresh and random.random() < share) for share in (BAD_SIGNATURE, BAD_CHECKSUM))
    size = FILE_BYTES.get(model, OTHER_FILE_BYTES)
    mirror = MIRROR_OF[device.region]
    return Installation(
        device=device.index,
        hour=hour,
        manifest_age=shelf.manifest_age,
        model=model,
        version=held.version,
        digest=digest(model, held.version),
        precision=shelf.precision,
        runtime=shelf.runtime,
        state=_state(held.version, wanted, revoked=revoked, serving=serving),
        removal=_removal(shelf, revoked=revoked, serving=serving),
        wanted_version=wanted,
        serving=serving,
        tasks=tasks[0],
        fallbacks=tasks[1],
        crashes=int(serving and random.random() < CRASH_SHARE),
        downloads=int(fresh),
        signature_failures=signature,
        checksum_failures=checksum,
        bytes_downloaded=size * (1 + signature + checksum) if fresh else 0,
        bytes_wasted=size * (signature + checksum),
        wanted_mirror=mirror,
        used_mirror=random.choice(MIRRORS) if random.random() < OTHER_MIRROR else mirror,
    )


def _state(version: str, wanted: str | None, *, revoked: bool, serving: bool) -> str:
    if revoked:
        return "revoked"
    if wanted is None or version == wanted:
        return "active" if serving else "staged"
    return "stale"


def _removal(shelf: Shelf, *, revoked: bool, serving: bool) -> str:
    if not revoked:
        return "not_revoked"
    return "not_removed" if serving else shelf.removed_after
