"""Probes of the paths to services: what path_probe is made of."""

from collections.abc import Iterator
from dataclasses import dataclass

from reporter.windows.degrees import CERTIFICATE_DAYS
from reporter.windows.rows import Rows
from reporter.windows.telling import Telling, as_said
from reporter.windows.vocabulary import Row

DNSSEC = frozenset({"validated", "bogus", "absent"})
REACHED = frozenset({"intended", "fallback"})
STATUS_CLASSES = range(2, 6)


@dataclass(slots=True, kw_only=True)
class PathProbe:
    """One probe of one service. None: not measured, not reached, no response, no certificate seen.

    `reached` is intended or fallback; `dnssec` is validated, bogus or absent. Times in milliseconds.
    """

    service_role: str
    network_context: str
    region_asked: str | None = None
    region_answered: str | None = None
    reached: str | None = None
    dns_failures: int = 0
    dnssec: str | None = None
    http_status: int | None = None
    certificate_days_left: int | None = None
    downloads_ok: int = 0
    downloads_failed: int = 0
    dns_ms: float | None = None
    connect_ms: float | None = None
    first_byte_ms: float | None = None


class PathWindow:
    """The probes of one window."""

    __slots__ = ("_rows",)

    def __init__(self) -> None:
        self._rows = Rows("path_probe", ("service_role", "network_context", "region_asked", "region_answered"))

    def add(self, probe: PathProbe) -> None:
        """Counts a probe."""
        row = self._rows.of(probe.service_role, probe.network_context, probe.region_asked, probe.region_answered)
        row.add(
            probes=1,
            dns_failures=probe.dns_failures,
            downloads_ok=probe.downloads_ok,
            downloads_failed=probe.downloads_failed,
            **dict.fromkeys(_marks(probe), 1),
        )
        row.observe(dns=probe.dns_ms, connect=probe.connect_ms, first_byte=probe.first_byte_ms)
        left = probe.certificate_days_left
        if left is not None:
            row.rank("certificate_left", CERTIFICATE_DAYS.place(left), CERTIFICATE_DAYS.word(left))

    def values(self, telling: Telling = as_said) -> Row:
        """What a path_probe says below its header."""
        return {"rows": self._rows.values(telling)}


def _marks(probe: PathProbe) -> Iterator[str]:
    """The counts that this probe is one of."""
    if probe.reached in REACHED:
        yield f"reached_{probe.reached}"
    if probe.dnssec in DNSSEC:
        yield f"dnssec_{probe.dnssec}"
    status = probe.http_status
    known = isinstance(status, int) and status // 100 in STATUS_CLASSES
    yield f"http_{status // 100}xx" if status is not None and known else "http_none"
