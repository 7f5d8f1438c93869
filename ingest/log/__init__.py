"""The log: where what was let through is made durable, and from where everything after the gate reads.

One interface, several implementations (memory, embedded, Kafka), one contract suite
(`tests/contract/test_log.py`). What every implementation promises is written here and not repeated there.
"""

from collections.abc import Sequence
from typing import Protocol

from ingest.report import Entry, Extent, Partition, Position, StoredEntry


class LogUnavailable(Exception):
    """The log refused the entries: none of them was stored, and the same append may be tried again later."""


class StorageFull(LogUnavailable):
    """The log refused the entries because the storage under it has no space left."""


class LogDamaged(LogUnavailable):
    """What the log holds there is not what was appended: a person has to restore it. Nothing of it is returned."""


class InDoubt(Exception):
    """The log did not confirm in time: the entries may or may not be stored. A retry must carry the same keys."""


class LogReader(Protocol):
    """The reading half of a log. A reader may live in another process than the writer.

    `partitions`, `read` and `extent` raise `LogUnavailable` when the log cannot be read now, and after `close`.
    """

    async def partitions(self) -> Sequence[Partition]:
        """Every partition that holds, or held, an entry; sorted."""
        ...

    async def read(self, partition: Partition, *, after: int, limit: int) -> Sequence[StoredEntry]:
        """At most `limit` entries of `partition` with an offset greater than `after`, in the order of their offsets.

        `after=-1` reads from the beginning. Fewer than `limit`, or none, when there was nothing further when the call
        was made: everything acknowledged before it is seen. A later call may return more.
        Only durable entries are returned, each exactly as it was appended, and an offset that was returned once always
        returns the same entry. Offsets in a partition rise; they need not be dense. Raises `LogDamaged` where the next
        entry is not what was appended.
        """
        ...

    async def extent(self, partition: Partition) -> Extent:
        """Which offsets of `partition` are held now; `Extent(0, 0)` where nobody ever wrote.

        Retention takes away from the beginning, and may take everything: `first` is `end` then, and is not 0. `end`
        never falls while the log is the same one.
        """
        ...

    async def close(self) -> None:
        """Releases what the log holds. A second call does nothing."""
        ...


class Log(LogReader, Protocol):
    """A log that can be written to.

    * `append` returns only when every entry is durable: it survives the process being killed at any later moment.
    * `append` stores all entries or raises: after `LogUnavailable` none is stored, after `InDoubt` (or when the caller
      was cancelled) nothing is known, and of entries in several partitions those of one may be stored without others.
    * A timestamp is 0 or later: not every log can say what was before 1970.
    * Entries of one call that share a topic and a key land in one partition in the order given; the same topic and key
      always lands in the same partition, whoever appends it, as long as no operator gives the topic more partitions.
    * Concurrent calls are safe and may share one commit. Appending the same entry twice stores it twice: whoever reads
      the log decides what a duplicate is.
    * The number of partitions of a topic never changes by itself, and never falls.
    * After a failed `append` the log recovers by itself once the cause has gone.
    """

    @property
    def commits(self) -> int:
        """How many commits stored entries since this object was made."""
        ...

    @property
    def entries(self) -> int:
        """How many entries they stored."""
        ...

    async def append(self, entries: Sequence[Entry]) -> Sequence[Position]:
        """Stores `entries` durably and says where, in the order given; raises `LogUnavailable` or `InDoubt`."""
        ...

    async def probe(self) -> None:
        """Proves that an append would succeed now by a durable write that no reader sees; raises `LogUnavailable`."""
        ...
