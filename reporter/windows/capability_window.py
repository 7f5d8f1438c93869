"""Probes of what a device can do: what capability_probe is made of."""

from dataclasses import dataclass

from reporter.windows.rows import Rows
from reporter.windows.telling import Telling, as_said
from reporter.windows.vocabulary import Row


@dataclass(slots=True, kw_only=True)
class CapabilityProbe:
    """Probes of one capability, and tasks that were routed by the tier that the device declares for it."""

    capability: str
    declared_tier: str
    probed_tier: str
    probes: int = 1
    failures: int = 0
    tasks: int = 0
    mismatched: int = 0


class CapabilityWindow:
    """The probes of one window."""

    __slots__ = ("_rows",)

    def __init__(self) -> None:
        self._rows = Rows("capability_probe", ("capability", "declared_tier", "probed_tier"))

    def add(self, probe: CapabilityProbe) -> None:
        """Counts probes."""
        row = self._rows.of(probe.capability, probe.declared_tier, probe.probed_tier)
        row.add(probes=probe.probes, failures=probe.failures, tasks=probe.tasks, mismatched=probe.mismatched)

    def values(self, telling: Telling = as_said) -> Row:
        """What a capability_probe says below its header."""
        return {"rows": self._rows.values(telling)}
