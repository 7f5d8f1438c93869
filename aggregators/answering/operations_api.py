"""HTTP around the answers: how the follower stands, and a publication that an operator asks for.

Who may ask goes by the role of the token, and a refusal is a problem document, as for answers.
"""

import json
from collections.abc import Awaitable, Callable
from typing import Any

from fastapi import APIRouter, Request, Response
from fastapi.responses import JSONResponse

from aggregators.answering.problem_responses import Check, credential_of, guarded
from aggregators.answering.problems import Refusal, Refused
from aggregators.database import RollupsUnavailable
from aggregators.fence import Fenced
from aggregators.following.follow import Follower, FollowerStopped
from aggregators.following.standing import FollowerStatus
from aggregators.publication.publications import DRAIN_SECONDS, Publications, Published
from aggregators.publication.publish import PublicationDamaged
from ingest.clock import Clock, iso_utc
from ingest.coarsen import floor_hour
from ingest.state_file import StateFileError
from ingest.telemetry.events import Event
from ingest.telemetry.logs import log

MAX_BODY = 1024
"""Bytes of the body of a POST: it holds one flag."""

NONE_YET: dict[str, Any] = {
    "number": 0,
    "published_at": None,
    "complete_to": None,
    "cells": 0,
    "withheld": 0,
    "waiting": 0,
}
"""In place of the newest publication where nothing was ever published."""


def operations_router(follower: Follower, publications: Publications, *, check: Check, clock: Clock) -> APIRouter:
    """`GET /v1/status` for every role, and `POST /v1/publications` for operators."""
    router = APIRouter()

    @router.get("/v1/status", summary="How the follower stands, and the newest publication")
    async def status(request: Request) -> Response:
        async def answer() -> dict[str, Any]:
            credential_of(request, check)
            return {"follower": standing(follower.status()), "publication": _shown(publications.newest)}

        return await _answered(answer)

    @router.post("/v1/publications", summary="Apply what is in the log up to now, and publish it")
    async def publish(request: Request) -> Response:
        async def answer() -> dict[str, Any]:
            credential_of(request, check, roles=("operator",))
            include_open = await _include_open(request)
            since = clock.now_ms()
            await follower.drained(timeout=DRAIN_SECONDS)
            if include_open:
                return _shown(await publications.publish_everything(complete_to=floor_hour(since))) or NONE_YET
            return _shown(await publications.publish_closed()) or NONE_YET

        return await _answered(answer)

    return router


def standing(status: FollowerStatus) -> dict[str, Any]:
    """A follower's status as JSON shows it; times as ISO 8601, UTC."""
    return {
        "state": status.state.value,
        "why": None if status.why is None else status.why.value,
        "detail": status.detail,
        "lag": status.lag,
        "applied_to": _time(status.applied_to),
        "caught_up_at": _time(status.caught_up_at),
        "applied": status.applied,
        "duplicates": status.duplicates,
        "parked": status.parked,
    }


def _shown(published: Published | None) -> dict[str, Any] | None:
    if published is None:
        return None
    return {
        "number": published.publication.number,
        "published_at": _time(published.at),
        "complete_to": _time(published.complete_to),
        "cells": published.publication.cells,
        "withheld": published.publication.withheld,
        "waiting": published.publication.waiting,
    }


def _time(at_ms: int | None) -> str | None:
    return None if at_ms is None else iso_utc(at_ms)


async def _include_open(request: Request) -> bool:
    """What the body says; an empty one says no. Raises `Refused` for anything else."""
    body = b""
    async for chunk in request.stream():
        body += chunk
        if len(body) > MAX_BODY:
            raise Refused(Refusal.BAD_PUBLICATION)
    try:
        document = json.loads(body or b"{}")
    except (ValueError, RecursionError):  # it carries what was sent
        raise Refused(Refusal.BAD_PUBLICATION) from None
    if not isinstance(document, dict) or document.keys() - {"include_open"}:
        raise Refused(Refusal.BAD_PUBLICATION)
    include_open = document.get("include_open", False)
    if not isinstance(include_open, bool):
        raise Refused(Refusal.BAD_PUBLICATION)
    return include_open


async def _answered(work: Callable[[], Awaitable[dict[str, Any]]]) -> Response:
    async def done() -> Response:
        try:
            return JSONResponse(await work())
        except TimeoutError:
            raise Refused(Refusal.NOT_APPLIED_IN_TIME) from None
        except (FollowerStopped, Fenced, PublicationDamaged, RollupsUnavailable, StateFileError, OSError) as error:
            log(Event.PUBLICATION_FAILED, error=error)
            raise Refused(Refusal.ROLLUPS_UNAVAILABLE) from None

    return await guarded(done)
