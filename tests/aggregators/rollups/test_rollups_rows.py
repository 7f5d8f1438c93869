"""What stands in the tables, against sums made the plain way from what the devices sent.

The oracle knows of the product the shape of a report and the names of its dimensions. What the gate does to a name it
says in its own words: a name of the manifest stays, any other is `other`, and then the report's key flags do not count;
nor do they beside a key of `attributes`, which is a name that no schema has.
"""

import dataclasses
import json
from collections import Counter, defaultdict
from io import BytesIO
from random import Random
from typing import Any

import fastavro
import pytest

from aggregators.rollups.rollups import Rollups
from load.reports import MS_PER_HOUR, make_report
from schemas.framing import SINGLE_OBJECT_BYTES, single_object
from tests.reference_strip import decode_output, plain
from tests.rollups_input import (
    CATALOGUE,
    HOUR,
    KNOWN,
    NOW,
    entry_of,
    one_batch,
    row_of,
    stripped_records,
)
from tests.rollups_snapshot import rows_of

RECORDS = stripped_records()

Report = dict[str, Any]
Row = dict[str, Any]

DIMENSIONS = {
    "route_window": [
        *("data_class", "task_kind", "input_size", "authority", "device_approved", "planned_route", "actual_route"),
        *("decision_reason", "precision", "served_region", "model", "model_version", "policy_version"),
    ],
    "fallback_window": ["data_class", "planned_route", "actual_route", "fallback_reason", "consent", "disclosed"],
    "model_inventory": ["model", "version", "digest", "precision", "runtime"],
}
ALSO_BY = {"model_inventory": ["state", "removal", "wanted_version", "serving"]}
"""What else the rows of a table are told apart by."""

NAMED = {
    "served_region": "region",
    "model": "model",
    "model_version": "model_version",
    "version": "model_version",
    "wanted_version": "model_version",
    "digest": "digest",
}
"""Which of the manifest's names a field must be."""

TABLES = {"route_window": "route_rows", "fallback_window": "fallback_rows", "model_inventory": "inventory_rows"}
COUNTS = {
    "route_window": [
        *("tasks", "attempts", "succeeded", "refused", "degraded", "offline", "cold_starts", "contract_checked"),
        *("contract_valid", "citations_expected", "citations_present", "tokens_in", "tokens_out", "bytes_sent"),
    ],
    "fallback_window": [
        *("tasks", "succeeded", "degraded", "bytes_moved", "seconds_in_fallback", "returns", "canary_returns"),
    ],
    "model_inventory": [
        *("tasks", "fallbacks", "crashes", "downloads", "signature_failures", "checksum_failures"),
        *("bytes_downloaded", "bytes_wasted"),
    ],
}


def kept(name: str, value: Any) -> Any:
    """What becomes of the value of a field on its way through the gate."""
    known = KNOWN[NAMED[name]] if name in NAMED else None
    return value if known is None or value is None or value in known else "other"


def made_reports(name: str, random: Random) -> list[Report]:
    """Reports, half of which say only names that the manifest has, most without attributes; all say a row twice."""
    reports = []
    for number in range(60):
        report = make_report(CATALOGUE.latest[name], random, now=NOW - random.randrange(2) * MS_PER_HOUR)
        rows: list[Row] = report["rows"]
        if number % 5:
            report["attributes"] = {}
        for row in rows:
            if "policy_version" in row:
                row["policy_version"] = "1.4"
            if number % 2:
                row |= {field: random.choice([*KNOWN[kind], None]) for field, kind in NAMED.items() if field in row}
        rows.append(rows[0] | {"tasks": 1})
        reports.append(report)
    return reports


@pytest.mark.parametrize("name", TABLES)
def test_rows_are_the_sums_of_what_was_sent(rollups: Rollups, name: str) -> None:
    """Each combination has the sums of its rows, and evidence that counts no report twice and no altered key."""
    reports = made_reports(name, Random(11))
    rollups.apply(one_batch([entry_of(name, report) for report in reports]), RECORDS)
    dimensions, counts = DIMENSIONS[name], COUNTS[name]
    columns = [*dimensions, *ALSO_BY.get(name, [])]
    sums: defaultdict[tuple[Any, ...], Counter[str]] = defaultdict(Counter)
    for report in reports:
        altered = any(kept(field, row[field]) != row[field] for row in report["rows"] for field in dimensions)
        altered = altered or bool(report["attributes"])
        hour = report["window_start"] // MS_PER_HOUR * MS_PER_HOUR
        combinations, flagged_rows = set(), set()
        for row in report["rows"]:
            combination = (hour, *(kept(field, row[field]) for field in columns))
            combinations.add(combination)
            sums[combination].update({count: row[count] for count in counts})
            flagged_rows |= {(combination, grain) for grain in ("hour", "day") if row[f"first_of_{grain}"]}
        for combination, grain in flagged_rows:
            sums[combination][f"key_{grain}"] += not altered
        for combination in combinations:
            sums[combination]["report_hour"] += report["first_of_hour"]
            sums[combination]["report_day"] += report["first_of_day"]
    shown = [*counts, "key_hour", "key_day", "report_hour", "report_day"]
    named = ", ".join(f'"{field}"' for field in columns)
    found = rows_of(
        rollups,
        f"SELECT epoch_ms(hour), {named}, {', '.join(f'sum({one})' for one in shown)} FROM {TABLES[name]} GROUP BY ALL",  # noqa: S608  # names of this file
    )
    at = 1 + len(columns)
    assert {row[:at]: row[at:] for row in found} == {
        combination: tuple(counted[one] for one in shown) for combination, counted in sums.items()
    }
    assert sum(counted["key_hour"] for counted in sums.values()), "some reports are not altered"


FIRST = {"first_of_hour": True, "first_of_day": True, "first_of_week": True}


def flagged(model: str | None) -> Row:
    """A row that its device flags as its first of this model."""
    return row_of("route_window", "rows", model=model, tasks=1, **FIRST)


def test_installations_are_counted_as_the_device_says(rollups: Rollups) -> None:
    """An inventory's flags are shown as they are and are evidence only where nothing was altered."""
    rows = [row_of("model_inventory", "rows", model=model, serving=True, **FIRST) for model in ("small-chat", "mine")]
    rollups.apply(one_batch([entry_of("model_inventory", {"manifest_age": "under_1h", "rows": rows})]), RECORDS)
    assert rows_of(
        rollups, "SELECT model, first_of_hour, first_of_day, key_hour, serving FROM inventory_rows ORDER BY model"
    ) == [("other", 1, 1, 0, True), ("small-chat", 1, 1, 0, True)]


def test_absurd_counts_are_left_out(rollups: Rollups) -> None:
    """A count that cannot be true is left out, so that it takes nothing away and no sum overflows."""
    rows = [
        row_of("route_window", "rows", tasks=2, tokens_in=10, bytes_sent=2**63 - 1),
        row_of("route_window", "rows", tasks=-1, tokens_in=-(2**63), bytes_sent=2**63 - 1),
    ]
    rollups.apply(one_batch([entry_of("route_window", {"rows": rows})]), RECORDS)
    assert rows_of(rollups, "SELECT tasks, tokens_in, bytes_sent FROM route_rows") == [(2, 10, None)]


def test_remarks_are_counted_by_field(rollups: Rollups) -> None:
    """Remarks add up by path and action, with the reports that have them and those that are their device's first."""
    reports: list[Report] = [
        {"agent_version": "1.4", "hostname": "a", "attributes": {"x": "1", "y": "2"}, **FIRST},
        {"agent_version": "1.4", "hostname": "b", "attributes": {"x": "3"}},
    ]
    rollups.apply(one_batch([entry_of("health_window", report) for report in reports]), RECORDS)
    found = rows_of(
        rollups,
        'SELECT agent_version, field, action, sum("values"), sum(reports), sum(report_hour) '
        "FROM remarks GROUP BY ALL ORDER BY ALL",
    )
    assert found == [
        ("1.4", "attributes", "drop", 2, 2, 1),
        ("1.4", "hostname", "drop", 2, 2, 1),
        ("1.4", "unknown", "drop", 3, 2, 1),
    ]


HISTOGRAMS = [
    pytest.param({"offset": 3, "counts": [1, 0, 2]}, {3: 1, 5: 2}, id="empty buckets make no row"),
    pytest.param({"zero_count": 4}, {-1000: 4}, id="zeros"),
    pytest.param({"underflow": 2, "overflow": 3}, {-999: 2, 1000: 3}, id="under and over"),
    pytest.param({"offset": -24, "counts": [1]}, {-24: 1}, id="the least bucket"),
    pytest.param({"offset": 191, "counts": [1]}, {191: 1}, id="the greatest bucket"),
    pytest.param({"offset": -26, "counts": [1, 1, 1]}, {-999: 2, -24: 1}, id="below the least"),
    pytest.param({"offset": 190, "counts": [1, 1, 1, 1]}, {190: 1, 191: 1, 1000: 2}, id="above the greatest"),
    pytest.param({"offset": 2**31 - 1, "counts": [1, 1]}, {1000: 2}, id="far above"),
    pytest.param({"offset": -(2**31), "counts": [1, 1]}, {-999: 2}, id="far below"),
    pytest.param({"counts": [-1, 2**63 - 1, 5]}, {2: 5}, id="counts that cannot be true"),
    pytest.param(
        {"counts": [1] * 432}, {**dict.fromkeys(range(192), 1), 1000: 240}, id="twice as long as there are buckets"
    ),
    pytest.param({"counts": [1] * 433, "zero_count": 1}, {}, id="longer, which cannot be true"),
    pytest.param({}, {}, id="nothing in it"),
    pytest.param(None, {}, id="none"),
]


@pytest.mark.parametrize(("histogram", "buckets"), HISTOGRAMS)
def test_histograms_become_buckets(rollups: Rollups, histogram: Row | None, buckets: dict[int, int]) -> None:
    """A histogram's counts stand at offset plus place; what no bucket holds counts as under or over."""
    route = row_of("route_window", "rows", latency=histogram, model="small-chat")
    fallback = row_of("fallback_window", "rows", return_time=histogram)
    entries = [entry_of("route_window", {"rows": [route]}), entry_of("fallback_window", {"rows": [fallback]})]
    rollups.apply(one_batch(entries), RECORDS)
    assert dict(rows_of(rollups, "SELECT bucket, observations FROM fallback_return")) == buckets
    assert rows_of(rollups, "SELECT signal, model, bucket, observations FROM route_latency ORDER BY bucket") == [
        ("latency", "small-chat", bucket, count) for bucket, count in sorted(buckets.items())
    ]


@pytest.mark.parametrize(("offset", "bucket"), [(2**63 - 1, 1000), (-(2**63), -999)])
def test_a_damaged_offset_spoils_no_batch(rollups: Rollups, offset: int, bucket: int) -> None:
    """An offset beyond what its type holds, which only damage makes, counts as over or under like any other."""
    row = row_of("route_window", "rows", latency={"counts": [1, 1]})
    entry = entry_of("route_window", {"rows": [row]})
    plan = CATALOGUE.plans["managed", CATALOGUE.latest["route_window"].fingerprint]
    values = decode_output(plan, entry.value[SINGLE_OBJECT_BYTES:])
    values["rows"][0]["latency"]["offset"] = offset
    # An int and a long are the same on the wire; only the writer minds how great an int is.
    wide = json.loads(json.dumps(plan.output).replace('"int"', '"long"'))
    body = BytesIO()
    fastavro.schemaless_writer(body, plain(wide), values)
    damaged = dataclasses.replace(entry, value=single_object(plan.output_fingerprint) + body.getvalue())
    assert rollups.apply(one_batch([damaged]), RECORDS).reports == 1
    assert rows_of(rollups, "SELECT bucket, observations FROM route_latency") == [(bucket, 2)]


def test_rows_say_when(rollups: Rollups) -> None:
    """Rows are under the hour of the window, receipts and remarks under that of the append."""
    entry = entry_of(
        "route_window", {"window_start": HOUR - 2 * MS_PER_HOUR + 1, "hostname": "h", "rows": [flagged("small-chat")]}
    )
    rollups.apply(one_batch([entry]), RECORDS)
    assert rows_of(rollups, "SELECT epoch_ms(hour) FROM route_rows") == [(HOUR - 2 * MS_PER_HOUR,)]
    assert rows_of(rollups, "SELECT epoch_ms(received) FROM receipts") == [(NOW,)]
    assert rows_of(rollups, "SELECT DISTINCT epoch_ms(received), epoch_ms(hour) FROM remarks") == [
        (NOW, HOUR - 2 * MS_PER_HOUR)
    ]
    assert rows_of(rollups, "SELECT basis, epoch_ms(hour) FROM changed ORDER BY basis") == [
        ("received", NOW),
        ("window", HOUR - 2 * MS_PER_HOUR),
    ]
