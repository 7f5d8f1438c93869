"""The posts of a fleet: its reports encoded, some late, some twice, mixed as they would arrive, in batches.

    phases = make_phases(fleet, load_catalogue())

Three phases, to be posted one after the other: `on time`; `again`, copies of reports that arrived before, some of them
as JSON with names that no schema has; `late`, reports whose windows were over long before. A report is in exactly one
of the first and the last. Everything follows from the fleet's seed.
"""

import gzip
import json
import struct
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from random import Random
from typing import Any, Literal, NamedTuple

import zstandard

from load.fleet.nouns import Device, Fleet
from load.fleet.planted import names_of_no_schema, request_headers
from load.fleet.windows import DeviceReport, header, refused_fields, reports
from load.reports import encode
from schemas.catalogue import Catalogue

AVRO, AVRO_SEQUENCE, JSON = "application/avro", "application/avro-sequence", "application/json"

LATE_SHARE = 0.05
TWICE_SHARE = 0.02
TWICE_AS_JSON = 0.15
"""Share of the copies that are no repeat of the same bytes, but typed in again with more in them."""

JSON_SHARE = 0.01
"""Share of reports that come as JSON."""

ANY_SHARE = 0.5
"""Share of Avro reports that are posted to no report in particular, as the device's library does, the rest by type."""

SINGLE_SHARE = 0.05
"""Share of batches that are one report."""

LARGEST_BATCH = 50
CODINGS = {"": 0.5, "gzip": 0.25, "zstd": 0.25}

DISORDER_MS = 2 * 3_600_000
"""Reports come up to two hours after their window, each at its own time."""

LENGTH = struct.Struct(">I")

Kind = Literal["report", "copy", "faulty"]
"""A report; a copy of one that arrived before; one with a field that its tier refuses, which follows without it."""


class Message(NamedTuple):
    """One report as it goes over the wire: an Avro message, or where `typed` a JSON object."""

    kind: Kind
    device: int
    report: str
    content: bytes
    typed: bool


@dataclass(frozen=True, slots=True)
class Batch:
    """What one request carries. `report` is the type of its messages; None where they may be of any.

    `coding` is a content coding, or empty; `headers` are those that tell a person.
    """

    tier: str
    report: str | None
    media_type: str
    coding: str
    messages: tuple[Message, ...]
    headers: dict[str, str]

    def body(self) -> bytes:
        return CODED[self.coding](self._plain())

    def _plain(self) -> bytes:
        if self.media_type == JSON:
            return b"[" + b",".join(message.content for message in self.messages) + b"]"
        if self.media_type == AVRO:
            return self.messages[0].content
        return b"".join(LENGTH.pack(len(message.content)) + message.content for message in self.messages)


class Phase(NamedTuple):
    """Batches that may be posted in any order, but all of them after those of the phase before."""

    name: str
    batches: tuple[Batch, ...]
    windows: frozenset[tuple[int, str, int]]
    """Which windows come for the first time: device, report, and the beginning of the window in ms."""

    @property
    def messages(self) -> int:
        return sum(len(batch.messages) for batch in self.batches)


class _Due(NamedTuple):
    """A message and when it would come, in milliseconds since the epoch."""

    at: float
    tier: str
    path: str | None
    """The report that it is posted to; None: to any."""
    message: Message


def make_phases(fleet: Fleet, catalogue: Catalogue) -> tuple[Phase, ...]:
    """See the module."""
    maker = _Maker(fleet, catalogue)
    for report in reports(fleet):
        maker.take(report)
    return maker.phases()


class _Maker:
    """Decides for each report how, when and how often it comes."""

    def __init__(self, fleet: Fleet, catalogue: Catalogue) -> None:
        self._fleet = fleet
        self._catalogue = catalogue
        self._random = Random(f"{fleet.seed}/delivery")
        self._paths = Random(f"{fleet.seed}/paths")
        self._told: set[int] = set()
        self._due: dict[str, list[_Due]] = {"on time": [], "again": [], "late": []}
        self._windows: dict[str, list[tuple[int, str, int]]] = {name: [] for name in self._due}

    def take(self, report: DeviceReport) -> None:
        random, device = self._random, self._fleet.devices[report.device]
        phase = "late" if random.random() < LATE_SHARE else "on time"
        self._windows[phase].append((report.device, report.report, report.start))
        self._add(phase, "report", report, report.values, typed=random.random() < JSON_SHARE)
        if device.index not in self._told:
            self._told.add(device.index)
            if refused := self._refused(device):
                self._add("on time", "faulty", report, report.values | refused, typed=False)
        if phase == "on time" and random.random() < TWICE_SHARE:
            typed = random.random() < TWICE_AS_JSON
            more = names_of_no_schema(self._fleet.seed, device) if typed else {}
            self._add("again", "copy", report, report.values | more, typed=typed)

    def _refused(self, device: Device) -> dict[str, Any]:
        """What the device's agent sends although its tier refuses it, until it is told."""
        fields = refused_fields(self._catalogue.tiers[device.tier], self._fleet.end_ms)
        sent = header(device)
        return {name: sent[name] for name in fields if sent[name]}

    def _add(self, phase: str, kind: Kind, report: DeviceReport, values: dict[str, Any], *, typed: bool) -> None:
        content = _json(values) if typed else encode(self._catalogue.latest[report.report], values)
        at = report.end + self._random.random() * DISORDER_MS
        message = Message(kind, report.device, report.report, content, typed)
        path = None if not typed and self._paths.random() < ANY_SHARE else report.report
        self._due[phase].append(_Due(at, report.tier, path, message))

    def phases(self) -> tuple[Phase, ...]:
        """What was taken, as batches."""
        return tuple(
            Phase(name, tuple(_batches(self._random, self._fleet, due)), frozenset(self._windows[name]))
            for name, due in self._due.items()
        )


def _json(values: dict[str, Any]) -> bytes:
    """A report as JSON, its id in hexadecimal."""
    return json.dumps(values | {"report_id": values["report_id"].hex()}).encode()


def _batches(random: Random, fleet: Fleet, due: Iterable[_Due]) -> Iterator[Batch]:
    """The messages in the order in which they are due; a batch has one tier, one path and one form."""
    waiting: dict[tuple[str, str | None, bool], list[Message]] = defaultdict(list)
    room: dict[tuple[str, str | None, bool], int] = defaultdict(lambda: _size(random))
    for one in sorted(due, key=lambda one: (one.at, one.message.content)):
        place = one.tier, one.path, one.message.typed
        waiting[place].append(one.message)
        if len(waiting[place]) >= room[place]:
            yield _batch(random, fleet, one.tier, one.path, waiting.pop(place))
            del room[place]
    for (tier, report, _), messages in waiting.items():
        yield _batch(random, fleet, tier, report, messages)


def _size(random: Random) -> int:
    return 1 if random.random() < SINGLE_SHARE else random.randrange(2, LARGEST_BATCH + 1)


def _batch(random: Random, fleet: Fleet, tier: str, report: str | None, messages: Sequence[Message]) -> Batch:
    coding = random.choices(tuple(CODINGS), tuple(CODINGS.values()))[0]
    headers = request_headers(fleet.seed, fleet.devices[messages[0].device])
    return Batch(tier, report, media_type_for(messages), coding, tuple(messages), headers)


def media_type_for(messages: Sequence[Message]) -> str:
    """How a body of these messages, all of one form, is called."""
    if messages[0].typed:
        return JSON
    return AVRO if len(messages) == 1 else AVRO_SEQUENCE


CODED: dict[str, Callable[[bytes], bytes]] = {
    "": bytes,
    "gzip": gzip.compress,
    "zstd": zstandard.ZstdCompressor().compress,
}
