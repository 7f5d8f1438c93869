"""The way from a device to the gate's core and back, without sockets; and what arrived over it.

A device that is offline gets no answer. Now and then one that is online gets none either although its reports were
taken, so that it sends them again.
"""

import asyncio
import json
from collections.abc import Mapping, Sequence
from hashlib import blake2b
from random import Random
from typing import NamedTuple

from ingest.access.admission import Admission
from ingest.access.token_view import Credential
from ingest.body import expand, split_sequence
from ingest.clock import Clock
from ingest.gate import Gate
from ingest.http.policy_document import policy_document
from ingest.http.reading import BodyReader
from ingest.intake import ACCEPTED_STATUS, take_in
from ingest.log import Log
from ingest.pipeline import AVRO_SEQUENCE, Rules, Submission
from ingest.telemetry.account import Account
from load.offline.clock import MovedClock
from load.offline.plan import DAY_MS, Span
from reporter.sending.answers import Answer, NoAnswer
from reporter.sending.sender import PATH
from schemas.catalogue import load_catalogue
from schemas.manifest import Manifest

ID = slice(10, 26)
"""Where the id of a report stands in its message."""

LOST_ANSWERS = 0.03

ETAG = '"as it ships"'

NOT_MODIFIED = 304


class Arrived(NamedTuple):
    """A report as it was sent: when, under which tier, and its bytes."""

    at_ms: int
    tier: str
    message: bytes


class Rejections(Exception):
    """The gate's core refused reports of the library; the message says why, and nothing of them."""


class InMemoryGate:
    """The gate's core under the policies that ship, over any log. `manifest` is what its operator put."""

    def __init__(self, log: Log, manifest: Mapping[str, object], clock: Clock) -> None:
        catalogue = load_catalogue()
        self._loop = asyncio.new_event_loop()
        limits = {tier.name: tier.admission for tier in catalogue.tiers.values()}
        self.gate = Gate(
            rules=Rules(
                catalogue=catalogue, names=Manifest.model_validate(manifest).names(), location="here", key=_key
            ),
            log=log,
            admission=Admission(limits, _Tokens(), clock=clock, random=Random(0)),
            account=Account(catalogue),
            clock=clock,
            reader=BodyReader(timeout=1.0),
        )
        self._policies = {
            name: json.dumps(policy_document(catalogue, tier)).encode() for name, tier in catalogue.tiers.items()
        }

    def policy(self, tier: str) -> bytes:
        """The document of `GET /v1/policy`."""
        return self._policies[tier]

    def post(self, tier: str, body: bytes, coding: str) -> bytes:
        """The JSON of a 202; raises `Rejections` where that is not the answer to every report."""
        submission = Submission(tier, None, AVRO_SEQUENCE, coding, body)
        status, document = self._loop.run_until_complete(take_in(submission, self.gate))
        if status != ACCEPTED_STATUS or document["rejected"]:
            reasons = {entry["reason"] for entry in document.get("rejected", ())}
            raise Rejections(f"{tier}: {', '.join(sorted(reasons)) or status}")
        return json.dumps(document).encode()

    def close(self) -> None:
        """Let go of the loop; the log is closed first."""
        self._loop.run_until_complete(self.gate.log.close())
        self._loop.close()


class Network:
    """The transport of one device's sender (`reporter.sending.connection.Transport`). The gate took what `arrived`."""

    def __init__(
        self, gate: InMemoryGate, tier: str, clock: MovedClock, outages: Sequence[Span], random: Random
    ) -> None:
        self._gate = gate
        self._tier = tier
        self._clock = clock
        self._outages = outages
        self._random = random
        self._seen: set[bytes] = set()
        self.arrived: list[Arrived] = []
        self.requests = self.unanswered = 0

    def exchange(self, method: str, path: str, headers: Mapping[str, str], body: bytes | None) -> Answer:
        now = self._clock.now_ms()
        if any(start <= now < end for start, end in self._outages):
            self.unanswered += 1
            raise NoAnswer("unreachable")
        self.requests += 1
        if method == "GET" or body is None:
            return self._policy(headers)
        if path != PATH:
            raise ValueError("the library posts batches of any reports")
        coding = headers.get("Content-Encoding", "")
        answer = Answer(ACCEPTED_STATUS, {}, self._gate.post(self._tier, body, coding))
        self._note(now, body, coding)
        if self._outages and self._random.random() < LOST_ANSWERS:
            raise NoAnswer("timeout")
        return answer

    def close(self) -> None:
        """There is nothing to hang up."""

    def _policy(self, headers: Mapping[str, str]) -> Answer:
        if headers.get("If-None-Match") == ETAG:
            return Answer(NOT_MODIFIED, {"etag": ETAG}, b"")
        return Answer(200, {"etag": ETAG}, self._gate.policy(self._tier))

    def _note(self, now: int, body: bytes, coding: str) -> None:
        for message in split_sequence(expand(body, coding)):
            if isinstance(message, bytes) and message[ID] not in self._seen:
                self._seen.add(message[ID])
                self.arrived.append(Arrived(now, self._tier, message))


class _Tokens:
    """Nobody asks here."""

    def check(self, token: bytes | None, now_ms: int) -> Credential:
        """As `TokenView.check`."""
        raise NotImplementedError("reports come to the core without a door")


def _key(tier: str, days: int, start: int) -> bytes:
    """A key for pseudonyms that is the same in every process of a run, which no real one may be."""
    return blake2b(f"{tier} {start // (days * DAY_MS)}".encode(), digest_size=32).digest()
