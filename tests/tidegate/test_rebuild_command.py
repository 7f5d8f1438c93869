"""`tidegate rebuild`: what it says when it is done, and what when it refuses."""

import json
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from aggregators.sealing.seal_files import DIRECTORY_NAME, place, read_chain
from ingest.log.embedded import EmbeddedLog
from ingest.log.sqlite_file import FILE_NAME
from tests.aggregators.followers import PATIENCE_SECONDS, contents, following, program
from tests.aggregators.stored_reports import fill, stored
from tidegate.cli import main
from tidegate.settings import LOG_DIRECTORY, ROLLUPS_DIRECTORY

ENTRIES = stored(60, seed=6)


@pytest.fixture
async def data(tmp_path: Path) -> Path:
    """A data directory with a log, rollups of it, and a seal."""
    log = EmbeddedLog(tmp_path / LOG_DIRECTORY)
    await fill(log, ENTRIES)
    async with following(tmp_path / ROLLUPS_DIRECTORY, log) as follower:
        await follower.drained(timeout=PATIENCE_SECONDS)
        await follower.seal()
    await log.close()
    return tmp_path


def rebuild(data: Path, *options: str) -> Result:
    """Run the command."""
    return CliRunner().invoke(main, ["rebuild", "--data", str(data), *options])


def test_it_says_what_the_rollups_are_made_of(data: Path) -> None:
    """Rows, seals and records are counted, and the tables are as before."""
    before = contents(data / ROLLUPS_DIRECTORY)
    result = rebuild(data, "--json")
    assert result.exit_code == 0, result.output
    said = json.loads(result.stdout)
    assert (said["seals"], said["records"], said["publications"]) == (1, 0, 0)
    assert said["rows"] == read_chain(data / ROLLUPS_DIRECTORY / DIRECTORY_NAME)[0].rows
    assert contents(data / ROLLUPS_DIRECTORY) == before
    result = rebuild(data, "--from-log")
    assert f"and {len(ENTRIES)} records of the log" in result.stdout
    assert contents(data / ROLLUPS_DIRECTORY) == before


def test_a_damaged_seal_is_refused(data: Path) -> None:
    """The seal is named, and the command that does without it."""
    (place(data / ROLLUPS_DIRECTORY / DIRECTORY_NAME, 1) / "seal.json").write_text("{")
    result = rebuild(data)
    assert result.exit_code == 1
    assert "seals/000001/seal.json cannot be read" in result.output
    assert f"tidegate rebuild --from-log --data {data}" in result.output


def test_a_log_without_its_beginning_is_refused(data: Path) -> None:
    """Without its beginning the log alone does not do, and the message says that nothing was changed."""
    with closing(sqlite3.connect(data / LOG_DIRECTORY / FILE_NAME)) as file, file:
        file.execute('DELETE FROM entries WHERE "offset" = 0')
    result = rebuild(data, "--from-log")
    assert result.exit_code == 1
    assert "begins too late" in result.output
    assert "Nothing was changed" in result.output
    assert rebuild(data).exit_code == 0


def test_no_data_directory(tmp_path: Path) -> None:
    """A directory that is not there is a mistyped one, and is not made."""
    result = rebuild(tmp_path / "nowhere")
    assert result.exit_code == 1
    assert "check --data" in result.output
    assert not (tmp_path / "nowhere").exists()


def test_a_data_directory_without_a_log(tmp_path: Path) -> None:
    """Where no gate ever ran there is nothing to make rollups of."""
    result = rebuild(tmp_path)
    assert result.exit_code == 1
    assert "there is no log in" in result.output


INTERRUPTED = """
import sys, time
from aggregators.repair import rebuild
from tidegate.cli import main
follow = rebuild._follow_to_its_end

async def slow(*arguments):
    print("begun", flush=True)
    time.sleep(0.2)
    import asyncio
    await asyncio.sleep(60)

rebuild._follow_to_its_end = slow
main(["rebuild", "--data", sys.argv[1]])
"""


def test_interrupted_everything_is_as_it_was(data: Path) -> None:
    """Ctrl-C leaves the old file and says so."""
    before = sorted(file.name for file in (data / ROLLUPS_DIRECTORY).iterdir())
    old = (data / ROLLUPS_DIRECTORY / "rollups.duckdb").read_bytes()
    with program(INTERRUPTED, data) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "begun\n"
        process.send_signal(2)
        _, err = process.communicate(timeout=PATIENCE_SECONDS)
    assert process.returncode == 1
    assert "the old rollups are as they were" in err
    assert sorted(file.name for file in (data / ROLLUPS_DIRECTORY).iterdir()) == before
    assert (data / ROLLUPS_DIRECTORY / "rollups.duckdb").read_bytes() == old
