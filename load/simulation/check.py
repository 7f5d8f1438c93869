"""What must hold when the faults are over: the invariants, and what is wrong where one does not."""

from collections import Counter
from collections.abc import Iterator, Sequence
from enum import Enum
from typing import NamedTuple

from load.simulation.contracts import PLANTED
from load.simulation.device import Sent
from load.simulation.fold import fold
from load.simulation.gate import BODY_SECONDS, Life
from load.simulation.network import Exchange
from load.simulation.parts import APPEND_SECONDS
from load.simulation.series import CONTROL_TOPIC, Counts, Series, read_series
from load.simulation.site import Site

SPARE_SECONDS = 1.0
"""What a request may take beside its body and its append."""

RECEIVED = "received"
INTERNAL_STATUS = 500
OURS = frozenset({CONTROL_TOPIC, "tidegate.schemas", "tidegate.probe"})


class Broken(Enum):
    """Which invariant does not hold; the value is what is counted of it."""

    LOST = "lost"
    """I1: every 202 is in the rollups exactly once."""
    TWICE = "counted twice"
    """I1, and I2: what was in doubt is there at most once."""
    COPIES = "stored too often"
    """I2: the log has no more copies of a report than requests were accepted or in doubt, but where brokers forgot."""
    REFUSED = "kept though refused"
    """I2: nothing that was refused is anywhere."""
    LEAKED = "leaked"
    """I3: nothing that names a device is in the log."""
    LEDGER = "ledgers wrong"
    """I4: received = accepted + refused + in doubt in every series of outcomes, and a gap shows as one."""
    SUMS = "sums wrong"
    """I5: the rollups are the plain fold over what was counted."""
    LEFT = "left over"
    """I6: everything has drained; no task, timer or ticket is left."""
    LATE = "late"
    """I7: every request was answered or closed within its deadline, and none by a fault of the gate's own."""


class Finding(NamedTuple):
    """One thing that is wrong."""

    broken: Broken
    what: str


def findings(site: Site, sent: Sequence[Sent]) -> Iterator[Finding]:
    """Everything that is wrong; nothing where all is well."""
    yield from _counted(site, sent)
    yield from _copied(site, sent)
    yield from _summed(site, sent)
    yield from _leaked(site)
    yield from _told(site)
    yield from _left_over(site)
    yield from _late(site)


def _counted(site: Site, sent: Sequence[Sent]) -> Iterator[Finding]:
    counted = site.rollups.tables.counted
    stored = {entry.key for entry in site.storage.entries() if entry.topic not in OURS}
    for one in sent:
        report_id = one.report.report_id
        times, name = counted[report_id], report_id.hex()[:8]
        if times > 1:
            yield Finding(Broken.TWICE, f"{name} was counted {times} times")
        if one.accepted and not times:
            where = "is in the log and" if report_id in stored else "is not in the log and"
            yield Finding(Broken.LOST, f"{name} was answered 202, {where} was not counted")
        if not one.accepted and not one.doubtful and (times or report_id in stored):
            yield Finding(Broken.REFUSED, f"{name} was never taken, for all that its device knows, and is there")


def _copied(site: Site, sent: Sequence[Sent]) -> Iterator[Finding]:
    """Rollups count a copy once, so they cannot tell: a producer that is not idempotent shows here alone."""
    if site.storage.may_repeat:
        return
    copies = Counter(entry.key for entry in site.storage.entries() if entry.topic not in OURS)
    bodies = [exchange.body for exchange in site.network.exchanges if exchange.may_have_stored]
    for one in sent:
        asked = sum(one.report.message in body for body in bodies)
        if (number := copies[one.report.report_id]) > asked:
            name = one.report.report_id.hex()[:8]
            yield Finding(Broken.COPIES, f"{name} is in the log {number} times, of {asked} requests that may have")


def _summed(site: Site, sent: Sequence[Sent]) -> Iterator[Finding]:
    tables = site.rollups.tables
    stored = {entry.key for entry in site.storage.entries() if entry.topic not in OURS}
    if tables.counted.keys() != stored:
        yield Finding(Broken.SUMS, f"{len(stored)} reports are in the log, and {len(tables.counted)} were counted")
    if tables.parked:
        yield Finding(Broken.SUMS, f"{tables.parked} records could not be read")
    expected = fold([one.report for one in sent], counted=tables.counted.keys())
    if tables.cells != expected:
        yield Finding(Broken.SUMS, f"the rollups hold {tables.cells}, and the fold is {expected}")


def _leaked(site: Site) -> Iterator[Finding]:
    for entry in site.storage.entries():
        if PLANTED in b"".join((entry.key, entry.value, *(value for _, value in entry.headers))):
            yield Finding(Broken.LEAKED, f"an entry of {entry.topic} names a device")


def _told(site: Site) -> Iterator[Finding]:
    found = read_series(entry.value for entry in site.storage.entries() if entry.topic == CONTROL_TOPIC)
    lives = [life for gate in site.gates for life in gate.lives]
    for life in lives:
        for what in _ledger(life, found.get(life.gate_id, Series())):
            yield Finding(Broken.LEDGER, f"{life.process.name}: {what}")
    if found.keys() - {life.gate_id for life in lives}:
        yield Finding(Broken.LEDGER, "there are outcomes of a gate that never was")


def _ledger(life: Life, series: Series) -> Iterator[str]:
    counted: Counts = Counter({(tier, outcome): count for tier, outcome, count in life.gate.account.ledger()})
    if set(series.records) != set(range(len(series.records))):
        yield f"a number is missing in {sorted(series.records)}"
    if more := series.counts - counted:
        yield f"it told of more than it counted, by {dict(more)}"
    if series.is_whole and (less := counted - series.counts):
        yield f"it told of less than it counted, by {dict(less)}, as if nothing were missing"
    if life.ended_well and not _is_balanced(counted):
        yield f"received is not accepted + refused + in doubt: {dict(+counted)}"


def _is_balanced(counts: Counts) -> bool:
    open_by_tier: Counter[str] = Counter()
    for (tier, outcome), count in counts.items():
        open_by_tier[tier] += count if outcome == RECEIVED else -count
    return not any(open_by_tier.values())


def _left_over(site: Site) -> Iterator[Finding]:
    lives = [life for gate in site.gates for life in gate.lives if life.ended_well]
    timers = site.world.loop.timers_left()
    for what in (
        *(f"{one.name} has {one.left} tasks at its end" for one in site.world.processes if one.left),
        *(f"{one.name} does not end" for one in site.world.processes if one.alive),
        *(f"{life.process.name} has tickets of {tier}" for life in lives for tier in _ticketed(life)),
        *([f"{timers} timers"] if timers else []),
        *site.world.loop.faults,
        *site.follower.stops,
    ):
        yield Finding(Broken.LEFT, what)


def _ticketed(life: Life) -> list[str]:
    admission = life.gate.admission
    return [tier for tier in life.gate.rules.catalogue.tiers if admission.under_way(tier)]


def _late(site: Site) -> Iterator[Finding]:
    for exchange in site.network.exchanges:
        if (seconds := _seconds_late(exchange, now=site.world.loop.time())) > 0:
            yield Finding(Broken.LATE, f"{exchange.process.name} answered {seconds:.1f} s too late")
        if exchange.status == INTERNAL_STATUS:
            yield Finding(Broken.LATE, f"{exchange.process.name} answered {INTERNAL_STATUS}: a fault of its own")


def _seconds_late(exchange: Exchange, *, now: float) -> float:
    """How long after its deadline a request was answered or closed; less than 0 where it was in time."""
    arrived = exchange.whole_at
    deadline = exchange.began + BODY_SECONDS if arrived is None else arrived + APPEND_SECONDS
    ended = now if exchange.ended is None else exchange.ended
    return ended - deadline - SPARE_SECONDS - exchange.process.stopped_seconds
