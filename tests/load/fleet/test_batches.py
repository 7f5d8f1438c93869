"""The posts: every report once, some late, some twice, none that the gate would have to guess about."""

import gzip
import io
import json
import re
from collections import Counter
from collections.abc import Callable
from statistics import correlation
from typing import Any

import fastavro
import pytest
import zstandard

from ingest.body import split_sequence
from ingest.problems import Rejected
from load.fleet.batches import (
    AVRO,
    AVRO_SEQUENCE,
    JSON,
    LATE_SHARE,
    TWICE_SHARE,
    Batch,
    Phase,
    make_phases,
)
from load.fleet.nouns import Fleet
from load.fleet.planted import controls, planted_values
from load.fleet.windows import DeviceReport
from load.leaks import Scanner
from schemas.catalogue import load_catalogue
from schemas.report_schema import ReportSchema

CATALOGUE = load_catalogue()
DECODED: dict[str, Callable[[bytes], bytes]] = {
    "": bytes,
    "gzip": gzip.decompress,
    "zstd": zstandard.ZstdDecompressor().decompress,
}


@pytest.fixture(scope="module")
def phases(fleet: Fleet) -> tuple[Phase, ...]:
    """The posts of the small fleet."""
    return make_phases(fleet, CATALOGUE)


def as_posted(schema: ReportSchema) -> Any:
    """The schema without logical types, so that times stay milliseconds."""
    return fastavro.parse_schema(
        json.loads(re.sub(r', "logicalType": "timestamp-millis"', "", json.dumps(schema.document)))
    )


def said(batch: Batch) -> list[dict[str, Any]]:
    """The reports in a batch's body, as whoever receives it reads them."""
    body = DECODED[batch.coding](batch.body())
    if batch.media_type == JSON:
        return [one | {"report_id": bytes.fromhex(one["report_id"])} for one in json.loads(body)]
    parts = [body] if batch.media_type == AVRO else list(split_sequence(body))
    found = []
    for part, message in zip(parts, batch.messages, strict=True):
        assert not isinstance(part, Rejected)
        schema = CATALOGUE.latest[message.report]
        assert part.startswith(schema.message_prefix)
        value = fastavro.schemaless_reader(io.BytesIO(part[len(schema.message_prefix) :]), as_posted(schema), None)
        assert isinstance(value, dict)
        found.append(value)
    return found


def ids(phase: Phase, kind: str) -> list[bytes]:
    """The ids of a phase's messages of one kind."""
    return [
        report["report_id"]
        for batch in phase.batches
        for message, report in zip(batch.messages, said(batch), strict=True)
        if message.kind == kind
    ]


def test_every_report_comes_once(phases: tuple[Phase, ...], posted: list[DeviceReport]) -> None:
    """A report is on time or late, and in neither twice; copies are of reports that came on time."""
    on_time, again, late = phases
    first, last = ids(on_time, "report"), ids(late, "report")
    assert sorted(first + last) == sorted(one.values["report_id"] for one in posted)
    assert set(ids(again, "copy")) <= set(first)
    assert LATE_SHARE * 0.7 < len(last) / len(posted) < LATE_SHARE * 1.3
    assert TWICE_SHARE * 0.6 < len(ids(again, "copy")) / len(posted) < TWICE_SHARE * 1.4


def test_phases_tell_their_windows(phases: tuple[Phase, ...], posted: list[DeviceReport]) -> None:
    """The windows of the first phase and of the last are those of all reports, each in one of the two."""
    on_time, again, late = (phase.windows for phase in phases)
    assert on_time | late == {(one.device, one.report, one.start) for one in posted}
    assert len(on_time) + len(late) == len(posted)
    assert again == frozenset()


def test_all_forms_are_used(phases: tuple[Phase, ...]) -> None:
    """Batches of one type and of any, single reports and JSON are posted, plain, gzip and zstd, 50 reports at most."""
    batches = [batch for phase in phases for batch in phase.batches]
    assert {batch.media_type for batch in batches} == {AVRO, AVRO_SEQUENCE, JSON}
    assert {batch.coding for batch in batches} == {"", "gzip", "zstd"}
    by_path = {batch.report for batch in batches}
    assert by_path >= {None, "route_window", "health_window"}
    assert any(len({message.report for message in batch.messages}) > 3 for batch in batches if batch.report is None)
    assert all({message.report for message in batch.messages} == {batch.report} for batch in batches if batch.report)
    assert all(batch.report for batch in batches if batch.media_type == JSON)
    assert max(len(batch.messages) for batch in batches) <= 50
    assert all(
        (len(batch.messages) == 1) == (batch.media_type == AVRO) for batch in batches if batch.media_type != JSON
    )


def test_faulty_posts_are_followed_by_good_ones(phases: tuple[Phase, ...], fleet: Fleet) -> None:
    """What a contractor's agent sends although it is refused comes once per device, and again without the field."""
    faulty = Counter(
        message.device
        for phase in phases
        for batch in phase.batches
        for message in batch.messages
        if message.kind == "faulty"
    )
    meant = [one.index for one in fleet.devices if one.tier == "contractor" and one.identifiers.serial]
    assert faulty == Counter(meant)
    assert meant
    good = {one for phase in phases for one in ids(phase, "report")}
    assert {one for phase in phases for one in ids(phase, "faulty")} <= good


def test_order_is_disturbed_and_not_lost(phases: tuple[Phase, ...]) -> None:
    """Reports come in about the order of their windows, and not in it."""
    starts = [report["window_start"] for batch in phases[0].batches for report in said(batch)]
    assert starts != sorted(starts)
    assert 0.9 < correlation(range(len(starts)), starts) < 0.9999


def test_posts_follow_the_seed(phases: tuple[Phase, ...], fleet: Fleet) -> None:
    """The same fleet makes the same posts."""
    assert make_phases(fleet, CATALOGUE) == phases


def test_planted_values_are_in_the_posts(phases: tuple[Phase, ...], fleet: Fleet) -> None:
    """Every kind of planted value is found in what is posted by the same search that must not find it later."""
    planted = planted_values(fleet.seed, fleet.devices[:40])
    places = {
        phase.name: [(batch.headers, [message.content for message in batch.messages]) for batch in phase.batches]
        for phase in phases
    }
    found = {leak.planted for leak in Scanner(planted).scan(places)}
    assert {name.partition(", ")[2] for name in found} == {name.partition(", ")[2] for name in planted}
    assert {leak.planted for leak in Scanner(controls()).scan(places)} == set(controls())


def test_planted_values_tell_their_origin(fleet: Fleet) -> None:
    """Every planted value is long enough to be searched for, and belongs to one place of one device."""
    values = list(planted_values(fleet.seed, fleet.devices).values())
    assert len(set(values)) == len(values)
    assert min(map(len, values)) >= 8
