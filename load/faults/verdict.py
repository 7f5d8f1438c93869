"""Whether what the product has is what clients were told: the invariants, as pure functions over both.

    I1  every 202 is in the log, and in the rollups exactly once
    I2  what was only ever refused is nowhere; what is in doubt is there at most once
    I4  received = accepted + rejected + in doubt, in the records of every gate that ended in good order
    I5  the rollups are the plain fold over the reports in the log, as their senders made them

Two more are looked at where they happen: I3 (`leaked.py`), I6 and I7 (`rounds.py`).
"""

from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Literal

from load.faults.evidence import Cell, InLog, InRollups, Span
from load.faults.told import Standing, Told

Kind = Literal["lost", "counted twice", "leaked", "other"]
RECEIVED, ACCEPTED, IN_DOUBT, STORED = "received", "accepted", "in_doubt", "stored"

SILENCE_MS = 120_000
"""Two heartbeats of a gate (docs/rollups.md)."""

UNTOLD_SECONDS = 6.0
"""How long before its end a gate may have told its log last: it does so every second, and an append may take two. The
rest is for a gate that was found gone a little later, and for a machine with other things to do."""


@dataclass(frozen=True, slots=True)
class Violation:
    """An invariant that does not hold: which, in how many cases, and of what kind for the last line of a run."""

    invariant: str
    said: str
    kind: Kind = "other"
    cases: int = 1

    def __str__(self) -> str:
        return f"{self.invariant}: {self.said}"


@dataclass(frozen=True, slots=True)
class Processes:
    """How the gates of a data directory have ended so far: by SIGTERM with exit code 0, and by SIGKILL.

    `lacking` is what the records of killed gates may leave out: reports by tier and `stored` or a reason of refusal.
    """

    stopped: int
    killed: int
    lacking: Mapping[tuple[str, str], int] = field(default_factory=dict)


def log_violations(told: Told, log: InLog) -> Iterator[Violation]:
    """I1 and I2 of the log."""
    lost = [tries for tries in told.standing(Standing.ACCEPTED) if not log.stored[tries.made.report_id]]
    if lost:
        yield Violation("I1", f"{len(lost)} reports were answered with 202 and are not in the log", "lost", len(lost))
    short = [
        tries for tries in told.standing(Standing.ACCEPTED) if 0 < log.stored[tries.made.report_id] < tries.accepted
    ]
    if short:
        yield Violation("I1", f"{len(short)} reports are in the log less often than they got a 202", "lost", len(short))
    refused = [tries for tries in told.standing(Standing.REFUSED) if log.stored[tries.made.report_id]]
    if refused:
        yield Violation("I2", f"{len(refused)} reports were only ever refused and are in the log")
    unheard = log.stored.keys() - told.reports.keys()
    if unheard:
        yield Violation("I2", f"{len(unheard)} reports are in the log that nobody posted")
    often = [
        tries for tries in told.reports.values() if log.stored[tries.made.report_id] > tries.accepted + tries.doubtful
    ]
    if often:
        yield Violation("I2", f"{len(often)} reports are in the log more often than they were taken", cases=len(often))
    yield from _content_violations(told, log)


def _content_violations(told: Told, log: InLog) -> Iterator[Violation]:
    other = [key for key, tasks in log.tasks.items() if key in told.reports and tasks != told.reports[key].made.tasks]
    if other or log.differing:
        yield Violation("I5", f"{len(other) + log.differing} entries of the log do not say what was posted")
    elsewhere = [key for key, tier in log.tiers.items() if key in told.reports and tier != told.reports[key].made.tier]
    if elsewhere:
        yield Violation("I5", f"{len(elsewhere)} reports are in the log of another tier")


def fold(told: Told, log: InLog) -> tuple[Mapping[Cell, int], Counter[str], Counter[str]]:
    """What the rollups have to hold: tasks by cell, reports by tier, duplicates by tier, added up one by one."""
    tasks: dict[Cell, int] = defaultdict(int)
    accepted: Counter[str] = Counter()
    duplicates: Counter[str] = Counter()
    for key, times in log.stored.items():
        tries = told.reports.get(key)
        if tries is None:
            continue
        made = tries.made
        accepted[made.tier] += 1
        duplicates[made.tier] += times - 1
        for route, number in made.tasks.items():
            tasks[made.hour, made.tier, route] += number
    return tasks, accepted, duplicates


def rollup_violations(told: Told, log: InLog, rollups: InRollups, *, poison: int) -> Iterator[Violation]:
    """I1, I2 and I5 of the rollups; `poison` is how many records were written by hand that nobody can read."""
    tasks, accepted, duplicates = fold(told, log)
    for tier in sorted(accepted.keys() | rollups.accepted.keys()):
        has_to, has = accepted[tier], rollups.accepted.get(tier, 0)
        if has < has_to:
            yield Violation("I1", f"{tier}: {has_to - has} reports of the log are not counted", "lost", has_to - has)
        if has > has_to:
            said = f"{tier}: {has - has_to} reports are counted that the log does not have, or counted twice"
            yield Violation("I1", said, "counted twice", has - has_to)
        twice, counted = duplicates[tier], rollups.duplicates.get(tier, 0)
        if twice != counted:
            yield Violation("I4", f"{tier}: {twice} duplicates are in the log, and {counted} are counted")
    yield from _sum_violations(tasks, rollups.tasks)
    if rollups.ids != sum(accepted.values()):
        yield Violation("I5", f"{rollups.ids} ids were seen, of {sum(accepted.values())} reports")
    if rollups.parked != log.unreadable or log.unreadable != poison:
        said = (
            f"{poison} records were written that nobody can read; {log.unreadable} are found, {rollups.parked} parked"
        )
        yield Violation("I5", said)


def _sum_violations(expected: Mapping[Cell, int], found: Mapping[Cell, int]) -> Iterator[Violation]:
    """Cells of zero tasks may be left out on either side."""
    wrong = [cell for cell in expected.keys() | found.keys() if expected.get(cell, 0) != found.get(cell, 0)]
    if wrong:
        less = sum(max(0, expected.get(cell, 0) - found.get(cell, 0)) for cell in wrong)
        more = sum(max(0, found.get(cell, 0) - expected.get(cell, 0)) for cell in wrong)
        kind: Kind = "lost" if less else "counted twice"
        yield Violation("I5", f"{len(wrong)} cells are no fold: {less} tasks too few, {more} too many", kind)


def newest_spans(spans: list[Span]) -> Mapping[str, Mapping[int, Span]]:
    """The records of each gate by number; of several of one number the one that tells of the longest time."""
    series: dict[str, dict[int, Span]] = defaultdict(dict)
    for span in spans:
        before = series[span.gate].get(span.sequence)
        if before is None or span.to_time >= before.to_time:
            series[span.gate][span.sequence] = span
    return series


def unknown_spans(spans: list[Span]) -> int:
    """What A3 has to show as unknown: numbers missing inside a series, and series that ended without a final record.

    That it ended is told by another one that goes on behind it in the log, and for `SILENCE_MS` longer.
    """
    series = newest_spans(spans)
    missing = sum(max(records) + 1 - len(records) for records in series.values())
    place = {span.gate: number for number, span in enumerate(spans)}
    to_time = {gate: max(span.to_time for span in spans if span.gate == gate) for gate in series}
    ended = {span.gate for span in spans if span.final}

    def broken_off(gate: str) -> bool:
        later = (one for one in series if place[one] > place[gate])
        return gate not in ended and any(to_time[one] >= to_time[gate] + SILENCE_MS for one in later)

    return missing + sum(map(broken_off, series))


def ledger_violations(told: Told, log: InLog, processes: Processes) -> Iterator[Violation]:
    """I4 of the gates' own records: whole series, balanced where they ended, with all that was stored and told."""
    series = newest_spans(log.spans)
    ended = [records for records in series.values() if any(span.final for span in records.values())]
    if len(ended) != processes.stopped:
        yield Violation("I4", f"{processes.stopped} gates ended in good order, and {len(ended)} said so")
    gaps = sum(set(records) != set(range(len(records))) for records in series.values())
    if gaps:
        yield Violation("I4", f"the series of {gaps} gates have gaps inside")
    for records in ended:
        for tier, (received, rest) in sorted(_balance(records.values()).items()):
            if received != rest:
                yield Violation("I4", f"{tier}: a gate received {received} reports and accounts for {rest}")
    yield from _stored_violations(log, processes)
    yield from _refusal_violations(told, log, processes)


def _balance(spans: Iterable[Span]) -> Mapping[str, tuple[int, int]]:
    """By tier: how many reports were received, and of how many it is said what became of them."""
    received: Counter[str] = Counter()
    rest: Counter[str] = Counter()
    for span in spans:
        for (tier, outcome), number in span.counts.items():
            (received if outcome == RECEIVED else rest)[tier] += number
    return {tier: (received[tier], rest[tier]) for tier in received.keys() | rest.keys()}


def ledger_totals(log: InLog) -> Counter[tuple[str, str]]:
    """What all gates together say, by (tier, outcome)."""
    said: Counter[tuple[str, str]] = Counter()
    for records in newest_spans(log.spans).values():
        for span in records.values():
            said.update(span.counts)
    return said


def _stored_violations(log: InLog, processes: Processes) -> Iterator[Violation]:
    said = ledger_totals(log)
    for tier, number in _stored(log).items():
        accepted, doubtful = said[tier, ACCEPTED], said[tier, IN_DOUBT]
        if accepted > number:
            yield Violation("I4", f"{tier}: gates accepted {accepted} reports, and {number} are stored")
        if number > accepted + doubtful + (lacking := processes.lacking.get((tier, STORED), 0)):
            shown = f"of {accepted} accepted, {doubtful} in doubt and {lacking} that killed gates may not have told"
            yield Violation("I4", f"{tier}: {number} reports are stored, {shown}")


def _stored(log: InLog) -> Counter[str]:
    """Entries of reports by tier, each copy."""
    stored: Counter[str] = Counter()
    for key, times in log.stored.items():
        stored[log.tiers[key]] += times
    return stored


def _refusal_violations(told: Told, log: InLog, processes: Processes) -> Iterator[Violation]:
    """A refusal that a client was told is in a record. There may be more in them: answers were lost."""
    said = ledger_totals(log)
    for (tier, reason), number in sorted(_discarded(told).items()):
        lacking = processes.lacking.get((tier, reason), 0)
        if number > said[tier, reason] + lacking:
            shown = f"{said[tier, reason]} are in the records, and {lacking} may be missing"
            yield Violation("I4", f"{tier}: clients were told {reason} of {number} reports; {shown}")


def _discarded(told: Told) -> Counter[tuple[str, str]]:
    discarded: Counter[tuple[str, str]] = Counter()
    for tries in told.reports.values():
        for reason, number in tries.discarded.items():
            discarded[tries.made.tier, reason] += number
    return discarded


def may_lack(told: Told, killed_at: Iterable[float], *, stood_still: float = 0.0) -> Counter[tuple[str, str]]:
    """What the last records of gates killed in this round may leave out, of what clients posted shortly before.

    `stood_still`: for how many seconds of the round no gate could tell anything, for the whole machine stood still.
    """
    moments, untold = list(killed_at), UNTOLD_SECONDS + stood_still
    found: Counter[tuple[str, str]] = Counter()
    for one in told.heard:
        if any(moment - untold < one.sent < moment for moment in moments):
            found[one.tier, STORED if one.outcome in (ACCEPTED, IN_DOUBT) else one.outcome] += one.reports
    return found


def still_lacking(told: Told, log: InLog, lacking: Mapping[tuple[str, str], int]) -> Counter[tuple[str, str]]:
    """As much of an allowance as can have been needed: what a kill may hide is not left over for later rounds."""
    said, stored, discarded = ledger_totals(log), _stored(log), _discarded(told)

    def missing(tier: str, outcome: str) -> int:
        if outcome == STORED:
            return stored[tier] - said[tier, ACCEPTED]
        return discarded[tier, outcome] - said[tier, outcome]

    return Counter({(tier, what): max(0, min(most, missing(tier, what))) for (tier, what), most in lacking.items()})


def living_violations(metrics: str) -> Iterator[Violation]:
    """I4 of a gate that is idle: what it received is what it accounts for, in its own metrics."""
    received: Counter[str] = Counter()
    rest: Counter[str] = Counter()
    for name, _, value in (line.rpartition(" ") for line in metrics.splitlines()):
        if name.startswith("tidegate_gate_received_total{"):
            received[_label(name, "tier")] += int(float(value))
        elif name.startswith("tidegate_gate_reports_total{"):
            rest[_label(name, "tier")] += int(float(value))
    if not received:
        yield Violation("I4", "the gate's metrics do not say what it received")
    for tier in sorted(received.keys() | rest.keys()):
        if received[tier] != rest[tier]:
            yield Violation("I4", f"{tier}: the gate received {received[tier]} and accounts for {rest[tier]}")


def _label(sample: str, name: str) -> str:
    return sample.partition(f'{name}="')[2].partition('"')[0]
