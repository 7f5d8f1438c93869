"""What was published is the same after a rebuild, whatever the rollups have learnt since."""

from contextlib import closing
from pathlib import Path
from typing import Any

from aggregators.fence import Fence
from aggregators.publication.measures import load_measures
from aggregators.publication.publish import publish
from aggregators.repair.rebuild import PUBLISHED_NAME, open_or_rebuild, rebuild
from aggregators.rollups.rollups import Rollups
from ingest.log.memory import MemoryLog
from ingest.operator_documents import OperatorDocuments
from tests.aggregators.followers import apply_everything, clock_at, counted
from tests.aggregators.stored_reports import CATALOGUE, fill, stored

MEASURES = load_measures()
NOW = clock_at(12).now_ms()


def publish_everything(data: Path) -> None:
    """Publish every hour that has changed."""
    with (
        closing(Rollups.open(data / "rollups")) as rollups,
        closing(OperatorDocuments(data / "operator.sqlite3", clock_at(12))) as documents,
        rollups.cursor() as cursor,
    ):
        publish(
            cursor,
            MEASURES,
            tiers=CATALOGUE.tiers,
            documents=documents,
            fence=Fence.claim(data / "rollups" / PUBLISHED_NAME),
            at=NOW,
            closed_to=None,
            complete_to=NOW,
        )


def published(data: Path) -> dict[str, list[tuple[Any, ...]]]:
    """Every published cell, and the publications."""
    with closing(Rollups.open(data / "rollups")) as rollups, rollups.cursor() as cursor:
        tables = [*(measure.table for measure in MEASURES.values()), "publications"]
        return {table: cursor.execute(f"FROM {table} ORDER BY ALL").fetchall() for table in tables}


async def test_what_was_published_stays(tmp_path: Path) -> None:
    """Cells are loaded from the publications, not computed from rows that came later, by both ways to make rollups."""
    log = MemoryLog()
    await fill(log, stored(150, seed=9))
    await apply_everything(tmp_path / "rollups", log)
    publish_everything(tmp_path)
    before, reports = published(tmp_path), counted(tmp_path / "rollups")
    assert any(rows for table, rows in before.items() if table != "publications")
    await fill(log, stored(50, seed=10))
    result = await rebuild(tmp_path / "rollups", log, chain=(), tiers=CATALOGUE.tiers, progress=print)
    assert result.publications == 1
    assert published(tmp_path) == before
    assert counted(tmp_path / "rollups") > reports
    (tmp_path / "rollups" / "rollups.duckdb").unlink()
    open_or_rebuild(tmp_path / "rollups", tiers=CATALOGUE.tiers).close()
    assert published(tmp_path) == before
