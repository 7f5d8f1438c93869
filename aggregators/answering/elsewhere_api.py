"""The answers' paths in a process that has none: a problem that says where they are, in place of a bare 404."""

from fastapi import APIRouter, Response

from aggregators.answering.problem_responses import refusal_response
from aggregators.answering.problems import Refusal, Refused

PATHS = ("/v1/answers", "/v1/answers/{path:path}", "/v1/status", "/v1/publications", "/readyz/answers")


def answers_elsewhere_router() -> APIRouter:
    """What a process answers that was started with `--only ingest`."""
    router = APIRouter()
    for path in PATHS:
        router.add_api_route(path, _elsewhere, methods=["GET", "POST"], include_in_schema=False)
    return router


async def _elsewhere() -> Response:
    return refusal_response(Refused(Refusal.ANSWERS_ELSEWHERE))
