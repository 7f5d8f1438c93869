"""Which schemas of the log are taken, and which are left so that their records are parked."""

from copy import deepcopy
from typing import Any

import pytest

from aggregators.rollups.writers import Writers
from ingest.schema_topic import schemas_of
from ingest.telemetry.outcomes import OUTCOMES_FINGERPRINT
from schemas.report_schema import crc_64_avro
from tests.rollups_input import CATALOGUE

SCHEMAS = schemas_of(CATALOGUE)
PLAN = CATALOGUE.plans["managed", CATALOGUE.latest["route_window"].fingerprint]
OUTPUT = PLAN.output


def with_field(name: str, kind: Any) -> dict[str, Any]:
    """The output schema with another type of one field."""
    document = deepcopy(OUTPUT)
    (field,) = [field for field in document["fields"] if field["name"] == name]
    field["type"] = kind
    return document


def with_row_field(name: str, kind: Any) -> dict[str, Any]:
    """The output schema with another type of one field of its rows."""
    document = deepcopy(OUTPUT)
    (rows,) = [field for field in document["fields"] if field["name"] == "rows"]
    (field,) = [field for field in rows["type"][1]["items"]["fields"] if field["name"] == name]
    field["type"] = kind
    return document


def test_every_schema_of_a_gate_is_taken() -> None:
    """Every schema that a gate publishes is taken: reports for their fields, the rest to read with."""
    writers = Writers()
    writers.learn(SCHEMAS)
    reports = {schema.fingerprint for schema in CATALOGUE.schemas}
    assert set(writers.by_reference) == set(SCHEMAS) - reports
    assert len(writers.reports) == len(reports)


def test_outcomes_need_no_schema_in_the_log() -> None:
    """The outcomes of gates are read with the schema of this release, whatever was learnt."""
    assert set(Writers().by_reference) == {OUTCOMES_FINGERPRINT}


@pytest.mark.parametrize(
    "document",
    [
        pytest.param(with_field("region", ["null", "int"]), id="a name that is a number"),
        pytest.param(with_field("first_of_hour", ["null", "string"]), id="a flag that is a name"),
        pytest.param(with_field("rows", ["null", "string"]), id="rows that are a name"),
        pytest.param(with_row_field("tasks", ["null", "string"]), id="a count that is a name"),
        pytest.param(with_row_field("latency", ["null", "long"]), id="a histogram that is a number"),
        pytest.param(with_field("region", ["null", "bytes"]), id="a type that no report may use"),
        pytest.param(OUTPUT | {"fields": "none"}, id="no schema at all"),
        pytest.param(OUTPUT | {"namespace": "tidegate.stripped.other_report.v1"}, id="of a report without a schema"),
        pytest.param(OUTPUT | {"namespace": "com.example"}, id="somebody else's"),
        pytest.param({}, id="empty"),
    ],
)
def test_a_schema_that_does_not_fit_is_left(document: dict[str, Any]) -> None:
    """A schema whose records would not fit the tables is not taken, under whatever key it comes."""
    try:
        key = crc_64_avro(document)
    except Exception:  # noqa: BLE001  # it is no schema, so it has no fingerprint
        key = b"12345678"
    writers = Writers()
    writers.learn(dict(SCHEMAS) | {key: document})
    assert key not in writers.by_reference


def test_a_schema_under_the_wrong_key_is_left() -> None:
    """A schema that is not the one that its key names is not taken: its records would be read as something else."""
    writers = Writers()
    writers.learn(dict(SCHEMAS) | {b"12345678": OUTPUT})
    assert b"12345678" not in writers.by_reference


def test_what_an_earlier_policy_kept_less_of_is_taken() -> None:
    """A schema without a field that the tables have is taken: what it does not say is absent."""
    document = deepcopy(OUTPUT)
    document["fields"] = [field for field in document["fields"] if field["name"] not in ("region", "violations")]
    writers = Writers()
    writers.learn(dict(SCHEMAS) | {crc_64_avro(document): document})
    assert crc_64_avro(document) in writers.by_reference
