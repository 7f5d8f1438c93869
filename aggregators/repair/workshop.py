"""Where new rollups are made beside the old ones, and how they take their place.

Rules held here:

* the old file is as it was until the new one is whole, whatever interrupts the work;
* nobody opens the old file meanwhile, and nobody makes a second new one;
* a file never meets the last changes of another one: DuckDB keeps them beside it, under its name;
* a file that is not to be trusted is put aside before another one is begun, so that nobody opens it even if that is
  interrupted, and removed when the other one has its name;
* a file takes no place while a part of what was committed to it is beside it.
"""

import fcntl
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from aggregators.database import FILE_NAME, forget_doubt
from aggregators.rollups.rollups import RollupsInUse, RollupsOutOfReach
from ingest.state_file import sync_directory

WORKSHOP_NAME = ".rebuild"
REPLACED_SUFFIX = ".replaced"
UNTRUSTED_SUFFIX = ".untrusted"


@contextmanager
def workshop(directory: Path) -> Iterator[Path]:
    """A directory in `directory` for rollups that are not finished; one at a time, and gone afterwards.

    What an earlier one has left is seen to first: the old file is put back, or removed where the new one is there.

    Raises `RollupsInUse` where another process has one.
    """
    place = directory / WORKSHOP_NAME
    place.mkdir(mode=0o700, parents=True, exist_ok=True)
    held = os.open(place, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        _lock_workshop(held, directory)
        for left_behind in place.iterdir():
            _remove(left_behind)
        _settle_replaced(directory)
        try:
            yield place
        finally:
            shutil.rmtree(place)
    finally:
        os.close(held)


def _remove(left_behind: Path) -> None:
    """Remove a file, or a directory of what DuckDB had no memory for."""
    if left_behind.is_dir() and not left_behind.is_symlink():
        shutil.rmtree(left_behind)
    else:
        left_behind.unlink()


def _lock_workshop(held: int, directory: Path) -> None:
    try:
        fcntl.flock(held, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        raise RollupsInUse(f"{directory} is being rebuilt by another process: wait until it has ended") from None


@contextmanager
def kept_closed(directory: Path) -> Iterator[None]:
    """Keep the file in `directory`, if there is one, from being opened; raises `RollupsInUse` where somebody has it."""
    file = directory / FILE_NAME
    if not file.exists():
        yield
        return
    with file.open("r+b") as held:
        try:
            # The lock that DuckDB itself takes.
            fcntl.lockf(held, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            raise RollupsInUse(f"{file} is open in another process: stop `tidegate serve` first") from None
        yield


def discard_wal(directory: Path) -> None:
    """Remove the last changes of a file that is gone, so that they are not applied to another one."""
    _wal(directory).unlink(missing_ok=True)


def put_aside(directory: Path) -> None:
    """Take its name from a file that is closed and not to be trusted, and from its last changes, after it.

    Without the file nobody opens the changes; the next file is made of seals and log, by whoever comes to it.
    """
    for one in (directory / FILE_NAME, _wal(directory)):
        with suppress(FileNotFoundError):
            one.rename(_untrusted(one))
    sync_directory(directory)


def put_in_place(place: Path, directory: Path) -> None:
    """Give the finished file in the workshop its name, unless another process has made one meanwhile.

    Raises `RollupsOutOfReach` where it is not whole.
    """
    _require_whole(place)
    with suppress(FileExistsError):
        (directory / FILE_NAME).hardlink_to(place / FILE_NAME)
    sync_directory(directory)
    _remove_untrusted(directory)


def replace_old(place: Path, directory: Path) -> None:
    """Put the finished file in the workshop in the place of the old one.

    Between the renames there is no file: the next workshop then puts the old one back, with its last changes. Raises
    `RollupsOutOfReach` where it is not whole; the old one is as it was then.
    """
    _require_whole(place)
    file, wal = directory / FILE_NAME, _wal(directory)
    if file.exists():
        file.rename(_replaced(file))
        if wal.exists():
            wal.rename(_replaced(wal))
    discard_wal(directory)
    (place / FILE_NAME).rename(file)
    sync_directory(directory)
    _settle_replaced(directory)
    _remove_untrusted(directory)


def _require_whole(place: Path) -> None:
    if _wal(place).exists():
        raise RollupsOutOfReach("what the new rollups are made of could not be written into their file")


def is_unsettled(directory: Path) -> bool:
    """Whether somebody was interrupted while the file in `directory` was replaced, or replaces it now."""
    return any(_replaced(one).exists() for one in (directory / FILE_NAME, _wal(directory)))


def _settle_replaced(directory: Path) -> None:
    """Remove the old file once the new one has its name; until then put it back, its last changes first."""
    file, wal = directory / FILE_NAME, _wal(directory)
    if not file.exists() and _replaced(file).exists():
        if _replaced(wal).exists():
            _replaced(wal).rename(wal)
        _replaced(file).rename(file)
        sync_directory(directory)
    # The changes first: without their file they would be put beside another one.
    for one in (wal, file):
        _replaced(one).unlink(missing_ok=True)


def _remove_untrusted(directory: Path) -> None:
    for one in (_wal(directory), directory / FILE_NAME):
        _untrusted(one).unlink(missing_ok=True)
    forget_doubt(directory / FILE_NAME)


def _wal(directory: Path) -> Path:
    return directory / f"{FILE_NAME}.wal"


def _replaced(file: Path) -> Path:
    return file.with_name(file.name + REPLACED_SUFFIX)


def _untrusted(file: Path) -> Path:
    return file.with_name(file.name + UNTRUSTED_SUFFIX)
