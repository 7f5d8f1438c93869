"""`python -m load.offline`: a fleet that is offline for up to thirty days, against one that is always online.

    python -m load.offline --devices 10000 --days 30 --seed 7
    python -m load.offline --devices 50                          # a few seconds; prints the seed that it drew

Ends with `all equal`, or with exit code 1 and what differs; 130 after Ctrl-C. Whatever happens, every process that was
started is ended and what was written is removed.
"""

import argparse
import os
import secrets
import shutil
import signal
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

from load.offline.plan import Plan
from load.offline.run import Found, run

INTERRUPTED = 130
MEMORY = Path("/dev/shm")  # noqa: S108  # folders below it are made with names of their own
MOST_DAYS = 44
"""Reports that are older are refused, as every tier's horizon says; a device needs a day to come back."""

LARGEST_PART = 200


def main(arguments: Sequence[str] | None = None) -> int:
    """The command; returns its exit code."""
    asked = _parser().parse_args(arguments)
    seed = secrets.randbelow(1 << 32) if asked.seed is None else asked.seed
    part = max(min(LARGEST_PART, -(-asked.devices // asked.processes)), 1)
    plan = Plan(devices=asked.devices, days=asked.days, tasks=asked.tasks, seed=seed, part=part)
    _say(f"seed {seed}: {asked.devices:,} devices, {asked.days} days, about {asked.tasks} tasks each")
    folder = Path(tempfile.mkdtemp(prefix="tidegate-offline-", dir=asked.folder))
    signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell has its background commands ignore it
    signal.signal(signal.SIGTERM, lambda *_: signal.raise_signal(signal.SIGINT))
    began = time.monotonic()
    try:
        found = run(plan, folder, processes=asked.processes, say=_say)
    except KeyboardInterrupt:
        _say("interrupted; every process is ended, and the devices' directories are removed")
        return INTERRUPTED
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    _tell(found, time.monotonic() - began)
    return int(bool(found.wrong))


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m load.offline", description=__doc__.splitlines()[0])
    parser.add_argument("--devices", type=_whole, default=50)
    parser.add_argument("--days", type=_days, default=30, help=f"1 to {MOST_DAYS}")
    parser.add_argument("--tasks", type=_whole, default=12, help="of each device, about, over all days")
    parser.add_argument("--seed", type=int, help="drawn, and printed, where none is given")
    parser.add_argument("--processes", type=_whole, default=len(os.sched_getaffinity(0)))
    parser.add_argument(
        "--folder",
        type=Path,
        default=MEMORY if MEMORY.is_dir() else None,
        help="where devices, logs and rollups are written for the time of the run, 1 GB for 10,000 devices; "
        "without /dev/shm the system's folder for temporary files, where every commit waits for the disk",
    )
    return parser


def _whole(text: str) -> int:
    number = int(text)
    if number < 1:
        raise argparse.ArgumentTypeError("must be at least 1")
    return number


def _days(text: str) -> int:
    number = _whole(text)
    if number > MOST_DAYS:
        raise argparse.ArgumentTypeError(f"must be at most {MOST_DAYS}: older reports are refused")
    return number


def _tell(found: Found, seconds: float) -> None:
    for name, number in sorted(found.counts.items()):
        print(f"{name}: {number:,}")
    for what in found.wrong:
        print(f"WRONG  {what}")
    print(f"{'all equal' if not found.wrong else f'{len(found.wrong)} things are wrong'}; {seconds:.0f} s")


def _say(what: str) -> None:
    print(what, file=sys.stderr, flush=True)


if __name__ == "__main__":
    sys.exit(main())
