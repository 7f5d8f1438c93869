"""The keys of `ingest.pseudonym`: one per tier and epoch, made when first needed, destroyed past the tier's horizon.

A key is a file of its own, `<tier>/<first day>.<days>d.key` (0600, in 0700 folders); `index.sqlite3` beside the tiers
knows which epochs ever had one and which were destroyed. Rules (docs/adr/0006-pseudonym-keys.md):

* never made: it is made. Made and missing: `key_missing`, because a second key would split one device into two.
  Destroyed: `epoch_closed`, for ever;
* making writes the file, then the index, then hands the key out: after a crash between them the key on disk is adopted,
  and nobody had used it;
* destroying writes the index, then the file: after a crash between them the epoch is closed, and the next keyring, or
  the next purge, finishes the file;
* reading reads the file, then the index, because a key that another process is overwriting must not be used: if the
  index, read afterwards, says that the epoch is open, the file was whole;
* a key stays in memory for a second before both are read again, so that a destruction elsewhere takes effect.
"""

import os
import secrets
import sqlite3
from contextlib import suppress
from dataclasses import dataclass, field
from importlib import resources
from pathlib import Path
from typing import NamedTuple

from ingest.clock import Clock, iso_utc
from ingest.problems import Reason, Rejected
from ingest.state_file import create_private, create_state, open_state, sync_directory, transaction

DIRECTORY_NAME = "keys"
INDEX_NAME = "index.sqlite3"
SCHEMA_VERSION = 1

KEY_BYTES = 32
MS_PER_DAY = 86_400_000
RECHECK_SECONDS = 1.0


class Epoch(NamedTuple):
    """The `number`-th span of `days` whole UTC days since 1970-01-01."""

    days: int
    number: int

    @property
    def start_ms(self) -> int:
        return self.number * self.days * MS_PER_DAY

    @property
    def end_ms(self) -> int:
        """The first millisecond after it."""
        return self.start_ms + self.days * MS_PER_DAY

    def __str__(self) -> str:
        """How files and commands call it: `2026-11-05.30d`."""
        return f"{iso_utc(self.start_ms)[:10]}.{self.days}d"


@dataclass(frozen=True, slots=True)
class EpochRecord:
    """What the index and the folder say about an epoch. Times are milliseconds since the epoch, UTC."""

    tier: str
    epoch: Epoch
    made: int
    destroyed: int | None
    has_file: bool

    @property
    def state(self) -> str:
        """`usable`, `missing` (made, and the file is gone) or `destroyed`."""
        if self.destroyed is not None:
            return "destroyed"
        return "usable" if self.has_file else "missing"


class UnknownEpochError(LookupError):
    """The index has no such epoch."""


@dataclass(frozen=True, slots=True)
class _Cached:
    until: float
    key: bytes = field(repr=False)


class Keyring:
    """The keys in one directory, shared by every gate and command that is given it; use from one thread at a time.

    Raises `StateFileError` on construction when the index is unusable.
    """

    def __init__(self, directory: Path, clock: Clock) -> None:
        index = directory / INDEX_NAME
        create_state(index, schema=resources.files("ingest").joinpath("keys.sql").read_text(encoding="utf-8"))
        self._directory = directory
        self._clock = clock
        self._connection = open_state(index, version=SCHEMA_VERSION)
        self._cache: dict[tuple[str, Epoch], _Cached] = {}
        self._finish_destruction()

    def close(self) -> None:
        self._cache.clear()
        self._connection.close()

    def key(self, tier: str, epoch_days: int, window_start_ms: int) -> bytes:
        """The 32 bytes of the epoch that `window_start_ms` is in; the window must have passed the tier's horizon check.

        Raises `Rejected`: key_missing or epoch_closed.
        """
        epoch = Epoch(epoch_days, window_start_ms // (epoch_days * MS_PER_DAY))
        now = self._clock.monotonic()
        cached = self._cache.get((tier, epoch))
        if cached is not None and now < cached.until:
            return cached.key
        # All that is stale goes, not only what is asked for: a key must not linger because nobody asks for it again.
        self._cache = {name: entry for name, entry in self._cache.items() if now < entry.until}
        try:
            key = self._usable(tier, epoch)
        except (OSError, sqlite3.Error):  # the text names files; the sender is told what to do
            raise Rejected(Reason.KEY_MISSING) from None
        self._cache[tier, epoch] = _Cached(now + RECHECK_SECONDS, key)
        return key

    def epochs(self) -> list[EpochRecord]:
        """Every epoch that ever had a key, by tier and age."""
        rows = self._connection.execute(
            "SELECT tier, days, number, made, destroyed FROM epochs ORDER BY tier, days * number, days"
        )
        return [
            EpochRecord(tier, epoch := Epoch(days, number), made, destroyed, self._file(tier, epoch).exists())
            for tier, days, number, made, destroyed in rows
        ]

    def destroy(self, tier: str, epoch: Epoch) -> None:
        """Close an epoch for ever and erase its key; a second time changes nothing. Raises `UnknownEpochError`."""
        with transaction(self._connection):
            changed = self._connection.execute(
                "UPDATE epochs SET destroyed = coalesce(destroyed, ?) WHERE tier = ? AND days = ? AND number = ?",
                (self._clock.now_ms(), tier, *epoch),
            ).rowcount
        if not changed:
            raise UnknownEpochError
        self._cache.pop((tier, epoch), None)
        _erase(self._file(tier, epoch))

    def purge(self, tier: str, *, horizon_days: int, now_ms: int) -> tuple[Epoch, ...]:
        """Destroy the tier's keys whose epoch ended `horizon_days` ago or earlier, and say which.

        Epochs of every length, because the length is a policy that may have changed since.
        """
        past = tuple(
            record.epoch
            for record in self.epochs()
            if record.tier == tier
            and record.destroyed is None
            and record.epoch.end_ms + horizon_days * MS_PER_DAY <= now_ms
        )
        for epoch in past:
            self.destroy(tier, epoch)
        self._finish_destruction()
        return past

    def _usable(self, tier: str, epoch: Epoch) -> bytes:
        if not self._is_made(tier, epoch):
            self._make(tier, epoch)
        key = self._read(tier, epoch)
        self._require_open(tier, epoch)
        if key is None or len(key) != KEY_BYTES:
            raise Rejected(Reason.KEY_MISSING)
        return key

    def _make(self, tier: str, epoch: Epoch) -> None:
        # The transaction is the lock: another gate that needs the same key waits here and then finds it.
        with transaction(self._connection):
            if self._is_made(tier, epoch):
                return
            file = self._file(tier, epoch)
            if not file.parent.exists():
                file.parent.mkdir(mode=0o700)
                sync_directory(self._directory)
            _write_once(file, secrets.token_bytes(KEY_BYTES))
            self._connection.execute(
                "INSERT INTO epochs (tier, days, number, made) VALUES (?, ?, ?, ?)",
                (tier, *epoch, self._clock.now_ms()),
            )

    def _is_made(self, tier: str, epoch: Epoch) -> bool:
        row = self._connection.execute(
            "SELECT 1 FROM epochs WHERE tier = ? AND days = ? AND number = ?", (tier, *epoch)
        ).fetchone()
        return row is not None

    def _require_open(self, tier: str, epoch: Epoch) -> None:
        (destroyed,) = self._connection.execute(
            "SELECT destroyed FROM epochs WHERE tier = ? AND days = ? AND number = ?", (tier, *epoch)
        ).fetchone()
        if destroyed is not None:
            raise Rejected(Reason.EPOCH_CLOSED)

    def _read(self, tier: str, epoch: Epoch) -> bytes | None:
        with suppress(FileNotFoundError):
            return self._file(tier, epoch).read_bytes()
        return None

    def _finish_destruction(self) -> None:
        for record in self.epochs():
            if record.destroyed is not None and record.has_file:
                _erase(self._file(record.tier, record.epoch))

    def _file(self, tier: str, epoch: Epoch) -> Path:
        return self._directory / tier / f"{epoch}.key"


def _write_once(file: Path, content: bytes) -> None:
    """Put a whole file in its place, on disk, unless there is one already: that one was left by a crash and is kept."""
    draft = create_private(file.parent, content)
    with suppress(FileExistsError):
        file.hardlink_to(draft)
    draft.unlink()
    sync_directory(file.parent)


def _erase(file: Path) -> None:
    """Overwrite a key and take its name away, both on disk. A file that is gone already was erased."""
    try:
        descriptor = os.open(file, os.O_WRONLY | os.O_NOFOLLOW | os.O_CLOEXEC)
    except FileNotFoundError:
        return
    try:
        # In place, so that a second link which a crash may have left holds nothing either.
        os.write(descriptor, bytes(os.fstat(descriptor).st_size))
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
    file.unlink(missing_ok=True)
    sync_directory(file.parent)
