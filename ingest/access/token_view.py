"""Tokens as the gate looks them up: in memory, about a microsecond a request.

Rules:

* hashes are compared in constant time, and only who holds the right secret learns that a token expired or was revoked:
  a wrong secret is `wrong_token`, whether its id is known or not;
* the store is looked at no more than once a second, and read only as far as it changed, so a revocation takes effect
  within about a second at no cost to the requests between;
* a store that cannot be read leaves the last good view in force for a minute; then every request is refused, because
  nobody knows any more which tokens were revoked;
* no secret and no hash is in a repr, an exception or a log line.
"""

import hmac
import sqlite3
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from ingest.access.tokens import ID_LENGTH, KINDS, SCHEMA_VERSION, SECRET_LENGTH, Kind, hash_secret, schema_sql
from ingest.clock import Clock
from ingest.problems import Reason, Rejected
from ingest.state_file import StateFileError, create_state, open_state
from ingest.telemetry.events import Event
from ingest.telemetry.logs import log

SECRET_AT = len("tg_") + ID_LENGTH + len("_")
TOKEN_LENGTH = SECRET_AT + SECRET_LENGTH

LOOK_EVERY_SECONDS = 1.0
STALE_SECONDS = 60.0
"""How long the last good view stays in force: longer than a backup's lock or a remount, short for a revoked token."""
VIEW_BUSY_SECONDS = 0.05
"""The view runs in the gate's event loop; in WAL mode it waits for nobody but a process that recovers the file."""


@dataclass(frozen=True, slots=True)
class Credential:
    """Who is asking, as far as the gate needs to know; `tier` is `*` where `kind` is a role, which only reads."""

    id: str
    tier: str
    kind: Kind


def bearer_token(authorization: bytes | None) -> bytes | None:
    """The token of an `Authorization: Bearer` header (RFC 6750; the scheme in any case), None where it is another."""
    if authorization is None:
        return None
    scheme, _, token = authorization.partition(b" ")
    return token.strip() if scheme.lower() == b"bearer" else None


@dataclass(frozen=True, slots=True)
class _Known:
    """A token as the view keeps it."""

    credential: Credential
    expires: int
    revoked: bool
    hash: bytes = field(repr=False)


class TokenView:
    """The tokens in memory, for the gate; call it from one thread at a time.

    Raises `StateFileError` on construction when the store is unusable: a gate does not start without one.
    """

    def __init__(self, path: Path, clock: Clock) -> None:
        create_state(path, schema=schema_sql())
        self._path = path
        self._clock = clock
        self._connection: sqlite3.Connection | None = None
        self._file = (0, 0)
        self._data_version = 0
        self._change = 0
        self._known: dict[bytes, _Known] = {}
        try:
            self._follow()
        except (OSError, sqlite3.Error) as error:
            raise StateFileError(f"{path} cannot be read ({error}); restore it from a backup") from None
        self._good_at = clock.monotonic()
        self._look_at = self._good_at + LOOK_EVERY_SECONDS

    def close(self) -> None:
        if self._connection is not None:
            self._connection.close()
            self._connection = None

    @property
    def readable(self) -> bool:
        """Whether the newest look at the store succeeded; the gate's readiness may say so."""
        return self._connection is not None

    def fresh(self) -> bool:
        """Whether a token could be checked now: the store could be read within the last minute."""
        if (now := self._clock.monotonic()) >= self._look_at:
            self._look(now)
        return now - self._good_at <= STALE_SECONDS

    def check(self, token: bytes | None, now_ms: int) -> Credential:
        """The credential behind a token; about 1 µs.

        Raises `Rejected`: no_token, wrong_token, token_expired, token_revoked, or tokens_unreadable where the store
        could not be read for a minute.
        """
        if not token:
            raise Rejected(Reason.NO_TOKEN)
        if not self.fresh():
            raise Rejected(Reason.TOKENS_UNREADABLE)
        known = self._find(token)
        if known.revoked:
            raise Rejected(Reason.TOKEN_REVOKED)
        if now_ms >= known.expires:
            raise Rejected(Reason.TOKEN_EXPIRED)
        return known.credential

    def _find(self, token: bytes) -> _Known:
        # The length comes first, so that no more than a token's worth of a header is ever hashed.
        if len(token) == TOKEN_LENGTH and token[:3] == b"tg_" and token[SECRET_AT - 1 : SECRET_AT] == b"_":
            known = self._known.get(token[3 : 3 + ID_LENGTH])
            if known is not None and hmac.compare_digest(known.hash, hash_secret(token[SECRET_AT:])):
                return known
        raise Rejected(Reason.WRONG_TOKEN)

    def _look(self, now: float) -> None:
        was_readable = self.readable
        self._look_at = now + LOOK_EVERY_SECONDS
        try:
            self._follow()
        except (OSError, sqlite3.Error, StateFileError):
            self.close()
            if was_readable:
                log(Event.TOKENS_UNREADABLE, seconds=STALE_SECONDS)
        else:
            self._good_at = now

    def _follow(self) -> None:
        """Read what changed since the last look, or everything when the file is another one (restored, replaced)."""
        status = self._path.stat()
        if self._connection is None or (status.st_dev, status.st_ino) != self._file:
            self.close()
            self._connection = open_state(self._path, version=SCHEMA_VERSION, busy_seconds=VIEW_BUSY_SECONDS)
            self._file = (status.st_dev, status.st_ino)
            self._read_all(self._connection)
        elif self._data_version != _data_version(self._connection):
            self._read_changes(self._connection)

    def _read_all(self, connection: sqlite3.Connection) -> None:
        self._data_version = _data_version(connection)
        self._change = _last_change(connection)
        self._known = dict(_read(connection, after=0))

    def _read_changes(self, connection: sqlite3.Connection) -> None:
        # Each number is read before the rows it speaks of: what is written in between is read again, never missed.
        data_version, change = _data_version(connection), _last_change(connection)
        if change < self._change:  # an older file was copied over this one
            self._read_all(connection)
            return
        self._known.update(_read(connection, after=self._change))
        self._data_version, self._change = data_version, change


def _read(connection: sqlite3.Connection, *, after: int) -> Iterator[tuple[bytes, _Known]]:
    rows = connection.execute(
        "SELECT id, tier, kind, expires, revoked IS NOT NULL, hash FROM tokens WHERE change > ?", (after,)
    )
    for token_id, tier, kind, expires, revoked, hashed in rows:
        if kind in KINDS:  # a newer command may have made tokens of kinds that this gate does not know
            yield token_id.encode(), _Known(Credential(token_id, tier, kind), expires, bool(revoked), hashed)


def _data_version(connection: sqlite3.Connection) -> int:
    """A number that changes whenever another connection has committed to the file."""
    return int(connection.execute("PRAGMA data_version").fetchone()[0])


def _last_change(connection: sqlite3.Connection) -> int:
    return int(connection.execute("SELECT coalesce(max(change), 0) FROM tokens").fetchone()[0])
