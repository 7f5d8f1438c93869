"""The answers' paths in a process that has none: a problem that says where they are, in place of a bare 404."""

from fastapi import APIRouter
from fastapi.responses import JSONResponse

from aggregators.problems import Refusal, Refused, problem_document

PATHS = ("/v1/answers", "/v1/answers/{path:path}", "/v1/status", "/v1/publications", "/readyz/answers")
PROBLEM_JSON = "application/problem+json"


def answers_elsewhere_router() -> APIRouter:
    """What a process answers that was started with `--only ingest`."""
    router = APIRouter()
    for path in PATHS:
        router.add_api_route(path, _elsewhere, methods=["GET", "POST"], include_in_schema=False)
    return router


async def _elsewhere() -> JSONResponse:
    refusal = Refused(Refusal.ANSWERS_ELSEWHERE)
    return JSONResponse(problem_document(refusal), status_code=refusal.reason.problem.status, media_type=PROBLEM_JSON)
