"""Tokens as an operator keeps them: made, listed, rotated, revoked. The gate looks them up in
`ingest.access.token_view`.

A token is `tg_<id>_<secret>`. The id is public: it is what lists show and what an operator revokes. A token either
posts to one tier (kinds `device` and `class`) or reads answers about all of them (a role). Rules:

* the whole token is shown once, by the command that makes it, and only SHA-256 of its secret is stored. The secret is
  260 random bits, so there is no dictionary to try, and a slow password hash would cost every request of the gate what
  it is meant to cost an attacker (docs/adr/0005-tokens.md);
* nothing is ever deleted: what a token was, and when it ended, stays on record;
* no secret and no hash is in a repr, an exception or a log line.
"""

import base64
import hashlib
import secrets
from dataclasses import dataclass, field
from importlib import resources
from pathlib import Path
from typing import Literal, get_args

from ingest.clock import Clock
from ingest.state_file import create_state, open_state, transaction
from schemas.tier import TokenKind

FILE_NAME = "tokens.sqlite3"
SCHEMA_VERSION = 1

Role = Literal["analyst", "operator", "auditor"]
"""What a token that reads answers is for; each measure says which of them may ask it."""

Kind = TokenKind | Role
ROLES: tuple[Role, ...] = get_args(Role)
KINDS: tuple[Kind, ...] = (*get_args(TokenKind), *ROLES)

EVERY_TIER = "*"
"""The tier of a token that reads: answers are about all tiers. No tier can have that name."""

ID_LENGTH = 12
"""Base32 characters: 60 bits, so that ids never meet by chance and can still be read aloud."""
SECRET_LENGTH = 52
"""Base32 characters: 260 bits."""

SELECT_TOKENS = "SELECT id, tier, kind, label, created, expires, revoked, replaced_by FROM tokens"
KIND_COLUMN = 2


@dataclass(frozen=True, slots=True)
class Token:
    """What an operator sees of a token. Times are milliseconds since the epoch, UTC."""

    id: str
    tier: str
    kind: Kind
    label: str
    created: int
    expires: int
    revoked: int | None
    replaced_by: str | None

    def state(self, now_ms: int) -> str:
        """`revoked`, `expired`, `replaced` (still good, its successor exists) or `live`."""
        if self.revoked is not None:
            return "revoked"
        if now_ms >= self.expires:
            return "expired"
        return "live" if self.replaced_by is None else "replaced"


@dataclass(frozen=True, slots=True)
class IssuedToken:
    """A new token; `text` is the whole of it and can never be shown again."""

    token: Token
    text: str = field(repr=False)


class UnknownTokenError(LookupError):
    """No token has that id."""


class TokenNotLiveError(Exception):
    """The token cannot be rotated; the message says why and what to do."""


class TokenStore:
    """The tokens on disk, for commands: each method is one transaction. Raises `StateFileError` when unusable."""

    def __init__(self, path: Path, clock: Clock) -> None:
        create_state(path, schema=schema_sql())
        self._connection = open_state(path, version=SCHEMA_VERSION)
        self._clock = clock

    def close(self) -> None:
        self._connection.close()

    def new(self, *, tier: str, kind: Kind, label: str, lifetime_ms: int) -> IssuedToken:
        """A new token that expires `lifetime_ms` from now."""
        now = self._clock.now_ms()
        with transaction(self._connection):
            return self._insert(
                Token(_base32(ID_LENGTH), tier, kind, label, now, now + lifetime_ms, revoked=None, replaced_by=None)
            )

    def tokens(self) -> list[Token]:
        """Every token that was ever made, oldest first."""
        rows = self._connection.execute(f"{SELECT_TOKENS} ORDER BY created, id")
        return [Token(*row) for row in rows if row[KIND_COLUMN] in KINDS]

    def rotate(self, token_id: str, *, overlap_ms: int, lifetime_ms: int | None = None) -> IssuedToken:
        """A successor of the same tier, kind and label; the old token ends after `overlap_ms`, or when it would anyway.

        The successor lives for `lifetime_ms`, by default as long as the old one was made for. Raises
        `UnknownTokenError`, and `TokenNotLiveError` for a token that is revoked, expired or rotated already.
        """
        now = self._clock.now_ms()
        with transaction(self._connection):
            old = self._get(token_id)
            _require_live(old, now)
            expires = now + (old.expires - old.created if lifetime_ms is None else lifetime_ms)
            issued = self._insert(
                Token(_base32(ID_LENGTH), old.tier, old.kind, old.label, now, expires, revoked=None, replaced_by=None)
            )
            self._connection.execute(
                "UPDATE tokens SET replaced_by = ?, expires = ?, change = (SELECT max(change) + 1 FROM tokens)"
                " WHERE id = ?",
                (issued.token.id, min(old.expires, now + overlap_ms), old.id),
            )
        return issued

    def revoke(self, token_id: str) -> Token:
        """End a token at once; a second time changes nothing. Raises `UnknownTokenError`."""
        with transaction(self._connection):
            self._get(token_id)
            self._connection.execute(
                "UPDATE tokens SET revoked = coalesce(revoked, ?), change = (SELECT max(change) + 1 FROM tokens)"
                " WHERE id = ?",
                (self._clock.now_ms(), token_id),
            )
            return self._get(token_id)

    def _get(self, token_id: str) -> Token:
        row = self._connection.execute(f"{SELECT_TOKENS} WHERE id = ?", (token_id,)).fetchone()
        if row is None or row[KIND_COLUMN] not in KINDS:
            raise UnknownTokenError
        return Token(*row)

    def _insert(self, token: Token) -> IssuedToken:
        secret = _base32(SECRET_LENGTH)
        self._connection.execute(
            "INSERT INTO tokens (id, hash, tier, kind, label, created, expires, change)"
            " SELECT ?, ?, ?, ?, ?, ?, ?, coalesce(max(change), 0) + 1 FROM tokens",
            (token.id, hash_secret(secret.encode()), token.tier, token.kind, token.label, token.created, token.expires),
        )
        return IssuedToken(token, f"tg_{token.id}_{secret}")


def schema_sql() -> str:
    """The SQL that makes the tokens' table."""
    return resources.files("ingest.access").joinpath("tokens.sql").read_text(encoding="utf-8")


def _require_live(token: Token, now_ms: int) -> None:
    match token.state(now_ms):
        case "replaced":
            raise TokenNotLiveError(f"{token.id} was rotated already; rotate its successor {token.replaced_by}")
        case "revoked" | "expired" as state:
            raise TokenNotLiveError(f"{token.id} is {state}; make a new one with `tidegate token new`")


def hash_secret(secret: bytes) -> bytes:
    """What is stored of a secret: 32 bytes."""
    return hashlib.sha256(secret).digest()


def _base32(length: int) -> str:
    """`length` random characters of a-z2-7, 5 bits each."""
    return base64.b32encode(secrets.token_bytes(length)).decode().lower()[:length]
