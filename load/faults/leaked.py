"""I3: no identifier on any disk, in any state. Searches all that a world has written for what every report plants.

A place is searched as bytes, and rollups and seals also as what they say, for their formats compress. Where a control,
which has every right to be there, is not found in any part of a place, nothing was searched: that is a violation too.
"""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from load.faults.made import CONTROL, PLANTED
from load.faults.verdict import Violation
from load.fleet.search import database_texts, parquet_texts, raw_files
from load.leaks import Scanner

TIER, READY, METRIC = "contractor", "gate_ready", "tidegate_gate_received"
"""Controls: words that Parquet files with rows, log lines and metrics have."""


class Place(NamedTuple):
    """Something to search, in parts by their names, and what has to be found in one of them."""

    parts: Mapping[str, object]
    control: str


class Search:
    """Knows the planted values."""

    def __init__(self) -> None:
        controls = {_as_control(word): word for word in (CONTROL, TIER, READY, METRIC)}
        self._scanner = Scanner(dict(PLANTED) | controls)

    def violations(self, places: Mapping[str, Place]) -> Iterator[Violation]:
        """What leaked, and what was not searched."""
        for name, (parts, control) in places.items():
            found = self._scanner.scan(parts)
            for place, planted, form in found:
                if planted in PLANTED:
                    yield Violation("I3", f"the planted {planted} is in {name}, {place} ({form})", "leaked")
            if _as_control(control) not in {leak.planted for leak in found}:
                yield Violation("I3", f"{name}: the control is not found, so nothing was searched")

    def leaks(self, fresh: Sequence[bytes]) -> Iterator[Violation]:
        """What leaked into bytes that are searched again later, beside a control."""
        for _, planted, form in self._scanner.scan({"the log": b"\0".join(fresh)}):
            if planted in PLANTED:
                yield Violation("I3", f"the planted {planted} is in the log ({form})", "leaked")


def _as_control(word: str) -> str:
    return f"control {word}"


def said(folder: Path, metrics: str) -> dict[str, Place]:
    """What gates told people: log lines and metrics."""
    lines = {name: (folder / name).read_bytes() for name in ("stdout", "stderr")}
    return {"what was printed": Place(lines, READY), "the metrics": Place({"text": metrics}, METRIC)}


def on_disk(disks: Mapping[str, Path], rollups: Path) -> dict[str, Place]:
    """Every file of every disk, and what the copied rollups and the Parquet files say."""
    places: dict[str, Place] = {}
    for disk, directory in disks.items():
        places[disk] = Place(raw_files(directory), CONTROL)
        if parquet := parquet_texts(directory):
            places[f"{disk}, Parquet files read"] = Place({"texts": parquet}, TIER)
    places["the rollups read"] = Place(database_texts(rollups), CONTROL)
    return places
