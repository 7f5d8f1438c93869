"""What the log has lost for good: found, accepted by a person, kept with the rollups, and said beside answers.

Rules held here:

* nothing goes past a gap by itself. A person accepts it, with a reason, and then the offsets behind it are stored in
  the same transaction as the gap;
* a gap is a row of a sealed table: it is in the next seal, which is made at once, and so in every rebuild after it;
* what was lost was appended between the newest record that was applied before the gap and the oldest that is left
  behind it, so its windows lie in that time or as long before it as reports may be late. Answers about it say so. One
  record's time proves nothing, for a gate's clock may be wrong: rather too long a time than too short.
"""

from collections.abc import Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path

from aggregators.following.batches import Batches
from aggregators.repair.rebuild import open_or_rebuild
from aggregators.rollups.rollups import Progress, Rollups
from aggregators.rollups.stripped import LATEST
from aggregators.sealing.seal import About, Sealer
from aggregators.sql_templates import read_sql
from aggregators.times import EPOCH, naive_utc
from ingest.clock import Clock
from ingest.log import LogReader
from ingest.report import Partition
from schemas.tier import Tier

ADD = read_sql("gaps/add")
GO_ON_BEHIND = read_sql("gaps/go_on_behind")

AHEAD = timedelta(hours=1)
"""A window may end after its report was appended, as far as a device's clock may be ahead; far less than this."""

HOUR = timedelta(hours=1)
"""How exactly it is known when the newest record was applied."""

WITNESSES = 100
"""So many records behind a gap are asked when it ended."""


@dataclass(frozen=True, slots=True)
class Gap:
    """Offsets `first` to `last` of a partition, appended between `since` and `until`, UTC; None: nobody knows."""

    partition: Partition
    first: int
    last: int
    since: datetime | None
    until: datetime

    @property
    def records(self) -> int:
        """How many are lost, at most: an offset may have had no record."""
        return self.last - self.first + 1


async def missing(reader: LogReader, progress: Mapping[Partition, Progress], *, now: datetime) -> list[Gap]:
    """What the log lacks of what follows `progress`; raises `LogReplaced`, `LogUnavailable`."""
    batches = Batches(reader, {partition: reached.last for partition, reached in progress.items()})
    found = []
    for partition, first, last in await batches.gaps():
        left = await reader.read(partition, after=last, limit=WITNESSES)
        received = progress[partition].received if partition in progress else 0
        since = naive_utc(received) if received else None
        until = _ended([stored.entry.timestamp for stored in left], since=since, now=now)
        found.append(Gap(partition=partition, first=first, last=last, since=since, until=until))
    return found


def _ended(times: Sequence[int], *, since: datetime | None, now: datetime) -> datetime:
    """When the newest of what is lost was appended, at the latest, by the times of the records behind it.

    A time before the gap or in the future is a wrong clock's; where there is no other, the gap ends now.
    """
    earliest = since or EPOCH
    told = [naive_utc(time) for time in times if 0 <= time < LATEST]
    return max(earliest + HOUR, max((time for time in told if earliest <= time <= now), default=now))


def accept(rollups: Rollups, gaps: Sequence[Gap], *, why: str, at: datetime, horizon: timedelta) -> None:
    """Note the gaps, and go on behind them."""
    with rollups.transaction() as cursor:
        segment = About.of(cursor).segment
        for gap in gaps:
            of = {"topic": gap.partition.topic, "partition": gap.partition.number, "last": gap.last}
            cursor.execute(
                ADD,
                {
                    **of,
                    "segment": segment,
                    "first": gap.first,
                    "affects_from": None if gap.since is None else gap.since - horizon,
                    "affects_to": gap.until + AHEAD,
                    "accepted": at,
                    "why": why,
                },
            )
            cursor.execute(GO_ON_BEHIND, of)


async def find_gaps(
    directory: Path, reader: LogReader, *, tiers: Mapping[str, Tier], clock: Clock, accept_why: str | None
) -> list[Gap]:
    """The gaps between the rollups in `directory` and the log; where `accept_why` is given they are accepted.

    Raises as `open_or_rebuild`, `missing` and `Sealer`; then nothing was accepted, or what was is only not sealed yet.
    Rollups that are not to be trusted are refused by what `progress` raises.
    """
    with closing(open_or_rebuild(directory, tiers=tiers)) as rollups:
        now = naive_utc(clock.now_ms())
        found = await missing(reader, rollups.progress(), now=now)
        if found and accept_why is not None:
            sealer = Sealer(lambda: tiers, clock=clock)
            sealer.settle(rollups)
            horizon = timedelta(days=max(tier.horizon_days for tier in tiers.values()))
            accept(rollups, found, why=accept_why, at=now, horizon=horizon)
            sealer.seal(rollups, drained=False)
        return found
