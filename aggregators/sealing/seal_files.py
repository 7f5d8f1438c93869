"""The files of a seal, and the chain that seals make.

    rollups/seals/000007/seal.json         what it is, and the SHA-256 of each of its files
    rollups/seals/000007/<table>.parquet   rows of one table; a table without rows has no file

Rules held here:

* a seal appears whole or not at all: it is written beside its place, synced, and renamed, by the one follower that
  may (`aggregators.fence`); what is in its place is never undone;
* each names the SHA-256 of the seal before it and the oldest that is still needed. The rows of all from the oldest to
  the newest, and the log after the newest one's offsets, are the rollups;
* a seal that is not what its hashes say is damaged, and nothing of the chain is used.
"""

import hashlib
import os
import re
from datetime import datetime
from itertools import pairwise
from pathlib import Path

from pydantic import BaseModel, ConfigDict, ValidationError

from aggregators.fence import Fence
from ingest.failpoint import reached
from ingest.report import Partition

DIRECTORY_NAME = "seals"
SEAL_NAME = "seal.json"
NUMBERED = re.compile(r"[0-9]{6,}")


class SealDamaged(Exception):
    """A seal is not what it says it is, or one of the chain is missing; the message names it."""


class SealUnreadable(SealDamaged):
    """The system does not let a seal be read now; what is in it may be good."""


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class SealedFile(_Strict):
    """The rows of one table."""

    table: str
    rows: int
    size: int
    sha256: str


class SealedOffset(_Strict):
    """As a row of the table `offsets`."""

    topic: str
    partition: int
    last: int
    received: datetime | None


class Seal(_Strict):
    """`seal.json`. Times are UTC without a zone.

    format: of the rollups' tables. oldest: the first seal that is still needed. previous: SHA-256 of the seal.json
    before this one; None in the first of a chain. log_hour: the hour of the newest record that was applied.
    newest_hour: the greatest hour of any row. forgotten_before: ids of reports with windows before it are not needed.
    """

    format: int
    number: int
    oldest: int
    previous: str | None
    at: datetime
    log_hour: datetime
    newest_hour: datetime
    forgotten_before: datetime | None
    seen_key: str
    offsets: tuple[SealedOffset, ...]
    files: tuple[SealedFile, ...]

    @property
    def rows(self) -> int:
        return sum(file.rows for file in self.files)

    @property
    def ends(self) -> dict[Partition, int]:
        """The last offset of each partition that is in this seal or one before it."""
        return {Partition(one.topic, one.partition): one.last for one in self.offsets}


def place(seals: Path, number: int) -> Path:
    """Where the seal of that number is."""
    return seals / f"{number:06d}"


def numbers(seals: Path) -> list[int]:
    """The numbers of the seals that are there, ascending."""
    if not seals.is_dir():
        return []
    return sorted(int(one.name) for one in seals.iterdir() if NUMBERED.fullmatch(one.name))


def read_seal(seals: Path, number: int) -> Seal:
    """The seal of that number, its rows not looked at; raises `SealDamaged`, or `SealUnreadable`, which is one."""
    file = place(seals, number) / SEAL_NAME
    try:
        seal = Seal.model_validate_json(file.read_bytes())
    except FileNotFoundError:
        raise SealDamaged(f"{file} is missing") from None
    except OSError as error:
        raise SealUnreadable(f"{file} cannot be read: {error.strerror}") from None
    except ValidationError:
        raise SealDamaged(f"{file} cannot be read") from None
    if seal.number != number:
        raise SealDamaged(f"{file} belongs to seal {seal.number}")
    return seal


def read_chain(seals: Path) -> list[Seal]:
    """Every seal that is needed, oldest first; empty without any. Raises `SealDamaged`."""
    found = numbers(seals)
    if not found:
        return []
    newest = read_seal(seals, found[-1])
    chain = [read_seal(seals, number) for number in range(newest.oldest, newest.number)]
    chain.append(newest)
    for before, seal in pairwise(chain):
        if seal.previous != digest(place(seals, before.number) / SEAL_NAME) or seal.seen_key != before.seen_key:
            raise SealDamaged(f"{place(seals, seal.number)} does not follow {place(seals, before.number)}")
    return chain


def checked_files(seals: Path, seal: Seal) -> dict[str, Path]:
    """The file of each table; raises `SealDamaged` when one is not what the seal says."""
    found = {file.table: place(seals, seal.number) / f"{file.table}.parquet" for file in seal.files}
    for file in seal.files:
        path = found[file.table]
        if not path.is_file():
            raise SealDamaged(f"{path} is missing")
        if digest(path) != file.sha256:
            raise SealDamaged(f"{path} is damaged: its SHA-256 is not that in {SEAL_NAME}")
    return found


def digest(file: Path) -> str:
    """SHA-256 of a file, in hexadecimal."""
    with file.open("rb") as content:
        return hashlib.file_digest(content, "sha256").hexdigest()


def sync_file(file: Path) -> None:
    """Make what was written to `file` survive a power failure, and readable by its owner alone (0600)."""
    descriptor = os.open(file, os.O_RDONLY | os.O_CLOEXEC)
    try:
        os.fchmod(descriptor, 0o600)
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def put_in_place(fence: Fence, draft: Path, seal: Seal) -> None:
    """Make a finished draft the seal that it is; what it names is synced already. Raises `Fenced`, OSError."""
    file = draft / SEAL_NAME
    file.write_text(seal.model_dump_json(indent=1) + "\n", encoding="utf-8")
    sync_file(file)
    fence.check()
    reached("seal.drafted")
    fence.put(draft, place(fence.directory, seal.number))
    reached("seal.placed")
    fence.check()
