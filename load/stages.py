"""`python -m load.stages`: where the gate's time goes, step by step, without a server around it.

Each step is run over the same seeded reports, again and again, and the fastest pass counts: what a step takes when
nothing disturbs it. Steps that contain others are marked by their place in the list. Within a request a step takes
more than it does here by itself, because the steps drive each other's code and data out of the processor's caches; the
difference between the whole request and the sum of its parts is that, and the glue.
"""

import asyncio
import tempfile
import time
from collections.abc import Callable, Coroutine, Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from random import Random
from typing import Any

import click
import uvloop

from ingest.access.admission import Admission
from ingest.access.token_view import TokenView
from ingest.access.tokens import FILE_NAME as TOKENS_FILE
from ingest.access.tokens import TokenStore
from ingest.app import App
from ingest.clock import SystemClock
from ingest.decode import decode
from ingest.gate import Gate
from ingest.http import answers
from ingest.http.reading import BodyReader
from ingest.intake import take_in
from ingest.json_reports import Message
from ingest.keys import Keyring
from ingest.log.memory import MemoryLog
from ingest.pipeline import AVRO, Rules, Submission, strip_message
from ingest.records import to_entry
from ingest.report import Entry, StrippedReport
from ingest.telemetry.account import ACCEPTED, Account
from ingest.telemetry.tracing import Tracing
from load.comparison import raise_limits
from load.processes import DAY_MS, choose_cores, pinned
from load.reports import messages
from load.rounds import GATE_PATH, MICROSECONDS, REPORT, TIER
from schemas.catalogue import Catalogue, load_catalogue

REPORTS = 1_000
PASSES = 7
BODY_SECONDS = 10.0
PEER = "127.0.0.1"


@dataclass(frozen=True, slots=True)
class Setting:
    """A gate on the memory log, in this process, and the reports that it is given."""

    gate: Gate
    app: App
    token: bytes
    submissions: tuple[Submission, ...]
    stripped: tuple[StrippedReport, ...]
    entries: tuple[Entry, ...]


@contextmanager
def setting(folder: Path, *, seed: int, reports: int) -> Iterator[Setting]:
    """A gate under the policies that ship, the rate of one tier raised; its keys and tokens are in `folder`."""
    clock = SystemClock()
    catalogue = load_catalogue(tiers=raise_limits(folder / "tiers"))
    with closing(TokenStore(folder / TOKENS_FILE, clock)) as store:
        token = store.new(tier=TIER, kind="device", label="bench", lifetime_ms=DAY_MS).text.encode()
    with closing(TokenView(folder / TOKENS_FILE, clock)) as tokens, closing(Keyring(folder / "keys", clock)) as keyring:
        gate = _gate(catalogue, tokens, keyring)
        bodies = messages(catalogue.latest[REPORT], count=reports, seed=seed, now=clock.now_ms())
        submissions = tuple(
            Submission(tier=TIER, report=REPORT, media_type=AVRO, coding="", body=body) for body in bodies
        )
        stripped = tuple(_stripped(submission, gate) for submission in submissions)
        yield Setting(
            gate=gate,
            app=App(gate, _no_service, tracing=Tracing(catalogue, gate_id="bench")),
            token=token,
            submissions=submissions,
            stripped=stripped,
            entries=tuple(to_entry(one, now=clock.now_ms()) for one in stripped),
        )


def _gate(catalogue: Catalogue, tokens: TokenView, keyring: Keyring) -> Gate:
    clock = SystemClock()
    limits = {tier.name: tier.admission for tier in catalogue.tiers.values()}
    return Gate(
        rules=Rules(catalogue=catalogue, names={}, location="local", key=keyring.key),
        log=MemoryLog(),
        admission=Admission(limits, tokens, clock=clock, random=Random()),
        account=Account(catalogue),
        clock=clock,
        reader=BodyReader(timeout=BODY_SECONDS),
    )


async def _no_service(*_: object) -> None:
    raise LookupError("a request did not go to the hot route")


def _stripped(submission: Submission, gate: Gate) -> StrippedReport:
    return strip_message(Message(submission.body), submission, gate.rules, now=gate.clock.now_ms())


class Stages:
    """The steps, each a pass over all reports of a setting."""

    def __init__(self, within: Setting) -> None:
        self._within = within
        self._gate = within.gate

    def steps(self) -> dict[str, Callable[[], Coroutine[Any, Any, None]]]:
        """Every step by what it is called; those that are indented are part of the one above."""
        return {
            "whole request, without a server": self.request,
            "  admission": self.admission,
            "  reading the body": self.reading,
            "  take_in": self.take_in,
            "    decode and strip": self.strip,
            "      decode": self.decode,
            "    entry for the log": self.entry,
            "    append to the memory log": self.append,
            "    account": self.account,
            "    answer": self.answer,
            "  answer as JSON": self.json,
        }

    async def request(self) -> None:
        head = [
            (b"host", b"localhost"),
            (b"authorization", b"Bearer " + self._within.token),
            (b"content-type", AVRO.encode()),
        ]
        scope = {
            "type": "http",
            "method": "POST",
            "path": GATE_PATH,
            "query_string": b"",
            "headers": head,
            "client": (PEER, 0),
        }
        for submission in self._within.submissions:
            await self._within.app(dict(scope), _received(submission.body), _require_success)

    async def admission(self) -> None:
        for _ in self._within.submissions:
            self._gate.admission.admit(TIER, self._within.token, PEER).release()

    async def reading(self) -> None:
        for submission in self._within.submissions:
            await self._gate.reader.read(_received(submission.body), announced=None)

    async def take_in(self) -> None:
        for submission in self._within.submissions:
            await take_in(submission, self._gate)

    async def strip(self) -> None:
        for submission in self._within.submissions:
            _stripped(submission, self._gate)

    async def decode(self) -> None:
        for submission in self._within.submissions:
            decode(submission.body, self._gate.rules.catalogue.by_fingerprint)

    async def entry(self) -> None:
        for stripped in self._within.stripped:
            to_entry(stripped, now=self._gate.clock.now_ms())

    async def append(self) -> None:
        for entry in self._within.entries:
            await self._gate.log.append([entry])

    async def account(self) -> None:
        account = self._gate.account
        for stripped in self._within.stripped:
            account.received(TIER, 1)
            account.outcome(TIER, ACCEPTED, 1)
            account.remarks(stripped.plan, stripped.remarks)
            account.answered(TIER, status=202, seconds=0.001, body_bytes=len(stripped.body))

    async def answer(self) -> None:
        for stripped in self._within.stripped:
            answers.accepted([stripped])

    async def json(self) -> None:
        document = answers.accepted(self._within.stripped[:1])
        for _ in self._within.stripped:
            answers.encode(document)


def _received(body: bytes) -> Callable[[], Coroutine[Any, Any, dict[str, Any]]]:
    async def receive() -> dict[str, Any]:
        return {"type": "http.request", "body": body, "more_body": False}

    return receive


async def _require_success(message: Any) -> None:
    if message.get("status", 202) != 202:
        raise LookupError(f"the gate answered {message['status']}")


async def fastest(step: Callable[[], Coroutine[Any, Any, None]], *, passes: int) -> float:
    """CPU seconds of the fastest pass."""
    taken = []
    for _ in range(passes):
        before = time.process_time()
        await step()
        taken.append(time.process_time() - before)
        await asyncio.sleep(0)
    return min(taken)


@click.command()
@click.option("--seed", default=1, show_default=True, help="Seed of the reports.")
@click.option("--reports", default=REPORTS, show_default=True, help="Different reports in a pass.")
def main(seed: int, reports: int) -> None:
    """Print what each step of a report costs the gate, in microseconds of CPU; takes a few seconds."""
    scratch = tempfile.TemporaryDirectory(prefix="tidegate-stages-")
    with scratch as folder, pinned(choose_cores().server), setting(Path(folder), seed=seed, reports=reports) as within:
        for name, step in Stages(within).steps().items():
            taken = uvloop.run(fastest(step, passes=PASSES))
            print(f"{name:<36} {taken / reports * MICROSECONDS:7.1f} µs a report")


if __name__ == "__main__":
    main()
