"""Parts that are broken on purpose, each as somebody might break the real one; the simulation has to find them."""

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any
from unittest.mock import patch

from aggregators.rollups.load import Applied
from aggregators.rollups.stripped import Batch as Entries
from aggregators.rollups.stripped import StrippedRecord, StrippedRecords
from ingest.access.admission import Ticket
from ingest.gate import Gate
from ingest.log import InDoubt, Log, LogUnavailable
from ingest.log.group_commit import AppendLimits, GroupCommit
from ingest.log.kafka.partition import Call
from ingest.log.kafka.producer import Batch
from ingest.problems import Reason, Rejected
from ingest.report import Entry, Partition, Position, StrippedReport
from ingest.telemetry.outcomes import OutcomeSeries
from load.simulation.broker_clients import SimulatedProducer
from load.simulation.contracts import PLANTED
from load.simulation.disk import Writer
from load.simulation.rollups import SimulatedRollups, Tables


class SyncsLater(Writer):
    """Answers once the kernel has a commit; the disk gets it with the next one."""

    def sync(self) -> None:
        newest = self._disk.written.pop()
        self._disk.sync()
        self._disk.written.append(newest)


class OffsetsFirst(SimulatedRollups):
    """Commits the offsets of a batch, and then its rows."""

    def commit(self, batch: Entries, records: StrippedRecords) -> Applied:
        tables = self._file.tables.copy()
        self.advance(tables, batch)
        self._file.tables = tables.copy()
        applied = self.count(tables, batch, records)
        self.maybe_die()
        self._file.tables = tables
        return applied


class RowsFirst(SimulatedRollups):
    """Commits the rows of a batch, and then its offsets and the ids that it saw."""

    def commit(self, batch: Entries, records: StrippedRecords) -> Applied:
        before = self._file.tables
        tables = before.copy()
        applied = self.count(tables, batch, records)
        self._file.tables = replace(tables.copy(), seen=set(before.seen))
        self.advance(tables, batch)
        self.maybe_die()
        self._file.tables = tables
        return applied


class CountsAgain(SimulatedRollups):
    """Remembers no report."""

    def is_new(self, tables: Tables, record: StrippedRecord) -> bool:
        del tables, record
        return True


class SaysYesInDoubt(Gate):
    """Answers 202 when the log did not confirm in time."""

    async def store(self, reports: Sequence[StrippedReport]) -> None:
        try:
            await super().store(reports)
        except Rejected as refusal:
            if refusal.reason is not Reason.IN_DOUBT:
                raise


class ForgetsDoubt(Gate):
    """Counts nothing for what is in doubt."""

    def count_refused(self, tier: str | None, reason: Reason, reports: int) -> None:
        if reason is not Reason.IN_DOUBT:
            super().count_refused(tier, reason, reports)


class GoesOnUnconfirmed(OutcomeSeries):
    """Takes the next number, and counts from nothing, whether or not the append was confirmed."""

    def _failed(self, error: Exception) -> None:
        super()._failed(error)
        self._sequence += 1


class TakesNothingBack(OutcomeSeries):
    """Forgets what it took when it could not append it."""

    async def tick(self) -> None:
        with patch.object(self._account, "restore"):
            await super().tick()


class FallsBack(OutcomeSeries):
    """Lets the time of a second try be earlier than that of the first."""

    def _to_time(self) -> int:
        return max(self._from_time, self._clock.now_ms())


class RefusesWhatItSent(SimulatedProducer):
    """Says that nothing was stored of what it could not confirm."""

    async def send_batch(self, batch: Batch, topic: str, *, partition: int) -> "asyncio.Future[int]":
        return _changed(await super().send_batch(batch, topic, partition=partition), _refused)


class DoesNotWait(SimulatedProducer):
    """Takes a batch for stored once it was sent: acks=0."""

    async def send_batch(self, batch: Batch, topic: str, *, partition: int) -> "asyncio.Future[int]":
        await super().send_batch(batch, topic, partition=partition)
        answer: asyncio.Future[int] = asyncio.get_running_loop().create_future()
        answer.set_result(0)
        return answer


class NotIdempotent(SimulatedProducer):
    """Every try is a batch of its own for the brokers: enable_idempotence=False."""

    def request(self, partition: Partition, sequence: int, entries: Sequence[Entry]) -> "asyncio.Task[int]":
        del sequence
        return self._cluster.produce(partition, self._cluster.new_producer(), 0, entries)


class ProxyLog:
    """A log that hands everything on to another one."""

    def __init__(self, log: Log) -> None:
        self._log = log
        self.read = log.read
        self.partitions = log.partitions
        self.extent = log.extent
        self.probe = log.probe
        self.close = log.close

    @property
    def commits(self) -> int:
        return self._log.commits

    @property
    def entries(self) -> int:
        return self._log.entries

    async def append(self, entries: Sequence[Entry]) -> Sequence[Position]:
        return await self._log.append(entries)


class RefusesInDoubt(ProxyLog):
    """Says that nothing was stored where nobody knows."""

    async def append(self, entries: Sequence[Entry]) -> Sequence[Position]:
        try:
            return await super().append(entries)
        except InDoubt:
            raise LogUnavailable("broken on purpose") from None


class AnswersAtOnce(ProxyLog):
    """Confirms an append once it has begun."""

    async def append(self, entries: Sequence[Entry]) -> Sequence[Position]:
        task = asyncio.ensure_future(super().append(entries))
        await asyncio.sleep(0.001)
        return await task if task.done() else []


class NamesDevices(ProxyLog):
    """Puts what a device said into a header."""

    async def append(self, entries: Sequence[Entry]) -> Sequence[Position]:
        header = ("device", PLANTED + b"somebody")
        return await super().append([replace(entry, headers=(*entry.headers, header)) for entry in entries])


class KeepsTickets(Gate):
    """Lets a request in twice, and out once."""

    def __init__(self, **options: Any) -> None:
        super().__init__(**options)
        once = self.admission.admit

        def twice(tier: str, token: bytes | None, peer: str | None) -> Ticket:
            once(tier, token, peer)
            return once(tier, token, peer)

        self.admission.admit = twice  # type: ignore[method-assign]  # broken on purpose


class RefusesWhatItWrites(GroupCommit):
    """Says that nothing was stored of what is being written when its time is over."""

    def _expire(self, moment: float) -> None:
        for waiting in self._writing:
            if waiting.deadline <= moment and not waiting.answer.done():
                waiting.answer.set_exception(LogUnavailable("broken on purpose"))
        super()._expire(moment)


def refuse_what_is_at_large(call: Call) -> None:
    """In the place of `Call.expire`: whatever was handed over, it is refused."""
    if not call.answer.done():
        call.answer.set_exception(LogUnavailable("broken on purpose"))


def confirm_the_first_part(call: Call, indexes: Sequence[int], partition: Partition, *, base: int) -> None:
    """In the place of `Call.stored`: the first partition that has its part answers for all."""
    del indexes
    if not call.answer.done():
        call.answer.set_result([Position(partition, base)])


PATIENT = AppendLimits(seconds=1_000.0)
"""No append ever expires."""


def _changed(
    confirmed: "asyncio.Future[int]", change: Callable[[BaseException], BaseException]
) -> "asyncio.Future[int]":
    """A future that ends as another one does, with another error."""
    answer: asyncio.Future[int] = asyncio.get_running_loop().create_future()

    def end(ended: "asyncio.Future[int]") -> None:
        error = ended.exception()
        if answer.done():
            return
        if error is None:
            answer.set_result(ended.result())
        else:
            answer.set_exception(change(error))

    confirmed.add_done_callback(end)
    return answer


def _refused(_: BaseException) -> BaseException:
    return LogUnavailable("broken on purpose")
