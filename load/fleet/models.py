"""The models of the fleet, their versions in roll-out, and the two documents that its operator posts.

Four models run on devices, two at sites, two in the private cloud, two at the vendor. Of those on devices a new
version is wanted: by most devices where a region has no wish of its own, by none in the region that waits. Devices take
it when they get to it; some never do in the time that is looked at, and a few still hold a revoked one.
"""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from random import Random
from typing import Any, NamedTuple

from load.fleet.devices import REGIONS, SITES, Profile, drawn

MS_PER_HOUR = 3_600_000

MIRRORS = ("mirror-eu", "mirror-us", "mirror-ap", "origin")
MIRROR_OF = {
    "eu-west": "mirror-eu",
    "eu-north": "mirror-eu",
    "us-east": "mirror-us",
    "us-west": "mirror-us",
    "ap-south": "mirror-ap",
}


@dataclass(frozen=True, slots=True)
class Model:
    """A model and its versions, oldest first: the one before, the one in roll-out, and one that was revoked."""

    name: str
    old: str
    new: str
    revoked: str | None = None
    share: float = 1.0
    """The share of devices that should have `new`; the rest should have `old`."""


CHAT = Model("pocket-chat", "3.1.0", "3.2.0", revoked="3.0.2", share=0.8)
SUMMARY = Model("pocket-summary", "1.4.0", "1.5.0", share=0.9)
GUIDE = Model("field-guide", "2.0.0", "2.1.0", revoked="1.9.5")
DESK = Model("desk-large", "6.0.1", "6.1.0", share=0.5)
ON_DEVICE = (CHAT, SUMMARY, GUIDE, DESK)

SITE_CHAT = Model("site-chat", "5.0.0", "5.1.0", share=0.5)
SITE_SEARCH = Model("site-search", "2.2.0", "2.3.0", share=0.5)
CORE_LARGE = Model("core-large", "12.0.0", "12.1.0", share=0.6)
CORE_SEARCH = Model("core-search", "4.1.0", "4.2.0", share=0.6)
VENDOR_LARGE = Model("vendor-large", "2026-06", "2026-09", share=0.7)
VENDOR_SMALL = Model("vendor-small", "2026-05", "2026-08", share=0.7)
ELSEWHERE = (SITE_CHAT, SITE_SEARCH, CORE_LARGE, CORE_SEARCH, VENDOR_LARGE, VENDOR_SMALL)

WAITING_REGION = "ap-south"
"""The region whose operator keeps the old versions for now."""

UNLISTED_MODEL = "private-tune"
UNLISTED_VERSION = "3.2.0-local7"
"""Names that no manifest has, on devices whose owners helped themselves."""

KEEPS_REVOKED = 0.02
NEVER_UPDATES = 0.08
TOO_EARLY = 0.03
HAD_IT_BEFORE = 0.55
LACKS_MODEL = 0.02
NO_MANIFEST = 0.01
"""Shares of devices: that hold a revoked version; that should update and do not; that update and should not; that were
updated before the fleet is looked at; that lack a model; that never had a manifest."""

PRECISIONS = {"small": "int4", "medium": "int4", "large": "int8", "workstation": "fp16"}
RUNTIMES = {
    "windows": ("onnx_runtime", "direct_ml", "openvino"),
    "macos": ("core_ml", "mlx"),
    "linux": ("llama_cpp", "tensorrt"),
}

MANIFEST_AGES = {"under_1h": 0.45, "h1_to_24": 0.40, "d1_to_7": 0.11, "d7_to_30": 0.03, "over_30d": 0.01}

PRICES = (
    ("on_device", "*", "0.02", "0.05"),
    ("edge", "*", "0.15", "0.40"),
    ("edge", "site-search", "0.05", "0.10"),
    ("private_cloud", "*", "0.60", "1.80"),
    ("private_cloud", "core-large", "0.90", "2.70"),
    ("managed_cloud", "vendor-large", "2.50", "10.00"),
)
"""(route, model, EUR per million tokens read, written). `vendor-small` has no price: an answer has to say so."""


class Held(NamedTuple):
    """One file on a device: from `since` (ms) on it is there; it serves until the next one of its model is."""

    version: str
    since: int


@dataclass(frozen=True, slots=True)
class Shelf:
    """The models of one device over the time looked at. `files`: model name -> what it held, oldest first."""

    files: dict[str, tuple[Held, ...]]
    precision: str
    runtime: str
    manifest_age: str
    removed_after: str
    """How long a revoked file stayed, for devices that had one and removed it."""

    def serving(self, model: str, at: int) -> str | None:
        """The version that would serve a task of `model` at `at` (ms); None where the device does not have it."""
        found = [held.version for held in self.files.get(model, ()) if held.since <= at]
        return found[-1] if found else None


def make_shelf(random: Random, profile: Profile, *, start: int, end: int) -> Shelf:
    """What one device holds from `start` to `end` (ms since the epoch)."""
    device = profile.device
    models = [CHAT, SUMMARY, GUIDE]
    if device.hardware_tier in ("large", "workstation"):
        models.append(DESK)
    models = [model for model in models if random.random() >= LACKS_MODEL]
    return Shelf(
        files=dict(_files(random, profile, model, start=start, end=end) for model in models),
        precision=PRECISIONS[device.hardware_tier],
        runtime=random.choice(RUNTIMES[device.os]),
        manifest_age="never" if random.random() < NO_MANIFEST else drawn(random, MANIFEST_AGES),
        removed_after=random.choice(("under_1h", "h1_to_24", "d1_to_7", "over_7d")),
    )


def _files(random: Random, profile: Profile, model: Model, *, start: int, end: int) -> tuple[str, tuple[Held, ...]]:
    if model is CHAT and profile.unlisted == "model":
        return UNLISTED_MODEL, (Held(UNLISTED_VERSION, start),)
    if model is CHAT and profile.unlisted == "version":
        return model.name, (Held(UNLISTED_VERSION, start),)
    if model.revoked and random.random() < KEEPS_REVOKED:
        # Half of them find out in time and take the new one.
        taken = (Held(model.new, random.randrange(start, end)),) if random.random() < 0.5 else ()
        return model.name, (Held(model.revoked, start), *taken)
    if not _takes_new(random, profile, model):
        return model.name, (Held(model.old, start),)
    if random.random() < HAD_IT_BEFORE:
        return model.name, (Held(model.new, start),)
    return model.name, (Held(model.old, start), Held(model.new, random.randrange(start, end)))


def _takes_new(random: Random, profile: Profile, model: Model) -> bool:
    if wanted_version(model.name, profile.device.region, profile.device.index) == model.new:
        return random.random() >= NEVER_UPDATES
    return random.random() < TOO_EARLY


@dataclass(frozen=True, slots=True)
class Servers:
    """Which version of the models away from devices answers where: each region takes the new one at its own time."""

    since: dict[tuple[str, str], int]

    def serving(self, model: Model, region: str, at: int) -> str:
        """The version of `model` in `region` at `at` (ms)."""
        return model.new if at >= self.since[model.name, region] else model.old


def make_servers(random: Random, *, start: int, end: int) -> Servers:
    """A roll-out of every model away from devices, region after region, beginning before `start`."""
    before = start - (end - start) // 2
    return Servers({(model.name, region): random.randrange(before, end) for model in ELSEWHERE for region in REGIONS})


def wanted_version(model_name: str, region: str, index: int) -> str | None:
    """What a device believes that the manifest wants of it; None for a model that the manifest does not have."""
    model = next((model for model in ON_DEVICE if model.name == model_name), None)
    if model is None:
        return None
    return model.old if region == WAITING_REGION or index % 100 >= model.share * 100 else model.new


def digest(model: str, version: str) -> str:
    """The digest of a model's file; made up, and the same wherever the file is."""
    return f"sha256:{hashlib.sha256(f'{model} {version}'.encode()).hexdigest()}"


def manifest_document() -> dict[str, Any]:
    """The manifest that goes with every fleet."""
    return {
        "regions": list(REGIONS),
        "sites": [site for sites in SITES.values() for site in sites],
        "mirrors": list(MIRRORS),
        "models": [_model_document(model) for model in (*ON_DEVICE, *ELSEWHERE)],
    }


def _model_document(model: Model) -> dict[str, Any]:
    versions = [version for version in (model.revoked, model.old, model.new) if version]
    return {
        "name": model.name,
        "versions": [{"version": version, "digest": digest(model.name, version)} for version in versions],
        "revoked": [model.revoked] if model.revoked else [],
        "wanted": list(_wanted(model)),
    }


def _wanted(model: Model) -> Sequence[dict[str, Any]]:
    everywhere = [{"region": "*", "version": model.new, "share": model.share}]
    if model.share < 1:
        everywhere.append({"region": "*", "version": model.old, "share": round(1 - model.share, 6)})
    if model not in ON_DEVICE:
        return everywhere
    return [*everywhere, {"region": WAITING_REGION, "version": model.old, "share": 1.0}]


def prices_document() -> dict[str, Any]:
    """The prices that go with every fleet."""
    return {
        "currency": "EUR",
        "price": [
            {"route": route, "model": model, "input_per_million": read, "output_per_million": written}
            for route, model, read, written in PRICES
        ],
    }
