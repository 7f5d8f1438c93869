"""No input of up to 1 MiB crashes the core, hangs it, or takes more than 64 MiB.

The inputs are those of `tests/hostile_inputs.py`, measured in processes of their own. Memory is bounded here; seconds
of CPU are printed only, because they measure the machine; an input that hangs is ended by the limit set there.
"""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from schemas.catalogue import load_catalogue
from tests.hostile_inputs import Hostile, avro_inputs, other_inputs

ROOT = Path(__file__).resolve().parents[2]
MAX_MEBIBYTES = 64

HOSTILE = Hostile(load_catalogue())
NAMES = [*avro_inputs(HOSTILE), *other_inputs(HOSTILE)]

REFUSED = {
    "five bytes claim 20 million rows": "truncated",
    "a sized block claims 2^62 rows": "truncated",
    "a string claims 2^62 bytes": "truncated",
    "a varint that does not end": "bad_varint",
    "violations claim more than is left": "truncated",
    "JSON a million arrays deep": "bad_json",
    "JSON 200,000 objects deep": "bad_json",
    "JSON of 340,000 empty objects": "too_many_reports",
    "JSON of 130,000 small objects": "too_many_reports",
    "JSON with a number of 900,000 digits": "bad_json",
    "gzip of 50,000 empty members": "bad_compression",
}
"""The others are legal reports, however odd, and are accepted."""


@pytest.fixture(scope="module")
def costs() -> dict[str, list[dict[str, Any]]]:
    """What each input cost, by its name, under each tier."""
    program = [sys.executable, "-m", "tests.hostile_inputs"]
    run = subprocess.run(program, cwd=ROOT, capture_output=True, check=False, timeout=300)
    assert run.returncode == 0, "the program that measures did not end well"
    found: dict[str, list[dict[str, Any]]] = {}
    for line in map(json.loads, run.stdout.splitlines()):
        found.setdefault(line["name"], []).append(line)
    return found


@pytest.mark.parametrize("name", NAMES)
def test_costs_stay_within_bounds(costs: dict[str, list[dict[str, Any]]], name: str) -> None:
    """A hostile input gets its verdict in every tier and takes no more memory than it may."""
    for line in costs[name]:
        print(line)
        assert line["outcome"] == REFUSED.get(name, "accepted")
        assert line["mebibytes"] < MAX_MEBIBYTES


def test_the_measure_sees_memory(costs: dict[str, list[dict[str, Any]]]) -> None:
    """An input that is known to need some mebibytes is measured to need them."""
    assert min(line["mebibytes"] for line in costs["a map with 100,000 keys"]) > 4
