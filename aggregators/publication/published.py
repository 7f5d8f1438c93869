"""What was published, as files: `published/<number>/`, from which the tables of cells can be filled again.

Rules:

* a publication is a folder that appears whole, written under another name, synced, then renamed, by the one follower
  that may (`aggregators.fence`); it is never changed;
* `publication.json` has the SHA-256 of every other file, and a file that does not agree is refused by its name;
* numbers rise by one. A number that is missing between two others is refused as well: without it, cells that were
  published would be published a second time from other data;
* the files hold what no answer shows, the lower bound of the devices in a cell: folders are 0700 and files 0600.
"""

import json
import re
from collections.abc import Mapping
from datetime import datetime
from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict, ValidationError

from aggregators.fence import Fence
from aggregators.sealing.seal_files import digest, sync_file
from ingest.failpoint import reached

INDEX = "publication.json"
NUMBER = re.compile(r"[0-9]{6,9}")


class PublicationDamaged(Exception):
    """A publication cannot be used; the message says which file, why, and what to do."""


class PublicationFile(BaseModel):
    """`publication.json`; times are UTC and naive. `files` are names with their SHA-256 in hexadecimal digits."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    format: Literal[1]
    number: int
    at: datetime
    complete_to: datetime
    files: Mapping[str, str]


def numbers(directory: Path) -> list[int]:
    """The numbers of the publications in `directory`, rising from 1; raises `PublicationDamaged` if one is missing."""
    found = sorted(int(one.name) for one in directory.glob("*") if NUMBER.fullmatch(one.name))
    for expected, number in enumerate(found, start=1):
        if number != expected:
            raise _damaged(folder(directory, expected), "is missing, and later publications are there")
    return found


def folder(directory: Path, number: int) -> Path:
    """Where a publication is."""
    return directory / f"{number:06d}"


def finish(draft: Path, fence: Fence, *, number: int, at: datetime, complete_to: datetime) -> None:
    """Gives the publication in `draft` its index and its name; it is durable once this returns.

    Raises `Fenced`, OSError.
    """
    digests = {}
    for file in sorted(draft.iterdir()):
        digests[file.name] = digest(file)
        sync_file(file)
    index = PublicationFile(format=1, number=number, at=at, complete_to=complete_to, files=digests)
    text = json.dumps(index.model_dump(mode="json"), indent=1) + "\n"
    (draft / INDEX).touch(mode=0o600)
    (draft / INDEX).write_text(text, encoding="utf-8")
    sync_file(draft / INDEX)
    fence.check()
    reached("publish.drafted")
    fence.put(draft, folder(fence.directory, number))
    reached("publish.placed")
    fence.check()


def verified(directory: Path, number: int) -> PublicationFile:
    """The index of a publication whose files are all as they were written.

    Raises `PublicationDamaged`, and OSError where the system does not let one be read, which may be good.
    """
    place = folder(directory, number)
    try:
        index = PublicationFile.model_validate_json((place / INDEX).read_bytes())
    except FileNotFoundError:
        raise _damaged(place / INDEX, "is missing") from None
    except ValidationError:
        raise _damaged(place / INDEX, "cannot be read as the index of a publication") from None
    if index.number != number:
        raise _damaged(place / INDEX, "belongs to another publication")
    for name, expected in index.files.items():
        try:
            found = digest(place / name)
        except FileNotFoundError:
            raise _damaged(place / name, "is missing") from None
        if found != expected:
            raise _damaged(place / name, "is not as it was written (its SHA-256 is another)")
    return index


def _damaged(place: Path, problem: str) -> PublicationDamaged:
    return PublicationDamaged(
        f"{place} {problem}; restore it from a backup. Nothing is published until then: what was published must not be "
        "published a second time from other data"
    )
