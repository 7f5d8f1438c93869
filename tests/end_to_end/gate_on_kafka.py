"""A gate whose log is a Kafka, every report type of every tier posted to it, and a policy tightened and loosened."""

import asyncio
import hashlib
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from ingest.log.kafka.connection import KafkaConnection
from ingest.topics.cluster import Brokers, apply_topics
from schemas.catalogue import load_catalogue
from tests.end_to_end.avro_by_hand import message
from tests.end_to_end.planted import Plants, planted_report
from tests.running_gate import RunningGate, running_gate, tier_files

TIGHTENED = "tidegate.contractor.trace_window.v1"
"""The topic of the report whose policy `tighten` changes."""


@contextmanager
def gate_on_kafka(folder: Path, *, bootstrap: str, prefix: str, **settings: object) -> Iterator[RunningGate]:
    """A gate on the topics that begin with `prefix`, which are made where there are none yet."""
    tiers = folder / "tiers" if (folder / "tiers").exists() else tier_files(folder / "tiers")
    connection = KafkaConnection(bootstrap)
    catalogue = load_catalogue(tiers=tiers)
    asyncio.run(apply_topics(connection, catalogue, topic_prefix=prefix, brokers=Brokers.ANY))
    on_kafka = {"log": "kafka", "kafka_bootstrap": bootstrap, "kafka_topic_prefix": prefix}
    chosen: dict[str, Any] = {**on_kafka, **settings}
    with running_gate(folder, tiers=tiers, **chosen) as gate:
        yield gate


def post_everything(gate: RunningGate, *, seed: int, plants: Plants | None = None) -> Counter[str]:
    """Post one report of every type to every tier that takes it; returns how many went to each topic.

    What is planted in them is entered in `plants`.
    """
    posted: Counter[str] = Counter()
    plants = plants or Plants()
    for (tier, _), plan in gate.catalogue.plans.items():
        report = planted_report(plan.schema, plants, tier=tier) | {"report_id": report_id(plan.topic, seed)}
        answer = gate.post(tier, plan.schema.name, message(plan.schema, report))
        assert (answer.status, answer.document["accepted"]) == (202, 1)
        posted[plan.topic] += 1
    return posted


def report_id(topic: str, seed: int) -> bytes:
    """Sixteen letters and digits, the same for the same topic and seed."""
    return hashlib.sha256(f"{topic} {seed}".encode()).hexdigest()[:16].encode()


def tighten(gate: RunningGate) -> None:
    """Take a field away from what the contractors' trace windows keep, and send SIGHUP."""
    _change(gate, '"windows_lost", ', "", version=2)


def loosen(gate: RunningGate) -> None:
    """Keep the field again, and send SIGHUP."""
    _change(gate, '"windows_closed"', '"windows_lost", "windows_closed"', version=3)


def _change(gate: RunningGate, old: str, new: str, *, version: int) -> None:
    file = gate.tiers / "contractor.toml"
    text = file.read_text(encoding="utf-8")
    assert old in text
    changed = text.replace(old, new, 1).replace(f"version = {version - 1}", f"version = {version}", 1)
    file.write_text(changed, encoding="utf-8")
    gate.reload()
