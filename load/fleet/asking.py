"""Asks a running `tidegate serve`: one kept-alive connection, the right token for each measure, page after page."""

import http.client
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any
from urllib.parse import urlencode, urlsplit

from load.fleet.findings import Row
from load.fleet.reference_suppression import Published
from load.fleet.truth_cells import CellKey, Grain
from load.fleet.truth_remarks import Receipts, Remarks

PAGE_ROWS = 2_000

DAY_MS = 86_400_000

HOUR_MS = 3_600_000

PATIENCE_SECONDS = 60.0

JSON = "application/json"

AUDITED = frozenset({"A1", "A3"})
"""Measures that an analyst may not ask."""

Span = tuple[int, int]
"""From and to, in milliseconds since the epoch."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """Whom to ask, and what to expect: `published` of the windows in the span `windows`, `remarks` and `receipts` of
    what was received in the span `received`. `tokens` by role (analyst, auditor), `k` by tier. `complete_to` is what
    the newest publication said, in milliseconds since the epoch: a day that ends later has no cells.
    """

    url: str
    tokens: Mapping[str, str]
    windows: Span
    received: Span
    complete_to: int
    published: Published
    remarks: Remarks
    receipts: Mapping[str, Receipts]
    k: Mapping[str, int]
    currency: str


class NoGoodAnswer(Exception):
    """What came back is no answer; the message is its status."""


class Api:
    """GET /v1/answers. Raises OSError where nobody answers."""

    def __init__(self, asked: Asked) -> None:
        parts = urlsplit(asked.url)
        kind = http.client.HTTPSConnection if parts.scheme == "https" else http.client.HTTPConnection
        self._connection = kind(parts.netloc, timeout=PATIENCE_SECONDS)
        self._prefix = parts.path.rstrip("/")
        self._tokens = asked.tokens

    def close(self) -> None:
        """Hang up."""
        self._connection.close()

    def get(self, measure: str, accept: str, parameters: Mapping[str, str]) -> bytes:
        """The body of an answer; raises `NoGoodAnswer`."""
        role = "auditor" if measure in AUDITED else "analyst"
        headers = {"Accept": accept, "Authorization": f"Bearer {self._tokens[role]}"}
        path = f"{self._prefix}/v1/answers/{measure}?{urlencode(parameters)}"
        kept = self._connection.sock is not None
        try:
            response = self._ask(path, headers)
        except ConnectionError:
            if not kept:
                raise
            # A server hangs up on whoever says nothing for some seconds. What only reads may be asked again.
            self._connection.close()
            response = self._ask(path, headers)
        body = response.read()
        if response.status != http.client.OK:
            raise NoGoodAnswer(f"answered {response.status}")
        return body

    def _ask(self, path: str, headers: Mapping[str, str]) -> http.client.HTTPResponse:
        self._connection.request("GET", path, headers=dict(headers))
        return self._connection.getresponse()

    def pages(self, measure: str, parameters: Mapping[str, str]) -> list[dict[str, Any]]:
        """Every page of an answer in JSON; raises `NoGoodAnswer`."""
        return list(self._pages(measure, parameters))

    def _pages(self, measure: str, parameters: Mapping[str, str]) -> Iterator[dict[str, Any]]:
        cursor: dict[str, str] = {}
        while True:
            page = json.loads(self.get(measure, JSON, {**parameters, "limit": str(PAGE_ROWS), **cursor}))
            yield page
            if page["next"] is None:
                return
            cursor = {"cursor": page["next"]}


def rows_of(pages: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """The rows of all pages."""
    return [row for page in pages for row in page["rows"]]


def parameters(span: Span, grain: Grain, by: tuple[str, ...]) -> dict[str, str]:
    """What asks for a span by hours or days, widened to whole ones."""
    unit = DAY_MS if grain == "day" else HOUR_MS
    start, end = span[0] // unit * unit, -(-span[1] // unit) * unit
    return {"from": time(start), "to": time(end), "bucket": grain, "by": ",".join(by)}


def time(ms: int) -> str:
    """A time as questions and answers have it."""
    return datetime.fromtimestamp(ms / 1000, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def place(row: Row, names: tuple[str, ...]) -> CellKey:
    """Where a row of an answer belongs: its start in ms, and these of its columns."""
    return (int(datetime.fromisoformat(row["start"]).timestamp() * 1000), *(row[name] for name in names))
