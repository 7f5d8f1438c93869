"""The part of Confluent's Schema Registry API that clients use, read-only, from what the log holds (docs/registry.md).

Base URL: `/registry` of a gate. No token is needed: the schemas and policies are published as they are. A Starlette
application of its own, for its refusals are in the registry's form and not problem documents.
"""

import json
from collections.abc import Awaitable, Callable, Mapping
from functools import partial
from typing import Any

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from ingest.clock import Clock
from ingest.log import LogUnavailable
from ingest.registry.client import MEDIA_TYPE
from ingest.registry.posted_schema import Turns, fingerprint_of, posted_schema
from ingest.registry.refusals import Refusal, Refused
from ingest.registry.registered import LOOK_FOR_MISSING_SECONDS, LOOK_SECONDS, Registered, RegisteredView, Version
from schemas.compatible import NotAvro, incompatibilities
from schemas.framing import LARGEST_ID

PATH = "/registry"

LEVEL = "FULL_TRANSITIVE"
"""What the lint holds all output schemas of a report to: every version reads every other one's records."""

LATEST = ("latest", "-1")
READING = ("GET", "HEAD")
NOT_FOUND = 404


Answer = Callable[[Registered, Request], Awaitable[Any]]
"""Makes the JSON document of an answer; raises `Refused`."""


def registry_application(view: RegisteredView, *, clock: Clock) -> Starlette:
    """The API over `view`."""
    turns = Turns(clock)
    answers: list[tuple[str, str, Answer]] = [
        ("GET", "/subjects", _subjects),
        ("GET", "/subjects/{subject}/versions", _versions),
        ("GET", "/subjects/{subject}/versions/{version}", _version),
        ("GET", "/subjects/{subject}/versions/{version}/schema", _version_schema),
        ("GET", "/schemas/ids/{id}", _schema),
        ("GET", "/schemas/ids/{id}/schema", _schema_text),
        ("GET", "/schemas/ids/{id}/subjects", _schema_subjects),
        ("GET", "/schemas/ids/{id}/versions", _schema_versions),
        ("GET", "/schemas/types", _constant(["AVRO"])),
        ("GET", "/config", _constant({"compatibilityLevel": LEVEL})),
        ("GET", "/config/{subject}", _of_subject({"compatibilityLevel": LEVEL})),
        ("GET", "/mode", _constant({"mode": "READONLY"})),
        ("GET", "/mode/{subject}", _of_subject({"mode": "READONLY"})),
        ("POST", "/subjects/{subject}", partial(_look_up, turns)),
        ("POST", "/compatibility/subjects/{subject}/versions", partial(_compatible, turns)),
        ("POST", "/compatibility/subjects/{subject}/versions/{version}", partial(_compatible, turns)),
    ]
    return Starlette(
        routes=[Route(path, _endpoint(view, answer), methods=[method]) for method, path, answer in answers],
        exception_handlers={Refused: _refused, HTTPException: _not_here, LogUnavailable: _unavailable},
    )


def _endpoint(view: RegisteredView, answer: Answer) -> Callable[[Request], Awaitable[Response]]:
    async def respond(request: Request) -> Response:
        try:
            found = await answer(await view.now(within=LOOK_SECONDS), request)
        except Refused as refused:
            if refused.refusal.value.status != NOT_FOUND or request.method not in READING:
                raise
            found = await answer(await view.now(within=LOOK_FOR_MISSING_SECONDS), request)
        return JSONResponse(found, media_type=MEDIA_TYPE)

    return respond


def _constant(document: Any) -> Answer:
    async def answer(_: Registered, __: Request) -> Any:
        return document

    return answer


def _of_subject(document: Any) -> Answer:
    async def answer(found: Registered, request: Request) -> Any:
        _subject(found, request)
        return document

    return answer


async def _subjects(found: Registered, request: Request) -> list[str]:
    prefix = request.query_params.get("subjectPrefix", "").removeprefix(":*:")
    return sorted(subject for subject in found.subjects if subject.startswith(prefix))


async def _versions(found: Registered, request: Request) -> list[int]:
    return [version.number for version in _subject(found, request)]


async def _version(found: Registered, request: Request) -> dict[str, Any]:
    return _whole(_one_version(found, request))


async def _version_schema(found: Registered, request: Request) -> Mapping[str, Any]:
    return _one_version(found, request).document


async def _schema(found: Registered, request: Request) -> dict[str, Any]:
    document = found.by_id[_known_id(found, request)].document
    return {"schema": json.dumps(document, separators=(",", ":"))}


async def _schema_text(found: Registered, request: Request) -> Any:
    return found.by_id[_known_id(found, request)].document


async def _schema_subjects(found: Registered, request: Request) -> list[str]:
    return sorted({version.subject for version in found.versions_of(_known_id(found, request))})


async def _schema_versions(found: Registered, request: Request) -> list[dict[str, Any]]:
    versions = found.versions_of(_known_id(found, request))
    return [{"subject": version.subject, "version": version.number} for version in versions]


async def _look_up(turns: Turns, found: Registered, request: Request) -> dict[str, Any]:
    """How clients ask for the id of a schema that they have."""
    versions = _subject(found, request)
    document = await posted_schema(request)
    fingerprint = await turns.run(partial(fingerprint_of, document))
    for version in versions:
        if version.fingerprint == fingerprint:
            return _whole(version)
    raise Refused(Refusal.NO_SUCH_SCHEMA)


async def _compatible(turns: Turns, found: Registered, request: Request) -> dict[str, Any]:
    against = [_one_version(found, request)] if "version" in request.path_params else _subject(found, request)
    document = await posted_schema(request)
    # A turn for each, so that a subject of many versions keeps nobody waiting.
    refused = [why for version in against for why in await turns.run(partial(_incompatible, document, version))]
    messages = {"messages": refused} if request.query_params.get("verbose", "").lower() == "true" else {}
    return {"is_compatible": not refused, **messages}


def _incompatible(document: Mapping[str, Any], version: Version) -> list[str]:
    """Why the schema does not fit: which version, in which direction, and Avro's name for it; no names out of it."""
    if fingerprint_of(document) == version.fingerprint:
        return []
    try:
        reasons = {(found.direction, found.kind) for found in incompatibilities(version.document, document)}
        return sorted(f"version {version.number}, {direction}: {kind}" for direction, kind in reasons)
    except (NotAvro, RecursionError):
        raise Refused(Refusal.INVALID_SCHEMA) from None


def _whole(version: Version) -> dict[str, Any]:
    return {
        "subject": version.subject,
        "version": version.number,
        "id": version.schema_id,
        "schemaType": "AVRO",
        "schema": version.text,
    }


def _subject(found: Registered, request: Request) -> list[Version]:
    versions = found.subjects.get(request.path_params["subject"])
    if versions is None:
        raise Refused(Refusal.NO_SUCH_SUBJECT)
    return list(versions)


def _one_version(found: Registered, request: Request) -> Version:
    versions, asked = _subject(found, request), request.path_params["version"]
    if asked in LATEST:
        return versions[-1]
    number = _number(asked)
    if number is None:
        raise Refused(Refusal.INVALID_VERSION)
    if number > len(versions):
        raise Refused(Refusal.NO_SUCH_VERSION)
    return versions[number - 1]


def _known_id(found: Registered, request: Request) -> int:
    schema_id = _number(request.path_params["id"])
    if schema_id is None or schema_id not in found.by_id:
        raise Refused(Refusal.NO_SUCH_SCHEMA)
    return schema_id


def _number(text: str) -> int | None:
    """A number that may be a version or an id; None of anything else, however long."""
    if not text.isascii() or not text.isdigit() or len(text) > len(str(LARGEST_ID)):
        return None
    number = int(text)
    return number if 0 < number <= LARGEST_ID else None


def _refusal(refusal: Refusal) -> Response:
    said = refusal.value
    headers = {"retry-after": "1"} if refusal in (Refusal.BUSY, Refusal.LOG_UNAVAILABLE) else None
    document = {"error_code": said.error_code, "message": said.message}
    return JSONResponse(document, said.status, headers, MEDIA_TYPE)


async def _refused(_: Request, error: Exception) -> Response:
    return _refusal(error.refusal if isinstance(error, Refused) else Refusal.NO_SUCH_RESOURCE)


async def _unavailable(_: Request, __: Exception) -> Response:
    return _refusal(Refusal.LOG_UNAVAILABLE)


async def _not_here(request: Request, error: Exception) -> Response:
    """No route, or no such method on it: what is neither reading nor asking would be writing."""
    if isinstance(error, HTTPException) and error.status_code == Refusal.METHOD_NOT_ALLOWED.value.status:
        return _refusal(Refusal.METHOD_NOT_ALLOWED if request.method in READING else Refusal.READ_ONLY)
    return _refusal(Refusal.NO_SUCH_RESOURCE)
