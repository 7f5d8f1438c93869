"""`routes`: did this device use cloud assist, when and why. From the evidence that it keeps for itself, never sent."""

import json
import re
from collections import Counter
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from typing import Any

from reporter.agent.device import Device
from reporter.agent.page import number, table, time
from reporter.agent.refused import WrongUsage
from reporter.evidence import KEPT_DAYS, MS_PER_DAY, MS_PER_HOUR, Seen

CLOUDS = ("managed_cloud", "private_cloud")
HERE = ("on_device",)

UNITS = {"h": MS_PER_HOUR, "d": MS_PER_DAY}
AGO = re.compile(r"([0-9]{1,4})([hd])")

HEAD = ("hour (UTC)", "planned", "ran on", "why planned", "why left", "consent", "shown", "data", "tasks")


def since_ms(text: str | None, now_ms: int) -> int:
    """What `--since` says: `12h`, `7d`, a day or a time; raises `WrongUsage`."""
    if text is None:
        return now_ms - KEPT_DAYS * MS_PER_DAY
    ago = AGO.fullmatch(text)
    if ago is not None:
        return now_ms - int(ago[1]) * UNITS[ago[2]]
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        raise WrongUsage("--since takes 12h, 7d, 2026-11-21 or 2026-11-21T09:00Z") from None
    return round((moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp() * 1000)


class Asked:
    """What was seen from a time on; `shown` are the rows that were asked for."""

    def __init__(self, device: Device, since: int, *, everywhere: bool) -> None:
        self.seen = device.evidence.since(since)
        begun = device.evidence.begun_ms()
        self.since = max(since - since % MS_PER_HOUR, begun or 0)
        self.begun = begun
        self.everywhere = everywhere
        self.shown = [one for one in self.seen if everywhere or one.actual_route not in HERE]
        self.by_route = Counter[str]()
        for one in self.seen:
            self.by_route[one.actual_route] += one.tasks

    @property
    def in_a_cloud(self) -> int:
        """Tasks that ran in a cloud."""
        return sum(self.by_route[cloud] for cloud in CLOUDS)


def told(asked: Asked) -> Iterator[str]:
    """The answer in lines: yes or no first, then every hour with its reasons."""
    if asked.begun is None:
        yield "There is no evidence yet: no window of this device was closed, or it was told to forget."
        return
    tasks = sum(asked.by_route.values())
    clouds = ", ".join(f"{asked.by_route[cloud]:,} on {cloud}" for cloud in CLOUDS if asked.by_route[cloud])
    since = f"since {time(asked.since)} UTC"
    if asked.in_a_cloud:
        yield f"Yes: {asked.in_a_cloud:,} of {number(tasks, 'task')} {since} ran in a cloud ({clouds})."
    else:
        yield f"No: none of {number(tasks, 'task')} {since} ran in a cloud."
    if asked.shown:
        yield ""
        yield from table(HEAD, map(_cells, asked.shown))
    left_out = sum(asked.by_route[here] for here in HERE)
    if left_out and not asked.everywhere:
        yield ""
        yield f"{number(left_out, 'task')} on this device are left out; --all shows them."


def as_json(asked: Asked) -> str:
    """The same for machines; hours in milliseconds since the epoch."""
    document: dict[str, Any] = {
        "since_ms": asked.since,
        "evidence_since_ms": asked.begun,
        "tasks": sum(asked.by_route.values()),
        "tasks_in_a_cloud": asked.in_a_cloud,
        "by_route": dict(asked.by_route),
        "rows": [one._asdict() for one in asked.shown],
    }
    return json.dumps(document, indent=2)


def _cells(one: Seen) -> Sequence[str]:
    return (
        time(one.hour_ms),
        one.planned_route,
        one.actual_route,
        one.decision_reason,
        one.fallback_reason,
        one.consent,
        one.disclosed,
        one.data_class,
        f"{one.tasks:,}",
    )
