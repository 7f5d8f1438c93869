"""`tidegate log` beside a gate that runs: decoded values, matching topics, following, and what the log holds."""

import asyncio
import json
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from random import Random
from typing import Any

import pytest
from click.testing import CliRunner, Result

from ingest.clock import SystemClock
from ingest.log.embedded import EmbeddedLog, EmbeddedLogReader
from ingest.report import Entry, Partition
from ingest.telemetry.account import OutcomeCount
from ingest.telemetry.outcomes import OUTCOMES_FINGERPRINT, Outcomes, encode_outcomes
from load.reports import encode, make_report
from schemas.catalogue import load_catalogue
from schemas.framing import single_object
from tests.end_to_end.reports import HOUR_MS
from tests.running_gate import PATIENCE_SECONDS, RunningGate, eventually, running_gate, tier_files
from tidegate.cli import main
from tidegate.cli.log_values import Decoder
from tidegate.settings import LOG_DIRECTORY

CATALOGUE = load_catalogue()


@pytest.fixture
def gate(tmp_path: Path) -> Iterator[RunningGate]:
    """A gate that runs."""
    with running_gate(tmp_path, tiers=tier_files(tmp_path / "tiers")) as running:
        yield running


@pytest.fixture(scope="module")
def three(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningGate]:
    """A gate that runs and took three reports of one topic; nothing here posts to it."""
    folder = tmp_path_factory.mktemp("three")
    with running_gate(folder, tiers=tier_files(folder / "tiers")) as running:
        for seed in range(3):
            post(running, "managed", "health_window", seed)
        yield running


def log(gate: RunningGate, command: str, *arguments: object) -> Result:
    """Run `tidegate log` on the data directory of a gate."""
    tiers = ("--tiers", str(gate.tiers)) if command == "tail" else ()
    return CliRunner().invoke(main, ["log", command, "--data", str(gate.data), *tiers, *map(str, arguments)])


def entries(result: Result) -> list[dict[str, Any]]:
    """The documents of a tail with --json."""
    assert result.exit_code == 0, result.output
    return [json.loads(line) for line in result.stdout.splitlines()]


def post(gate: RunningGate, tier: str, report: str, seed: int) -> str:
    """Post a seeded report, which must be accepted, and return its id."""
    schema = CATALOGUE.latest[report]
    given = make_report(schema, Random(seed), now=SystemClock().now_ms()) | {"user_email": None}
    assert gate.post(tier, report, encode(schema, given)).status == 202
    return str(given["report_id"].hex())


def test_tail_decodes_what_the_gate_wrote(gate: RunningGate) -> None:
    """While the gate runs, stripped records and outcomes are read with their values and remarks, oldest first."""
    ids = [post(gate, "managed", "health_window", seed) for seed in range(3)]
    found = [one for one in entries(log(gate, "tail", "--json")) if one["topic"] != "tidegate.control"]
    assert [one["key"] for one in found] == ids
    assert [one["value"]["report_id"] for one in found] == ids
    assert {one["schema"] for one in found} == {"stripped.health_window.v1"}
    assert {"field": "hostname", "action": "drop", "values": 1} in found[0]["remarks"]
    assert {"field": "unknown", "action": "drop", "values": 1} in found[0]["remarks"]


def test_outcomes_are_decoded(gate: RunningGate) -> None:
    """The gate's own records say what came in and what became of it."""
    post(gate, "byod", "health_window", 1)

    def counted() -> bool:
        found = entries(log(gate, "tail", "--json", "--topic", "tidegate.control"))
        return {"tier": "byod", "outcome": "accepted", "count": 1} in [
            count for one in found for count in one["value"]["counts"]
        ]

    eventually(counted, "the outcomes with the accepted report are in the log")
    lines = [" ".join(line.split()) for line in log(gate, "tail", "--topic", "tidegate.control").stdout.splitlines()]
    told = " ".join(line for line in lines if line.startswith("byod "))  # they may be in two records
    assert "received 1" in told
    assert "accepted 1" in told


def test_heartbeat_says_that_nothing_was_counted() -> None:
    """A record of outcomes without a count is told in words, one with counts by a line a tier."""
    counts = (
        OutcomeCount("byod", "received", 7),
        OutcomeCount("byod", "accepted", 2),
        OutcomeCount("lab", "received", 1),
    )
    empty, full = (
        Decoder(CATALOGUE).decode(
            single_object(OUTCOMES_FINGERPRINT)
            + encode_outcomes(Outcomes(gate_id="g", sequence=0, from_time=0, to_time=1, final=False, counts=given))
        )
        for given in ((), counts)
    )
    assert empty.values["counts"] == "nothing was counted"
    assert {name: full.values.get(name) for name in ("byod", "lab", "counts")} == {
        "byod": "received 7, accepted 2",
        "lab": "received 1",
        "counts": None,
    }


@pytest.mark.parametrize(
    ("topic", "told"),
    [
        pytest.param("nope", "no topic matches nope; `tidegate log stats` lists them\n", id="none"),
        pytest.param("tidegate.managed.*", "", id="one that has entries"),
    ],
)
def test_topic_that_matches_nothing_is_told(three: RunningGate, topic: str, told: str) -> None:
    """A pattern that no topic matches is told on stderr, and is no failure."""
    result = log(three, "tail", "--topic", topic)
    assert (result.exit_code, result.stderr) == (0, told)


def test_newest_of_the_topics_that_match(gate: RunningGate) -> None:
    """--topic chooses by pattern and --limit the newest over all that match, in the order of their record's time."""
    ids = [post(gate, tier, "trace_window", seed) for seed, tier in enumerate(["managed", "byod", "managed", "byod"])]
    post(gate, "managed", "health_window", 9)
    # byod's records tell the hour only, so they come before those of managed, unless it turned meanwhile.
    times = {entry.key.hex(): entry.timestamp for entry in gate.entries()}
    assert [times[ids[number]] % HOUR_MS for number in (1, 3)] == [0, 0]
    in_order = sorted(ids, key=times.__getitem__)
    assert [one["key"] for one in entries(log(gate, "tail", "--json", "--topic", "*.trace_window.*"))] == in_order
    newest = entries(log(gate, "tail", "--json", "--topic", "*.trace_window.*", "--limit", 3))
    assert [one["key"] for one in newest] == in_order[1:]
    assert entries(log(gate, "tail", "--json", "--limit", 0)) == []


def test_tail_as_text(gate: RunningGate) -> None:
    """The text of an entry names its topic, its values, and by action what was not kept."""
    post(gate, "managed", "trace_window", 1)
    result = log(gate, "tail", "--topic", "*.managed.*")
    assert result.exit_code == 0
    assert "tidegate.managed.trace_window.v1/0" in result.stdout
    assert "dropped: " in result.stdout
    assert "hardware_tier" in result.stdout
    assert max(map(len, result.stdout.splitlines())) <= 120


async def store(data: Path, entry: Entry) -> None:
    """Append an entry that no gate wrote."""
    writer = EmbeddedLog(data / LOG_DIRECTORY)
    await writer.append([entry])
    await writer.close()


def test_value_of_an_unknown_schema_is_shown_as_such(gate: RunningGate) -> None:
    """A value that the policies at hand do not write is shown by fingerprint and length alone."""
    gate.stop()
    asyncio.run(store(gate.data, Entry("tidegate.elsewhere.v1", b"key", b"\xc3\x01planted!" + bytes(5), 0)))
    (found,) = entries(log(gate, "tail", "--json", "--topic", "tidegate.elsewhere.v1"))
    assert (found["schema"], found["fingerprint"], found["bytes"]) == (None, b"planted!".hex(), 15)
    assert "written under a schema that neither these policies nor the log has" in log(gate, "tail").stdout


def test_follow_shows_what_comes_and_ends_with_ctrl_c(gate: RunningGate) -> None:
    """A following tail prints an entry that is posted while it runs, and Ctrl-C ends it with 0 and no word."""
    command = [sys.executable, "-m", "tidegate", "log", "tail", "--data", str(gate.data), "--follow", "--json"]
    lines, errors = gate.folder / "followed", gate.folder / "errors"
    with lines.open("wb") as stdout, errors.open("wb") as stderr:
        # A shell that starts the tests in the background makes them, and their children, deaf to Ctrl-C.
        process = subprocess.Popen(command, stdout=stdout, stderr=stderr, preexec_fn=listen_to_ctrl_c)  # noqa: PLW1509
    try:
        eventually(lambda: lines.read_bytes().count(b"\n"), "the tail printed what was there")
        posted = post(gate, "managed", "health_window", 1)
        eventually(lambda: posted.encode() in lines.read_bytes(), "the tail printed what was posted")
    finally:
        process.send_signal(signal.SIGINT)
    assert process.wait(PATIENCE_SECONDS) == 0
    assert errors.read_bytes() == b""
    assert [json.loads(line)["key"] for line in lines.read_text("utf-8").splitlines()].count(posted) == 1


def listen_to_ctrl_c() -> None:
    """Have SIGINT do what it does in a terminal."""
    signal.signal(signal.SIGINT, signal.default_int_handler)


def test_stats_count_what_was_posted(three: RunningGate) -> None:
    """Each partition has its number of entries, first and last offset and time; the bytes are those of the values."""
    result = log(three, "stats", "--json")
    assert result.exit_code == 0
    [stats] = [one for one in json.loads(result.stdout) if one["topic"] == "tidegate.managed.health_window.v1"]
    values = [entry.value for entry in three.entries() if entry.topic == stats["topic"]]
    assert (stats["partition"], stats["entries"], stats["value_bytes"]) == (0, 3, sum(map(len, values)))
    assert stats["first_offset"] < stats["last_offset"]
    assert stats["first_time"] <= stats["last_time"]
    text = log(three, "stats").stdout
    assert "tidegate.managed.health_window.v1/0" in text
    assert "bytes of values" in text


@pytest.mark.parametrize(
    ("entries", "read"),
    [
        pytest.param(0, 0, id="none of them"),
        pytest.param(2, 2, id="the newest"),
        pytest.param(3, 3, id="all there are"),
        pytest.param(9, 3, id="more than there are"),
    ],
)
async def test_reader_finds_where_the_newest_begin(three: RunningGate, entries: int, read: int) -> None:
    """Behind the offset that the reader names there are as many entries as were asked for, if there are so many."""
    partition = Partition("tidegate.managed.health_window.v1", 0)
    reader = EmbeddedLogReader(three.data / LOG_DIRECTORY)
    try:
        after = await reader.before_newest(partition, entries=entries)
        assert len(await reader.read(partition, after=after, limit=10)) == read
    finally:
        await reader.close()


@pytest.mark.parametrize("command", ["tail", "stats"])
def test_directory_without_a_log(tmp_path: Path, command: str) -> None:
    """A directory without a log ends the command with 1 and advice, and is not made into one."""
    result = CliRunner().invoke(main, ["log", command, "--data", str(tmp_path / "nowhere")])
    assert result.exit_code == 1
    assert "there is no log in" in result.stderr
    assert not (tmp_path / "nowhere").exists()
