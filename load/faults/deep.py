"""What is looked at every few rounds, as it takes seconds: rollups made anew, and the ledger as it is published."""

import shutil
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from load.faults.evidence import InLog, InRollups, in_rollups
from load.faults.told import Told
from load.faults.verdict import ACCEPTED, IN_DOUBT, RECEIVED, Violation, fold, ledger_totals, unknown_spans
from load.faults.world import World

EVERY_TIER = "all"
"""Where A3 shows what belongs to no tier."""


def rebuilt_violations(world: World, before: InRollups) -> Sequence[Violation]:
    """I5 of rollups that `tidegate rebuild` makes of seals and log; `before` is what they were."""
    return list(_rebuilt(world, before))


def published_violations(world: World, told: Told, log: InLog, *, unknown: int) -> Sequence[Violation]:
    """I4 of the published ledger (A3), once everything in `log` was published.

    `unknown` is how many spans were unknown before that publication. Gates write on, so there may be more in `log`.
    """
    found = _a3(world)
    shown, most = found.get(EVERY_TIER, Counter())["unknown_spans"], unknown_spans(log.spans)
    wrong = list(_published(found, told, log))
    if not unknown <= shown <= most:
        wrong.append(Violation("I4", f"A3 shows {shown} unknown spans, and the log has {unknown} to {most}"))
    return wrong


def _rebuilt(world: World, before: InRollups) -> Iterator[Violation]:
    world.stop()
    world.rebuild()
    kept = world.folder / "rebuilt"
    kept.mkdir()
    shutil.copy2(world.data / "rollups" / "rollups.duckdb", kept)
    after = in_rollups(kept / "rollups.duckdb")
    shutil.rmtree(kept)
    if after != before:
        yield Violation("I5", "rollups that are made anew from seals and log are others")
    world.start()


def _published(found: Mapping[str, Counter[str]], told: Told, log: InLog) -> Iterator[Violation]:
    said = ledger_totals(log)
    _, accepted, duplicates = fold(told, log)
    for tier in sorted(accepted):
        row = found.get(tier, Counter())
        expected = {"accepted": accepted[tier], "duplicate": duplicates[tier], **_of_gates(said, tier)}
        shown = {name: row[name] for name in expected}
        if shown != expected:
            yield Violation("I4", f"A3 shows {shown} for {tier}, and the log says {expected}")


def _of_gates(said: Counter[tuple[str, str]], tier: str) -> Mapping[str, int]:
    """What A3 shows of the gates' records."""
    of_tier = Counter({outcome: number for (of, outcome), number in said.items() if of == tier})
    received, accepted, in_doubt = (of_tier.pop(name, 0) for name in (RECEIVED, ACCEPTED, IN_DOUBT))
    rejected = of_tier.total()
    unaccounted = received - accepted - rejected - in_doubt
    return {"received": received, "rejected": rejected, "in_doubt": in_doubt, "unaccounted": unaccounted}


def _a3(world: World) -> Mapping[str, Counter[str]]:
    document: dict[str, Any] = world.gate.get("/v1/answers/A3?by=tier", world.auditor)
    sums: dict[str, Counter[str]] = {}
    for row in document["rows"]:
        sums[row["tier"]] = Counter({name: value for name, value in row.items() if isinstance(value, int)})
    return sums
