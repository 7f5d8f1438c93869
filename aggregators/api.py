"""HTTP -> Question -> Answer -> HTTP: `GET /v1/answers`, and `GET /v1/answers/<measure>`.

Rules held here:

* the token comes first, then the role, then the question: who may not ask learns nothing about what there is;
* a few questions are answered at once and a few wait; more are refused, because the process that answers also counts;
* a question runs on a thread, never in the event loop, and within the time that `Reading` gives it;
* nothing of a request is logged. What fails is a fault of ours: the log has its type and place, whoever asked a 500.
"""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from typing import Any

from fastapi import APIRouter, Request, Response
from fastapi.responses import JSONResponse, StreamingResponse
from starlette.concurrency import run_in_threadpool

from aggregators.answers import AnswerSource, answer, whole_answer
from aggregators.compare import compare
from aggregators.database import RollupsUnavailable
from aggregators.formats import JSON, Told, encode, headers, negotiate
from aggregators.measure import Cube, Measure
from aggregators.notes import notes
from aggregators.problems import Refusal, Refused, problem_document
from aggregators.question import TIER, Question, measure_named, read_question
from aggregators.reading import Reading
from aggregators.spans import naive_utc
from ingest.access.token_view import Credential, bearer_token
from ingest.access.tokens import ROLES
from ingest.problems import Reason, Rejected
from ingest.problems import problem_document as gate_problem
from ingest.telemetry.events import Event
from ingest.telemetry.logs import log

AT_ONCE = 2
"""Questions that are answered at the same time: a gate, and the follower, share the process and its two cores."""
WAITING = 8
"""Questions that wait for their turn; at most `AT_ONCE` of twenty seconds each are ahead of one."""

RETRY_SECONDS = 10
PROBLEM_JSON = "application/problem+json"

PAGED: Mapping[str, Refusal] = {
    "limit": Refusal.BAD_LIMIT,
    "cursor": Refusal.BAD_CURSOR,
    "compare": Refusal.BAD_COMPARE,
}
"""Parameters that only JSON has a place for, and how they are refused elsewhere."""


def answers_router(source: AnswerSource) -> APIRouter:
    """The paths of answers, made from `source`."""
    router = APIRouter()
    turns = _Turns()

    @router.get("/v1/answers", summary="What may be asked, by which dimensions")
    async def listing(request: Request) -> Response:
        async def listed() -> Response:
            role = _reader(source, request).kind
            return JSONResponse(
                {"measures": [_described(one) for one in source.measures.values() if role in one.asked_by]}
            )

        return await _guarded(listed)

    @router.get("/v1/answers/problems", summary="Every way in which a question is refused")
    async def problems() -> list[dict[str, Any]]:
        return [problem_document(Refused(reason)) for reason in Refusal]

    @router.get("/v1/answers/problems/{name}", summary="What one reason of them means")
    async def problem(name: str) -> dict[str, Any]:
        if name not in (reason.value for reason in Refusal):
            raise Rejected(Reason.NOT_FOUND)
        return problem_document(Refused(Refusal(name)))

    @router.get("/v1/answers/{measure}", summary="The answer of one measure")
    async def answered(measure: str, request: Request) -> Response:
        async def one() -> Response:
            media_type, question = _asked(source, measure, request)
            async with turns.taken():
                told = await run_in_threadpool(tell, question, source, media_type)
            return StreamingResponse(
                encode(told, media_type),
                media_type=media_type,
                headers={**headers(told), "cache-control": "no-store", "vary": "accept"},
            )

        return await _guarded(one)

    return router


def tell(question: Question, source: AnswerSource, media_type: str) -> Told:
    """The answer to a question, whole or a page of it, with all that belongs beside it; raises `Refused`."""
    try:
        cursor = source.cursor()
    except RollupsUnavailable:
        raise Refused(Refusal.ROLLUPS_UNAVAILABLE) from None
    with Reading(cursor) as reading:
        found = (
            answer(question, reading, at_most=question.limit) if media_type == JSON else whole_answer(question, reading)
        )
        said = tuple(notes(found, reading, source))
        # The cells that moved are those of the whole span: the first page has them, and no other.
        compared = question.compare and question.cursor is None and found.published is not None
        return Told(found, said, compare(question, reading, source) if compared else None)


class _Turns:
    """Who is answered now, and who waits."""

    def __init__(self) -> None:
        self._free = asyncio.Semaphore(AT_ONCE)
        self._here = 0

    @asynccontextmanager
    async def taken(self) -> AsyncIterator[None]:
        """Wait for a turn, and keep it for the body; raises `Refused` where too many wait already."""
        if self._here >= AT_ONCE + WAITING:
            raise Refused(Refusal.TOO_MANY_QUESTIONS)
        self._here += 1
        try:
            async with self._free:
                yield
        finally:
            self._here -= 1


def _reader(source: AnswerSource, request: Request) -> Credential:
    """Who asks, by a token that reads; raises `Rejected` and `Refused`."""
    authorization = request.headers.get("authorization")
    credential = source.check(bearer_token(None if authorization is None else authorization.encode("latin-1")))
    if credential.kind not in ROLES:
        raise Refused(Refusal.ROLE_NOT_ALLOWED, detail=_who(ROLES), offered=ROLES)
    return credential


def _asked(source: AnswerSource, name: str, request: Request) -> tuple[str, Question]:
    credential = _reader(source, request)
    measure = measure_named(source.measures, name)
    if credential.kind not in measure.asked_by:
        roles = sorted(measure.asked_by)
        raise Refused(Refusal.ROLE_NOT_ALLOWED, detail=_who(roles), offered=roles)
    media_type = negotiate(",".join(request.headers.getlist("accept")))
    parameters = request.query_params.multi_items()
    if media_type != JSON:
        for parameter, _ in parameters:
            if parameter in PAGED:
                raise Refused(
                    PAGED[parameter], detail=f"{parameter} goes with {JSON} only; other formats have all rows"
                )
    return media_type, read_question(measure, parameters, now=naive_utc(source.now_ms()))


def _who(roles: Sequence[str]) -> str:
    return f"it takes a token of role {' or '.join(roles)}; `tidegate token new --role {roles[0]}` makes one"


def _described(measure: Measure) -> dict[str, Any]:
    def combination(cube: Cube) -> dict[str, Any]:
        return {"by": list(cube.dimensions), "buckets": list(cube.grains)}

    return {
        "measure": measure.name,
        "title": measure.title,
        "question": measure.question,
        "asked_by": sorted(measure.asked_by),
        "dimensions": [TIER, *measure.dimensions],
        "combinations": [combination(cube) for cube in measure.cubes],
        "columns": [{"name": column.name, "unit": column.unit} for column in measure.columns],
    }


async def _guarded(work: Callable[[], Awaitable[Response]]) -> Response:
    """The response of `work`, or a problem document, whatever happens."""
    try:
        return await work()
    except Refused as refused:
        return _problem(refused)
    except Rejected as rejected:
        return _token_problem(rejected)
    except Exception as error:  # noqa: BLE001  # a fault of ours: the log has its type and place, the asker a 500
        log(Event.REQUEST_FAILED, error=error)
        return _problem(Refused(Refusal.ANSWER_FAILED))


def _problem(refused: Refused) -> Response:
    status = refused.reason.problem.status
    retry_after = RETRY_SECONDS if status == 503 else None
    return _response(problem_document(refused, retry_after=retry_after), status, retry_after)


def _token_problem(rejected: Rejected) -> Response:
    status = rejected.reason.problem.status
    retry_after = RETRY_SECONDS if status == 503 else None
    return _response(gate_problem(rejected.reason, retry_after=retry_after), status, retry_after)


def _response(document: dict[str, object], status: int, retry_after: int | None) -> Response:
    more = {} if retry_after is None else {"retry-after": str(retry_after)}
    more |= {"www-authenticate": "Bearer"} if status == 401 else {}
    return JSONResponse(document, status_code=status, headers=more, media_type=PROBLEM_JSON)
