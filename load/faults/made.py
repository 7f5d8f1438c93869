"""Reports whose truth is known: what each counts, whether it must be taken, and what it plants that must not come out.

    maker = ReportMaker(catalogue, seed=7)
    made = maker.make(now=now_ms)            # one report, as `route_window`, for a tier

Every report carries the same planted identifiers (`PLANTED`), so that one search finds whatever leaks of any. What is
counted of a report, tasks by hour and route, passes every tier's policy unchanged: the truth needs no stripping but
the hour of its window.
"""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from random import Random
from typing import Literal

from load.reports import encode, make_report
from schemas.catalogue import Catalogue

REPORT = "route_window"
TIERS = ("managed", "byod", "contractor")
HOUR_MS, DAY_MS = 3_600_000, 86_400_000

PLANTED: Mapping[str, str] = {
    "device_id": "planted-device-7f3a91c2",
    "user_id": "planted-user-55d0e8b1",
    "user_email": "planted.person@leaks.example.org",
    "hostname": "planted-host-3c1b77aa",
    "serial": "PLANTED-SERIAL-90412",
    "ip_address": "198.51.100.213",
    "attribute name": "plantedAttributeName",
    "attribute value": "planted attribute value 61c2",
    "site": "planted-site-of-nobody",
}
"""What is in every report, by where it is put. No tier may keep any of it."""

CONTROL = "tidegate.managed.route_window.v1"
"""In the log for every right reason: a search that does not find it did not search the log."""

Age = Literal["recent", "offline for 30 days", "beyond the horizon", "from the future"]
AGES: Mapping[Age, int] = {"recent": 20, "offline for 30 days": 3, "beyond the horizon": 1, "from the future": 1}
"""How old the window of a report is, and how many in 25. A device whose clock is 30 days slow or fast makes the second
and the last."""

REFUSED: Mapping[Age, str] = {"beyond the horizon": "window_too_old", "from the future": "window_in_future"}


@dataclass(frozen=True, slots=True)
class Made:
    """A report and its truth: `tasks` by the route taken, `hour` of its window in ms, `refused` the reason."""

    report_id: bytes
    tier: str
    hour: int
    tasks: Mapping[str, int]
    refused: str | None
    message: bytes


class ReportMaker:
    """Makes reports; the same ones for the same seed and times."""

    def __init__(self, catalogue: Catalogue, *, seed: int) -> None:
        self._schema = catalogue.latest[REPORT]
        self._random = Random(f"{seed}/reports")

    def make(self, tier: str, *, now: int) -> Made:
        """A report of a tier for a gate whose clock says `now`."""
        age = self._random.choices(tuple(AGES), tuple(AGES.values()))[0]
        values = make_report(self._schema, self._random, now=now - _back(age, self._random))
        values |= {name: PLANTED[name] for name in PLANTED if name in values}
        values["attributes"] = {PLANTED["attribute name"]: PLANTED["attribute value"]}
        tasks: Counter[str] = Counter()
        for row in values["rows"]:
            tasks[row["actual_route"]] += row["tasks"]
        hour = values["window_start"] // HOUR_MS * HOUR_MS
        message = encode(self._schema, values)
        return Made(values["report_id"], tier, hour, dict(tasks), REFUSED.get(age), message)


def _back(age: Age, random: Random) -> int:
    """How many milliseconds before now."""
    match age:
        case "recent":
            return random.randrange(3) * HOUR_MS
        case "offline for 30 days":
            return 30 * DAY_MS
        case "beyond the horizon":
            return random.randrange(46, 80) * DAY_MS
        case "from the future":
            return -30 * DAY_MS
