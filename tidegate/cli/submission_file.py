"""A file with reports, as `tidegate strip` is given it: of which media type it is, and of which report it tells."""

from pathlib import Path

import click

from ingest.body import LENGTH
from ingest.pipeline import AVRO, AVRO_SEQUENCE, CUT, JSON
from schemas.catalogue import Catalogue
from schemas.framing import SINGLE_OBJECT_BYTES, SINGLE_OBJECT_MARKER

FINGERPRINT = slice(len(SINGLE_OBJECT_MARKER), SINGLE_OBJECT_BYTES)


def media_type_of(body: bytes) -> str:
    """The media type that the first bytes show: Avro's marker, a length before it, or a bracket of JSON."""
    if body.startswith(SINGLE_OBJECT_MARKER):
        return AVRO
    if body[LENGTH.size :].startswith(SINGLE_OBJECT_MARKER):
        return AVRO_SEQUENCE
    if body.lstrip()[:1] in (b"{", b"["):
        return JSON
    known = ", ".join(sorted(CUT))
    raise click.UsageError(
        f"the file begins neither with the Avro marker C3 01 nor like JSON; say what it is with --media-type: {known}"
    )


def report_of(body: bytes, *, media_type: str, file: str, catalogue: Catalogue) -> str:
    """The report that the file's name begins with; if none, that of the first message's fingerprint."""
    named = [name for name in catalogue.latest if Path(file).name.startswith(name)]
    if named:
        return max(named, key=len)
    if media_type == JSON:
        known = ", ".join(sorted(catalogue.latest))
        raise click.UsageError(f"JSON does not say which report it is; give --report, one of {known}")
    message = body[LENGTH.size :] if media_type == AVRO_SEQUENCE else body
    schema = catalogue.by_fingerprint.get(message[FINGERPRINT])
    # A fingerprint that nobody knows is refused by the gate's own code, which has to be asked for some report.
    return next(iter(catalogue.latest)) if schema is None else schema.name
