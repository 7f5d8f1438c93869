"""A gate and a schema registry that nobody here wrote: ids from it, nothing without it, and a log that outlives it."""

import asyncio
import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from aggregators.rollups.stripped import OutcomesRecord, StrippedRecords
from ingest.log.embedded import EmbeddedLogReader
from ingest.records import SCHEMAS_TOPIC
from ingest.report import Entry
from ingest.schema_topic import stored_schemas, written
from tests.apicurio import Apicurio, apicurio
from tests.end_to_end.gate_on_kafka import post_everything, tighten
from tests.end_to_end.outside_clients import Message, reader_of
from tests.end_to_end.reports import Reports
from tests.running_gate import RunningGate, refused_start, running_gate, tier_files
from tidegate.settings import LOG_DIRECTORY


@pytest.fixture
def registry(tmp_path: Path) -> Iterator[Apicurio]:
    """A registry that holds nothing yet."""
    (tmp_path / "apicurio").mkdir()
    with apicurio(tmp_path / "apicurio") as running:
        yield running


def records_of(gate: RunningGate) -> list[Entry]:
    """Everything in the log but the schemas."""
    return [entry for entry in gate.entries() if entry.topic != SCHEMAS_TOPIC]


def read_by_confluent(url: str, entries: list[Entry]) -> None:
    """Read every entry as a consumer of Confluent's does, by the registry at `url`."""
    with reader_of(url) as reader:
        for entry in entries:
            record = reader.read(Message(entry.topic, entry.key, entry.value, list(entry.headers)))
            assert record.get("report_id", entry.key) == entry.key


async def read_by_the_follower(gate: RunningGate, entries: list[Entry]) -> int:
    """Read every entry by the log's schemas alone; returns how many were reports."""
    log = EmbeddedLogReader(gate.data / LOG_DIRECTORY)
    try:
        records = StrippedRecords()
        records.learn(await stored_schemas(log))
        return sum(not isinstance(records.read(entry), OutcomesRecord) for entry in entries)
    finally:
        await log.close()


def test_a_log_outlives_its_registry(tmp_path: Path, registry: Apicurio) -> None:
    """What was written under a registry's ids is read by it, and once it has gone by the log, its tail and the gate."""
    tiers = tier_files(tmp_path / "tiers")
    with running_gate(tmp_path, tiers=tiers, schema_registry=registry.url) as gate:
        posted = post_everything(gate, seed=1)
        gate.stop()
        before = records_of(gate)
        with reader_of(registry.url) as reader:
            subjects = reader.client.get_subjects()
        assert sorted(subjects) == sorted(f"{schema.topic}-value" for schema in written(gate.catalogue))
        assert {entry.value[:1] for entry in before} == {b"\0"}
        read_by_confluent(registry.url, before)
    registry.stop()
    with running_gate(tmp_path, tiers=tiers, schema_registry="own") as gate:
        posted += post_everything(gate, seed=2)
        read_by_confluent(f"{gate.url}/registry", before)
    with running_gate(tmp_path, tiers=tiers) as gate:
        posted += post_everything(gate, seed=3)
        gate.stop()
        everything = records_of(gate)
    assert {entry.value[:1] for entry in everything} == {b"\0", b"\xc3"}
    assert asyncio.run(read_by_the_follower(gate, everything)) == sum(posted.values())
    command = [sys.executable, "-m", "tidegate", "log", "tail", "--json", "--limit", "1000", "--data", str(gate.data)]
    done = subprocess.run([*command, "--tiers", str(tiers)], capture_output=True, check=True, timeout=60)
    told = [json.loads(line)["schema"] for line in done.stdout.splitlines()]
    assert len(told) == len(everything)
    assert None not in told


def test_nothing_is_written_without_the_registry(tmp_path: Path, registry: Apicurio) -> None:
    """Once the registry cannot be reached, new policies are refused, the old ones go on, and no gate starts."""
    tiers = tier_files(tmp_path / "tiers")
    with running_gate(tmp_path, tiers=tiers, schema_registry=registry.url) as gate:
        registry.stop()
        tighten(gate)
        (refused,) = gate.events("policy_refused")
        assert refused["file"] == registry.url
        assert "cannot be reached" in refused["problem"]
        answer = gate.post("contractor", "trace_window", Reports(gate.catalogue).message("trace_window"))
        assert (answer.status, answer.document["policy_version"]) == (202, 1)
    code, stderr = refused_start(tmp_path, tiers=tiers, schema_registry=registry.url)
    assert code == 1
    assert registry.url in stderr
    assert "Traceback" not in stderr
