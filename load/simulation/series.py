"""The gates' outcomes as somebody reads them who has the log and the schema's file: no code of the product.

Of the records that share a gate and a number, the one with the greatest `to_time` counts (the schema's file says why
there may be several). A gate whose series ends without a final record has lost counts: a gap, shown and not guessed.
"""

import json
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from functools import cache
from io import BytesIO
from pathlib import Path
from typing import Any

import fastavro

CONTROL_TOPIC = "tidegate.control"
SCHEMA_FILE = Path(__file__).parents[2] / "schemas" / "control" / "outcomes.v1.avsc"
SINGLE_OBJECT_HEADER = 10

Counts = Counter[tuple[str, str]]
"""Reports by (tier, outcome)."""


@dataclass
class Series:
    """What one gate said about itself."""

    records: dict[int, dict[str, Any]] = field(default_factory=dict)

    @property
    def is_whole(self) -> bool:
        """Whether it ends with a final record, and no number is missing before it."""
        last = max(self.records, default=-1)
        return last >= 0 and bool(self.records[last]["final"]) and set(self.records) == set(range(last + 1))

    @property
    def counts(self) -> Counts:
        """Everything that it counted."""
        total: Counts = Counter()
        for record in self.records.values():
            for count in record["counts"]:
                total[count["tier"], count["outcome"]] += count["count"]
        return total


def read_series(values: Iterable[bytes]) -> dict[str, Series]:
    """The series of every gate in the control topic, by its id."""
    found: dict[str, Series] = {}
    for value in values:
        record: Any = fastavro.schemaless_reader(BytesIO(value[SINGLE_OBJECT_HEADER:]), _schema(), None)
        records = found.setdefault(record["gate_id"], Series()).records
        before = records.get(record["sequence"])
        if before is None or before["to_time"] <= record["to_time"]:
            records[record["sequence"]] = record
    return found


@cache
def _schema() -> Any:
    return fastavro.parse_schema(json.loads(SCHEMA_FILE.read_text(encoding="utf-8")))
