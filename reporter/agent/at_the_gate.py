"""What a command asks the gate itself: the policy, and what it would store of a report (`?check=1`)."""

import json
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from reporter.agent.device import Device
from reporter.agent.refused import Refused
from reporter.policy import BadPolicy, Policy
from reporter.sending.answers import ADMINISTRATORS, Answer, NoAnswer
from reporter.sending.connection import Connection
from reporter.sending.policy_watch import PATH
from reporter.state import Settings

AVRO = {"Content-Type": "application/avro"}

NEW_TOKEN_SECONDS, AGAIN_SECONDS = 3.0, 0.3
"""A gate looks once a second for tokens that were made while it runs: one that it does not know may be new."""

TOKENS = {
    "wrong_token": "it does not know it, or was given a part of it",
    "token_expired": "it has expired",
    "token_revoked": "it was revoked",
    "token_of_another_tier": "it is another tier's; either the token or the URL is wrong",
    "token_kind_not_accepted": "it is none for devices, or may not be used from this network",
}
"""Reasons that are the token's, for people."""

REMEDY = "`tidegate token new`, where the gate runs, makes one; then `init` again"

WHY = {
    "unreachable": "nobody answers at the endpoint",
    "timeout": "the endpoint does not answer in time",
    "certificate": "its certificate is not trusted; `init --ca-file FILE` names an authority of your own",
    "tls": "what answers there does not speak TLS; is it http://, or another port?",
    "broken": "what answers there is no gate, or hung up",
    "answer_too_large": "what answers there is no gate",
    "proxy": "the proxy refuses, or cannot be reached",
    "ca_file": "`ca_file` cannot be read",
}
"""The reasons of `reporter.sending.answers.NO_ANSWER`, for people."""


class NotReached(Exception):
    """There was no answer; the message says why."""


def policy(device: Device, settings: Settings) -> Policy:
    """The policy that the endpoint publishes, which is then known to every process; raises `NotReached`, `Refused`."""
    answer = _asked(settings, "GET", PATH, None)
    if answer.status != 200:
        raise Refused(
            f"the endpoint publishes no policy (HTTP {answer.status}); is its path that of a tier, /t/<tier>?"
        )
    try:
        return device.queue.keep_policy(settings.endpoint, answer.body, answer.headers.get("etag"))
    except (BadPolicy, ValueError):
        raise Refused("what the endpoint publishes is no policy that this version can read") from None


def check(settings: Settings, report: str, message: bytes) -> dict[str, Any]:
    """What the gate would make of a report; raises `NotReached`, and `Refused` where it will not look at it."""
    until = time.monotonic() + NEW_TOKEN_SECONDS
    while True:
        answer = _asked(settings, "POST", f"/v1/reports/{report}?check=1", message)
        document = _object(answer)
        if document.get("reason") != "wrong_token" or time.monotonic() >= until:
            break
        time.sleep(AGAIN_SECONDS)
    checked = document.get("checked")
    if answer.status == 200 and isinstance(checked, list) and len(checked) == 1 and isinstance(checked[0], dict):
        return checked[0]
    if answer.status in ADMINISTRATORS:
        reason = _reason(answer, document)
        why = f": {TOKENS[reason]}. {REMEDY}" if reason in TOKENS else ""
        raise Refused(f"the gate does not take this device's token ({reason}){why}")
    if "reason" in document:
        return document
    raise Refused(f"what answers at the endpoint is no gate (HTTP {answer.status})")


def _asked(settings: Settings, method: str, path: str, body: bytes | None) -> Answer:
    with _connected(settings) as connection:
        try:
            return connection.exchange(method, path, {} if body is None else AVRO, body)
        except NoAnswer as failure:
            raise NotReached(WHY.get(failure.reason, failure.reason)) from None


@contextmanager
def _connected(settings: Settings) -> Iterator[Connection]:
    connection = Connection(settings)
    try:
        yield connection
    finally:
        connection.close()


def _object(answer: Answer) -> dict[str, Any]:
    try:
        found = json.loads(answer.body)
    except (ValueError, RecursionError):
        return {}
    return found if isinstance(found, dict) else {}


def _reason(answer: Answer, document: dict[str, Any]) -> str:
    reason = document.get("reason")
    return reason if isinstance(reason, str) and reason.isidentifier() else f"HTTP {answer.status}"
