"""What a gate tells `tidegate.control` about itself: every second the outcomes that it counted, as an Avro message.

Rules held here:

* a gate's records form one series, numbered from 0 without a gap, each beginning where the one before it ended;
* the number rises only once an append was confirmed. An append that failed may still have reached the log, so the next
  one has the same number, everything counted since and a later end: for a reader, the record of a number that ends
  last replaces the others, in whatever order they reached the log;
* a gate that counted nothing says so once a minute, so that silence means trouble;
* the last record of a gate that stops in good order is marked `final`. A series that ends without one lost counts.
"""

import asyncio
import json
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from typing import Any

import fastavro

import schemas
from ingest.clock import Clock
from ingest.telemetry.account import Account, OutcomeCount
from ingest.telemetry.events import Event
from ingest.telemetry.logs import log
from schemas.report_schema import crc_64_avro

Append = Callable[[bytes], Awaitable[object]]
"""Appends one encoded record to the control topic; returns once it is durable, raises if it may not be."""

OUTCOMES_FILE = Path(schemas.__file__).parent / "control" / "outcomes.v1.avsc"
OUTCOMES_SCHEMA: dict[str, Any] = json.loads(OUTCOMES_FILE.read_text(encoding="utf-8"))
OUTCOMES_FINGERPRINT = crc_64_avro(OUTCOMES_SCHEMA)
_PARSED = fastavro.parse_schema(OUTCOMES_SCHEMA)

HEARTBEAT_SECONDS = 60.0
APPEND_SECONDS = 2.0
"""How long one append may take; a stop, which has 10 s, waits for at most the one under way and the final one."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcomes:
    """One record of the series; times in milliseconds since the epoch, UTC."""

    gate_id: str
    sequence: int
    from_time: int
    to_time: int
    final: bool
    counts: tuple[OutcomeCount, ...]


def encode_outcomes(outcomes: Outcomes) -> bytes:
    """The record as Avro under `schemas/control/outcomes.v1.avsc`; `ingest.records.outcomes_entry` frames it."""
    target = BytesIO()
    fastavro.schemaless_writer(
        target,
        _PARSED,
        {
            "gate_id": outcomes.gate_id,
            "sequence": outcomes.sequence,
            "from_time": outcomes.from_time,
            "to_time": outcomes.to_time,
            "final": outcomes.final,
            "counts": [
                {"tier": tier, "outcome": outcome, "count": reports} for tier, outcome, reports in outcomes.counts
            ],
        },
        strict=True,
    )
    return target.getvalue()


class OutcomeSeries:
    """The series of one gate process: what the next record says, and whether one is due."""

    def __init__(self, account: Account, *, append: Append, clock: Clock, gate_id: str) -> None:
        self._account = account
        self._append = append
        self._clock = clock
        self._gate_id = gate_id
        self._sequence = 0
        self._from_time = clock.now_ms()
        self._tried_to: int | None = None
        self._last_stored: float | None = None
        self._failing_since: float | None = None

    async def tick(self) -> None:
        """Append what was counted since the last record, or a heartbeat if one is due."""
        counts = self._account.take()
        if counts or self._heartbeat_is_due():
            await self._store(counts, final=False)

    async def finish(self) -> None:
        """Append the final record."""
        await self._store(self._account.take(), final=True)

    def _heartbeat_is_due(self) -> bool:
        return self._last_stored is None or self._clock.monotonic() - self._last_stored >= HEARTBEAT_SECONDS

    async def _store(self, counts: tuple[OutcomeCount, ...], *, final: bool) -> None:
        outcomes = Outcomes(
            gate_id=self._gate_id,
            sequence=self._sequence,
            from_time=self._from_time,
            to_time=self._to_time(),
            final=final,
            counts=counts,
        )
        self._tried_to = outcomes.to_time
        try:
            async with asyncio.timeout(APPEND_SECONDS):
                await self._append(encode_outcomes(outcomes))
        except asyncio.CancelledError:
            self._account.restore(counts)
            raise
        except Exception as error:  # noqa: BLE001  # whatever the log's trouble is, the gate goes on and tries again
            self._account.restore(counts)
            self._failed(error)
        else:
            self._stored(outcomes)

    def _to_time(self) -> int:
        """Now; but later than the last try of this number said, even if the clock stepped back: the latest counts."""
        least = self._from_time if self._tried_to is None else self._tried_to + 1
        return max(least, self._clock.now_ms())

    def _failed(self, error: Exception) -> None:
        if self._failing_since is None:
            self._failing_since = self._clock.monotonic()
            log(Event.OUTCOMES_NOT_STORED, error=error, sequence=self._sequence)

    def _stored(self, outcomes: Outcomes) -> None:
        self._sequence = outcomes.sequence + 1
        self._from_time = outcomes.to_time
        self._tried_to = None
        self._last_stored = self._clock.monotonic()
        if self._failing_since is not None:
            seconds = round(self._last_stored - self._failing_since, 3)
            self._failing_since = None
            log(Event.OUTCOMES_STORED_AGAIN, sequence=outcomes.sequence, seconds=seconds)


async def report_outcomes(series: OutcomeSeries, *, stop: asyncio.Event, interval: float = 1.0) -> None:
    """Keep `series` going, once every `interval` seconds, until `stop` is set; then append its final record."""
    while not stop.is_set():
        await series.tick()
        try:
            await asyncio.wait_for(stop.wait(), interval)
        except TimeoutError:
            continue
    await series.finish()
