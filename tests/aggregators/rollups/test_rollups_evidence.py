"""What stands in the tables as evidence of distinct devices (docs/adr/0012-lower-bound.md): never a device twice."""

import json
from typing import Any

import pytest

from aggregators.rollups.rollups import Rollups
from ingest.json_reports import Message
from ingest.pipeline import JSON, Submission, messages_of, strip_message
from ingest.records import to_entry
from ingest.report import Entry, StoredEntry
from load.reports import MS_PER_HOUR
from tests.rollups_input import HOUR, NOW, RULES, entry_of, one_batch, placed, row_of, stripped_records
from tests.rollups_snapshot import rows_of

RECORDS = stripped_records()

Report = dict[str, Any]
Row = dict[str, Any]


def evidence(rollups: Rollups, table: str = "route_rows") -> list[tuple[Any, ...]]:
    """Evidence of a table, whatever its combinations: key_hour, key_day, report_hour, report_day."""
    return rows_of(rollups, f"SELECT sum(key_hour), sum(key_day), sum(report_hour), sum(report_day) FROM {table}")  # noqa: S608  # names of this file


FIRST = {"first_of_hour": True, "first_of_day": True, "first_of_week": True}


def flagged(model: str | None) -> Row:
    """A row that its device flags as its first of this model."""
    return row_of("route_window", "rows", model=model, tasks=1, **FIRST)


@pytest.mark.parametrize(
    ("models", "keys"),
    [
        pytest.param([["small-chat"]], 1, id="a name of the manifest counts"),
        pytest.param([[None]], 1, id="no name counts"),
        pytest.param([["small-chat", "large-chat"]], 2, id="each combination counts"),
        pytest.param([["alice-tuned"]], 0, id="an unknown name does not"),
        pytest.param([["alice-tuned", "bob-tuned"]], 0, id="two unknown names would be one device twice"),
        pytest.param([["alice-tuned"], ["bob-tuned"]], 0, id="nor two in two reports"),
        pytest.param([["alice-tuned", "small-chat"]], 0, id="nor what else is in that report"),
        pytest.param([["other"]], 1, id="folded by the device itself"),
    ],
)
def test_a_device_counts_once_in_a_combination(rollups: Rollups, models: list[list[str | None]], keys: int) -> None:
    """Flags of rows count only where the gate altered no dimension, for two altered ones may have become the same."""
    reports = [
        {"rows": [flagged(model) for model in rows], "device_id": "d", "hostname": f"part {number}"}
        for number, rows in enumerate(models)
    ]
    rollups.apply(one_batch([entry_of("route_window", report) for report in reports]), RECORDS)
    assert evidence(rollups) == [(keys, keys, 0, 0)]


TWICE = [
    pytest.param(
        "route_window", {"rows": [flagged("small-chat") for _ in range(20)]}, "route_rows", id="rows of route_window"
    ),
    pytest.param(
        "route_window",
        {"violations": [row_of("route_window", "violations", rule="D1", **FIRST)] * 20},
        "violation_rows",
        id="violations",
    ),
    pytest.param(
        "fallback_window",
        {"rows": [row_of("fallback_window", "rows", **FIRST)] * 20},
        "fallback_rows",
        id="rows of fallback_window",
    ),
    pytest.param(
        "fallback_window",
        {"planned": [row_of("fallback_window", "planned", **FIRST)] * 20},
        "fallback_planned",
        id="planned",
    ),
    pytest.param(
        "model_inventory",
        {"manifest_age": "under_1h", "rows": [row_of("model_inventory", "rows", **FIRST)] * 20},
        "inventory_rows",
        id="files",
    ),
]


@pytest.mark.parametrize(("name", "said", "table"), TWICE)
def test_equal_rows_of_one_report_are_one_device(rollups: Rollups, name: str, said: Report, table: str) -> None:
    """A report whose rows of one combination all carry the flag proves one device; two such reports prove two."""
    entries = [entry_of(name, said | {"hostname": host}) for host in ("a", "b")]
    (partition,) = placed(entries)
    for at, entry in enumerate(entries):
        rollups.apply([(partition, [StoredEntry(at, entry)])], RECORDS)
        assert evidence(rollups, table) == [(at + 1, at + 1, 0, 0)]


def in_json(rows: list[Row], **more: Any) -> Entry:
    """The entry of a route_window in JSON, as an agent may post it that is newer than the gate."""
    report = {
        "report_id": "ab" * 16,
        "window_start": HOUR,
        "window_end": HOUR + MS_PER_HOUR,
        "hardware_tier": "small",
        "network_context": "office",
        "rows": rows,
        "violations": [row_of("route_window", "violations", rule="D1", **FIRST)],
    }
    submission = Submission("byod", "route_window", JSON, "", json.dumps(report | more).encode())
    (message,) = messages_of(submission, RULES)
    assert isinstance(message, Message)
    return to_entry(strip_message(message, submission, RULES, now=NOW), now=NOW)


@pytest.mark.parametrize(
    ("rows", "more", "keys"),
    [
        pytest.param([{}], {}, 1, id="none: the flags count"),
        pytest.param([{"workspace": "a"}, {"workspace": "b"}], {}, 0, id="a dimension of a newer agent"),
        pytest.param([{}], {"workspace": "a"}, 0, id="beside the rows"),
        pytest.param([{}], {"attributes": {"workspace": "a"}}, 0, id="a key of attributes"),
    ],
)
def test_a_name_of_no_schema_takes_the_evidence_away(
    rollups: Rollups, rows: list[Row], more: Report, keys: int
) -> None:
    """Flags of rows count in no array of a report with such a name, for the device may tell rows apart by it."""
    entry = in_json([flagged("small-chat") | row for row in rows], **more)
    rollups.apply(one_batch([entry]), RECORDS)
    assert evidence(rollups) == [(keys, keys, 0, 0)]
    assert evidence(rollups, "violation_rows") == [(keys, keys, 0, 0)]


def test_the_flag_of_a_report_counts_once_in_each_combination(rollups: Rollups) -> None:
    """A report that is its device's first counts once where three of its rows became one combination."""
    rows = [flagged("alice-tuned"), flagged("bob-tuned"), flagged("carol-tuned"), flagged("small-chat")]
    rollups.apply(one_batch([entry_of("route_window", {"rows": rows, **FIRST})]), RECORDS)
    assert rows_of(rollups, "SELECT model, sum(tasks), sum(report_hour) FROM route_rows GROUP BY ALL ORDER BY ALL") == [
        ("other", 3, 1),
        ("small-chat", 1, 1),
    ]


def test_an_altered_header_alters_no_row(rollups: Rollups) -> None:
    """A region or a name of the device that was altered does not take a row's evidence away."""
    report = {"rows": [flagged("small-chat")], "region": "atlantis", "hostname": "h"}
    rollups.apply(one_batch([entry_of("route_window", report)]), RECORDS)
    assert evidence(rollups) == [(1, 1, 0, 0)]
    assert rows_of(rollups, "SELECT region FROM route_rows") == [("other",)]


def test_arrays_have_their_own_evidence(rollups: Rollups) -> None:
    """A violation counts although a row beside it was altered, and rows of `planned` count by themselves."""
    violation = row_of("route_window", "violations", rule="D1", tasks=2, **FIRST)
    planned = row_of("fallback_window", "planned", planned_route="edge", tasks=5, **FIRST)
    entries = [
        entry_of("route_window", {"rows": [flagged("alice-tuned")], "violations": [violation], **FIRST}),
        entry_of("fallback_window", {"planned": [planned]}),
    ]
    rollups.apply(one_batch(entries), RECORDS)
    assert evidence(rollups, "violation_rows") == [(1, 1, 1, 1)]
    assert evidence(rollups, "fallback_planned") == [(1, 1, 0, 0)]
    assert rows_of(rollups, "SELECT rule, tasks FROM violation_rows") == [("D1", 2)]
    assert rows_of(rollups, "SELECT planned_route, tasks FROM fallback_planned") == [("edge", 5)]


def test_a_tier_without_pseudonyms_has_no_device(rollups: Rollups) -> None:
    """Rows have the pseudonym where the tier makes one, and are one row for all devices where it does not."""
    reports = [{"rows": [flagged("small-chat")], "device_id": f"device {number}"} for number in range(3)]
    entries = [entry_of("route_window", report, tier=tier) for tier in ("managed", "byod") for report in reports]
    rollups.apply(one_batch(entries), RECORDS)
    assert rows_of(
        rollups,
        "SELECT tier, count(*), count(DISTINCT device), sum(key_hour) FROM route_rows GROUP BY ALL ORDER BY ALL",
    ) == [("byod", 1, 0, 3), ("managed", 3, 3, 3)]
