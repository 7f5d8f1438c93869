"""The one place where what a log holds becomes an entry again.

Entries are built by `ingest.records` from stripped reports alone (`tests/test_architecture.py`); reading the log is the
exception, since only such entries were ever appended to it.
"""

from ingest.report import Entry, StoredEntry

EntryFields = tuple[str, bytes, bytes, int, tuple[tuple[str, bytes], ...]]
"""Topic, key, value, timestamp and headers: the order of `Entry`'s own fields."""


def stored_entry(offset: int, fields: EntryFields) -> StoredEntry:
    """The entry with these fields as it was appended at `offset`."""
    return StoredEntry(offset, Entry(*fields))
