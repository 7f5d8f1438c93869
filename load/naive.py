"""The naive way, for comparison: what a competent developer writes in an afternoon with FastAPI, pydantic and fastavro.

One request carries one report: JSON with the report's name and, in base64, the same Avro message that the gate takes.
A dependency checks the bearer token; pydantic reads the body; fastavro decodes the message, validates the datum against
the schema, and encodes it again under a schema without the fields that have to go; the result is appended to a list in
memory.

It does less than the gate: it does not coarsen or pseudonymise, leaves no remarks, checks neither window nor consent
nor rate, accepts what fastavro accepts, writes no headers beside the record and counts nothing. Nothing here is slower
than it has to be: schemas are parsed once, every function is `async`, so that nothing goes through a thread, and dicts
are not copied. `POST /v1/reports/unvalidated` leaves out `fastavro.validate`, the dearest step, which some developers
would do without since the decoder has already read the types.
"""

import copy
import hmac
import io
import os
from typing import Annotated, Any

import fastavro
from fastapi import Depends, FastAPI, HTTPException
from fastapi.security import HTTPAuthorizationCredentials, HTTPBearer
from fastavro.validation import validate
from pydantic import Base64Bytes, BaseModel

from schemas.catalogue import REPORTS_DIRECTORY
from schemas.report_schema import ReportSchema, load_report_schema

PATH = "/v1/reports"
UNVALIDATED_PATH = "/v1/reports/unvalidated"

TOKEN_VARIABLE = "LOAD_TOKEN"  # noqa: S105  # the name of a variable
"""The environment variable with the one token that is accepted."""

DROPPED = frozenset(
    {"device_id", "user_id", "user_email", "hostname", "serial", "ip_address", "attributes"},
)
"""The fields that have to go: every identifier of the header."""

PREFIX_LENGTH = 10
"""The marker and the fingerprint of a single-object message."""


class Submission(BaseModel):
    """The body of a request."""

    report: str
    payload: Base64Bytes


class Accepted(BaseModel):
    """The answer."""

    accepted: int


def stored_schema(schema: ReportSchema) -> Any:
    """The schema of what is kept: that of the report without the dropped fields, as fastavro takes it."""
    document = copy.deepcopy(schema.document)
    document["fields"] = [field for field in document["fields"] if field["name"] not in DROPPED]
    return fastavro.parse_schema(document)


SCHEMAS = {schema.name: schema for schema in map(load_report_schema, sorted(REPORTS_DIRECTORY.glob("*.avsc")))}
STORED_SCHEMAS = {name: stored_schema(schema) for name, schema in SCHEMAS.items()}

stored: list[bytes] = []
bearer = HTTPBearer()
app = FastAPI()


async def authenticated(credentials: Annotated[HTTPAuthorizationCredentials, Depends(bearer)]) -> str:
    """The token of the request, where it is the right one."""
    if not hmac.compare_digest(credentials.credentials.encode(), os.environ[TOKEN_VARIABLE].encode()):
        raise HTTPException(401, "wrong token")
    return credentials.credentials


@app.post(PATH, status_code=202)
async def post_report(submission: Submission, token: Annotated[str, Depends(authenticated)]) -> Accepted:
    """Decode, validate, drop, encode, store."""
    del token
    datum = decode(submission)
    try:
        validate(datum, SCHEMAS[submission.report].parsed)
    except fastavro.validation.ValidationError:
        raise HTTPException(422, "not valid under its schema") from None
    return store(submission.report, datum)


@app.post(UNVALIDATED_PATH, status_code=202)
async def post_unvalidated(submission: Submission, token: Annotated[str, Depends(authenticated)]) -> Accepted:
    """The same without validation."""
    del token
    return store(submission.report, decode(submission))


def decode(submission: Submission) -> dict[str, Any]:
    """The datum in a submission; refuses a report or a schema that is not known."""
    schema = SCHEMAS.get(submission.report)
    if schema is None or submission.payload[:PREFIX_LENGTH] != schema.message_prefix:
        raise HTTPException(422, "unknown report or schema")
    datum: Any = fastavro.schemaless_reader(io.BytesIO(submission.payload[PREFIX_LENGTH:]), schema.parsed)
    return datum  # type: ignore[no-any-return]  # a record is read as a dict


def store(report: str, datum: dict[str, Any]) -> Accepted:
    """Drop what has to go, encode the rest and keep it."""
    for field in DROPPED:
        del datum[field]
    out = io.BytesIO()
    fastavro.schemaless_writer(out, STORED_SCHEMAS[report], datum)
    stored.append(out.getvalue())
    return Accepted(accepted=1)
