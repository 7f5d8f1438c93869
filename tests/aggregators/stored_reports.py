"""What a gate would have appended: seeded reports through the real strip, some late, some twice, and its outcomes."""

from collections.abc import Sequence
from random import Random

from ingest.json_reports import Message
from ingest.log import Log
from ingest.pipeline import AVRO, Rules, Submission, strip_message
from ingest.problems import Rejected
from ingest.records import outcomes_entry, to_entry
from ingest.report import Entry
from ingest.schema_topic import publish_schemas
from ingest.telemetry.account import OutcomeCount
from ingest.telemetry.outcomes import Outcomes, encode_outcomes
from load.reports import MS_PER_HOUR, NAMES, encode, make_report
from schemas.catalogue import Catalogue, load_catalogue

START = 1_795_000_000_000 // MS_PER_HOUR * MS_PER_HOUR
"""2026-11-18, a whole hour, milliseconds since the epoch."""

CATALOGUE = load_catalogue()
RULES = Rules(
    catalogue=CATALOGUE,
    names={
        "region": frozenset(name.encode() for name in NAMES["region"]),
        "model": frozenset(name.encode() for name in NAMES["model"]),
        "model_version": frozenset({b"1.4.2", b"2.0"}),
    },
    location="local",
    key=lambda tier, days, window_start: f"{tier}/{days}/{window_start // (days * 86_400_000)}".encode().ljust(32),
)
REPORTS = ("route_window", "route_window", "fallback_window", "model_inventory", "health_window")
TIERS = ("managed", "managed", "byod")


def stored(count: int, *, seed: int, hours: int = 6, start: int = START) -> list[Entry]:
    """`count` entries or more, appended over `hours` from `start` on; some of them are what a gate says of itself."""
    random = Random(seed)
    entries: list[Entry] = []
    gate = f"gate-{seed}"
    while len(entries) < count:
        now = start + len(entries) * hours * MS_PER_HOUR // count
        entry = _entry(random, now)
        entries += [entry] if random.random() < 0.9 else [entry, entry]
        if not len(entries) % 20:
            entries.append(_outcomes(gate, len(entries), now))
    return entries


def _entry(random: Random, now: int) -> Entry:
    """One report, a tenth of them of a window three hours before the last one."""
    while True:
        report, tier = random.choice(REPORTS), random.choice(TIERS)
        schema = CATALOGUE.latest[report]
        window = now - random.choice((0,) * 9 + (3,)) * MS_PER_HOUR
        message = Message(encode(schema, make_report(schema, random, now=window)))
        try:
            stripped = strip_message(message, Submission(tier, report, AVRO, "identity", b""), RULES, now=now)
        except Rejected:
            continue
        return to_entry(stripped, now=now)


def _outcomes(gate: str, number: int, now: int) -> Entry:
    outcomes = Outcomes(
        gate_id=gate,
        sequence=number,
        from_time=now - 1000,
        to_time=now,
        final=False,
        counts=(OutcomeCount("managed", "accepted", number),),
    )
    return outcomes_entry(encode_outcomes(outcomes), gate_id=gate, now=now)


async def fill(log: Log, entries: Sequence[Entry], *, catalogue: Catalogue = CATALOGUE) -> None:
    """Append the schemas of a catalogue, and `entries` behind them."""
    await publish_schemas(log, catalogue, now=START)
    for at in range(0, len(entries), 500):
        await log.append(entries[at : at + 500])
