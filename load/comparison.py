"""What the bench compares, and with what: the servers, the cases, and how much of each.

The gate runs under the policies that ship, but for the admission of the one tier that is posted to: its rate is there
to stop a flood, and a bench is one. The servers share one core and the client has another.
"""

import re
import shutil
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, ExitStack
from dataclasses import dataclass, replace
from pathlib import Path
from random import Random

import uvloop

from ingest.clock import SystemClock
from load.naive import PATH as NAIVE_PATH
from load.naive import TOKEN_VARIABLE, UNVALIDATED_PATH
from load.processes import Cores, Server, application, gate, pinned
from load.reports import content, messages, renewed
from load.results import Resident, Results, Run
from load.rounds import (
    BATCHES,
    GATE_PATH,
    RAISED_LIMITS,
    REPORT,
    TIER,
    Case,
    Measured,
    measure,
    naive_json,
    one_message,
    post_once,
    sequence,
)
from schemas.catalogue import TIERS_DIRECTORY, load_catalogue

AVRO = "application/avro"
AVRO_SEQUENCE = "application/avro-sequence"
JSON = "application/json"

GROWTH = (1, 2, 4)
"""Multiples of the reports after which memory is looked at."""

ALONE_SHARE = 0.1
"""The part of a round that goes over one connection, where every answer waits for a commit of its own."""

NAIVE_TOKEN = "not-a-secret"  # noqa: S105  # it guards a list in the memory of a process on this machine


@dataclass(frozen=True, slots=True)
class Size:
    """How much is measured; `memory_reports` is the first step of the growth."""

    rounds: int
    reports: int
    memory_reports: int
    judged: bool


FULL = Size(rounds=7, reports=2_000, memory_reports=10_000, judged=True)
QUICK = Size(rounds=2, reports=100, memory_reports=100, judged=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class Servers:
    """Everything that is measured in turns."""

    bare: Server
    memory: Server
    embedded: Server
    naive: Server


class Comparison:
    """One run; `folder` is its own, `progress` is told what is being done."""

    def __init__(self, size: Size, *, seed: int, cores: Cores, folder: Path, progress: Callable[[str], None]) -> None:
        self._size = size
        self._seed = seed
        self._cores = cores
        self._folder = folder
        self._progress = progress

    def run(self) -> Results:
        """Start the servers, measure, end them; raises `ServerFailed`, `BadAnswerError` or `TimeoutError`."""
        size = self._size
        self._progress("making the reports")
        posted = list(self._messages((size.rounds + 1) * size.reports))
        tiers = raise_limits(self._folder / "tiers")
        with pinned(self._cores.client):
            measured = self._in_turns(tiers, posted)
            resident = self._growth(tiers, posted[: size.reports])
        return Results(
            measured={one.case.name: one for one in measured},
            resident=resident,
            run=Run(
                seed=self._seed,
                rounds=size.rounds,
                reports_a_round=size.reports,
                different_bodies=len({content(message) for message in posted[size.reports :]}),
                cores=self._cores,
                judged=size.judged,
            ),
        )

    def _messages(self, count: int) -> Iterator[bytes]:
        schema = load_catalogue().latest[REPORT]
        return messages(schema, count=count, seed=self._seed, now=SystemClock().now_ms())

    def _in_turns(self, tiers: Path, posted: Sequence[bytes]) -> Sequence[Measured]:
        size = self._size
        with ExitStack() as stack:
            cases = cases_for(self._servers(stack, tiers))
            return uvloop.run(measure(cases, posted, reports=size.reports, rounds=size.rounds, progress=self._progress))

    def _servers(self, stack: ExitStack, tiers: Path) -> Servers:
        self._progress("starting the servers")
        start = stack.enter_context
        return Servers(
            bare=start(self._application("bare")),
            memory=start(self._gate("memory", tiers)),
            embedded=start(self._gate("embedded", tiers)),
            naive=start(self._application("naive")),
        )

    def _application(self, name: str) -> AbstractContextManager[Server]:
        return application(
            self._folder / name, name, environment={TOKEN_VARIABLE: NAIVE_TOKEN}, core=self._cores.server
        )

    def _gate(self, log: str, tiers: Path, *, folder: str = "") -> AbstractContextManager[Server]:
        return gate(self._folder / (folder or log), tiers=tiers, log=log, tier=TIER, core=self._cores.server)

    def _growth(self, tiers: Path, posted: Sequence[bytes]) -> Sequence[Resident]:
        """The memory of a fresh gate with the embedded log, at its start and as the reports add up."""
        with self._gate("embedded", tiers, folder="growth") as server:
            return uvloop.run(self._grow(server, posted))

    async def _grow(self, server: Server, posted: Sequence[bytes]) -> Sequence[Resident]:
        resident = [Resident(0, server.resident_bytes())]
        random = Random(self._seed)
        case = gate_case("growth", server)
        sent = 0
        for multiple in GROWTH:
            wanted = multiple * self._size.memory_reports
            self._progress(f"memory: up to {wanted:,} reports")
            while sent < wanted:
                part = posted[: wanted - sent]
                await post_once(case, [renewed(message, random) for message in part])
                sent += len(part)
            resident.append(Resident(sent, server.resident_bytes()))
        return resident


def cases_for(servers: Servers) -> list[Case]:
    """The cases in the order in which each round goes through them."""
    naive = Case("naive", servers.naive, NAIVE_PATH, JSON, naive_json)
    return [
        Case("bare", servers.bare, GATE_PATH, AVRO, one_message),
        gate_case("memory", servers.memory),
        gate_case("embedded", servers.embedded),
        naive,
        replace(naive, name="naive_unvalidated", path=UNVALIDATED_PATH),
        *(batch_case("memory", servers.memory, batch) for batch in BATCHES),
        *(batch_case("embedded", servers.embedded, batch) for batch in BATCHES),
        replace(gate_case("embedded_alone", servers.embedded), connections=1, share=ALONE_SHARE),
    ]


def gate_case(name: str, server: Server) -> Case:
    """One report a request to a gate."""
    return Case(name, server, GATE_PATH, AVRO, one_message)


def batch_case(name: str, server: Server, batch: int) -> Case:
    """So many reports a request to a gate."""
    return Case(f"{name}_batch_{batch}", server, GATE_PATH, AVRO_SEQUENCE, sequence, batch=batch)


def raise_limits(folder: Path) -> Path:
    """A copy of the policies that ship, in `folder`, where the tier that is posted to admits whatever comes."""
    shutil.copytree(TIERS_DIRECTORY, folder)
    file = folder / f"{TIER}.toml"
    text = file.read_text(encoding="utf-8")
    for name, value in RAISED_LIMITS.items():
        text, found = re.subn(rf"(?m)^{name} = .*$", f"{name} = {value}", text)
        if found != 1:
            raise LookupError(f"{file.name} has no single line for {name}; the bench cannot raise it")
    file.write_text(text, encoding="utf-8")
    return folder
