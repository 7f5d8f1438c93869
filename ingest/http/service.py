"""HTTP that is not the hot route: policy, problems, health, metrics, and what further routers bring. FastAPI.

What FastAPI would say by itself about a bad request repeats the request; here every refusal is a problem document.
"""

import gzip
import hashlib
from collections.abc import Callable, Mapping
from functools import lru_cache
from types import MappingProxyType
from typing import Any, NamedTuple

from fastapi import APIRouter, FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse, PlainTextResponse, Response
from starlette.exceptions import HTTPException

from ingest.gate import Gate
from ingest.http import answers
from ingest.http.negotiation import accepts_gzip, is_known
from ingest.http.policy_document import policy_document
from ingest.problems import Reason, Rejected, problem_document
from ingest.telemetry.metrics import PROMETHEUS_CONTENT_TYPE
from schemas.catalogue import Catalogue

TIER = "tidegate.tier"
"""The key of the ASGI scope under which the endpoint's tier is handed on."""

PROBLEM_JSON = "application/problem+json"


def build_service(*routers: APIRouter) -> FastAPI:
    """A FastAPI application of `routers`, whose every refusal is a problem document."""
    # A redirect to the path without its last slash would repeat the Host header and the query.
    service = FastAPI(title="Tidegate", docs_url=None, redoc_url=None, redirect_slashes=False)
    service.add_exception_handler(Rejected, _refuse)
    service.add_exception_handler(HTTPException, _not_here)
    service.add_exception_handler(RequestValidationError, _not_here)
    for router in routers:
        service.include_router(router)
    return service


class Readiness(NamedTuple):
    """Whether a process is ready, and what its answer says beside that."""

    ready: bool
    more: Mapping[str, Any] = MappingProxyType({})


class Published(NamedTuple):
    """A policy as it is sent. Its tag is weak, for it stands for both forms (RFC 9110, 8.8.1)."""

    plain: bytes
    gzipped: bytes
    etag: str


@lru_cache(maxsize=64)
def _policy(catalogue: Catalogue, tier: str) -> Published:
    """The published policy, made and compressed once: anybody may ask, and making it takes milliseconds."""
    plain = answers.encode(policy_document(catalogue, catalogue.tiers[tier]))
    return Published(plain, gzip.compress(plain, mtime=0), f'W/"{hashlib.sha256(plain).hexdigest()[:32]}"')


def contracts_router(gate: Gate) -> APIRouter:
    """What devices and their engineers ask."""
    router = APIRouter()

    @router.get("/v1/policy", summary="What this tier keeps, drops and coarsens, and its limits")
    async def policy(request: Request) -> Response:
        tier = gate.rules.catalogue.tiers.get(request.scope.get(TIER) or "")
        if tier is None:
            raise Rejected(Reason.MISDIRECTED)
        published = _policy(gate.rules.catalogue, tier.name)
        headers = {"etag": published.etag, "cache-control": "max-age=300", "vary": "accept-encoding"}
        if is_known(published.etag, _joined(request, "if-none-match")):
            return Response(status_code=304, headers=headers)
        if accepts_gzip(_joined(request, "accept-encoding")):
            headers["content-encoding"] = "gzip"
            return Response(published.gzipped, media_type="application/json", headers=headers)
        return Response(published.plain, media_type="application/json", headers=headers)

    @router.get("/v1/problems", summary="Every way in which this gate says no")
    async def problems() -> list[dict[str, Any]]:
        return [problem_document(reason) for reason in Reason]

    @router.get("/v1/problems/{name}", summary="What one reason means and what to do")
    async def problem(name: str) -> dict[str, Any]:
        if name not in (reason.value for reason in Reason):
            raise Rejected(Reason.NOT_FOUND)
        return problem_document(Reason(name))

    return router


def operations_router(*, metrics: Callable[[], bytes], readiness: Callable[[], Readiness]) -> APIRouter:
    """What load balancers and Prometheus ask; `metrics` gives the Prometheus text."""
    router = APIRouter()

    @router.get("/healthz", summary="Whether the process is alive")
    async def healthz() -> dict[str, str]:
        return {"status": "alive"}

    @router.get("/readyz", summary="Whether this process can do now what it is there for")
    async def readyz() -> JSONResponse:
        return readiness_response(readiness())

    # Not async: FastAPI then runs it on a thread, and collecting takes milliseconds.
    @router.get("/metrics", summary="The process's own telemetry, for Prometheus")
    def metrics_text() -> PlainTextResponse:
        return PlainTextResponse(metrics(), media_type=PROMETHEUS_CONTENT_TYPE)

    return router


def readiness_response(found: Readiness) -> JSONResponse:
    """200 or 503, and what is behind it."""
    document = {"status": "ready" if found.ready else "not ready", **found.more}
    return JSONResponse(document, status_code=200 if found.ready else 503)


def _joined(request: Request, name: str) -> str:
    """A header that holds a list, which may be sent in several lines (RFC 9110, 5.2); empty where there is none."""
    return ", ".join(request.headers.getlist(name))


def _problem_response(reason: Reason) -> JSONResponse:
    return JSONResponse(problem_document(reason), status_code=reason.problem.status, media_type=PROBLEM_JSON)


async def _refuse(_: Request, error: Exception) -> JSONResponse:
    return _problem_response(error.reason if isinstance(error, Rejected) else Reason.INTERNAL)


async def _not_here(_: Request, error: Exception) -> JSONResponse:
    wrong_method = isinstance(error, HTTPException) and error.status_code == Reason.METHOD_NOT_ALLOWED.problem.status
    return _problem_response(Reason.METHOD_NOT_ALLOWED if wrong_method else Reason.NOT_FOUND)
