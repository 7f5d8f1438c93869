"""Submission -> answer: judge every message, store what may pass, and say what became of each. Knows nothing of HTTP.

The ledger is kept here: `received` when the messages are cut apart, an outcome for each of them when it is known, and
nothing in between that could lose one.
"""

import asyncio
from collections.abc import Sequence
from typing import Any, NamedTuple

from ingest.failpoint import reached
from ingest.gate import Gate
from ingest.http import answers
from ingest.json_reports import Message
from ingest.pipeline import AVRO_SEQUENCE, Submission, Verdict, judge, messages_of
from ingest.problems import Reason, Rejected
from ingest.report import StrippedReport

ACCEPTED_STATUS = 202
CHECKED_STATUS = 200

BYTES_PER_TURN = 1 << 15
"""How much is judged before other requests get a turn: 5 ms of one core as a rule, 20 ms at the worst."""

MAX_CHECK = 1 << 16
"""Bytes of reports that one check may hold: what it shows is up to 1,600 times as large."""


class Answer(NamedTuple):
    """An HTTP status and the JSON document that goes with it."""

    status: int
    document: dict[str, Any]


async def take_in(submission: Submission, gate: Gate) -> Answer:
    """The answer to a submission once everything accepted is durable; raises `Rejected` where all of it is refused."""
    reached("gate.body_read")
    try:
        messages = _messages(submission, gate)
    except Rejected as refusal:
        count_refusal(gate, submission.tier, refusal)
        raise
    except Exception:  # a fault of ours on its way to the log line and the 500: an outcome all the same
        count_refusal(gate, submission.tier, Rejected(Reason.INTERNAL))
        raise
    gate.account.received(submission.tier, len(messages))
    try:
        verdicts = await _judge_all(messages, submission, gate)
    except BaseException:  # a fault of ours or the end of the process: an outcome all the same
        gate.count_refused(submission.tier, Reason.INTERNAL, len(messages))
        raise
    _count_rejected(gate, submission.tier, verdicts)
    await gate.store([verdict for verdict in verdicts if isinstance(verdict, StrippedReport)])
    reached("gate.before_answer")
    told = _single_or_all(submission, verdicts)
    of_any = submission.report is None
    return Answer(ACCEPTED_STATUS, answers.accepted(told, of_any_report=of_any, minimal=submission.minimal))


async def check(submission: Submission, gate: Gate) -> Answer:
    """What `take_in` would store, shown to its sender; nothing is stored, and the ledger does not know of it."""
    messages = _messages(submission, gate)
    if sum(len(message.content) for message in messages if isinstance(message, Message)) > MAX_CHECK:
        raise Rejected(Reason.CHECK_TOO_LARGE)
    verdicts = await _judge_all(messages, submission, gate)
    gate.account.checked(submission.tier, len(verdicts))
    return Answer(CHECKED_STATUS, answers.checked(_single_or_all(submission, verdicts)))


def _messages(submission: Submission, gate: Gate) -> list[Message | Rejected]:
    messages = list(messages_of(submission, gate.rules))
    if not messages:
        raise Rejected(Reason.EMPTY_BODY)
    return messages


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
    judged = 0
    for message in messages:
        verdicts.append(judge(message, submission, rules, now=now))
        judged += len(message.content) if isinstance(message, Message) else 0
        if judged >= BYTES_PER_TURN:
            judged = 0
            await asyncio.sleep(0)
    return verdicts


def _count_rejected(gate: Gate, tier: str, verdicts: Sequence[Verdict]) -> None:
    for verdict in verdicts:
        if isinstance(verdict, Rejected):
            gate.count_refused(tier, verdict.reason, 1)
