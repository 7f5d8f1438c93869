"""The model files that a device holds: what model_inventory is made of."""

from dataclasses import dataclass
from typing import Any

from reporter.windows.degrees import MANIFEST_AGE, REMOVAL
from reporter.windows.rows import Rows
from reporter.windows.telling import Telling, as_said
from reporter.windows.vocabulary import Row, fits, fitted


@dataclass(slots=True, kw_only=True)
class ModelFile:
    """One file, or something that happened to it: what it is stands as said last, the numbers are added up.

    `removal` is the time from its revocation to its removal in seconds, or `not_revoked`, or `not_removed`.
    """

    model: str | None
    version: str | None
    digest: str | None = None
    precision: str = "unknown"
    runtime: str = "other"
    state: str | None = None
    removal: float | str | None = None
    wanted_version: str | None = None
    wanted_mirror: str | None = None
    used_mirror: str | None = None
    serving: bool | None = None
    tasks: int = 0
    fallbacks: int = 0
    crashes: int = 0
    downloads: int = 0
    signature_failures: int = 0
    checksum_failures: int = 0
    bytes_downloaded: int = 0
    bytes_wasted: int = 0


class InventoryWindow:
    """The files of one window."""

    __slots__ = ("_rows",)

    def __init__(self) -> None:
        dimensions = ("model", "version", "digest", "precision", "runtime")
        self._rows = Rows("model_inventory", dimensions, "bytes_downloaded", "bytes_wasted")

    def add(self, file: ModelFile) -> None:
        """Counts what happened to a file."""
        row = self._rows.of(file.model, file.version, file.digest, file.precision, file.runtime)
        row.say(
            state=file.state,
            removal=REMOVAL.word(file.removal),
            wanted_version=file.wanted_version,
            wanted_mirror=file.wanted_mirror,
            used_mirror=file.used_mirror,
            serving=file.serving,
        )
        row.add(
            tasks=file.tasks,
            fallbacks=file.fallbacks,
            crashes=file.crashes,
            downloads=file.downloads,
            signature_failures=file.signature_failures,
            checksum_failures=file.checksum_failures,
            bytes_downloaded=file.bytes_downloaded,
            bytes_wasted=file.bytes_wasted,
        )

    def values(self, manifest_age: Any, telling: Telling = as_said) -> Row:
        """What a model_inventory says below its header; the manifest's age in seconds, None where there is none yet."""
        rows = [{"state": "other"} | row for row in self._rows.values(telling)]
        return fitted({"manifest_age": MANIFEST_AGE.word(manifest_age), "rows": rows}, fits("model_inventory"))
