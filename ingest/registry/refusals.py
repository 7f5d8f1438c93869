"""Every way in which the registry says no: the status, and the code and the words of Confluent's API for it.

No refusal repeats a byte of what was asked: a name that is none of ours may be anything.
"""

from enum import Enum
from typing import NamedTuple


class Said(NamedTuple):
    """An HTTP status, and what the document beside it says."""

    status: int
    error_code: int
    message: str


class Refusal(Enum):
    """The closed list."""

    NO_SUCH_RESOURCE = Said(404, 404, "There is no such resource; docs/registry.md lists them.")
    NO_SUCH_SUBJECT = Said(404, 40401, "Subject not found.")
    NO_SUCH_VERSION = Said(404, 40402, "Version not found.")
    NO_SUCH_SCHEMA = Said(404, 40403, "Schema not found.")
    READ_ONLY = Said(403, 40301, "Only gates register schemas here, from their policies. Reading is open.")
    METHOD_NOT_ALLOWED = Said(405, 405, "The resource is there, but not for this method.")
    BODY_TIMEOUT = Said(408, 408, "The body did not arrive in time.")
    BODY_TOO_LARGE = Said(413, 413, "The body is larger than any schema of this registry may be.")
    INVALID_SCHEMA = Said(422, 42201, 'The body is not {"schema": "<an Avro schema as JSON text>"}.')
    INVALID_VERSION = Said(422, 42202, "A version is a number from 1 to 2147483647, or latest.")
    BUSY = Said(429, 42901, "Too many schemas are being compared; try again in a second.")
    LOG_UNAVAILABLE = Said(503, 50301, "The log, which holds the schemas, cannot be read now; try again.")


class Refused(Exception):
    """The request is answered with a refusal."""

    def __init__(self, refusal: Refusal) -> None:
        super().__init__(refusal.name)
        self.refusal = refusal
