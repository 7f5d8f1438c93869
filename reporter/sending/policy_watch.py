"""When the tier's policy is asked for, and what becomes of the answer.

At the start, every six hours, when an answer shows that the gate applies another version, and for another endpoint.
A policy that cannot be had or read does not keep reports from being sent: what was known before stays in force.
"""

from collections.abc import Callable
from random import Random

from reporter.policy import BadPolicy, Policy
from reporter.queue.queue import Queue
from reporter.sending.answers import Answer, retry_after
from reporter.sending.connection import Transport

EVERY_SECONDS = 6 * 3600.0
AGAIN_SECONDS = 300.0
"""After an answer that was no policy."""

UNANSWERED_SECONDS = 15.0
"""After none: reports are tried meanwhile, for it may be the policy alone that does not get through."""

SPREAD_SECONDS = 60.0
PATH = "/v1/policy"


class PolicyWatch:
    """The policy of one endpoint, kept in the queue's file for every process of the device."""

    def __init__(self, queue: Queue, endpoint: str, *, monotonic: Callable[[], float], random: Random) -> None:
        self._queue = queue
        self._endpoint = endpoint
        self._monotonic = monotonic
        self._random = random
        self._due = monotonic()
        if self.policy is not None:
            self._due += random.uniform(0, SPREAD_SECONDS)

    @property
    def policy(self) -> Policy | None:
        """The policy as it is known; raises `Unavailable`."""
        return self._queue.policy(self._endpoint)

    @property
    def is_due(self) -> bool:
        """Whether it is time to ask."""
        return self._monotonic() >= self._due

    def ask_first(self) -> None:
        """Nothing is to be sent before it was asked for."""
        self._due = self._monotonic()

    def applied(self, version: int | None, known: Policy | None) -> None:
        """The gate has applied a policy of this version; another one than is known is asked for at once."""
        if version is not None and known is not None and known.version != version:
            self._due = min(self._due, self._monotonic() + self._random.uniform(0, SPREAD_SECONDS))

    def ask(self, transport: Transport) -> str | None:
        """Ask for it; None if it is known now, else the reason why not. Raises `NoAnswer` and `Unavailable`."""
        known = self.policy
        self._put_off(UNANSWERED_SECONDS)
        headers = {} if known is None or known.etag is None else {"If-None-Match": known.etag}
        answer = transport.exchange("GET", PATH, headers, None)
        self._put_off(AGAIN_SECONDS)
        reason = self._judged(answer, known)
        if reason is None:
            self._due = self._monotonic() + EVERY_SECONDS * self._random.uniform(0.9, 1)
        return reason

    def _put_off(self, seconds: float) -> None:
        self._due = self._monotonic() + seconds * self._random.uniform(1, 2)

    def _judged(self, answer: Answer, known: Policy | None) -> str | None:
        if answer.status == 304 and known is not None:
            return None
        if answer.status in (429, 503):
            asked = retry_after(answer)
            self._due = max(self._due, self._monotonic() + (asked or 0.0))
        if answer.status != 200:
            return "policy_refused"
        try:
            self._queue.keep_policy(self._endpoint, answer.body, _etag(answer))
        except (BadPolicy, ValueError):
            return "policy_unreadable"
        return None


def _etag(answer: Answer) -> str | None:
    etag = answer.headers.get("etag")
    # It is sent back in a header, whatever it is.
    return etag if etag is not None and len(etag) < 200 and all("!" <= c <= "~" for c in etag) else None
