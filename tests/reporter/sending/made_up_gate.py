"""A gate in memory that answers as a test wants it to, and a device that reports to it on a clock that stands still."""

import gzip
import json
from collections.abc import Callable, Mapping
from functools import lru_cache
from pathlib import Path
from random import Random
from typing import Any

from ingest.body import split_sequence
from ingest.clock import ManualClock
from ingest.http.policy_document import policy_document
from reporter.directory import Directory
from reporter.queue.queue import Queue
from reporter.sending.answers import Answer
from reporter.sending.connection import Transport
from reporter.sending.sender import Sender
from reporter.sending.sender_lock import SenderLock
from reporter.state import Settings
from schemas.catalogue import Catalogue, load_catalogue
from tests.reporter.made_up import NOW_MS

FINGERPRINT, ID = slice(2, 10), slice(10, 26)
"""Where that of the schema and the id of the report stand in a message."""


class MadeUpGate:
    """Publishes the policy of `tier`, accepts everything, and keeps what it was sent: the messages of each batch.

    `policy` and `verdict` say otherwise where a test sets them; either may raise `NoAnswer`.
    """

    def __init__(self, tier: str = "managed") -> None:
        self.tier = tier
        self.posted: list[list[bytes]] = []
        self.asked: list[Mapping[str, str]] = []
        self.hung_up = 0
        self.policy: Callable[[], Answer] = lambda: Answer(200, {"etag": '"1"'}, policy_of(self.tier))
        self.verdict: Callable[[int], Answer] = accepted

    def exchange(self, method: str, path: str, headers: Mapping[str, str], body: bytes | None) -> Answer:
        if method == "GET":
            self.asked.append(headers)
            return self.policy()
        assert (path, headers["Prefer"]) == ("/v1/reports", "return=minimal")
        assert body is not None
        content = gzip.decompress(body) if headers.get("Content-Encoding") == "gzip" else body
        messages = [part for part in split_sequence(content) if isinstance(part, bytes)]
        answer = self.verdict(len(messages))
        self.posted.append(messages)
        return answer

    def close(self) -> None:
        self.hung_up += 1

    @property
    def ids(self) -> list[bytes]:
        """The ids of all that was posted, in that order."""
        return [one[ID] for messages in self.posted for one in messages]


@lru_cache
def _catalogue() -> Catalogue:
    return load_catalogue()


def report_of(message: bytes) -> str:
    """The report that a message is, by its fingerprint."""
    return _catalogue().by_fingerprint[message[FINGERPRINT]].name


@lru_cache
def policy_of(tier: str) -> bytes:
    """The policy that ships."""
    catalogue = _catalogue()
    return json.dumps(policy_document(catalogue, catalogue.tiers[tier])).encode()


def accepted(number: int, **more: Any) -> Answer:
    """A 202 to so many reports."""
    said = {"accepted": number, "rejected": [], "policy_version": 1, **more}
    return Answer(202, {}, json.dumps(said).encode())


class MadeUpDevice:
    """A queue and a sender in one directory; `settings` may be changed at any time."""

    def __init__(self, folder: Path, gate: Transport, clock: ManualClock | None = None, **settings: Any) -> None:
        self.clock = clock or ManualClock(NOW_MS)
        self.settings = Settings(**{"endpoint": "https://gate.example/t/managed", "token": "t", **settings})
        self.queue = Queue(folder / "queue.db", clock=self.clock)
        self.sender = Sender(
            self.queue,
            lambda: self.settings,
            lambda _: gate,
            lock=SenderLock(Directory(folder).sender_lock),
            clock=self.clock,
            random=Random(0),
        )

    def run(self, seconds: float) -> None:
        """Let the sender do what it does, for so long by its own clock."""
        end = self.clock.monotonic() + seconds
        while (left := end - self.clock.monotonic()) > 0:
            self.clock.advance(min(max(self.sender.step(), 0.001), left))
