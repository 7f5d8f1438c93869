"""Valid reports and messages for the end-to-end tests, every one with an identifier of its own."""

import time
from random import Random
from typing import Any

from load.reports import make_report
from schemas.catalogue import Catalogue
from tests.end_to_end.avro_by_hand import message

SEED = 20261121

HOUR_MS = 3_600_000
MINUTE_MS = 60_000


def now_ms() -> int:
    """The time that the gate sees as well."""
    return time.time_ns() // 1_000_000


def this_hour() -> int:
    """The beginning of the hour."""
    return now_ms() // HOUR_MS * HOUR_MS


class Reports:
    """Makes reports of the types of a catalogue; seeded, so that a failure can be repeated."""

    def __init__(self, catalogue: Catalogue, *, seed: int = SEED) -> None:
        print(f"seed {seed}")
        self.catalogue = catalogue
        self._random = Random(seed)

    def report(self, name: str = "route_window", **changes: Any) -> dict[str, Any]:
        """A report of the hour before this one with every consent, and none of what a contractor may not send."""
        consents = {"consent_diagnostics": True, "consent_location": True}
        made = make_report(self.catalogue.latest[name], self._random, now=now_ms())
        return made | {"user_email": None} | consents | changes

    def message(self, name: str = "route_window", instead: dict[str, bytes] | None = None, **changes: Any) -> bytes:
        """The message of such a report, with the bytes of `instead` in the place of the fields it names."""
        return message(self.catalogue.latest[name], self.report(name, **changes), instead)

    def window(self, start: int, end: int, **changes: Any) -> bytes:
        """The message of a report of that window, milliseconds since the epoch."""
        return self.message(window_start=start, window_end=end, **changes)
