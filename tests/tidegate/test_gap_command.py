"""`tidegate gap`: what it shows, what it notes, and when it refuses."""

import json
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from ingest.log.embedded import EmbeddedLog
from ingest.log.sqlite_file import FILE_NAME
from tests.aggregators.followers import asked
from tests.aggregators.stored_reports import fill, stored
from tidegate.cli import main
from tidegate.settings import LOG_DIRECTORY, ROLLUPS_DIRECTORY

TOPIC = "tidegate.managed.route_window.v1"


@pytest.fixture
async def data(tmp_path: Path) -> Path:
    """A data directory with a log that nothing was applied of, and whose first two records of a topic are gone."""
    log = EmbeddedLog(tmp_path / LOG_DIRECTORY)
    await fill(log, stored(60, seed=6))
    await log.close()
    with closing(sqlite3.connect(tmp_path / LOG_DIRECTORY / FILE_NAME)) as file, file:
        file.execute(
            'DELETE FROM entries WHERE "offset" < 2 AND partition = (SELECT id FROM partitions WHERE topic = ?)',
            (TOPIC,),
        )
    return tmp_path


def gap(data: Path, *options: str) -> Result:
    """Run the command."""
    return CliRunner().invoke(main, ["gap", "--data", str(data), *options])


def test_what_is_lost_is_shown_and_nothing_is_changed(data: Path) -> None:
    """Without a reason it says what is lost, and that again the next time."""
    for _ in range(2):
        result = gap(data)
        assert result.exit_code == 1
        assert f"{TOPIC} 0: offsets 0 to 1, appended before " in result.stdout
        assert "Up to 2 records are lost" in result.stdout
    assert asked(data / ROLLUPS_DIRECTORY, "SELECT * FROM gaps") == []


def test_it_is_accepted_once(data: Path) -> None:
    """With a reason it is noted, and then nothing is lost any more."""
    result = gap(data, "--accept", "a test", "--json")
    assert result.exit_code == 0, result.output
    said = json.loads(result.stdout)
    assert said["accepted"] is True
    assert [(one["topic"], one["first"], one["last"], one["since"]) for one in said["gaps"]] == [(TOPIC, 0, 1, None)]
    assert "Nothing is lost" in gap(data).stdout
    assert asked(data / ROLLUPS_DIRECTORY, "SELECT why FROM gaps") == [("a test",)]


def test_an_empty_reason_is_none(data: Path) -> None:
    """Whoever gives nothing up must say why."""
    assert gap(data, "--accept", " ").exit_code == 2
    assert asked(data / ROLLUPS_DIRECTORY, "SELECT * FROM gaps") == []
