"""The follower's status and publications over HTTP: every refusal and every fault as a problem document."""

from typing import Any

import httpx
import pytest

from aggregators.answering.elsewhere_api import answers_elsewhere_router
from aggregators.answering.operations_api import operations_router
from aggregators.database import RollupsUnavailable
from ingest.clock import ManualClock
from ingest.http.service import build_service
from ingest.telemetry.events import Event
from ingest.telemetry.logs import LOGGER_NAME
from tests.aggregators.published_cells import NOW_MS, empty_source

STATUS = ("GET", "/v1/status")
PUBLISH = ("POST", "/v1/publications")


class Failing:
    """In the place of the follower and the publications: whatever is asked of it fails."""

    def __init__(self, error: Exception) -> None:
        self.error = error

    def __getattr__(self, name: str) -> Any:
        raise self.error


async def ask(method: str, path: str, *, role: str | None, error: Exception | None = None) -> httpx.Response:
    """What the service answers where the follower and publications fail with `error`."""
    failing: Any = Failing(error or ValueError("Zq9"))
    router = operations_router(failing, failing, check=empty_source().check, clock=ManualClock(NOW_MS))
    headers = {} if role is None else {"authorization": f"Bearer {role}"}
    transport = httpx.ASGITransport(build_service(router))
    async with httpx.AsyncClient(transport=transport, base_url="http://gate") as client:
        return await client.request(method, path, headers=headers)


@pytest.mark.parametrize(("method", "path"), [STATUS, PUBLISH])
@pytest.mark.parametrize(("token", "reason"), [(None, "no_token"), ("nobody", "wrong_token")])
async def test_401_says_how_to_authenticate(method: str, path: str, token: str | None, reason: str) -> None:
    """Without a good token the answer is 401, and says what kind of token is wanted, as HTTP has it."""
    response = await ask(method, path, role=token)
    assert (response.status_code, response.json()["reason"]) == (401, reason)
    assert response.headers["www-authenticate"] == "Bearer"
    assert response.headers["content-type"] == "application/problem+json"


@pytest.mark.parametrize(
    ("method", "path", "role", "allowed"),
    [
        pytest.param(*STATUS, "device", ["analyst", "operator", "auditor"], id="a device's token"),
        pytest.param(*PUBLISH, "analyst", ["operator"], id="a role that only asks"),
    ],
)
async def test_another_role(method: str, path: str, role: str, allowed: list[str]) -> None:
    """A token of another role is refused with the roles that would do, and the command that makes one."""
    response = await ask(method, path, role=role)
    assert (response.status_code, response.json()["reason"]) == (403, "role_not_allowed")
    assert response.json()["offered"] == allowed
    assert f"tidegate token new --role {allowed[0]}" in response.json()["detail"]


@pytest.mark.parametrize("asked", [STATUS, PUBLISH])
@pytest.mark.parametrize(
    ("error", "status", "reason", "event"),
    [
        pytest.param(TimeoutError("Zq9"), 503, "not_applied_in_time", None, id="not in time"),
        pytest.param(RollupsUnavailable("Zq9"), 503, "rollups_unavailable", Event.PUBLICATION_FAILED, id="no rollups"),
        pytest.param(ValueError("Zq9"), 500, "answer_failed", Event.REQUEST_FAILED, id="a fault of ours"),
    ],
)
async def test_trouble_of_ours(
    caplog: pytest.LogCaptureFixture,
    asked: tuple[str, str],
    error: Exception,
    status: int,
    reason: str,
    event: Event | None,
) -> None:
    """What fails is a problem document, to be retried where it passes, and an event, without an exception's text."""
    response = await ask(*asked, role="operator", error=error)
    assert (response.status_code, response.json()["reason"]) == (status, reason)
    assert response.headers["content-type"] == "application/problem+json"
    assert ("retry-after" in response.headers) is (status == 503)
    assert "Zq9" not in response.text + caplog.text
    logged = [record.msg for record in caplog.records if record.name == LOGGER_NAME]
    assert logged == ([] if event is None else [event])


async def test_no_answers_here() -> None:
    """A process without answers says where they are."""
    transport = httpx.ASGITransport(build_service(answers_elsewhere_router()))
    async with httpx.AsyncClient(transport=transport, base_url="http://gate") as client:
        response = await client.get("/v1/status")
    assert (response.status_code, response.json()["reason"]) == (404, "answers_elsewhere")
    assert response.headers["content-type"] == "application/problem+json"
