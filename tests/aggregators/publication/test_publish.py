"""Publication: what is looked at, what is written where, and what stays after whatever happens in between."""

import json
import shutil
import stat
from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import duckdb
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from aggregators.fence import EPOCHS_NAME
from aggregators.publication.publish import unsuppressed
from aggregators.publication.published import PublicationDamaged
from aggregators.sql_templates import read_sql
from tests.aggregators.hand_made import (
    HOUR,
    MEASURES,
    OPEN_TIERS,
    ROUTED,
    Documents,
    OfK,
    Publisher,
    Row,
    fresh_rollups,
    insert,
)

ONE_HOUR = timedelta(hours=1)
DAY = HOUR.replace(hour=0)


@pytest.fixture(name="publisher")
def _publisher(tmp_path: Path) -> Iterator[Publisher]:
    """Some measures of each kind, for the rules are the same for all of them."""
    with fresh_rollups() as connection:
        measures = {name: MEASURES[name] for name in ("A3", "F2", "R1", "R4", "R5", "V1")}
        yield Publisher(tmp_path / "published", connection, measures=measures)


def managed(*devices: str, **columns: Any) -> list[Row]:
    """A row of three tasks on the edge for each pseudonym."""
    return [{"device": device, "actual_route": "edge", "tasks": 3, **columns} for device in devices]


def byod(devices: int, **columns: Any) -> Row:
    """One row of so many devices that have no pseudonym."""
    return {"tier": "byod", "actual_route": "edge", "tasks": 2 * devices, "key_hour": devices, **columns}


def test_cell_of_k_devices_appears_and_one_of_fewer_is_counted(publisher: Publisher) -> None:
    """Five managed devices are a cell, four are one that is withheld, and neither says more."""
    insert(publisher.connection, "route_rows", *managed("a", "b", "c", "d", "e"))
    insert(publisher.connection, "route_rows", *managed("a", "b", "c", "d", actual_route="on_device"))
    assert publisher.publish().withheld > 0
    assert publisher.values("R1", "route") == {("edge",): {"tasks": 15}}
    assert publisher.withheld("R1")["route", "hour"] == (1, 0)


def test_absent_dimension_reads_none(publisher: Publisher) -> None:
    """Tasks that no model ran are a cell of their own, called none; a dimension of another cube is NULL."""
    insert(publisher.connection, "route_rows", *managed("a", "b", "c", "d", "e"))
    publisher.publish()
    (cell,) = publisher.cells("R1", "route", "model")
    assert (cell["model"], cell["region"]) == ("none", None)


@pytest.mark.parametrize("flags", ["key_hour", "report_hour"])
def test_devices_without_pseudonym_are_bounded_by_the_greatest_key(publisher: Publisher, flags: str) -> None:
    """Nine flags of one combination and eight of another prove nine devices, so a tier of k 10 stays silent."""
    for data_class, devices in (("public", 9), ("internal", 8)):
        insert(
            publisher.connection, "route_rows", byod(devices, data_class=data_class, **{"key_hour": 0, flags: devices})
        )
    publisher.publish()
    assert publisher.cells("R1", "route") == []
    insert(publisher.connection, "route_rows", byod(1, data_class="public", **{"key_hour": 0, flags: 1}))
    publisher.publish()
    assert [(cell["tasks"], cell["devices"]) for cell in publisher.cells("R1", "route")] == [(36, 10)]


def test_flags_of_an_hour_are_no_evidence_for_a_day(publisher: Publisher) -> None:
    """Ten devices of an hour make an hourly cell; the daily one has no flag of the day and is withheld."""
    insert(publisher.connection, "route_rows", byod(10))
    publisher.publish()
    assert [cell["tasks"] for cell in publisher.cells("R1", "route", grain="hour")] == [20]
    assert publisher.cells("R1", "route", grain="day") == []


def test_each_tier_has_its_own_k_and_an_unknown_one_the_greatest(publisher: Publisher) -> None:
    """Six devices are a cell of a tier of k 5, and none of a tier that no policy names any more."""
    for tier in ("managed", "gone"):
        insert(publisher.connection, "route_rows", *managed("a", "b", "c", "d", "e", "f", tier=tier))
    publisher.publish()
    assert [cell["tier"] for cell in publisher.cells("R1", "route")] == ["managed"]
    more = [f"g{number}" for number in range(14)]
    insert(publisher.connection, "route_rows", *managed(*more, tier="gone"))
    publisher.publish()
    assert [cell["tier"] for cell in publisher.cells("R1", "route")] == ["managed", "gone"]


def test_late_data_join_when_k_devices_wait(publisher: Publisher) -> None:
    """Values wait for four new devices and change at the fifth, all at once."""
    insert(publisher.connection, "route_rows", *managed("a", "b", "c", "d", "e"))
    publisher.publish()
    for number, device in enumerate("fghi", start=1):
        insert(publisher.connection, "route_rows", *managed(device))
        publisher.publish()
        assert publisher.values("R1", "route") == {("edge",): {"tasks": 15}}, f"{number} wait"
        assert publisher.withheld("R1")["route", "hour"] == (0, 1)
    insert(publisher.connection, "route_rows", *managed("j"))
    publisher.publish()
    assert publisher.values("R1", "route") == {("edge",): {"tasks": 30}}
    assert ("route", "hour") not in publisher.withheld("R1")


def test_more_of_the_same_devices_changes_nothing(publisher: Publisher) -> None:
    """Late tasks of devices that are in the cell already wait, however many they are."""
    insert(publisher.connection, "route_rows", *managed("a", "b", "c", "d", "e"))
    publisher.publish()
    insert(publisher.connection, "route_rows", *managed("a", "b", "c", "d", "e"))
    publisher.publish()
    assert publisher.values("R1", "route") == {("edge",): {"tasks": 15}}
    assert publisher.withheld("R1")["route", "hour"] == (0, 1)


def test_publishing_again_changes_nothing(publisher: Publisher) -> None:
    """A second publication has a number and no cell, and touches no table but its own list."""
    insert(publisher.connection, "route_rows", *managed("a", "b", "c", "d", "e"), byod(3))
    first = publisher.publish()
    before = publisher.everything()
    second = publisher.publish()
    assert (first.number, second.number) == (1, 2)
    assert (second.cells, second.withheld, second.waiting) == (0, 0, 0)
    assert publisher.everything() == before


def test_only_spans_that_are_over_are_looked_at(publisher: Publisher) -> None:
    """An hour is published once it is over, its day once that is, although nothing came in between."""
    insert(publisher.connection, "route_rows", *managed("a", "b", "c", "d", "e"))
    publisher.publish(closed_to=HOUR + timedelta(minutes=59))
    assert publisher.cells("R1", "route") == []
    publisher.publish(closed_to=HOUR + ONE_HOUR)
    assert [cell["start"] for cell in publisher.cells("R1", "route")] == [HOUR]
    assert publisher.cells("R1", "route", grain="day") == []
    publisher.publish(closed_to=DAY + timedelta(days=1))
    assert [cell["start"] for cell in publisher.cells("R1", "route", grain="day")] == [DAY]
    assert publisher.publish().cells == 0


def test_day_adds_up_its_hours_and_counts_a_device_once(publisher: Publisher) -> None:
    """The same five devices in two hours are five devices of the day."""
    for hour in (HOUR, HOUR + ONE_HOUR):
        insert(publisher.connection, "route_rows", *managed("a", "b", "c", "d", "e", hour=hour))
    publisher.publish()
    assert [(cell["tasks"], cell["devices"]) for cell in publisher.cells("R1", "route", grain="day")] == [(30, 5)]


def test_band_stands_for_few_and_values_follow(publisher: Publisher) -> None:
    """A silent fallback of one device reads 1 to 4; five devices show their count."""
    insert(publisher.connection, "violation_rows", {"rule": "undisclosed", "device": "a", "tasks": 7})
    publisher.publish()
    (cell,) = publisher.cells("F2", "rule", grain="day")
    assert (cell["rule"], cell["tasks"], cell["band"]) == ("undisclosed", None, "1 to 4")
    assert publisher.publish().cells == 0
    more = [{"rule": "undisclosed", "device": device, "tasks": 1} for device in "bcde"]
    insert(publisher.connection, "violation_rows", *more)
    publisher.publish()
    (cell,) = publisher.cells("F2", "rule", grain="day")
    assert (cell["tasks"], cell["band"]) == (11, None)
    assert publisher.cells("F2", "rule", grain="hour") == []


def test_what_counts_no_device_is_not_suppressed(publisher: Publisher) -> None:
    """The count at the gate is published as it is, and replaced as it grows."""
    insert(publisher.connection, "receipts", {"report": "route_window", "schema_version": 1, "accepted": 1})
    publisher.publish()
    assert publisher.values("A3")[()]["stored"] == 1
    insert(publisher.connection, "receipts", {"report": "route_window", "schema_version": 1, "accepted": 2})
    publisher.publish()
    assert publisher.values("A3")[()]["stored"] == 3


def test_absurd_count_does_not_stop_publication(publisher: Publisher) -> None:
    """A sum past 64 bits stands at the greatest number that fits."""
    insert(publisher.connection, "route_rows", *managed("a", "b", "c", "d", "e", tokens_in=2**62))
    publisher.publish()
    assert publisher.values("R5", "route")[("edge",)]["tokens_in"] == 2**63 - 1


@pytest.mark.parametrize("crash", [True, False], ids=["DuckDB was behind the files", "DuckDB was made anew"])
def test_what_was_published_stays_published(publisher: Publisher, crash: bool) -> None:
    """Publications that DuckDB does not have are taken from the files, not made again from what is known by now."""
    insert(publisher.connection, "route_rows", *managed("a", "b", "c", "d", "e"))
    publisher.publish()
    before = publisher.everything()
    insert(publisher.connection, "route_rows", *managed("f"))
    publisher.forget()
    if crash:
        assert publisher.load() == 1
        assert publisher.everything() == before
    publisher.publish()
    assert publisher.values("R1", "route") == {("edge",): {"tasks": 15}}
    assert publisher.withheld("R1")["route", "hour"] == (0, 1)


def test_unsuppressed_cells_can_be_read_from_a_file_that_cannot_be_written(tmp_path: Path) -> None:
    """Whoever holds the rollups against the truth opens their file for reading only."""
    file = tmp_path / "rollups.duckdb"
    cube = MEASURES["R5"].cubes[0]
    with duckdb.connect(file) as connection:
        connection.execute(read_sql("tables"))
        publisher = Publisher(tmp_path / "published", connection, measures={"R5": MEASURES["R5"]})
        insert(connection, "route_rows", *managed("a"))
        before = unsuppressed(connection, MEASURES["R5"], cube, "hour").to_pylist()
        publisher.publish()
        assert publisher.cells("R5", "route") == []
    with duckdb.connect(file, read_only=True) as connection:
        cells = unsuppressed(connection, MEASURES["R5"], cube, "hour").to_pylist()
    assert cells == before
    assert [(cell["route"], cell["tasks"], cell["unpriced_tasks"], cell["devices"]) for cell in cells] == [
        ("edge", 3, 3, 1)
    ]


def test_failure_before_the_end_publishes_nothing(publisher: Publisher, monkeypatch: pytest.MonkeyPatch) -> None:
    """When the files cannot be finished, neither files nor tables have anything, and the next attempt has all of it."""
    insert(publisher.connection, "route_rows", *managed("a", "b", "c", "d", "e"))

    def full(*_: Any, **__: Any) -> None:
        raise OSError("no space left on device")

    with monkeypatch.context() as patched:
        patched.setattr("aggregators.publication.publish.finish", full)
        with pytest.raises(OSError, match="no space"):
            publisher.publish()
    assert publisher.cells("R1", "route") == []
    assert publisher.publish().number == 1
    assert publisher.values("R1", "route") == {("edge",): {"tasks": 15}}
    assert sorted(one.name for one in publisher.directory.iterdir()) == ["000001", EPOCHS_NAME]


def test_files_are_for_their_owner_alone(publisher: Publisher) -> None:
    """Folders are 0700 and files 0600, for they hold the bounds that no answer shows."""
    insert(publisher.connection, "route_rows", *managed("a", "b", "c", "d", "e"))
    publisher.publish()
    folder = publisher.directory / "000001"
    assert {stat.S_IMODE(one.stat().st_mode) for one in (publisher.directory, folder)} == {0o700}
    assert {stat.S_IMODE(one.stat().st_mode) for one in folder.iterdir()} == {0o600}


def _break(file: Path) -> None:
    file.write_bytes(file.read_bytes()[:-1] + b"\0")


def _rename(file: Path) -> None:
    file.rename(file.with_name("000007"))


def _other_number(file: Path) -> None:
    file.write_text(json.dumps(json.loads(file.read_text(encoding="utf-8")) | {"number": 5}), encoding="utf-8")


@pytest.mark.parametrize(
    ("name", "damage", "named"),
    [
        pytest.param("000001/R1.parquet", _break, "R1.parquet", id="a byte of the cells"),
        pytest.param("000001/withheld.parquet", Path.unlink, "withheld.parquet", id="a file is gone"),
        pytest.param("000001/publication.json", _break, "publication.json", id="the index is no JSON"),
        pytest.param("000001/publication.json", Path.unlink, "publication.json", id="the index is gone"),
        pytest.param("000001/publication.json", _other_number, "publication.json", id="the index of another one"),
        pytest.param("000001", shutil.rmtree, "000001", id="the first of two is gone"),
        pytest.param("000002", _rename, "000002", id="a number is left out"),
    ],
)
def test_damaged_publication_is_refused_by_name(
    publisher: Publisher, name: str, damage: Callable[[Path], None], named: str
) -> None:
    """A rebuild does not go on from publications that are not whole; the message names what is wrong."""
    insert(publisher.connection, "route_rows", *managed("a", "b", "c", "d", "e"))
    publisher.publish()
    publisher.publish()
    damage(publisher.directory / name)
    publisher.forget()
    with pytest.raises(PublicationDamaged, match=named):
        publisher.publish()
    assert publisher.cells("R1", "route") == []


def test_publication_that_only_duckdb_has_is_missed(publisher: Publisher) -> None:
    """Files that went away while DuckDB still has their cells are told at the next publication, not at a rebuild."""
    insert(publisher.connection, "route_rows", *managed("a", "b", "c", "d", "e"))
    publisher.publish()
    shutil.rmtree(publisher.directory / "000001")
    with pytest.raises(PublicationDamaged, match="000001"):
        publisher.publish()


def test_rows_that_come_in_during_a_publication_are_looked_at_next(tmp_path: Path) -> None:
    """An hour that changes after the publication took its view stays marked."""
    with duckdb.connect(tmp_path / "rollups.duckdb") as connection, connection.cursor() as follower:
        connection.execute(read_sql("tables"))

        class Meanwhile(Documents):
            """Something is applied while the documents are read, after the view was taken."""

            def history(self, kind: Any) -> list[Any]:
                if kind == "prices":
                    insert(follower, "route_rows", *managed("f", "g", "h", "i", "j"))
                return super().history(kind)

        publisher = Publisher(tmp_path / "published", connection, documents=Meanwhile())
        insert(connection, "route_rows", *managed("a", "b", "c", "d", "e"))
        publisher.publish()
        assert publisher.values("R1", "route") == {("edge",): {"tasks": 15}}
        publisher.documents = Documents()
        publisher.publish()
        assert publisher.values("R1", "route") == {("edge",): {"tasks": 30}}


def test_late_document_opens_what_was_not_published(publisher: Publisher) -> None:
    """A manifest put after its hours gives them their cells; a price that comes late changes no published cost."""
    publisher.tiers = dict(OPEN_TIERS)
    insert(publisher.connection, "route_rows", *managed("a", tokens_in=1_000_000))
    serving = {"device": "a", "model": "m", "version": "2.1", "serving": True, "first_of_hour": 1}
    insert(publisher.connection, "inventory_rows", serving)
    publisher.publish()
    publisher.documents = Documents(
        manifest=[(HOUR, {"models": [{"name": "m", "versions": [{"version": "2.1"}]}]})],
        prices=[(HOUR, {"currency": "EUR", "price": [
            {"route": "edge", "model": "*", "input_per_million": "2", "output_per_million": "3"}
        ]})],
    )  # fmt: skip
    assert publisher.cells("V1") == []
    publisher.publish()
    assert publisher.values("V1")[()]["installations"] == 1
    assert publisher.values("R5", "route")[("edge",)]["unpriced_tasks"] == 3
    assert publisher.withheld("R5")["route", "hour"] == (0, 1)


@settings(max_examples=10, deadline=None)
@given(rows=st.lists(ROUTED, min_size=1, max_size=20), data=st.data())
def test_before_the_first_publication_order_and_batches_do_not_matter(rows: list[Row], data: st.DataObject) -> None:
    """However the same rows were dealt out and in whatever order, the first publication shows the same cells."""
    shuffled = data.draw(st.permutations(rows))
    border = data.draw(st.integers(0, len(rows)))
    found = []
    for batches in ([rows], [shuffled[:border], shuffled[border:]]):
        with TemporaryDirectory() as directory, fresh_rollups() as connection:
            publisher = Publisher(Path(directory), connection, tiers={"managed": OfK(2), "byod": OfK(3)})
            publisher.measures = {"R3": MEASURES["R3"]}
            for batch in filter(None, batches):
                insert(connection, "route_rows", *batch)
            publisher.publish()
            found.append(publisher.everything())
    assert found[0] == found[1]
