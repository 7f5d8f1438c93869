"""Which process opened a window, and whether it is still there.

A number alone is given to another process before long, so that the boot, the space of process numbers and the start of
the process are part of its name where the system tells them (Linux). Of another container's nothing is known.
"""

import os
from functools import lru_cache
from pathlib import Path

UNKNOWN = "-"


def this_process() -> str:
    """The name of the calling process."""
    return _name(os.getpid())


def is_gone(process: str) -> bool | None:
    """Whether a process that `this_process` named has ended; None where that cannot be known from here."""
    boot, space, pid, _ = (*process.split("/"), *[""] * 4)[:4]
    if not pid.isdigit():
        return None
    if boot != _boot():
        return True
    if space != _space():
        return None
    return not _exists(int(pid)) or process != _name(int(pid))


def _name(pid: int) -> str:
    return "/".join((_boot(), _space(), str(pid), _started(pid)))


@lru_cache(maxsize=1)
def _boot() -> str:
    try:
        return Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip()
    except OSError:
        return UNKNOWN


def _space() -> str:
    try:
        return str(Path("/proc/self/ns/pid").stat().st_ino)
    except OSError:
        return UNKNOWN


def _started(pid: int) -> str:
    """When a process was started, in ticks since the boot."""
    try:
        # The name of the program stands in brackets and may hold anything, blanks and brackets too.
        return Path(f"/proc/{pid}/stat").read_bytes().rpartition(b")")[2].split()[19].decode("ascii")
    except (OSError, IndexError):
        return UNKNOWN


def _exists(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except (PermissionError, OverflowError):
        return True
    return True
