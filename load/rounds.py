"""The measurement: every case gets the same reports, one case after the other, round by round.

Rules held here:

* the servers all run from the beginning, and rounds are interleaved (a b c d a b c d), so that whatever else happens
  on the machine meets every case alike;
* every round has reports of its own, none of which was sent before; the first round is for warming up and is not
  counted;
* requests are built before the clock is read, and connections are open by then;
* what is compared is the median over the rounds, given with the lowest and the highest.
"""

import base64
import json
import statistics
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from load.client import connected, http_request
from load.processes import Server

REPORT = "route_window"
TIER = "managed"
GATE_PATH = f"/t/{TIER}/v1/reports/{REPORT}"

RAISED_LIMITS = {"requests_per_second": "1_000_000.0", "burst": "1_000_000"}
"""What is written over the admission of the tier that is posted to."""

BATCHES = (1, 10, 100)

MICROSECONDS = 1e6
MILLISECONDS = 1e3

MakeBody = Callable[[Sequence[bytes]], bytes]
Progress = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class Case:
    """One thing to measure: so many reports a request to one server, over so many connections.

    `share` is the part of a round's reports that it gets; a slow case may do with fewer.
    """

    name: str
    server: Server
    path: str
    media_type: str
    make_body: MakeBody
    batch: int = 1
    connections: int = 16
    share: float = 1.0

    def requests(self, messages: Sequence[bytes]) -> list[bytes]:
        """The requests that carry `messages`; what does not fill a batch is left out."""
        count = int(len(messages) * self.share)
        return [
            http_request(
                self.path,
                self.make_body(messages[at : at + self.batch]),
                token=self.server.token,
                media_type=self.media_type,
            )
            for at in range(0, count - self.batch + 1, self.batch)
        ]


@dataclass(frozen=True, slots=True)
class Sample:
    """One case in one round: CPU of the server in seconds a report, what each answer took in seconds, reports/s."""

    cpu: float
    answers: Sequence[float]
    a_second: float


@dataclass(frozen=True, slots=True)
class Spread:
    """A figure over the rounds."""

    median: float
    lowest: float
    highest: float

    @classmethod
    def of(cls, values: Sequence[float]) -> "Spread":
        return cls(statistics.median(values), min(values), max(values))

    def scaled(self, factor: float) -> "Spread":
        return Spread(self.median * factor, self.lowest * factor, self.highest * factor)

    def document(self) -> dict[str, float]:
        return {
            "median": round(self.median, 3),
            "lowest": round(self.lowest, 3),
            "highest": round(self.highest, 3),
        }


@dataclass(frozen=True, slots=True)
class Measured:
    """One case over all rounds: µs of CPU a report, and ms an answer."""

    case: Case
    samples: Sequence[Sample]

    @property
    def cpu(self) -> Spread:
        return Spread.of([sample.cpu for sample in self.samples]).scaled(MICROSECONDS)

    @property
    def a_second(self) -> Spread:
        """Reports answered in a second by the clock, over all connections."""
        return Spread.of([sample.a_second for sample in self.samples])

    def answer(self, quantile: float) -> Spread:
        """That quantile of the time to an answer, of each round."""
        return Spread.of([at_quantile(sample.answers, quantile) for sample in self.samples]).scaled(MILLISECONDS)

    def document(self) -> dict[str, Any]:
        return {
            "reports_a_request": self.case.batch,
            "connections": self.case.connections,
            "cpu_us_a_report": self.cpu.document(),
            "reports_a_second": self.a_second.document(),
            "answer_ms": {"p50": self.answer(0.5).document(), "p99": self.answer(0.99).document()},
        }


def at_quantile(values: Sequence[float], quantile: float) -> float:
    """The smallest value that at least this part of all values does not exceed."""
    return sorted(values)[min(len(values) - 1, int(len(values) * quantile))]


def ratio(one: Measured, other: Measured) -> Spread:
    """The CPU of one case as a part of another's, round by round."""
    return Spread.of([a.cpu / b.cpu for a, b in zip(one.samples, other.samples, strict=True)])


async def measure(
    cases: Sequence[Case], messages: Sequence[bytes], *, reports: int, rounds: int, progress: Progress
) -> Sequence[Measured]:
    """Every case in `rounds` rounds of `reports` messages each, after one round that is not counted."""
    samples: list[list[Sample]] = [[] for _ in cases]
    for number in range(rounds + 1):
        progress(f"round {number} of {rounds}" if number else "warming up")
        of_this_round = messages[number * reports : (number + 1) * reports]
        for case, taken in zip(cases, samples, strict=True):
            taken.append(await post_once(case, of_this_round))
    return [Measured(case, taken[1:]) for case, taken in zip(cases, samples, strict=True)]


async def post_once(case: Case, messages: Sequence[bytes]) -> Sample:
    """Post the messages to the case's server; raises `load.client.BadAnswerError`."""
    requests = case.requests(messages)
    server = case.server
    async with connected(server.address, connections=case.connections) as client:
        reports = len(requests) * case.batch
        began, before = time.perf_counter(), server.cpu_seconds()
        answers = await client.post_all(requests, accepted=case.batch)
        cpu, elapsed = server.cpu_seconds() - before, time.perf_counter() - began
        return Sample(cpu / reports, answers, reports / elapsed)


def one_message(messages: Sequence[bytes]) -> bytes:
    """The body of `application/avro`."""
    return messages[0]


def sequence(messages: Sequence[bytes]) -> bytes:
    """The body of `application/avro-sequence`: each message behind its length."""
    return b"".join(len(message).to_bytes(4, "big") + message for message in messages)


def naive_json(messages: Sequence[bytes]) -> bytes:
    """The body that `load.naive` takes."""
    return json.dumps({"report": REPORT, "payload": base64.b64encode(messages[0]).decode()}).encode()
