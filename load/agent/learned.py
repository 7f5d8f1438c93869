"""What either end knows in the end: tasks by route (R1), how long they took by route (R4), fallbacks by routes and
reason (F1), model files (V1).

All four from what arrived and nothing else, and as the fleet has them; they must agree to the last task, or bytes and
CPU would be those of different answers. Of times both must give the same buckets, which is what percentiles are read
from; a task without a time is a span without a length, so neither is counted.
"""

import io
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, fields
from functools import cache
from math import ceil, log2
from pathlib import Path
from typing import Any

import fastavro

from ingest.log.embedded import EmbeddedLogReader
from ingest.records import GATES_OWN
from load.agent.days import DeviceDays
from load.agent.sink import Span
from load.agent.spans import FILE
from load.children import ChildFailedError
from load.fleet.models import manifest_document
from load.fleet.truth_policy import OTHER, Names, manifest_names
from schemas.catalogue import load_catalogue
from schemas.framing import split

READ_AT_ONCE = 1_000

OVERFLOW = 192
"""Above the greatest bucket of a histogram: nearly five hours."""


@dataclass(slots=True)
class Learned:
    """Counts by what they are counted by."""

    routes: Counter[Any] = field(default_factory=Counter)
    latencies: Counter[Any] = field(default_factory=Counter)
    fallbacks: Counter[Any] = field(default_factory=Counter)
    files: Counter[Any] = field(default_factory=Counter)


def require_same(side: str, learned: Learned, truth: Learned) -> None:
    """Raises `ChildFailedError` where a side knows anything else than what happened."""
    for one in fields(Learned):
        if getattr(learned, one.name) != getattr(truth, one.name):
            raise ChildFailedError(f"what {side} say of {one.name} is not what happened")


def of_fleet(every: Iterable[DeviceDays]) -> Learned:
    """The truth."""
    learned = Learned()
    for days in every:
        for task in days.tasks:
            learned.routes[task.actual_route] += 1
            learned.latencies.update(_bucket(task.actual_route, task.latency_ms))
            if task.actual_route != task.planned_route:
                learned.fallbacks[task.planned_route, task.actual_route, task.fallback_reason] += 1
        learned.files.update(_file(file.model, file.version, file.state) for file in days.files)
    return learned


def _bucket(route: str, ms: int | None) -> Iterator[tuple[str, int]]:
    """Where a time is counted: eighths of a power of two, as the schemas' histograms have them."""
    if ms:
        yield route, min(ceil(8 * log2(ms)) - 1, OVERFLOW)


def _file(model: str, version: str, state: str) -> tuple[str, str, str]:
    """What V1 and V2 count by; names that the manifest does not have read `other`, as they do behind a gate."""
    names = _names()
    return (
        model if model in names["model"] else OTHER,
        version if version in names["model_version"] else OTHER,
        state,
    )


@cache
def _names() -> Names:
    return manifest_names(manifest_document())


def of_spans(spans: Iterable[Span]) -> Learned:
    """What a collector has."""
    learned = Learned()
    for name, said, length_ms in spans:
        if name == FILE:
            learned.files[_file(said["gen_ai.response.model"], said["tidegate.version"], said["tidegate.state"])] += 1
            continue
        planned, actual = said["tidegate.planned_route"], said["tidegate.actual_route"]
        learned.routes[actual] += 1
        learned.latencies.update(_bucket(actual, length_ms))
        if planned != actual:
            learned.fallbacks[planned, actual, said["tidegate.fallback_reason"]] += 1
    return learned


async def of_log(directory: Path) -> Learned:
    """What a gate's log has."""
    learned = Learned()
    reader = EmbeddedLogReader(directory)
    try:
        for partition in await reader.partitions():
            if partition.topic not in GATES_OWN:
                after = -1
                while found := await reader.read(partition, after=after, limit=READ_AT_ONCE):
                    _learn(learned, [stored.entry.value for stored in found])
                    after = found[-1].offset
    finally:
        await reader.close()
    return learned


def _learn(learned: Learned, values: Sequence[bytes]) -> None:
    plans = {plan.output_fingerprint: plan for plan in load_catalogue().plans.values()}
    for value in values:
        fingerprint, body_at = split(value)
        plan = plans[fingerprint]
        said: Any = fastavro.schemaless_reader(io.BytesIO(value[body_at:]), plan.output_parsed, None)
        for row in said.get("rows", ()):
            match plan.schema.name:
                case "route_window":
                    learned.routes[row["actual_route"]] += row["tasks"]
                    learned.latencies += _counted(row["actual_route"], row["latency"] or {})
                case "fallback_window" if row["tasks"]:
                    key = row["planned_route"], row["actual_route"], row["fallback_reason"]
                    learned.fallbacks[key] += row["tasks"]
                case "model_inventory":
                    learned.files[_file(row["model"], row["version"], row["state"])] += 1


def _counted(route: str, histogram: Mapping[str, Any]) -> Counter[Any]:
    """The buckets of a histogram that hold something."""
    counts = enumerate(histogram.get("counts", ()), start=histogram.get("offset", 0))
    buckets = {(route, bucket): number for bucket, number in counts if number}
    if beyond := histogram.get("overflow"):
        buckets[route, OVERFLOW] = beyond
    return Counter(buckets)
