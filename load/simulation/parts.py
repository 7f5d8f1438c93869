"""The parts that a seed's site is made of; whoever wants to see the check fail replaces one by a bad one."""

from collections.abc import Callable
from dataclasses import dataclass, field

from ingest.gate import Gate
from ingest.log import Log
from ingest.log.group_commit import AppendLimits
from ingest.telemetry.outcomes import OutcomeSeries
from load.simulation.broker_clients import SimulatedProducer
from load.simulation.disk import Writer
from load.simulation.rollups import SimulatedRollups

APPEND_SECONDS = 5.0
"""How long an append may take, as in `tidegate serve`."""

WAITING_ENTRIES = 20
"""How many may wait for the log: few, so that some are turned away."""


def _limits() -> AppendLimits:
    return AppendLimits(entries=WAITING_ENTRIES, seconds=APPEND_SECONDS)


@dataclass(frozen=True, slots=True, kw_only=True)
class Parts:
    """What is put together; `outermost` is put around every log that a gate writes to."""

    gate: type[Gate] = Gate
    series: type[OutcomeSeries] = OutcomeSeries
    writer: type[Writer] = Writer
    producer: type[SimulatedProducer] = SimulatedProducer
    rollups: type[SimulatedRollups] = SimulatedRollups
    outermost: Callable[[Log], Log] = lambda log: log
    limits: AppendLimits = field(default_factory=_limits)
