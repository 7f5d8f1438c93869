"""What `tidegate demo` posts: reports of several types to each tier, a few of which have to be refused."""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from random import Random
from typing import Any

from ingest.body import LENGTH
from ingest.clock import iso_utc
from ingest.coarsen import MS_PER_HOUR
from ingest.pipeline import AVRO, AVRO_SEQUENCE, JSON
from load.reports import encode, make_report
from schemas.catalogue import Catalogue

SEED = 20
MINUTE_MS = 60_000
BY_HAND = "trace_window"
"""The report that is written as JSON: every tier takes it, and few fields of it have to be there."""


@dataclass(frozen=True, slots=True)
class Post:
    """One request: where it goes, what it holds, and how a newcomer is told about it."""

    tier: str
    report: str
    told: str
    media_type: str
    body: bytes


def _random() -> Random:
    return Random(SEED)  # noqa: S311 - a demonstration that looks the same each time


def by_hand(now: int) -> dict[str, Any]:
    """A report as an engineer would type it, identifiers included; of a window in the hour before `now` (ms)."""
    start = now - now % MS_PER_HOUR - MS_PER_HOUR + 5 * MINUTE_MS
    return {
        "report_id": _random().randbytes(16).hex(),
        "window_start": iso_utc(start),
        "window_end": iso_utc(start + 5 * MINUTE_MS),
        "device_id": "laptop-0042",
        "user_email": "person@example.org",
        "hostname": "persons-laptop",
        "ip_address": "192.0.2.17",
        "os": "linux",
        "os_version": "6.12.1",
        "hardware_tier": "medium",
        "agent_version": "2.3.1",
        "network_context": "home",
        "traces_expected": 12,
        "traces_complete": 11,
        "attributes": {"build": "nightly"},
    }


def posts(catalogue: Catalogue, *, now: int) -> Iterator[Post]:
    """The posts of the demonstration, in their order."""
    make = _Maker(catalogue, now)
    typed = by_hand(now)
    without_mail = {name: value for name, value in typed.items() if name != "user_email"}
    too_long = {**typed, "window_end": iso_utc(now - now % MS_PER_HOUR + MINUTE_MS)}
    yield make.avro("managed", "route_window", "eight rows of routed tasks")
    yield make.batch("managed", "sync_window", "a batch of three, one cut short")
    yield make.json("managed", typed, "JSON typed by hand")
    yield make.json("byod", typed, "the same JSON")
    yield make.json("contractor", typed, "the same JSON")
    yield make.json("contractor", without_mail, "the same, without user_email")
    yield make.avro("byod", "fallback_window", "fallbacks, with the person's consent")
    yield make.avro("contractor", "health_window", "the state of a device")
    yield make.json("managed", too_long, "a window that crosses an hour")


class _Maker:
    """Makes posts with bodies that are the same for the same catalogue and time."""

    def __init__(self, catalogue: Catalogue, now: int) -> None:
        self._catalogue = catalogue
        self._random = _random()
        self._now = now

    def avro(self, tier: str, report: str, told: str) -> Post:
        return Post(tier, report, told, AVRO, self._message(report))

    def batch(self, tier: str, report: str, told: str) -> Post:
        messages = [self._message(report) for _ in range(3)]
        messages[1] = messages[1][:-1]
        body = b"".join(LENGTH.pack(len(message)) + message for message in messages)
        return Post(tier, report, told, AVRO_SEQUENCE, body)

    def json(self, tier: str, value: dict[str, Any], told: str) -> Post:
        return Post(tier, BY_HAND, told, JSON, json.dumps(value).encode())

    def _message(self, report: str) -> bytes:
        schema = self._catalogue.latest[report]
        return encode(schema, make_report(schema, self._random, now=self._now))
