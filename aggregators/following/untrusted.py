"""Rollups that nobody can trust after their disk has failed: what they may be made anew of with no person asked.

Rules held here:

* nothing is taken from the old file. What a sync has lost may still be read well until the kernel drops it;
* only where the log reaches back to the newest seal. Where it does not the old file may have what is nowhere else: then
  it stays as it is, and a person decides;
* once that is known of a file nothing is applied to it, sealed or published from it, by any process: it has a mark.
"""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

from aggregators.database import FILE_NAME, damaged
from aggregators.following.batches import HistoryGone
from aggregators.rollups.rollups import Rollups, RollupsDamaged, RollupsUntrusted
from aggregators.sealing.seal import errors_as_ours
from aggregators.sealing.seal_files import DIRECTORY_NAME, Seal, SealDamaged, SealUnreadable, read_chain

MakeAnew = Callable[[Rollups, Sequence[Seal]], None]
"""Makes the file of rollups anew of a chain of seals, which may be empty; `reopen` comes next."""

IN_THE_WAY = "the disk under the rollups has failed, and they are not made anew by themselves"


class Trust:
    """Whether the file of the rollups may be gone on with; for any thread."""

    def __init__(self, rollups: Rollups) -> None:
        self._rollups = rollups
        self.is_lost = False

    @contextmanager
    def watching(self) -> Iterator[None]:
        """On the thread of the rollups: what fails there in this way is known before the next work on it begins."""
        try:
            yield
        except RollupsUntrusted:
            self.is_lost = True
            self._rollups.doubt()
            raise

    def require(self) -> None:
        """Raises `RollupsUntrusted` while it may not."""
        if self.is_lost:
            raise RollupsUntrusted("the disk under the rollups has failed, and they are made anew first")

    def restore(self) -> None:
        """Another file is there, and open."""
        self.is_lost = False


def seals_of(rollups: Rollups) -> Sequence[Seal]:
    """The seals beside rollups whose file need not be readable; raises `SealFailed`, `RollupsDamaged`."""
    with in_the_way():
        return read_chain(rollups.directory / DIRECTORY_NAME)


@contextmanager
def in_the_way() -> Iterator[None]:
    """What makes it impossible raises `RollupsDamaged`, which says what it is; what passes `SealFailed` or the like."""
    try:
        with errors_as_ours():
            yield
    except HistoryGone:
        raise RollupsDamaged(
            f"{IN_THE_WAY}: the log does not reach back to the newest seal, or to its beginning where there is none"
        ) from None
    except SealUnreadable:
        raise
    except SealDamaged as error:
        raise RollupsDamaged(f"{IN_THE_WAY}: {error}") from None


def stop_instead(rollups: Rollups, chain: Sequence[Seal]) -> None:
    """Where nobody knows how to make them anew: raises `RollupsDamaged`."""
    del chain
    raise damaged(rollups.directory / FILE_NAME, "is on a disk that has failed")
