"""The file under the rollups: private, refused when it is none to go on with, let go of whatever others do with it."""

import stat
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from random import Random

import duckdb
import pyarrow as pa
import pytest

from aggregators.database import FILE_NAME
from aggregators.rollups.rollups import FORMAT, Rollups, RollupsDamaged, RollupsFailed
from ingest.report import Entry
from tests.rollups_input import one_batch, seeded_report, stripped_records
from tests.rollups_snapshot import snapshot

RECORDS = stripped_records()
ROOT = Path(__file__).resolve().parents[3]


def reports(count: int, *, seed: int = 1) -> list[Entry]:
    """Different reports of one type."""
    random = Random(seed)
    return [seeded_report("route_window", random, tier="managed") for _ in range(count)]


def test_the_file_is_private(rollups: Rollups, directory: Path) -> None:
    """Nobody but the owner may read the file or look into its directory."""
    rollups.apply(one_batch(reports(1)), RECORDS)
    assert stat.S_IMODE(directory.stat().st_mode) == 0o700
    assert stat.S_IMODE((directory / FILE_NAME).stat().st_mode) == 0o600


def overwritten(file: Path, *, at: int) -> None:
    """Damage of a few bytes."""
    content = bytearray(file.read_bytes())
    content[at : at + 8] = bytes(byte ^ 0xFF for byte in content[at : at + 8])
    file.write_bytes(content)


def replaced(content: bytes) -> Callable[[Path], None]:
    """Another file in its place."""

    def replace(file: Path) -> None:
        file.write_bytes(content)

    return replace


def of_another_format(file: Path) -> None:
    """The file as a later release would have it."""
    with duckdb.connect(file) as connection:
        connection.execute("UPDATE about SET format = ?", [FORMAT + 1])


def without_about(file: Path) -> None:
    """A file that no release writes."""
    with duckdb.connect(file) as connection:
        connection.execute("DELETE FROM about")


def of_another_application(file: Path) -> None:
    """A file of DuckDB's with tables of somebody else's."""
    file.unlink()
    with duckdb.connect(file) as connection:
        connection.execute("CREATE TABLE orders (number INTEGER)")


@pytest.mark.parametrize(
    ("damage", "said"),
    [
        pytest.param(lambda file: overwritten(file, at=4096), "is damaged", id="its header"),
        pytest.param(replaced(b""), "is damaged", id="empty"),
        pytest.param(replaced(b"no database at all" * 100), "is damaged", id="another kind of file"),
        pytest.param(replaced(b"SQLite format 3\0" + bytes(4096)), "is damaged", id="a file that an extension reads"),
        pytest.param(lambda file: file.write_bytes(file.read_bytes()[:20_000]), "is damaged", id="cut"),
        pytest.param(of_another_format, f"has format {FORMAT + 1}", id="another format"),
        pytest.param(without_about, "has no format", id="no format"),
        pytest.param(of_another_application, "holds other tables", id="another application's"),
    ],
)
def test_a_file_that_cannot_be_gone_on_with_is_refused(
    rollups: Rollups, directory: Path, damage: Callable[[Path], None], said: str
) -> None:
    """A damaged or foreign file is refused with the command that repairs it, and is not changed."""
    rollups.apply(one_batch(reports(20)), RECORDS)
    rollups.close()
    file = directory / FILE_NAME
    damage(file)
    before = file.read_bytes()
    with pytest.raises(RollupsDamaged, match=said) as refused:
        Rollups.open(directory)
    assert f"tidegate rebuild --data {directory.parent}" in str(refused.value)
    assert file.read_bytes() == before


def test_damage_that_shows_later_is_told_as_such(rollups: Rollups, directory: Path) -> None:
    """A damaged block that is met while a batch is applied is told as damage, and the file can be closed."""
    rollups.apply(one_batch(reports(200)), RECORDS)
    rollups.close()
    file = directory / FILE_NAME
    for at in range(12_288 + 100, file.stat().st_size - 262_144, 262_144):
        overwritten(file, at=at)
    with pytest.raises(RollupsDamaged, match="tidegate rebuild"):
        _open_and_read(directory)


def _open_and_read(directory: Path) -> None:
    rollups = Rollups.open(directory)
    try:
        with rollups.errors():
            snapshot(rollups)
    finally:
        rollups.close()


def test_a_file_in_use_is_refused(rollups: Rollups, directory: Path) -> None:
    """A second process is told that the file is open in another one, and the first goes on."""
    program = (
        "import sys; from pathlib import Path; from aggregators.rollups.rollups import Rollups, RollupsInUse\n"
        "try: Rollups.open(Path(sys.argv[1]))\n"
        "except RollupsInUse as error: print(error)"
    )
    command = [sys.executable, "-c", program, str(directory)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True, timeout=60)
    assert "is open in another process" in done.stdout
    assert rollups.apply(one_batch(reports(1)), RECORDS).reports == 1


def test_closing_ends_what_other_threads_do(rollups: Rollups) -> None:
    """A query of another thread is interrupted and its cursor closed, so that the file is let go of."""
    begun = threading.Event()
    ended: list[str] = []
    numbers = pa.record_batch({"n": list(range(1000))})

    def endless() -> Iterator[pa.RecordBatch]:
        while True:
            yield numbers
            begun.set()

    def ask() -> None:
        try:
            cursor.register("endless", pa.RecordBatchReader.from_batches(numbers.schema, endless()))
            cursor.execute("SELECT count(*) FROM endless").fetchall()
        except duckdb.Error as error:
            ended.append(type(error).__name__)

    cursor = rollups.cursor()
    thread = threading.Thread(target=ask)
    thread.start()
    assert begun.wait(timeout=30)
    rollups.close()
    thread.join(timeout=30)
    assert ended == ["InterruptException"]


def test_reopening_makes_the_same_object_good_again(rollups: Rollups) -> None:
    """After a close nothing can be asked, and the text says nothing of what was; after `reopen` everything goes on."""
    ((partition, stored),) = one_batch(reports(2))
    rollups.apply([(partition, stored[:1])], RECORDS)
    rollups.close()
    with pytest.raises(RollupsFailed):
        rollups.offsets()
    rollups.reopen()
    assert rollups.offsets() == {partition: 0}
    assert rollups.apply([(partition, stored[1:])], RECORDS).reports == 1


def test_a_fault_of_a_statement_tells_no_value(rollups: Rollups) -> None:
    """What DuckDB says about a statement that fails may quote a value, so only the kind of its error is told."""
    with pytest.raises(RollupsFailed) as failed, rollups.transaction() as connection:
        connection.execute("SELECT 'alice@example.org'::INTEGER")
    assert "alice" not in str(failed.value)
    assert failed.value.__suppress_context__
