"""Answers over HTTP: who may ask what, what is refused and how, and that nothing of a request stays anywhere."""

import asyncio
import json
import threading
from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import duckdb
import httpx
import pytest
from httpx import Response

from aggregators.answering.api import answers_router
from aggregators.answering.formats import ARROW, CSV, FORMATS, JSON, PARQUET
from aggregators.answering.problems import Refusal
from aggregators.answering.turns import AT_ONCE, WAITING
from aggregators.database import RollupsUnavailable
from ingest.access.tokens import KINDS, ROLES
from ingest.http.service import build_service
from tests.aggregators.published_cells import DEVICES, MEASURES, NOW, Source, empty_source, fill_every_cube

WIDE = "from=2026-11-18&to=2026-11-21"
PATIENCE_SECONDS = 20.0


@pytest.fixture(scope="module")
def filled() -> Iterator[Source]:
    """Every cube of every measure, filled; nothing here writes to it."""
    made = empty_source()
    fill_every_cube(made, [NOW.replace(hour=0) - timedelta(days=1), NOW.replace(hour=0)])
    yield made
    made.connection.close()


def get(source: Source, path: str, *, role: str | None = "analyst", accept: str = JSON) -> Response:
    """What the service answers; a role's name is its token."""
    return asyncio.run(_get(source, path, role, accept))


async def _get(source: Source, path: str, role: str | None, accept: str) -> Response:
    headers = {"accept": accept} | ({} if role is None else {"authorization": f"Bearer {role}"})
    transport = httpx.ASGITransport(build_service(answers_router(source)))
    async with httpx.AsyncClient(transport=transport, base_url="http://gate") as client:
        return await client.get(path, headers=headers)


def problem(response: Response) -> tuple[int, Any]:
    """The status and reason of a problem document, which has to be one."""
    document = response.json()
    assert response.headers["content-type"] == "application/problem+json"
    assert document["status"] == response.status_code
    return response.status_code, document["reason"]


def test_an_answer(filled: Source) -> None:
    """A measure is answered with rows, their columns, and everything that belongs beside them."""
    response = get(filled, f"/v1/answers/R1?by=route&tier=managed&{WIDE}")
    document = response.json()
    assert response.status_code == 200
    assert list(document) == [
        *("measure", "title", "from", "to", "bucket", "by", "filters", "complete_to", "published_at", "publication"),
        *("withheld", "notes", "columns", "rows", "next"),
    ]
    assert document["rows"][0] == {"route": "a", "tier": "managed", "tasks": 20, "share": 20 / 42}
    assert response.headers["cache-control"] == "no-store"
    assert response.headers["vary"] == "accept"


def test_pages_over_http(filled: Source) -> None:
    """Following `next` without the range gives every row once, and the comparison on the first page alone."""
    base = f"/v1/answers/R1?by=route,region&bucket=hour&limit=3&compare=previous&{WIDE}"
    documents = [get(filled, base).json()]
    while documents[-1]["next"] is not None:
        documents.append(get(filled, f"{base.removesuffix('&' + WIDE)}&cursor={documents[-1]['next']}").json())
    rows = [row for document in documents for row in document["rows"]]
    assert rows == get(filled, f"/v1/answers/R1?by=route,region&bucket=hour&{WIDE}").json()["rows"]
    assert ["compare" in document for document in documents] == [True] + [False] * (len(documents) - 1)


@pytest.mark.parametrize("token", [None, *KINDS, "nobody"])
@pytest.mark.parametrize("measure", MEASURES)
def test_who_may_ask(filled: Source, measure: str, token: str | None) -> None:
    """A measure is answered to the roles that it names; everybody else is told who may ask."""
    response = get(filled, f"/v1/answers/{measure}?{WIDE}", role=token)
    if token is None:
        assert problem(response) == (401, "no_token")
        assert response.headers["www-authenticate"] == "Bearer"
    elif token == "nobody":
        assert problem(response) == (401, "wrong_token")
    elif token in MEASURES[measure].asked_by:
        assert response.status_code == 200
    else:
        allowed = sorted(MEASURES[measure].asked_by) if token in ROLES else list(ROLES)
        assert problem(response) == (403, "role_not_allowed")
        assert response.json()["offered"] == allowed
        assert f"tidegate token new --role {allowed[0]}" in response.json()["detail"]


@pytest.mark.parametrize("role", ROLES)
def test_the_listing_is_what_may_be_asked(filled: Source, role: str) -> None:
    """The listing has exactly the measures of a role, and each combination in it can be asked."""
    listed = get(filled, "/v1/answers", role=role).json()["measures"]
    assert [one["measure"] for one in listed] == [name for name, one in MEASURES.items() if role in one.asked_by]
    for one in listed:
        combination = one["combinations"][-1]
        query = f"by={','.join(combination['by'])}&bucket={combination['buckets'][0]}&{WIDE}"
        document = get(filled, f"/v1/answers/{one['measure']}?{query}", role=role).json()
        assert document["rows"] != []
        assert set(document["rows"][0]) <= {"start", *one["dimensions"], *(column["name"] for column in one["columns"])}


@pytest.mark.parametrize("token", [None, "device", "class"])
def test_the_listing_is_for_roles(filled: Source, token: str | None) -> None:
    """Without a role there is no listing."""
    assert problem(get(filled, "/v1/answers", role=token))[0] in (401, 403)


@pytest.mark.parametrize(
    ("path", "status", "reason"),
    [
        pytest.param("R9", 404, "unknown_measure", id="no such measure"),
        pytest.param("R1?by=regoin", 400, "unknown_dimension", id="no such dimension"),
        pytest.param("R1?by=region", 400, "not_published_so", id="no such combination"),
        pytest.param("R1?cursor=AAAA", 400, "bad_cursor", id="a made-up cursor"),
        pytest.param("R1?from=2026-11-20&to=2026-11-19", 400, "bad_range", id="backwards"),
        pytest.param("R1?compare=previous%00", 400, "bad_compare", id="a byte too many"),
        pytest.param("problems/nothing", 404, "not_found", id="no such problem"),
        pytest.param("R1/2", 404, "not_found", id="nothing there"),
    ],
)
def test_refusals_are_problem_documents(filled: Source, path: str, status: int, reason: str) -> None:
    """A refusal is a problem document with its reason."""
    assert problem(get(filled, f"/v1/answers/{path}")) == (status, reason)


@pytest.mark.parametrize("media_type", FORMATS)
def test_formats(filled: Source, media_type: str) -> None:
    """Each format is given by Accept, with what belongs beside the rows in headers."""
    response = get(filled, f"/v1/answers/R1?{WIDE}", accept=media_type)
    assert response.headers["content-type"].partition(";")[0] == media_type
    assert response.headers["tidegate-complete-to"] == "2026-11-20T12:00:00Z"
    assert (response.headers["tidegate-withheld-cells"], response.headers["tidegate-measure"]) == ("0", "R1")
    assert len(response.content) > 0


@pytest.mark.parametrize("media_type", [CSV, ARROW, PARQUET])
@pytest.mark.parametrize(
    ("parameter", "reason"), [("limit=5", "bad_limit"), ("cursor=A", "bad_cursor"), ("compare=previous", "bad_compare")]
)
def test_what_only_json_has(filled: Source, media_type: str, parameter: str, reason: str) -> None:
    """Pages and comparisons are refused in the formats that have no place for them."""
    response = get(filled, f"/v1/answers/R1?{parameter}&{WIDE}", accept=media_type)
    assert problem(response) == (400, reason)


def test_a_format_that_is_not_offered(filled: Source) -> None:
    """An Accept that none of the formats meets is refused with the formats."""
    response = get(filled, f"/v1/answers/R1?{WIDE}", accept="text/html")
    assert problem(response) == (406, "not_acceptable")
    assert response.json()["offered"] == list(FORMATS)


def test_every_reason_can_be_looked_up(filled: Source) -> None:
    """The `type` of a problem document is a path that tells what it means, without a token."""
    listed = get(filled, "/v1/answers/problems", role=None).json()
    assert [one["reason"] for one in listed] == [reason.value for reason in Refusal]
    for one in listed:
        assert get(filled, one["type"], role=None).json() == one


@pytest.mark.parametrize(
    ("error", "status", "reason"),
    [
        pytest.param(RollupsUnavailable("private/path"), 503, "rollups_unavailable", id="no rollups now"),
        pytest.param(duckdb.CatalogException("Zq9"), 500, "answer_failed", id="a fault of ours"),
        pytest.param(ValueError("Zq9"), 500, "answer_failed", id="any other"),
    ],
)
def test_trouble_of_ours(
    monkeypatch: pytest.MonkeyPatch,
    filled: Source,
    caplog: pytest.LogCaptureFixture,
    error: Exception,
    status: int,
    reason: str,
) -> None:
    """What fails in the service is a problem document, to be retried where it passes, without an exception's text."""

    def fail() -> duckdb.DuckDBPyConnection:
        raise error

    monkeypatch.setattr(filled, "cursor", fail)
    response = get(filled, f"/v1/answers/R1?route=Zq9&{WIDE}")
    assert problem(response) == (status, reason)
    assert ("retry-after" in response.headers) is (status == 503)
    assert "Zq9" not in response.text
    assert "private" not in response.text
    assert "Zq9" not in caplog.text


def test_nothing_that_was_sent_is_logged(
    filled: Source, caplog: pytest.LogCaptureFixture, capfd: pytest.CaptureFixture[str]
) -> None:
    """Neither an answer nor a refusal leaves a line with anything that was sent."""
    for path in ("R1?route=Zq9secret", "Zq9secret", "R1?Zq9secret=1", "R1?by=Zq9secret", "R1?cursor=Zq9secret"):
        get(filled, f"/v1/answers/{path}")
    said = capfd.readouterr()
    assert "Zq9" not in caplog.text + said.out + said.err


class Slow(Source):
    """A source whose notes wait to be let go, one by one, so that questions pile up."""

    def __init__(self, connection: duckdb.DuckDBPyConnection) -> None:
        super().__init__(connection)
        self.go = threading.Semaphore(0)
        self.full = threading.Event()
        self.most = 0
        self._here = 0
        self._lock = threading.Lock()

    def notes(self) -> list[str]:
        with self._lock:
            self._here += 1
            self.most = max(self.most, self._here)
            if self.most >= AT_ONCE:
                self.full.set()
        self.go.acquire(timeout=PATIENCE_SECONDS)
        with self._lock:
            self._here -= 1
        return []


async def test_few_questions_at_once(filled: Source) -> None:
    """Two questions are answered at once, some wait, the rest is told to come back, and all is well afterwards."""
    slow = Slow(filled.connection)
    transport = httpx.ASGITransport(build_service(answers_router(slow)))
    bearer = {"authorization": "Bearer analyst"}
    async with httpx.AsyncClient(transport=transport, base_url="http://gate", headers=bearer) as client:
        asked = [asyncio.create_task(client.get(f"/v1/answers/R1?{WIDE}")) for _ in range(AT_ONCE + WAITING + 3)]
        for number, answered in enumerate(asyncio.as_completed(asked)):
            assert (await answered).status_code == (503 if number < 3 else 200)
            if number == 2:
                await asyncio.to_thread(slow.full.wait, PATIENCE_SECONDS)
            if number >= 2:
                slow.go.release()
        slow.go.release()
        again = await client.get(f"/v1/answers/R1?{WIDE}")
    assert again.status_code == 200
    assert slow.most == AT_ONCE


@pytest.mark.parametrize("measure", MEASURES)
def test_the_devices_never_leave(filled: Source, measure: str) -> None:
    """No body and no header of any measure, in any format and bucket, has the bound that a cell was published with."""
    [role, *_] = MEASURES[measure].asked_by
    packed = DEVICES.to_bytes(8, "little")
    for cube in MEASURES[measure].cubes:
        for media_type in FORMATS:
            for bucket in ("", *(f"&bucket={grain}" for grain in cube.grains)):
                query = f"by={','.join(('tier', *cube.dimensions))}{bucket}&{WIDE}"
                response = get(filled, f"/v1/answers/{measure}?{query}", role=role, accept=media_type)
                assert response.status_code == 200
                found = response.content + json.dumps(dict(response.headers)).encode()
                assert packed not in found
                assert str(DEVICES).encode() not in found
                assert b"devices" not in found
