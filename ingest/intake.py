"""Submission -> answer: judge every message, store what may pass, and say what became of each. Knows nothing of HTTP.

The ledger is kept here: `received` when the messages are cut apart, an outcome for each of them when it is known, and
nothing in between that could lose one.
"""

import asyncio
from collections.abc import Sequence
from typing import Any, NamedTuple

from ingest.gate import Gate
from ingest.http import answers
from ingest.json_reports import Message
from ingest.pipeline import AVRO_SEQUENCE, Submission, Verdict, judge, messages_of
from ingest.problems import Reason, Rejected
from ingest.report import StrippedReport

ACCEPTED_STATUS = 202
CHECKED_STATUS = 200

MESSAGES_PER_TURN = 32
"""How many messages are judged before other requests get a turn: about 5 ms of one core."""


class Answer(NamedTuple):
    """An HTTP status and the JSON document that goes with it."""

    status: int
    document: dict[str, Any]


async def take_in(submission: Submission, gate: Gate) -> Answer:
    """The answer to a submission once everything accepted is durable; raises `Rejected` where all of it is refused."""
    try:
        messages = list(messages_of(submission, gate.rules))
        if not messages:
            raise Rejected(Reason.EMPTY_BODY)
    except Rejected as refusal:
        count_refusal(gate, submission.tier, refusal)
        raise
    gate.account.received(submission.tier, len(messages))
    try:
        verdicts = await _judge_all(messages, submission, gate)
    except BaseException:  # a fault of ours or the end of the process: an outcome all the same
        gate.count_refused(submission.tier, Reason.INTERNAL, len(messages))
        raise
    _count_rejected(gate, submission.tier, verdicts)
    await gate.store([verdict for verdict in verdicts if isinstance(verdict, StrippedReport)])
    return Answer(ACCEPTED_STATUS, answers.accepted(_single_or_all(submission, verdicts)))


async def check(submission: Submission, gate: Gate) -> Answer:
    """What `take_in` would store, shown to its sender; nothing is stored, and the ledger does not know of it."""
    verdicts = await _judge_all(list(messages_of(submission, gate.rules)), submission, gate)
    gate.account.checked(submission.tier, len(verdicts))
    return Answer(CHECKED_STATUS, answers.checked(_single_or_all(submission, verdicts)))


def count_refusal(gate: Gate, tier: str | None, refusal: Rejected) -> None:
    """Enter a request into the ledger that was refused before its messages could be counted: as one report."""
    gate.account.received(tier, 1)
    gate.count_refused(tier, refusal.reason, 1)


def _single_or_all(submission: Submission, verdicts: Sequence[Verdict]) -> Sequence[Verdict]:
    """The verdicts; but one report that was not posted as a sequence is answered with its own status."""
    if len(verdicts) == 1 and isinstance(verdicts[0], Rejected) and submission.media_type != AVRO_SEQUENCE:
        raise verdicts[0]
    return verdicts


async def _judge_all(messages: Sequence[Message | Rejected], submission: Submission, gate: Gate) -> list[Verdict]:
    rules, now = gate.rules, gate.clock.now_ms()
    verdicts: list[Verdict] = []
    for index, message in enumerate(messages, start=1):
        verdicts.append(judge(message, submission, rules, now=now))
        if index % MESSAGES_PER_TURN == 0:
            await asyncio.sleep(0)
    return verdicts


def _count_rejected(gate: Gate, tier: str, verdicts: Sequence[Verdict]) -> None:
    for verdict in verdicts:
        if isinstance(verdict, Rejected):
            gate.count_refused(tier, verdict.reason, 1)
