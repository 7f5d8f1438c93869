"""What an answer means: for each report of the batch, and for the sender. Pure.

The gate says with every refusal what to do about it (docs/http.md, "When to try again"), so that no reason need be
known here. What is no such answer, from a proxy or a portal for instance, is a retry, and nothing is lost by it.

A fault may have its cause in one of the reports, and the oldest goes first. So that it does not keep all others
waiting, each fault halves the next batch, and a report that met one alone is set aside for a while.
"""

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from email.utils import parsedate_to_datetime
from typing import Any

from reporter.queue.nouns import Accepted, Discarded, Held, SetAside, Untouched, Verdict

ACCEPTED = 202
ADMINISTRATORS = (401, 403, 421)
"""The device's token or endpoint is wrong, whoever says so: every further request would be refused as well."""

TOO_LARGE = 413
BUSY = (429, 503)
"""It is the gate that cannot, whatever it is sent."""

LOWEST_REFUSAL = 400
LOWEST_FAULT = 500

DAY_SECONDS = 86_400.0
MINUTE_SECONDS = 60.0
MAX_RETRY_AFTER = DAY_SECONDS

REASON = re.compile(r"[a-z][a-z0-9_]{0,39}")


@dataclass(frozen=True, slots=True)
class Answer:
    """An HTTP answer; names of headers are lower case."""

    status: int
    headers: Mapping[str, str]
    body: bytes


class NoAnswer(Exception):
    """There was none, or none that can be read: `reason` is one of `NO_ANSWER`."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


NO_ANSWER = ("unreachable", "timeout", "certificate", "tls", "broken", "answer_too_large", "proxy", "ca_file")


@dataclass(frozen=True, slots=True)
class GoOn:
    """The gate works: the next batch may follow."""


@dataclass(frozen=True, slots=True)
class Wait:
    """Nothing more for a while; no shorter than `seconds`, where the gate said so."""

    seconds: float | None = None


@dataclass(frozen=True, slots=True)
class Shrink:
    """The same reports again, in smaller batches."""


@dataclass(frozen=True, slots=True)
class WaitAndShrink:
    """As `Wait`, and then fewer."""

    seconds: float | None = None


@dataclass(frozen=True, slots=True)
class Pause:
    """A person has to change a setting of the device or of the gate."""


Next = GoOn | Wait | Shrink | WaitAndShrink | Pause


@dataclass(frozen=True, slots=True)
class Decision:
    """One verdict for each report of the batch, in its order; `reason` is for `status` and None where all is well.

    `policy_version` is that of the policy that the gate applied, where it said so.
    """

    verdicts: tuple[Verdict, ...]
    then: Next
    reason: str | None = None
    policy_version: int | None = None


def decide(answer: Answer, size: int) -> Decision:
    """What the answer to a batch of `size` reports means."""
    document = _parsed(answer.body)
    if answer.status == ACCEPTED:
        return _taken(document, size) or _all(Untouched(), size, Wait(), "garbage")
    reason = _reason(document) or f"http_{answer.status}"
    # What is no refusal has no say over reports, whatever its page is made of.
    action = _text(document, "action") if answer.status >= LOWEST_REFUSAL else None
    if answer.status in ADMINISTRATORS:
        return _all(Untouched(), size, Pause(), reason)
    if answer.status == TOO_LARGE or action == "discard":
        return _smaller(size, reason, action)
    if action == "keep":
        return _all(Held(reason, DAY_SECONDS), size, GoOn(), reason)
    if action == "ask_admin":
        return _all(Untouched(), size, Pause(), reason)
    return _again(answer, size, reason)


def retry_after(answer: Answer) -> float | None:
    """The seconds that the gate asks for, at most a day; None where it says nothing that can be read."""
    said = answer.headers.get("retry-after", "").strip()
    if said.isascii() and said.isdigit():
        return min(float(said[:9]), MAX_RETRY_AFTER)
    until, now = date(said), date(answer.headers.get("date", ""))
    if until is None or now is None:
        return None
    return min(max(until - now, 0.0), MAX_RETRY_AFTER)


def date(text: str) -> float | None:
    """A date of HTTP in seconds since the epoch."""
    try:
        return parsedate_to_datetime(text).timestamp()
    except (ValueError, TypeError, OverflowError, IndexError):
        return None


def _taken(document: Any, size: int) -> Decision | None:
    """The verdicts of a 202; None where it does not account for every report."""
    accepted, rejected = _get(document, "accepted"), _get(document, "rejected")
    if type(accepted) is not int or not isinstance(rejected, list) or accepted + len(rejected) != size:
        return None
    verdicts: list[Verdict] = [Accepted()] * size
    refused: set[int] = set()
    for entry in rejected:
        index = _get(entry, "index")
        if type(index) is not int or not 0 <= index < size or index in refused:
            return None
        refused.add(index)
        verdicts[index] = _verdict(entry)
    reason = next((verdict.reason for verdict in verdicts if isinstance(verdict, Discarded | Held)), None)
    version = _get(document, "policy_version")
    return Decision(tuple(verdicts), GoOn(), reason, version if type(version) is int else None)


def _verdict(entry: Any) -> Verdict:
    """One record that was not accepted. An action of a later gate is treated as `keep`: nothing is lost by it."""
    reason = _reason(entry) or "unknown"
    action = _text(entry, "action")
    if action == "discard":
        return Discarded(reason)
    return Held(reason, MINUTE_SECONDS if action == "retry" else DAY_SECONDS)


def _smaller(size: int, reason: str, action: str | None) -> Decision:
    """A body that was refused as a whole is cut until the report is found that is the cause of it."""
    if size > 1:
        return _all(Untouched(), size, Shrink(), reason)
    if action == "discard":
        return _all(Discarded(reason), size, GoOn(), reason)
    return _all(Held(reason, DAY_SECONDS), size, GoOn(), reason)


def _again(answer: Answer, size: int, reason: str) -> Decision:
    seconds = retry_after(answer)
    if answer.status < LOWEST_FAULT or answer.status in BUSY:
        return _all(Untouched(), size, Wait(seconds), reason)
    return _all(SetAside(reason) if size == 1 else Untouched(), size, WaitAndShrink(seconds), reason)


def _all(verdict: Verdict, size: int, then: Next, reason: str) -> Decision:
    return Decision((verdict,) * size, then, reason)


def _parsed(body: bytes) -> Any:
    try:
        return json.loads(body)
    except (ValueError, RecursionError):
        return None


def _get(document: Any, name: str) -> Any:
    return document.get(name) if isinstance(document, dict) else None


def _text(document: Any, name: str) -> str | None:
    value = _get(document, name)
    return value if isinstance(value, str) else None


def _reason(document: Any) -> str | None:
    """The gate's reason; what does not look like one is nobody's to write down."""
    reason = _text(document, "reason")
    return reason if reason is not None and REASON.fullmatch(reason) else None
