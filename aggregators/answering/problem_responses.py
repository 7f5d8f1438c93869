"""What every path of the answers says in place of an answer: one way to know who asks, and one to refuse.

Rules held here:

* a refusal, of our own list or of the gate's, is a problem document; 401 says how to authenticate, 503 when to retry;
* what fails is a fault of ours: the log has its type and place, whoever asked a 500 without either.
"""

from collections.abc import Awaitable, Callable, Sequence

from fastapi import Request, Response
from fastapi.responses import JSONResponse

from aggregators.answering.problems import Refusal, Refused, problem_document
from ingest.access.token_view import Credential, bearer_token
from ingest.access.tokens import ROLES, Role
from ingest.http.service import PROBLEM_JSON
from ingest.problems import Rejected
from ingest.problems import problem_document as gate_problem
from ingest.telemetry.events import Event
from ingest.telemetry.logs import log

RETRY_SECONDS = 10

Check = Callable[[bytes | None], Credential]
"""The credential behind a token; raises `ingest.problems.Rejected`."""


def credential_of(request: Request, check: Check, *, roles: Sequence[Role] = ROLES) -> Credential:
    """Who asks, by a token of one of `roles`; raises `Rejected` and `Refused`."""
    authorization = request.headers.get("authorization")
    credential = check(bearer_token(None if authorization is None else authorization.encode("latin-1")))
    require(credential, roles)
    return credential


def require(credential: Credential, roles: Sequence[Role]) -> None:
    """Raises `Refused` where the token is of none of `roles`."""
    if credential.kind not in roles:
        detail = f"it takes a token of role {' or '.join(roles)}; `tidegate token new --role {roles[0]}` makes one"
        raise Refused(Refusal.ROLE_NOT_ALLOWED, detail=detail, offered=roles)


async def guarded(work: Callable[[], Awaitable[Response]]) -> Response:
    """The response of `work`, or a problem document, whatever happens."""
    try:
        return await work()
    except Refused as refused:
        return refusal_response(refused)
    except Rejected as rejected:
        retry_after = _retry_after(rejected.reason.problem.status)
        document = gate_problem(rejected.reason, retry_after=retry_after)
        return _response(document, rejected.reason.problem.status, retry_after)
    except Exception as error:  # noqa: BLE001  # a fault of ours: the log has its type and place, the asker a 500
        log(Event.REQUEST_FAILED, error=error)
        return refusal_response(Refused(Refusal.ANSWER_FAILED))


def refusal_response(refused: Refused) -> Response:
    """A refusal as a problem document."""
    status = refused.reason.problem.status
    retry_after = _retry_after(status)
    return _response(problem_document(refused, retry_after=retry_after), status, retry_after)


def _retry_after(status: int) -> int | None:
    return RETRY_SECONDS if status == 503 else None


def _response(document: dict[str, object], status: int, retry_after: int | None) -> Response:
    more = {} if retry_after is None else {"retry-after": str(retry_after)}
    more |= {"www-authenticate": "Bearer"} if status == 401 else {}
    return JSONResponse(document, status_code=status, headers=more, media_type=PROBLEM_JSON)
