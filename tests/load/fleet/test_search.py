"""The search of what a trial left behind: it finds what was planted in each kind of place, and misses no control."""

import asyncio
from collections.abc import Callable
from pathlib import Path

import duckdb
import pytest

from ingest.log.embedded import EmbeddedLog, EmbeddedLogReader
from ingest.report import Entry
from ingest.schema_topic import publish_schemas
from load.fleet.nouns import Fleet
from load.fleet.planted import planted_values
from load.fleet.search import (
    Place,
    database_texts,
    files_under,
    log_texts,
    parquet_texts,
    raw_files,
    search,
    witnesses,
)
from tests.rollups_input import CATALOGUE, HOUR, NOW, entry_of, row_of

SECRET = "login-of-a-person-0042"

CONTROL = "small-chat"


def log_with(folder: Path, *, header: str = "ordinary", model: str = CONTROL) -> object:
    """What a log of two records says, of which the second has this header and the first this model."""
    rows = [row_of("route_window", "rows", tasks=7, model=CONTROL)]
    first = entry_of("route_window", {"window_start": HOUR, "rows": rows})
    # The gate would have made `other` of an unknown name; the log is written past it, in a field of the same length.
    named = Entry(first.topic, first.key, first.value.replace(CONTROL.encode(), model.encode()), NOW, first.headers)
    second = Entry(first.topic, b"k" * 16, first.value, NOW, (("extra", header.encode()),))

    async def write_and_read() -> object:
        log = EmbeddedLog(folder / "log")
        await publish_schemas(log, CATALOGUE, now=NOW)
        await log.append([named, second])
        await log.close()
        return await log_texts(EmbeddedLogReader(folder / "log"))

    return asyncio.run(write_and_read())


def database_with(folder: Path, text: str) -> object:
    """The texts of a database, one table of which has this text, and its most frequent text is the control."""
    file = folder / "rollups.duckdb"
    with duckdb.connect(str(file)) as connection:
        connection.execute("CREATE TABLE rows AS SELECT 'small-chat' AS model, 1 AS tasks FROM range(1000)")
        connection.execute("INSERT INTO rows VALUES ($text, 1)", {"text": text})
        connection.execute("CREATE TABLE empty_one (device VARCHAR)")
    return database_texts(file)


def parquet_with(folder: Path, text: str) -> object:
    """The texts of Parquet files, the second of which has this text as the name of a column."""
    (folder / "sub'folder").mkdir()
    with duckdb.connect() as connection:
        connection.execute(f"COPY (SELECT 'small-chat' AS model) TO '{folder}/one.parquet' (FORMAT parquet)")
        other = f"{folder}/sub''folder/two.parquet"
        connection.execute(f"COPY (SELECT 'x' AS \"{text}\") TO '{other}' (FORMAT parquet)")
    return parquet_texts(folder)


def raw_with(folder: Path, text: str) -> object:
    """The bytes of a file deep down, large enough for the fast way to search."""
    (folder / "a").mkdir()
    (folder / "a" / "b.bin").write_bytes(bytes(200_003) + text.encode() + b"small-chat" + bytes(5))
    [(name, content)] = raw_files(folder).items()
    assert name == "a/b.bin bytes"
    return content


KINDS: list[object] = [
    pytest.param(lambda folder, text: log_with(folder, header=text), id="a header of a record"),
    pytest.param(database_with, id="a cell of a table"),
    pytest.param(parquet_with, id="a column's name in a Parquet file"),
    pytest.param(raw_with, id="bytes of a file"),
    pytest.param(lambda _, text: {"rows": [{"model": CONTROL, text: 1}]}, id="a name in an answer"),
    pytest.param(lambda _, text: f'{CONTROL} {{"event": "failed", "about": "{text}"}}\n', id="a log line"),
]


@pytest.mark.parametrize("make", KINDS)
def test_each_kind_of_place_is_searched(make: Callable[[Path, str], object], tmp_path: Path) -> None:
    """A planted value is found wherever it may have come out, and told by its name, never by itself."""
    found = search({"here": Place(make(tmp_path, SECRET), CONTROL)}, {"device 42, user_id": SECRET})
    assert {(leak.place, leak.planted, leak.form) for leak in found.leaks} == {("here", "device 42, user_id", "plain")}
    assert (found.places, found.without_control) == (("here",), ())
    assert SECRET not in repr(found)


@pytest.mark.parametrize("make", KINDS)
def test_each_kind_of_place_without_a_leak_is_clean(make: Callable[[Path, str], object], tmp_path: Path) -> None:
    """The same place without the planted value has no leak, and its control is found all the same."""
    found = search({"here": Place(make(tmp_path, "nothing of a person"), CONTROL)}, {"device 42, user_id": SECRET})
    assert (found.leaks, found.without_control) == ((), ())


def test_text_of_a_record_is_decoded(tmp_path: Path) -> None:
    """A text in the row of a record is found although Avro writes it between numbers; so are the names beside it."""
    texts = log_with(tmp_path, model="tall-chatt")
    assert isinstance(texts, frozenset)
    assert {"tall-chatt", CONTROL, "first_of_hour", "fields"} <= texts


def test_missing_control_is_told() -> None:
    """A place in which the control is not found was not searched; one without a control cannot tell."""
    places = {
        "answer": Place({"model": CONTROL}, CONTROL),
        "empty answer": Place({"rows": []}, CONTROL),
        "another's control": Place("complete_to", CONTROL),
        "bytes": Place(b"\x00" * 50, None),
        "lines": Place("it is complete_to now", "complete_to"),
    }
    found = search(places, {"device 42, user_id": SECRET})
    assert found.leaks == ()
    assert found.places == tuple(places)
    assert found.without_control == ("empty answer", "another's control")


def test_witnesses_are_of_every_sort(fleet: Fleet) -> None:
    """Whatever a device of some tier, kind and agent has to send, a witness of the search has to send."""
    chosen = witnesses(fleet.devices)
    assert {(one.tier, one.kind, one.agent_version) for one in chosen} == {
        (one.tier, one.kind, one.agent_version) for one in fleet.devices
    }
    kinds = {name.partition(", ")[2] for name in planted_values(fleet.seed, fleet.devices)}
    assert {name.partition(", ")[2] for name in planted_values(fleet.seed, chosen)} == kinds
    assert len(chosen) < len(fleet.devices) / 2


def test_a_file_that_is_renamed_before_it_is_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What is renamed over an older file, or removed with its directory, between listing and reading is read anew."""
    (tmp_path / "checkpoint").write_text("old")
    (tmp_path / "checkpoint.tmp").write_text("new")
    (tmp_path / "gone").mkdir()
    (tmp_path / "gone" / "a").write_text("gone")
    read = Path.read_bytes

    def read_once_renamed(file: Path) -> bytes:
        content = read(file)
        if (tmp_path / "checkpoint.tmp").exists():
            (tmp_path / "checkpoint.tmp").rename(tmp_path / "checkpoint")
            (tmp_path / "gone" / "a").unlink()
            (tmp_path / "gone").rmdir()
        return content

    monkeypatch.setattr(Path, "read_bytes", read_once_renamed)
    assert files_under(tmp_path) == {tmp_path / "checkpoint": b"new"}


def test_files_that_never_stay_are_no_search(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where there is always something that vanishes before it is read, that is an error and no empty answer."""
    (tmp_path / "0").write_text("always elsewhere")

    def read_too_late(file: Path) -> bytes:
        file.rename(file.with_name(str(int(file.name) + 1)))
        raise FileNotFoundError(file)

    monkeypatch.setattr(Path, "read_bytes", read_too_late)
    with pytest.raises(FileNotFoundError, match="time and again"):
        files_under(tmp_path)
