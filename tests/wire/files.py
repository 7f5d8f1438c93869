"""The golden reports on disk, below `tests/golden/wire/<tier>/`: `<report>.<what>` and one of these endings.

    .avro, .avro-sequence   the body to post: one message, or a batch
    .hex                    the same bytes, a part a line; what is behind `#` says what they mean
    .json                   the same report as JSON, which may be posted as well
    .answer.json            why the file is there, and what the gate answers to it, without and with `?check=1`

`python -m tests.wire.regenerate` makes them from `tests/wire/values.py`.
"""

import json
import struct
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

FOLDER = Path(__file__).resolve().parents[1] / "golden" / "wire"

MEDIA_TYPES = {".avro": "application/avro", ".avro-sequence": "application/avro-sequence"}
JSON = "application/json"


@dataclass(frozen=True, slots=True)
class GoldenFile:
    """One golden report; `body` is its Avro file."""

    body: Path

    @property
    def tier(self) -> str:
        return self.body.parent.name

    @property
    def report(self) -> str:
        return self.body.name.partition(".")[0]

    @property
    def name(self) -> str:
        return f"{self.tier}/{self.body.stem}"

    @property
    def media_type(self) -> str:
        return MEDIA_TYPES[self.body.suffix]

    @property
    def raw(self) -> bytes:
        return self.body.read_bytes()

    @property
    def messages(self) -> list[bytes]:
        """The messages of the body, without what a batch puts between them."""
        return cut(self.raw) if self.body.suffix == ".avro-sequence" else [self.raw]

    @property
    def from_hex(self) -> bytes:
        """What the hex file says, comments taken off."""
        lines = self.beside(".hex").read_text(encoding="utf-8").splitlines()
        return bytes.fromhex("".join(line.partition("#")[0] for line in lines))

    @property
    def posted(self) -> Any:
        """The report, or the list of reports, as JSON has it."""
        return json.loads(self.beside(".json").read_bytes())

    @property
    def reports(self) -> list[dict[str, Any]]:
        """The reports as JSON has them, one for every message."""
        return self.posted if isinstance(self.posted, list) else [self.posted]

    @property
    def answer(self) -> dict[str, Any]:
        """`why`, `status`, `answer`, and `check` with the last two of a check."""
        content: dict[str, Any] = json.loads(self.beside(".answer.json").read_bytes())
        return content

    def beside(self, ending: str) -> Path:
        """The file of the same report with another ending."""
        return self.body.with_suffix(ending)


def golden_files() -> Iterator[GoldenFile]:
    """Every golden report, by tier and name."""
    yield from (GoldenFile(file) for file in sorted(FOLDER.glob("*/*")) if file.suffix in MEDIA_TYPES)


def sequence(messages: list[bytes]) -> bytes:
    """A batch: each message behind its length."""
    return b"".join(struct.pack(">I", len(message)) + message for message in messages)


def cut(body: bytes) -> list[bytes]:
    """The messages of a batch; the opposite of `sequence`."""
    found, at = [], 0
    while at < len(body):
        (length,) = struct.unpack_from(">I", body, at)
        found.append(body[at + 4 : at + 4 + length])
        at += 4 + length
    return found
