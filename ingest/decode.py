"""bytes -> Report: which schema a message is under, and the few facts that everything else depends on.

Only the preamble is read here (`schemas.report_schema.PREAMBLE`); the rest of the message is checked, byte for byte, by
the same walk that strips it. Pure: no clock, no socket, no log.
"""

from collections.abc import Mapping

from ingest.problems import Reason, Rejected
from ingest.report import Report
from ingest.wire import read_boolean, read_fixed, read_long, read_present, read_string
from schemas.framing import SINGLE_OBJECT_BYTES, SINGLE_OBJECT_MARKER
from schemas.report_schema import CONSENT_PURPOSES, ReportSchema

REPORT_ID_SIZE = 16


def decode(message: bytes, schemas: Mapping[bytes, ReportSchema]) -> Report:
    """The report in a single-object `message`; raises `Rejected` if its schema is unknown or its preamble is broken."""
    if not message.startswith(SINGLE_OBJECT_MARKER):
        raise Rejected(Reason.BAD_MARKER)
    if len(message) < SINGLE_OBJECT_BYTES:
        raise Rejected(Reason.TRUNCATED)
    schema = schemas.get(message[len(SINGLE_OBJECT_MARKER) : SINGLE_OBJECT_BYTES])
    if schema is None:
        raise Rejected(Reason.UNKNOWN_SCHEMA)
    try:
        return _preamble(message, schema)
    except IndexError:
        raise Rejected(Reason.TRUNCATED) from None


def _preamble(message: bytes, schema: ReportSchema) -> Report:
    report_id, at = read_fixed(message, SINGLE_OBJECT_BYTES, REPORT_ID_SIZE)
    window_start, at = read_long(message, at, "window_start")
    window_end, at = read_long(message, at, "window_end")
    consents = set()
    for purpose in CONSENT_PURPOSES:
        given, at = read_boolean(message, at, f"consent_{purpose}")
        if given:
            consents.add(purpose)
    present, at = read_present(message, at, "region")
    region = read_string(message, at, "region")[0].decode() if present else None
    return Report(
        schema=schema,
        report_id=report_id,
        window_start=window_start,
        window_end=window_end,
        consents=frozenset(consents),
        region=region,
        message=message,
    )
