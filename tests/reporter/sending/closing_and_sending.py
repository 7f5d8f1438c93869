"""A process that opens, closes and sends windows until it is killed, and says before and after what it does.

python -m tests.reporter.sending.closing_and_sending DIRECTORY FILE
"""

import secrets
import sys
import time
from pathlib import Path
from random import Random

from reporter.clock import SystemClock
from reporter.directory import Directory
from reporter.messages import encode
from reporter.policy import LEAST
from reporter.queue.nouns import Queued
from reporter.queue.queue import Queue
from reporter.sending.connection import connection
from reporter.sending.sender import Sender
from reporter.sending.sender_lock import SenderLock
from reporter.state import SettingsFile
from reporter.strip import strip

HOUR_MS = 3_600_000
REPORTS = 3


def made() -> Queued:
    """A report of the hour before this one, of the operational only."""
    start = time.time_ns() // 1_000_000 // HOUR_MS * HOUR_MS - HOUR_MS
    report_id = secrets.token_bytes(16)
    said = {"report_id": report_id, "window_start": start, "window_end": start + HOUR_MS, "hardware_tier": "small"}
    message = encode("health_window", strip(said, "health_window", LEAST, frozenset()).values)
    return Queued(
        report_id=report_id,
        report="health_window",
        tier=None,
        policy_version=None,
        purposes=frozenset(),
        window_start=start,
        window_end=start + HOUR_MS,
        not_before_ms=start,
        message=message,
    )


def run(directory: Directory, said: Path) -> None:
    """What this process does until it is killed."""
    clock, chance = SystemClock(), Random()
    queue = Queue(directory.queue, clock=clock)
    settings = SettingsFile(directory.settings)
    sender = Sender(queue, settings, connection, lock=SenderLock(directory.sender_lock), clock=clock, random=chance)
    queue.sweep()
    with said.open("a", encoding="ascii", buffering=1) as out:
        while True:
            window = secrets.token_hex(16)
            queue.opened(window, clock.now_ms())
            print("opened", window, file=out)
            reports = [made() for _ in range(REPORTS)]
            print("closing", window, *[one.report_id.hex() for one in reports], file=out)
            with queue.closing(window) as closing:
                for one in reports:
                    closing.put(one)
            print("closed", window, file=out)
            if chance.random() < 0.3:
                sender.flush(0.2)


if __name__ == "__main__":
    run(Directory(Path(sys.argv[1])), Path(sys.argv[2]))
