"""HTTP -> Question -> Answer -> HTTP: `GET /v1/answers`, and `GET /v1/answers/<measure>`.

Rules held here:

* the token comes first, then the role, then the question: who may not ask learns nothing about what there is;
* a few questions are answered at once, until their bodies were sent, and a few wait (`aggregators.answering.turns`);
* a question runs on a thread, never in the event loop, and within the time that `Reading` gives it;
* nothing of a request is logged; what is refused, or fails, goes by `aggregators.answering.problem_responses`.
"""

from collections.abc import Mapping
from contextlib import AsyncExitStack
from typing import Any

from fastapi import APIRouter, Request, Response
from fastapi.responses import JSONResponse
from starlette.concurrency import run_in_threadpool

from aggregators.answering.answers import AnswerSource, answer, whole_answer
from aggregators.answering.compare import compare
from aggregators.answering.formats import JSON, Told, encode, headers, negotiate
from aggregators.answering.notes import notes
from aggregators.answering.problem_responses import credential_of, guarded, require
from aggregators.answering.problems import Refusal, Refused, problem_document
from aggregators.answering.question import TIER, Question, measure_named, read_question
from aggregators.answering.reading import Reading
from aggregators.answering.turns import TurnResponse, Turns
from aggregators.database import RollupsUnavailable
from aggregators.publication.measure import Cube, Measure
from aggregators.times import naive_utc
from ingest.problems import Reason, Rejected

PAGED: Mapping[str, Refusal] = {
    "limit": Refusal.BAD_LIMIT,
    "cursor": Refusal.BAD_CURSOR,
    "compare": Refusal.BAD_COMPARE,
}
"""Parameters that only JSON has a place for, and how they are refused elsewhere."""


def answers_router(source: AnswerSource) -> APIRouter:
    """The paths of answers, made from `source`."""
    router = APIRouter()
    turns = Turns()

    @router.get("/v1/answers", summary="What may be asked, by which dimensions")
    async def listing(request: Request) -> Response:
        async def listed() -> Response:
            role = credential_of(request, source.check).kind
            return JSONResponse(
                {"measures": [_described(one) for one in source.measures.values() if role in one.asked_by]}
            )

        return await guarded(listed)

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
            async with AsyncExitStack() as turn:
                await turn.enter_async_context(turns.taken())
                told = await run_in_threadpool(tell, question, source, media_type)
                return TurnResponse(
                    encode(told, media_type),
                    turn=turn.pop_all(),
                    media_type=media_type,
                    headers={**headers(told), "cache-control": "no-store", "vary": "accept"},
                )

        return await guarded(one)

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


def _asked(source: AnswerSource, name: str, request: Request) -> tuple[str, Question]:
    credential = credential_of(request, source.check)
    measure = measure_named(source.measures, name)
    require(credential, sorted(measure.asked_by))
    media_type = negotiate(",".join(request.headers.getlist("accept")))
    parameters = request.query_params.multi_items()
    if media_type != JSON:
        for parameter, _ in parameters:
            if parameter in PAGED:
                raise Refused(
                    PAGED[parameter], detail=f"{parameter} goes with {JSON} only; other formats have all rows"
                )
    return media_type, read_question(measure, parameters, now=naive_utc(source.now_ms()))


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
