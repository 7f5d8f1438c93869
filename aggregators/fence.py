"""Who may add to a directory of numbered folders, which seals and publications are: the follower that came last.

    <directory>/000007/         a folder that has its number, which counts and is never changed
    <directory>/.draft-3-…/     what the owner of epoch 3 has not finished, or is removing
    <directory>/epochs/3        epoch 3 is claimed; says by whom and when, for people

The directory may be shared or moved, so a follower that was paused, or cut off, may wake up when another one has taken
over. Nothing can stop it between a look and a rename. Rules held here:

* an epoch is claimed by making its file, which succeeds once (compare-and-swap). Whoever starts claims the next one;
* the new owner then takes every draft of lower epochs away, by renaming it first, and only then looks which numbers
  are there;
* a folder gets its number by the rename of a draft, and between making the draft and that rename its owner looks for a
  higher epoch (`check`).

So of two followers one wins every draft. Made before the new owner takes drafts away, it is renamed by one of the two:
then it has its number before the new owner looks, or it is gone and the rename fails. Made afterwards, its owner finds
the higher epoch. Nothing is added once the new owner has looked, and nobody removes what counts for another one.

docs/adr/0016-fencing.md says what this rests on; `tests/aggregators/test_fence.py` runs two and three at once, step by
step in every order.
"""

import json
import os
import re
import secrets
import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from pathlib import Path

from ingest.state_file import sync_directory

EPOCHS_NAME = "epochs"
DRAFT_PREFIX = ".draft-"
DRAFT = re.compile(r"\.draft-(?:(?P<epoch>[1-9][0-9]*)-)?.*")
"""Without an epoch: from before there were any."""


class Fenced(Exception):
    """Another follower has taken over; the message says who and when, and names no path."""


class Fence:
    """An epoch that this process has claimed in `directory`, which is made if need be. For one thread."""

    def __init__(self, directory: Path, epoch: int) -> None:
        self.directory = directory
        self.epoch = epoch

    @classmethod
    def claim(cls, directory: Path) -> "Fence":
        """Take over: whoever adds to the directory now is fenced from here on. Raises `Fenced`, OSError.

        Call it with the rollups' file open, or kept closed, and after a look at which numbers are there: a process that
        is about to be refused must fence nobody. Look again afterwards, for the owner of before may have added one.
        """
        for one in (directory, directory / EPOCHS_NAME):  # the mode is that of the last one made, never of its parents
            one.mkdir(mode=0o700, parents=True, exist_ok=True)
        fence = cls(directory, _take_next(directory / EPOCHS_NAME))
        fence.sweep()
        fence.check()
        return fence

    def check(self) -> None:
        """Raises `Fenced` unless the epoch of this process is the newest that is claimed."""
        newest = max(_claimed(self.directory / EPOCHS_NAME), default=0)
        if newest < self.epoch:
            raise Fenced(f"the claim of this process to the {self.directory.name}, epoch {self.epoch}, is gone")
        if newest > self.epoch:
            raise Fenced(
                f"another follower has taken over the {self.directory.name}: epoch {newest} was claimed by "
                f"{_owner(self.directory / EPOCHS_NAME / str(newest))}, and this process has epoch {self.epoch}"
            )

    @contextmanager
    def explaining(self) -> Iterator[None]:
        """What fails in the body because another one took over, whose sweep takes drafts away, raises `Fenced`."""
        try:
            yield
        except Exception:  # whatever it was, it goes on, unless this says why
            with suppress(OSError):  # what cannot be looked at says nothing
                self.check()
            raise

    def new_draft(self) -> Path:
        """An empty folder (0700) for what is not finished; what this process has left behind is removed."""
        self.sweep()
        draft = self._draft()
        draft.mkdir(mode=0o700)
        return draft

    def put(self, draft: Path, place: Path) -> None:
        """Give a finished draft, whose files are synced, its place. `check` must have come since it was made."""
        sync_directory(draft)
        draft.rename(place)
        sync_directory(self.directory)

    def remove(self, one: Path) -> None:
        """Take a folder of the directory away; it is whole until it is gone, whenever the process ends."""
        taken = self._draft()
        with suppress(FileNotFoundError):  # another one was faster
            one.rename(taken)
            shutil.rmtree(taken)

    def sweep(self) -> None:
        """Remove drafts and claims of this epoch's owner and of earlier ones, and none of anybody who came later."""
        for one in self.directory.iterdir():
            found = DRAFT.fullmatch(one.name)
            if found and int(found["epoch"] or 0) <= self.epoch:
                self.remove(one)
        for epoch in _claimed(self.directory / EPOCHS_NAME):
            if epoch < self.epoch:
                (self.directory / EPOCHS_NAME / str(epoch)).unlink(missing_ok=True)

    def _draft(self) -> Path:
        return self.directory / f"{DRAFT_PREFIX}{self.epoch}-{secrets.token_hex(8)}"


def _take_next(epochs: Path) -> int:
    """Claim the next epoch, which one process can; says which one that is."""
    while True:
        epoch = max(_claimed(epochs), default=0) + 1
        with suppress(FileExistsError):
            claim = os.open(epochs / str(epoch), os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
            break
    with os.fdopen(claim, "w", encoding="utf-8") as file:
        json.dump({"host": os.uname().nodename, "process": os.getpid(), "at": f"{datetime.now(UTC):%FT%TZ}"}, file)
        file.flush()
        os.fsync(file.fileno())
    sync_directory(epochs)
    return epoch


def _claimed(epochs: Path) -> list[int]:
    return [int(one.name) for one in epochs.iterdir() if one.name.isascii() and one.name.isdigit()]


def _owner(claim: Path) -> str:
    """Who made a claim, for people."""
    try:
        said = json.loads(claim.read_bytes())
        return f"process {said['process']:d} on {said['host']:s} at {said['at']:s}"
    except (OSError, ValueError, KeyError, TypeError):  # it may be half written, or its owner fenced as well
        return "a process that has not said its name yet"
