"""`python -m load.offline`: a fleet that is offline for up to thirty days, against one that is always online."""

import argparse
import os
import secrets
import shutil
import signal
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from load.offline.device import NeverEmpty
from load.offline.plan import Plan
from load.offline.run import Found, run
from load.offline.wire import Rejections

NOT_EQUAL, NOT_FINISHED, INTERRUPTED = 1, 3, 130
"""Exit codes; argparse has 2."""

MEMORY = Path("/dev/shm")  # noqa: S108  # folders below it are made with names of their own
MOST_DAYS = 44
"""Reports that are older are refused, as every tier's horizon says; a device needs a day to come back."""

COSTS = """\
A thousand devices over thirty days take some 130 s of CPU, a good minute of two cores without other work, and 70 MB of
the folder. All processes together have 350 MiB at most, and 200 MiB more for each thousand devices."""

ABOUT = """\
Let simulated devices live some days, with the device library, its queue and its sender on a clock that nobody waits
for. Every device lives the same days twice: once with a network that is often not there, for hours, for days or for
all of them, and once always online. It closes windows, strips, queues, sleeps, is started again by another process,
and sends when it can; some answers are lost, so that it sends reports again.

What arrived of the devices that were offline is then posted three times over to the gate's core, all copies mixed in
random order, and followed into rollups; what arrived of the others is posted once. Both rollups must be the same, cell
by cell and bucket by bucket, and both must be what the plain truth about the tasks says. Beside that: every report is
counted once and every copy recognised as one, nothing is lost on the way, and no identifier is on a device's disk but
in its settings.json.
"""

MORE = f"""\
examples:
  python -m load.offline                                           50 devices, a seed that is drawn and printed
  python -m load.offline --devices 10000 --days 30 --seed 7

Progress goes to stderr; stdout has the counts, what was compared, and `equal: true` or `equal: false` as the last line.

The same seed, devices, days and tasks make the same run on any number of processes.
{COSTS}

exit codes: 0 equal; 1 not equal, or something else is wrong: each thing has a line; 2 wrong usage; 3 the run could not
be finished; 130 interrupted. Whatever happens, every process is ended and everything that was written is removed.
"""

FAILURES = (NeverEmpty, OSError, Rejections, TimeoutError)


def main(arguments: Sequence[str] | None = None) -> int:
    """The command; returns its exit code."""
    asked = _parser().parse_args(arguments)
    seed = secrets.randbelow(1 << 32) if asked.seed is None else asked.seed
    plan = Plan.of(devices=asked.devices, days=asked.days, tasks=asked.tasks, seed=seed)
    _say(f"seed {seed}: {asked.devices:,} devices, {asked.days} days, about {asked.tasks} tasks each")
    folder = Path(tempfile.mkdtemp(prefix="tidegate-offline-", dir=asked.folder))
    began = time.monotonic()
    try:
        with _interruptible():
            found = run(plan, folder, processes=asked.processes, say=_say)
    except KeyboardInterrupt:
        _say("interrupted; every process is ended, and the devices' directories are removed")
        return INTERRUPTED
    except FAILURES as error:
        _say(f"Error: the run with seed {seed} could not be finished: {str(error) or type(error).__name__}")
        return NOT_FINISHED
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    _tell(plan, found, time.monotonic() - began)
    return NOT_EQUAL if found.wrong else 0


@contextmanager
def _interruptible() -> Iterator[None]:
    """Ctrl-C ends the run, also where a shell has its background commands ignore it, and so does SIGTERM."""
    before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
    signal.signal(signal.SIGINT, signal.default_int_handler)
    signal.signal(signal.SIGTERM, lambda *_: signal.raise_signal(signal.SIGINT))
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m load.offline",
        description=ABOUT,
        epilog=MORE,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--devices", type=_whole, default=50, metavar="N", help="how many  [default: 50]")
    parser.add_argument("--days", type=_days, default=30, metavar="N", help=f"1 to {MOST_DAYS}  [default: 30]")
    parser.add_argument(
        "--tasks", type=_whole, default=12, metavar="N", help="of each device, about, over all days  [default: 12]"
    )
    parser.add_argument(
        "--seed", type=int, metavar="N", help="what the run follows from  [default: drawn, and printed]"
    )
    parser.add_argument(
        "--processes",
        type=_whole,
        default=len(os.sched_getaffinity(0)),
        metavar="N",
        help="at once  [default: as many as there are cores]",
    )
    parser.add_argument(
        "--folder",
        type=_folder,
        default=MEMORY if MEMORY.is_dir() else None,
        help="where devices, logs and rollups are written for the time of the run  [default: /dev/shm; without it the "
        "system's folder for temporary files, where every commit waits for the disk]",
    )
    return parser


def _whole(text: str) -> int:
    if not text.isascii() or not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError("must be a whole number of at least 1")
    return int(text)


def _days(text: str) -> int:
    number = _whole(text)
    if number > MOST_DAYS:
        raise argparse.ArgumentTypeError(f"must be at most {MOST_DAYS}: older reports are refused")
    return number


def _folder(text: str) -> Path:
    if not Path(text).is_dir():
        raise argparse.ArgumentTypeError("must be a folder that is there")
    return Path(text)


def _tell(plan: Plan, found: Found, seconds: float) -> None:
    for name, number in sorted(found.counts.items()):
        print(f"{name}: {number:,}")
    for what in found.compared:
        print(f"compared: {what}")
    for what in found.wrong:
        print(f"WRONG  {what}")
    print(f"seed: {plan.seed}")
    print(f"seconds: {seconds:.0f}")
    print(f"equal: {'false' if found.wrong else 'true'}")


def _say(what: str) -> None:
    print(what, file=sys.stderr, flush=True)


if __name__ == "__main__":
    sys.exit(main())
