"""The gate and the follower on Kafka, each beside the same on the embedded log, in one run.

Rules held here:

* the broker is a real one of this part's own, on loopback, with one node: nothing is replicated, so an answer waits for
  one machine where it would wait for two. It shares the client's core, never that of what is measured;
* the gates are posted to over few and over many connections: over few, every answer waits for a write of its own;
* the followers of a round read the same reports, those of a fleet, each in a process of its own.
"""

import asyncio
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from shutil import rmtree
from typing import Any

import uvloop
from rich.table import Table

from ingest.clock import SystemClock
from ingest.log.kafka.connection import KafkaConnection
from ingest.topics.cluster import Brokers, apply_topics
from load.broker import cluster
from load.comparison import gate_case, raise_limits
from load.fleet_log import ROLLUPS_NAME, copy_to_kafka, store_fleet
from load.follow_once import LOG as READING
from load.follower_part import FollowerRound, follow_and_publish
from load.part import Target, table, with_range
from load.processes import Cores, gate, pinned
from load.reports import content, messages
from load.rounds import MICROSECONDS, REPORT, TIER, Case, Measured, Spread, measure, ratio
from schemas.catalogue import Catalogue, load_catalogue

LOGS = ("embedded", "kafka")
CONNECTIONS = (2, 64)
FEW_SHARE = 0.25
"""The part of a round that goes over few connections, where every answer waits for a write of its own."""


@dataclass(frozen=True, slots=True)
class KafkaSize:
    """How much is measured: of the gate, and of the follower."""

    rounds: int
    reports: int
    follower_rounds: int
    devices: int
    judged: bool


KAFKA_FULL = KafkaSize(rounds=7, reports=4_000, follower_rounds=3, devices=2_000, judged=True)
KAFKA_QUICK = KafkaSize(rounds=2, reports=200, follower_rounds=1, devices=20, judged=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class KafkaFigures:
    """Everything that was found, as `load.part.Part`; followers by their log, a round each."""

    gates: Mapping[str, Measured]
    followers: Mapping[str, Sequence[FollowerRound]]
    size: KafkaSize
    seed: int
    cores: Cores
    different_bodies: int

    @property
    def heading(self) -> str:
        size = self.size
        return (
            f"kafka: seed {self.seed}; gates: {size.rounds} rounds of {size.reports:,} reports, "
            f"{self.different_bodies:,} different contents; followers: {size.follower_rounds} rounds, each three days "
            f"of {size.devices:,} devices\none broker without replicas; what is measured on core {self.cores.server}, "
            f"client and broker on core {self.cores.client}"
        )

    @property
    def tables(self) -> Sequence[Table]:
        return self._gates(), self._followers()

    @property
    def targets(self) -> Sequence[Target]:
        """Nothing was asked but that it is said."""
        return ()

    def _gates(self) -> Table:
        shown = table("the gate, one report a request", "CPU µs a report", "reports/s", "p50 ms", "p99 ms")
        for name, one in self.gates.items():
            shown.add_row(
                name,
                with_range(one.cpu),
                f"{one.a_second.median:,.0f}",
                f"{one.answer(0.5).median:.2f}",
                f"{one.answer(0.99).median:.2f}",
            )
        for connections in CONNECTIONS:
            embedded, kafka = (self.gates[named(log, connections)] for log in LOGS)
            shown.add_row(
                f"kafka / embedded, {connections} connections", with_range(ratio(kafka, embedded), digits=2), "", "", ""
            )
        return shown

    def _followers(self) -> Table:
        shown = table("the follower, reading", "CPU µs a report", "of it reading", "reports/s of CPU", "by the clock")
        for log, rounds in self.followers.items():
            shown.add_row(
                log,
                with_range(follower_cpu(rounds), digits=1),
                f"{reading_cpu(rounds).median:.1f}",
                with_range(Spread.of([one.fleet.reports / one.cpu for one in rounds])),
                f"{Spread.of([one.fleet.reports / one.follower['elapsed'] for one in rounds]).median:,.0f}",
            )
        return shown

    def document(self) -> dict[str, Any]:
        return {
            "seed": self.seed,
            "different_bodies": self.different_bodies,
            "gates": {name: one.document() for name, one in self.gates.items()},
            "followers": {
                log: {
                    "reports": [one.fleet.reports for one in rounds],
                    "cpu_us_a_report": follower_cpu(rounds).document(),
                    "reading_us_a_report": reading_cpu(rounds).document(),
                }
                for log, rounds in self.followers.items()
            },
        }


def follower_cpu(rounds: Sequence[FollowerRound]) -> Spread:
    """CPU a report in µs, all stages."""
    return Spread.of([one.cpu / one.fleet.reports for one in rounds]).scaled(MICROSECONDS)


def reading_cpu(rounds: Sequence[FollowerRound]) -> Spread:
    """CPU a report in µs of reading the log."""
    return Spread.of([one.follower["cpu"][READING] / one.fleet.reports for one in rounds]).scaled(MICROSECONDS)


def named(log: str, connections: int) -> str:
    """What a case is called."""
    return f"{log}, {connections} connections"


def measure_kafka(
    size: KafkaSize, *, seed: int, cores: Cores, folder: Path, progress: Callable[[str], None]
) -> KafkaFigures:
    """Start a broker and measure; raises `NoBroker`, `ServerFailed`, `ChildFailedError`, `BadAnswerError`."""
    progress("starting a broker")
    with pinned(cores.client), cluster(folder / "kafka") as broker:
        part = _KafkaPart(size, seed, cores, folder, broker.bootstrap, progress)
        posted = part.reports()
        return KafkaFigures(
            gates={one.case.name: one for one in part.gates(posted)},
            followers=part.followers(),
            size=size,
            seed=seed,
            cores=cores,
            different_bodies=len({content(message) for message in posted[size.reports :]}),
        )


@dataclass(frozen=True, slots=True)
class _KafkaPart:
    """One run against a broker."""

    size: KafkaSize
    seed: int
    cores: Cores
    folder: Path
    bootstrap: str
    progress: Callable[[str], None]

    def reports(self) -> list[bytes]:
        """The messages of all rounds, and of one to warm up."""
        count = (self.size.rounds + 1) * self.size.reports
        return list(messages(load_catalogue().latest[REPORT], count=count, seed=self.seed, now=SystemClock().now_ms()))

    def gates(self, posted: Sequence[bytes]) -> Sequence[Measured]:
        """Every case in turns, as `load.rounds` has it."""
        with self._cases() as cases:
            return uvloop.run(
                measure(cases, posted, reports=self.size.reports, rounds=self.size.rounds, progress=self.progress)
            )

    @contextmanager
    def _cases(self) -> Iterator[list[Case]]:
        self.progress("starting the gates")
        tiers = raise_limits(self.folder / "tiers")
        asyncio.run(self._apply_topics(load_catalogue(tiers=tiers)))
        more = {"embedded": (), "kafka": ("--kafka-bootstrap", self.bootstrap)}
        with ExitStack() as stack:
            servers = {
                log: stack.enter_context(
                    gate(self.folder / log, tiers=tiers, log=log, tier=TIER, core=self.cores.server, more=more[log])
                )
                for log in LOGS
            }
            yield [
                replace(
                    gate_case(named(log, connections), servers[log]),
                    connections=connections,
                    share=FEW_SHARE if connections == CONNECTIONS[0] else 1.0,
                )
                for connections in CONNECTIONS
                for log in LOGS
            ]

    async def _apply_topics(self, catalogue: Catalogue, topic_prefix: str = "") -> None:
        connection = KafkaConnection(self.bootstrap)
        await apply_topics(connection, catalogue, topic_prefix=topic_prefix, brokers=Brokers.ANY)

    def followers(self) -> Mapping[str, Sequence[FollowerRound]]:
        """Rounds of both logs, each with a fleet of its own."""
        found: dict[str, list[FollowerRound]] = {log: [] for log in LOGS}
        for number in range(self.size.follower_rounds):
            self.progress(f"followers, round {number + 1} of {self.size.follower_rounds}")
            for log, one in self._followers(self.seed + number).items():
                found[log].append(one)
        return found

    def _followers(self, seed: int) -> Mapping[str, FollowerRound]:
        """Both followers over one fleet; the second begins with empty rollups as the first did."""
        data, prefix = self.folder / "follower", f"fleet-{seed}."
        fleet = store_fleet(data, devices=self.size.devices, seed=seed)
        asyncio.run(self._apply_topics(load_catalogue(), prefix))
        asyncio.run(copy_to_kafka(data, KafkaConnection(self.bootstrap), topic_prefix=prefix))
        embedded = follow_and_publish(data, fleet, core=self.cores.server)
        rmtree(data / ROLLUPS_NAME)
        kafka = follow_and_publish(data, fleet, self.bootstrap, prefix, core=self.cores.server)
        rmtree(data)
        return {"embedded": embedded, "kafka": kafka}
