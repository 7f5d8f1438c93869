"""The figures of docs/rollups.md: CPU of applying, sealing and rebuilding, on this machine.

    python -m tests.aggregators.figures

Reports are those of `stored_reports`, in one partition in memory; CPU and not time, so that other work does not count.
"""

import asyncio
import tempfile
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

from aggregators.following.batches import Batches
from aggregators.repair.rebuild import Step, rebuild
from aggregators.rollups.rollups import Rollups
from aggregators.rollups.stripped import StrippedRecords
from aggregators.sealing.seal import Sealer
from aggregators.sealing.seal_files import DIRECTORY_NAME, read_chain
from ingest.log.memory import MemoryLog
from ingest.schema_topic import schemas_of
from tests.aggregators.followers import clock_at
from tests.aggregators.stored_reports import CATALOGUE, fill, stored

RECORDS = 12_000


@contextmanager
def cpu(what: str) -> Iterator[None]:
    """Print what the body cost."""
    begun = time.process_time()
    yield
    print(f"{time.process_time() - begun:6.2f} s  {what}")


async def apply_and_seal(directory: Path, log: MemoryLog) -> None:
    """Full batches, each of them sealed."""
    records, drained = StrippedRecords(), False
    records.learn(schemas_of(CATALOGUE))
    sealer = Sealer(lambda: CATALOGUE.tiers, clock=clock_at(24))
    with closing(Rollups.open(directory)) as rollups:
        batches = Batches(log, {})
        while not drained:
            batch = await batches.next()
            size = sum(len(stored.entry.value) for _, entries in batch.parts for stored in entries)
            with cpu(f"applying {batch.records:,} records, {size:,} bytes"):
                rollups.apply(batch.parts, records)
            with cpu("sealing them"):
                sealer.seal(rollups, drained=True)
            batches.applied(batch)
            drained = batch.drained


async def main(directory: Path) -> None:
    """Every figure, one after the other."""
    log = MemoryLog()
    await fill(log, stored(RECORDS, seed=1, hours=24))
    await apply_and_seal(directory, log)
    chain = read_chain(directory / DIRECTORY_NAME)
    print(
        f"{sum(seal.rows for seal in chain):,} rows, {sum(file.size for seal in chain for file in seal.files):,} bytes"
    )
    for what, seals in (("rebuilding from seals", chain), ("rebuilding from the log", [])):
        with cpu(what):
            await rebuild(directory, log, chain=seals, tiers=CATALOGUE.tiers, progress=_nobody)


def _nobody(step: Step) -> None:
    del step


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as folder:
        asyncio.run(main(Path(folder)))
