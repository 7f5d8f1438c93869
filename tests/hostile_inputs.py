"""Inputs of up to 1 MiB that are made to cost as much as they can, and a program that says what each costs.

    python -m tests.hostile_inputs

takes each input in a process of its own, so that one cannot hide behind the memory of another, and prints a line of
JSON each: name, outcome, mebibytes of memory and seconds of CPU. `tests/contract/test_strip_hostile.py` reads them.
"""

import gzip
import json
import os
import resource
import sys
from collections.abc import Callable, Iterator
from random import Random
from typing import Any

from ingest.body import MAX_BODY, expand
from ingest.decode import decode
from ingest.json_reports import encode_json, split_json
from ingest.problems import Rejected
from ingest.strip import strip
from load.reports import make_report
from schemas.catalogue import Catalogue, load_catalogue
from tests.any_encoding import encode_anyhow, varint
from tests.strategies import MANIFEST, NOW, any_encoding, encode

BEFORE = 1_767_225_600_000
CPU_LIMIT_SECONDS = 60
"""Past this an input counts as a hang; the slowest takes a few seconds on a slow machine."""


class Hostile:
    """Builds the inputs for one catalogue; every message is a `route_window` but for the part that is hostile."""

    def __init__(self, catalogue: Catalogue) -> None:
        self.schema = catalogue.latest["route_window"]
        report = make_report(self.schema, Random(1), now=NOW)
        self.report = report | {"attributes": {}, "rows": [], "violations": [], "user_email": None}
        self.row = make_report(self.schema, Random(2), now=NOW)["rows"][0]

    def message(self, *, attributes: bytes = b"\0", rows: bytes = b"\0", violations: bytes = b"\0") -> bytes:
        """A message whose containers hold the bytes given."""
        return encode(self.schema, self.report)[:-3] + attributes + rows + violations

    def with_text(self, name: str, text: str) -> bytes:
        return encode(self.schema, self.report | {name: text})

    def row_with_counts(self, counts: bytes) -> bytes:
        """Rows of one row whose latency counts are the bytes given."""
        histogram = {"zero_count": 0, "underflow": 0, "overflow": 0, "offset": 0, "counts": []}
        row = self.row | {"disclosures": [], "latency": histogram, "first_token": None}
        empty = self.message(rows=b"\0")
        full = encode(self.schema, self.report | {"rows": [row]})
        encoded = full[len(empty) - 2 : -2]  # the count of rows and the row
        return encoded[:-2] + counts + b"\0\0"

    def least_row(self) -> dict[str, Any]:
        """A row that takes as few bytes as a row can."""
        row = dict(self.row)
        for field in self.schema.fields["rows"].record.fields:  # type: ignore[union-attr]
            if field.nullable:
                row[field.name] = None
            elif isinstance(row[field.name], list):
                row[field.name] = []
            elif isinstance(row[field.name], int):
                row[field.name] = 0
        return row


def avro_inputs(hostile: Hostile) -> dict[str, Callable[[], bytes]]:
    """Messages by what is wrong with them, or too much in them."""
    return {
        "five bytes claim 20 million rows": lambda: hostile.message(rows=varint(20_000_000)),
        "a sized block claims 2^62 rows": lambda: hostile.message(rows=varint(-(2**62)) + varint(3) + b"\0\0\0"),
        "a string claims 2^62 bytes": lambda: hostile.message(attributes=varint(1) + varint(2**62) + b"\0"),
        "a map with 100,000 keys": lambda: hostile.message(attributes=map_of(100_000)),
        "a map of one-item blocks": lambda: hostile.message(attributes=map_of(100_000, per_block=1)),
        "350,000 one-item blocks of counts": lambda: hostile.message(
            rows=hostile.row_with_counts(b"\2\2" * 349_000 + b"\0")
        ),
        "sized one-item blocks of counts": lambda: hostile.message(
            rows=hostile.row_with_counts(b"\1\2\2" * 345_000 + b"\0")
        ),
        "counts of ten bytes each": lambda: hostile.message(
            rows=hostile.row_with_counts(varint(100_000) + varint(1, length=10) * 100_000 + b"\0")
        ),
        "counts of one byte each": lambda: hostile.message(
            rows=hostile.row_with_counts(varint(1_000_000) + b"\2" * 1_000_000 + b"\0")
        ),
        "rows in blocks of one, disclosures in blocks of one": lambda: nested_blocks(hostile),
        "as many of the smallest rows as fit": lambda: encode(
            hostile.schema, hostile.report | {"rows": [hostile.least_row()] * 25_000}
        ),
        "real rows, every varint and block at random": lambda: any_encoding(
            hostile.schema, hostile.report | {"rows": [hostile.row] * 2_500}, 1
        ),
        "rows in which every second number is long": lambda: encode(
            hostile.schema, hostile.report | {"rows": [every_second_long(hostile.least_row())] * 20_000}
        ),
        "rows in which every number is longer than need be": lambda: (
            hostile.schema.message_prefix
            + encode_anyhow(hostile.schema.root, hostile.report | {"rows": [hostile.least_row()] * 14_000}, TwoBytes(1))
        ),
        "one giant string that is dropped": lambda: hostile.with_text("hostname", "é" * 500_000),
        "one giant string that is pseudonymised": lambda: hostile.with_text("device_id", "é" * 500_000),
        "one giant version": lambda: hostile.with_text("agent_version", "1." * 500_000 + "1"),
        "one giant version that is none": lambda: hostile.with_text("agent_version", "1." * 500_000 + "x"),
        "one giant version of six digits": lambda: hostile.with_text("os_version", "123456." * 140_000),
        "a varint that does not end": lambda: hostile.message(rows=b"\x80" * 1_000_000),
        "violations claim more than is left": lambda: hostile.message(violations=varint(3) + b"\0" * 5),
    }


class TwoBytes(Random):
    """Chooses two bytes for every varint."""

    def choice(self, _: Any) -> Any:
        return 2


def every_second_long(row: dict[str, Any]) -> dict[str, Any]:
    """The row with 64, which takes two bytes, in every second place that holds a number."""
    numbers = [name for name, value in row.items() if type(value) is int]
    return row | dict.fromkeys(numbers[::2], 64)


def map_of(entries: int, *, per_block: int | None = None) -> bytes:
    """An encoded map with that many different keys and empty values."""
    pairs = [varint(len(key)) + key + b"\0" for key in (b"%x" % number for number in range(entries))]
    per_block = per_block or entries
    blocks = (pairs[at : at + per_block] for at in range(0, entries, per_block))
    return b"".join(varint(len(block)) + b"".join(block) for block in blocks) + b"\0"


def nested_blocks(hostile: Hostile) -> bytes:
    """Rows in blocks of one, each with twenty disclosures in blocks of one."""
    row = hostile.least_row() | {"latency": None, "first_token": None, "disclosures": []}
    full = encode(hostile.schema, hostile.report | {"rows": [row]})
    encoded = full[len(hostile.message()) - 1 : -2]
    blocks = b"\2" + encoded[:-3] + b"\2\0\2" * 20 + b"\0\0\0"
    return hostile.message(rows=blocks * ((MAX_BODY - 200) // len(blocks)) + b"\0")


def other_inputs(hostile: Hostile) -> dict[str, Callable[[], bytes]]:
    """JSON and compressed bodies by what there is too much of."""
    readable = hostile.report | {"report_id": "00" * 16}
    return {
        "JSON a million arrays deep": lambda: b"[" * 1_000_000,
        "JSON 200,000 objects deep": lambda: b'{"a":' * 200_000,
        "JSON of 340,000 empty objects": lambda: b"[" + b"{}," * 340_000 + b"{}]",
        "JSON of 130,000 small objects": lambda: b"[" + b'{"":0},' * 130_000 + b"{}]",
        "JSON with 100,000 unknown keys": lambda: json.dumps(
            readable | {str(number): 0 for number in range(80_000)}
        ).encode(),
        "JSON with 100,000 attributes": lambda: json.dumps(
            readable | {"attributes": {str(number): "" for number in range(80_000)}}
        ).encode(),
        "JSON with as many disclosures as fit": lambda: json.dumps(
            readable | {"rows": [hostile.row | {"disclosures": [{"disclosure": "residency"}] * 30_000}]}
        ).encode(),
        "JSON with a number of 900,000 digits": lambda: b'{"window_start":' + b"9" * 900_000 + b"}",
        "gzip of 50,000 empty members": lambda: gzip.compress(b"", mtime=0) * 50_000,
    }


def messages_in(name: str, body: bytes, catalogue: Catalogue) -> list[bytes]:
    """The Avro messages of an input, which its name calls JSON or gzip if it is not one message."""
    if name.startswith("gzip"):
        return [expand(body, "gzip")]
    if name.startswith("JSON"):
        return [encode_json(value, catalogue.latest["route_window"]).content for value in split_json(body)]
    return [body]


def outcome_of(name: str, body: bytes, catalogue: Catalogue, tier: str) -> str:
    """What becomes of an input: `accepted`, or the reason why not."""
    try:
        for message in messages_in(name, body, catalogue):
            report = decode(message, catalogue.by_fingerprint)
            plan = catalogue.plans[tier, report.schema.fingerprint]
            strip(report, plan, names=MANIFEST, key=lambda: bytes(32), now=BEFORE)
    except Rejected as refusal:
        return refusal.reason.value
    return "accepted"


def measured(name: str, body: bytes, catalogue: Catalogue, tier: str) -> bytes:
    """Outcome, memory and CPU of one input as a line of JSON."""
    before = resource.getrusage(resource.RUSAGE_SELF)
    outcome = outcome_of(name, body, catalogue, tier)
    after = resource.getrusage(resource.RUSAGE_SELF)
    seconds = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    mebibytes = (after.ru_maxrss - before.ru_maxrss) / 1024
    line = {"name": name, "tier": tier, "bytes": len(body), "outcome": outcome}
    return json.dumps(line | {"mebibytes": round(mebibytes, 1), "seconds": round(seconds, 2)}).encode()


def apart(work: Callable[[], bytes]) -> bytes:
    """What `work` returns, done in a process of its own: this one's memory neither grows nor is lent to the next."""
    read, write = os.pipe()
    child = os.fork()
    if child == 0:
        resource.setrlimit(resource.RLIMIT_CPU, (CPU_LIMIT_SECONDS, CPU_LIMIT_SECONDS + 1))
        with os.fdopen(write, "wb") as answer:
            answer.write(work())
        os._exit(0)
    os.close(write)
    with os.fdopen(read, "rb") as answer:
        result = answer.read()
    status = os.waitpid(child, 0)[1]
    if status:
        raise AssertionError(f"a process ended with status {status}")
    return result


def measure_all() -> Iterator[bytes]:
    """A line for each input and tier; JSON and gzip cost the same in all tiers."""
    catalogue = load_catalogue()
    hostile = Hostile(catalogue)
    hostile.with_text("hostname", "")  # fastavro's parsed schema is made once, in this process
    for name, build in (avro_inputs(hostile) | other_inputs(hostile)).items():
        body = apart(build)
        if len(body) > MAX_BODY:
            raise AssertionError(f"{name}: {len(body)} bytes are over the limit of a body")
        for tier in ("managed",) if name.startswith(("JSON", "gzip")) else sorted(catalogue.tiers):
            yield apart(lambda name=name, body=body, tier=tier: measured(name, body, catalogue, tier))  # type: ignore[misc]


if __name__ == "__main__":
    for line in measure_all():
        sys.stdout.write(line.decode() + "\n")
        sys.stdout.flush()
