"""What a device can find out about itself, for the head of its reports; what the tier drops of it never leaves.

Nothing here names a person, a machine or a network: no host name, no serial number, no address.
"""

import os
import platform
import sys
from contextlib import suppress
from dataclasses import replace
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from reporter.state import HARDWARE_TIERS, Device

SYSTEMS = {"linux": "linux", "darwin": "macos", "win32": "windows"}
MODEL_FILE = Path("/sys/class/dmi/id/product_name")
LONGEST = 64

GIB = 1 << 30
SMALLEST = (0, 12, 24, 48)
"""GiB from which on a device is of each of `HARDWARE_TIERS`: memory is what decides which model it can hold. The
borders lie between the sizes that are sold, of which a system keeps some for itself."""


def detected() -> dict[str, str]:
    """Facts by the names of `reporter.state.Device`; one that cannot be found out is left out."""
    found: dict[str, str | None] = {
        "os": SYSTEMS.get(sys.platform, "other"),
        "os_version": _os_version(),
        "hardware_model": _model(),
        "hardware_tier": _tier(),
        "agent_version": agent_version(),
    }
    return {name: value[:LONGEST] for name, value in found.items() if value}


def brought_up_to_date(device: Device) -> Device:
    """The facts with those that change by themselves as they are now; one that was taken away stays away."""
    now = detected()
    aged = {"os_version": device.os_version, "agent_version": device.agent_version}
    return replace(device, **{name: now[name] for name, said in aged.items() if said is not None and name in now})


def agent_version() -> str | None:
    """The version of the distribution that this is part of: the small one of devices, or the whole of Tidegate."""
    for distribution in ("tidegate-reporter", "tidegate"):
        with suppress(PackageNotFoundError):
            return version(distribution)
    return None


def _os_version() -> str | None:
    if sys.platform == "darwin":
        return platform.mac_ver()[0]
    if sys.platform == "linux":
        with suppress(OSError):
            return platform.freedesktop_os_release().get("VERSION_ID")
    return None


def _model() -> str | None:
    try:
        text = MODEL_FILE.read_text(encoding="ascii").strip()
    except (OSError, UnicodeDecodeError):
        return None
    return text if text.isprintable() else None


def _tier() -> str | None:
    try:
        memory = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    except (OSError, ValueError):
        return None
    return [tier for tier, least in zip(HARDWARE_TIERS, SMALLEST, strict=True) if memory >= least * GIB][-1]
