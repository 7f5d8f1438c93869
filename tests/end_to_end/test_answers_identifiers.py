"""Identifiers do not come out behind the log either: searched for in rollups, seals, publications, answers and lines.

As in `tests/end_to_end/test_identifiers.py`, the same scanner has to find in each place a control that belongs there.
"""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import duckdb
import pyarrow.parquet as pq
import pytest

from aggregators.database import FILE_NAME
from aggregators.publication.measures import load_measures
from aggregators.rollups.rollups import Rollups
from aggregators.sealing.seal import Sealer
from ingest.access.tokens import ROLES
from ingest.clock import SystemClock
from load.leaks import Leak, Scanner, forms
from tests.end_to_end.avro_by_hand import message
from tests.end_to_end.fleet_of_ten import post_all
from tests.end_to_end.planted import KEPT_VERSION, Plants, planted_report
from tests.running_gate import RunningGate, running_gate, tier_files
from tidegate.settings import ROLLUPS_DIRECTORY

BOTH: dict[str, Any] = {"only": None, "publish_every_seconds": 3600, "settle_seconds": 3600, "log_level": "debug"}

FORMATS = ("application/json", "text/csv", "application/vnd.apache.arrow.stream")

COMPRESSED = {"rollups, raw bytes", "seals, raw bytes", "publications, raw bytes"}
"""Places whose content is compressed in ways that the scanner does not undo: their tables are searched as well."""

CONTROLS = {
    "rollups, raw bytes": "table",
    "rollups, every row": "kept version",
    "seals, raw bytes": "column",
    "seals, every row": "kept version",
    "publications, raw bytes": "column",
    "publications, every row": "route",
    "answers": "route",
    "status": "state",
    "metrics": "state",
    "stdout": "path",
    "stderr": "event",
}
"""Place -> what the scanner has to find there."""

CONTROL_VALUES = {
    "kept version": KEPT_VERSION,
    "table": "route_rows",
    "column": "schema_version",
    "route": "on_device",
    "state": "following",
    "path": "/v1/answers",
    "event": "answers_ready",
}


@dataclass(frozen=True, slots=True)
class Evidence:
    """Everything that came out, by place, and what was planted in what went in."""

    plants: Plants
    places: dict[str, object]


def post_planted(gate: RunningGate, plants: Plants) -> None:
    """Every report to every tier, twice, each with a planted value in every text."""
    for tier in gate.catalogue.tiers:
        for schema in gate.catalogue.schemas:
            if schema.name in gate.catalogue.tiers[tier].reports:
                body = message(schema, planted_report(schema, plants, tier=tier))
                assert [gate.post(tier, schema.name, body).status for _ in range(2)] == [202, 202]


def ask_everything(gate: RunningGate) -> bytes:
    """Every measure by everything that it is published by, in three formats, and questions full of planted values."""
    answers = [gate.ask("/v1/answers").raw]
    for name, measure in load_measures().items():
        role = next(role for role in ROLES if role in measure.asked_by)
        for cube in measure.cubes:
            by = ",".join(("tier", *cube.dimensions))
            for media_type in FORMATS:
                answer = gate.ask(f"/v1/answers/{name}?by={by}", role, accept=media_type)
                assert answer.status == 200, answer.raw
                answers.append(json.dumps(dict(answer.headers)).encode() + answer.raw)
    return b"\n".join(answers)


def ask_with_plants(gate: RunningGate, plants: Plants) -> bytes:
    """What is said to questions that name what we do not have."""
    word = plants.word
    paths = [
        f"/v1/answers/{word('measure')}",
        f"/v1/answers/R1?by={word('dimension')}",
        f"/v1/answers/R1?by=route&{word('parameter')}=1",
        f"/v1/answers/R1?from={word('time')}",
        f"/v1/answers/R1?cursor={word('cursor')}",
        f"/v1/answers/R1?by=route&bucket={word('bucket')}",
        f"/v1/answers/problems/{word('problem')}",
    ]
    refused = [gate.ask(path) for path in paths]
    assert {answer.status for answer in refused} <= {400, 404}
    body = json.dumps({word("publication"): True}).encode()
    headers = {"authorization": f"Bearer {gate.roles['operator']}"}
    refused.append(gate.request("POST", "/v1/publications", body, headers))
    return b"\n".join(json.dumps(dict(answer.headers)).encode() + answer.raw for answer in refused)


def raw(directory: Path) -> bytes:
    """Every byte of every file below."""
    return b"\n".join(file.read_bytes() for file in sorted(directory.rglob("*")) if file.is_file())


def parquet_rows(directory: Path) -> list[Any]:
    """Every row of every Parquet file below, keys and values."""
    return [pq.read_table(file).to_pylist() for file in sorted(directory.rglob("*.parquet"))]


def duckdb_rows(file: Path) -> dict[str, Any]:
    """Every row of every table."""
    with duckdb.connect(str(file), read_only=True) as database:
        tables = [name for (name,) in database.execute("SELECT table_name FROM duckdb_tables()").fetchall()]
        return {name: database.execute(f'FROM "{name}"').fetchall() for name in tables}


def seal(gate: RunningGate) -> None:
    """Seal what the gate has applied, as it does by itself every hour; the gate must have ended."""
    rollups = Rollups.open(gate.data / ROLLUPS_DIRECTORY)
    sealer = Sealer(lambda: gate.catalogue.tiers, clock=SystemClock())
    sealer.settle(rollups)
    assert sealer.seal(rollups, drained=True) is not None
    rollups.close()


@pytest.fixture(scope="module")
def evidence(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Evidence]:
    """All that was made of planted reports behind the log, and all that was said about them."""
    folder = tmp_path_factory.mktemp("gate")
    plants = Plants()
    with running_gate(folder, tiers=tier_files(folder / "tiers"), **BOTH) as gate:
        post_planted(gate, plants)
        post_all(gate)
        assert gate.publish().status == 200
        answers = ask_everything(gate) + ask_with_plants(gate, plants)
        status = gate.ask("/v1/status").raw + gate.get("/readyz").raw + gate.get("/readyz/answers").raw
        metrics = gate.get("/metrics").raw
        directory = gate.data / ROLLUPS_DIRECTORY
        while_running = raw(directory)
        assert gate.stop() == 0
        before_sealing = (directory / FILE_NAME).read_bytes()
        rows = duckdb_rows(directory / FILE_NAME)
        seal(gate)
        yield Evidence(
            plants,
            {
                "rollups, raw bytes": while_running + before_sealing,
                "rollups, every row": rows,
                "seals, raw bytes": raw(directory / "seals"),
                "seals, every row": parquet_rows(directory / "seals"),
                "publications, raw bytes": raw(directory / "published"),
                "publications, every row": parquet_rows(directory / "published"),
                "answers": answers,
                "status": status,
                "metrics": metrics,
                "stdout": gate.stdout,
                "stderr": gate.stderr,
            },
        )


def test_no_planted_value_is_anywhere(evidence: Evidence) -> None:
    """No planted value is found in any place behind the log, in any form."""
    assert len(evidence.plants.values) > 400
    assert not Scanner(evidence.plants.values).scan(evidence.places)


@pytest.mark.parametrize(("place", "control"), CONTROLS.items())
def test_the_scanner_sees_what_belongs_there(evidence: Evidence, place: str, control: str) -> None:
    """In each place the scanner finds the value that may be there, so it would have found another one."""
    found = Scanner(CONTROL_VALUES).scan({place: evidence.places[place]})
    assert Leak(place, control, "plain") in found


def test_every_place_has_a_control(evidence: Evidence) -> None:
    """No place is searched without a control, and what is compressed is searched as rows too."""
    assert evidence.places.keys() == CONTROLS.keys()
    assert {place.replace("raw bytes", "every row") for place in COMPRESSED} <= CONTROLS.keys()


@pytest.mark.parametrize("place", CONTROLS)
def test_every_form_would_be_found_there(evidence: Evidence, place: str) -> None:
    """Each form of a planted value is found once it is put into the middle of a copy of the place."""
    value = evidence.plants.text("put into a copy").encode()
    written = list(forms(value))
    content = evidence.places[place]
    middle = b"".join(b"\n--" + needle for _, needle in written)
    copy = content[: len(content) // 2] + middle if isinstance(content, bytes) else [content, middle]
    assert {leak.form for leak in Scanner({"it": value}).scan({place: copy})} >= {form for form, _ in written}
