"""Tokens: what is shown and kept of them, who is let in, and how fast a change takes effect."""

import os
import re
import sqlite3
import stat
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ingest.access.token_view import STALE_SECONDS, TokenView, bearer_token
from ingest.access.tokens import (
    EVERY_TIER,
    FILE_NAME,
    ROLES,
    IssuedToken,
    Role,
    TokenNotLiveError,
    TokenStore,
    UnknownTokenError,
)
from ingest.clock import ManualClock, SystemClock
from ingest.problems import Reason, Rejected
from ingest.state_file import StateFileError

NOW_MS = 1_795_000_000_000
HOUR_MS = 3_600_000
DEADLINE_SECONDS = 20.0

REVOKE_IN_ANOTHER_PROCESS = """
import sys
from pathlib import Path
from ingest.clock import SystemClock
from ingest.access.tokens import TokenStore
TokenStore(Path(sys.argv[1]), SystemClock()).revoke(sys.argv[2])
"""


@dataclass(frozen=True)
class Desk:
    """A store as the commands use it and a view as the gate does, on one file and one clock."""

    file: Path
    clock: ManualClock
    store: TokenStore
    view: TokenView

    def new(self, *, lifetime_ms: int = HOUR_MS) -> IssuedToken:
        return self.store.new(tier="managed", kind="device", label="laptops-2026", lifetime_ms=lifetime_ms)

    def answer(self, token: bytes | None) -> str:
        """As `answer`, once the view had a second to take notice."""
        self.clock.advance(1.0)
        return self.answer_now(token)

    def answer_now(self, token: bytes | None) -> str:
        return answer(self.view, token, self.clock.now_ms())


def answer(view: TokenView, token: bytes | None, now_ms: int) -> str:
    """The id of the credential, or the reason of the refusal."""
    try:
        return view.check(token, now_ms).id
    except Rejected as refusal:
        return refusal.reason.value


@pytest.fixture
def desk(tmp_path: Path) -> Iterator[Desk]:
    """An empty store, open on both sides."""
    clock = ManualClock(NOW_MS)
    store = TokenStore(tmp_path / FILE_NAME, clock)
    view = TokenView(tmp_path / FILE_NAME, clock)
    yield Desk(tmp_path / FILE_NAME, clock, store, view)
    view.close()
    store.close()


def test_a_token_has_its_form_and_lets_its_holder_in(desk: Desk) -> None:
    """A new token is `tg_<id>_<secret>` and gives the credential that it was made for."""
    issued = desk.new()
    assert re.fullmatch(r"tg_[a-z2-7]{12}_[a-z2-7]{52}", issued.text)
    desk.clock.advance(1.0)
    credential = desk.view.check(issued.text.encode(), desk.clock.now_ms())
    assert (credential.id, credential.tier, credential.kind) == (issued.token.id, "managed", "device")


@pytest.mark.parametrize("role", ROLES)
def test_a_role_belongs_to_no_tier(desk: Desk, role: Role) -> None:
    """A token that reads is made, listed, looked up and rotated like any other, with its role as kind and * as tier."""
    issued = desk.store.new(tier=EVERY_TIER, kind=role, label="monday report", lifetime_ms=HOUR_MS)
    successor = desk.store.rotate(issued.token.id, overlap_ms=HOUR_MS)
    desk.clock.advance(1.0)
    for text in (issued.text, successor.text):
        credential = desk.view.check(text.encode(), desk.clock.now_ms())
        assert (credential.tier, credential.kind) == ("*", role)
    assert [(token.tier, token.kind) for token in desk.store.tokens()] == [("*", role)] * 2


def other_secret(token: bytes) -> bytes:
    """The same id, and a secret that differs in its last character."""
    return token[:-1] + (b"a" if token[-1:] != b"a" else b"b")


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        pytest.param(lambda _: None, "no_token", id="no header"),
        pytest.param(lambda _: b"", "no_token", id="an empty one"),
        pytest.param(other_secret, "wrong_token", id="a known id with another secret"),
        pytest.param(lambda token: b"tg_aaaaaaaaaaaa" + token[15:], "wrong_token", id="an unknown id"),
        pytest.param(lambda token: token[:-1], "wrong_token", id="one character short"),
        pytest.param(lambda token: token + b"a", "wrong_token", id="one character long"),
        pytest.param(lambda token: token.upper(), "wrong_token", id="upper case is another text"),
        pytest.param(lambda token: b"xx_" + token[3:], "wrong_token", id="another prefix"),
        pytest.param(lambda token: token[:15] + b"-" + token[16:], "wrong_token", id="another separator"),
        pytest.param(lambda token: b"\xff" * len(token), "wrong_token", id="not even ASCII"),
        pytest.param(lambda _: b"tg_" * 20_000, "wrong_token", id="absurdly long"),
    ],
)
def test_what_is_not_the_token_is_refused(desk: Desk, change: object, reason: str) -> None:
    """Anything but the very token is refused with its reason."""
    token = desk.new().text.encode()
    assert callable(change)
    assert desk.answer(change(token)) == reason


@pytest.mark.parametrize(
    ("header", "token"),
    [
        pytest.param(None, None, id="no header"),
        pytest.param(b"Bearer abc", b"abc", id="as in RFC 6750"),
        pytest.param(b"bEARER  abc ", b"abc", id="the scheme is case-insensitive and spaces are allowed"),
        pytest.param(b"Basic abc", None, id="another scheme"),
        pytest.param(b"Bearer", b"", id="a scheme alone"),
        pytest.param(b"tg_abc", None, id="no scheme"),
    ],
)
def test_bearer_header(header: bytes | None, token: bytes | None) -> None:
    """The bearer token of a header is found, and nothing else is taken for one."""
    assert bearer_token(header) == token


def test_expiry_is_exact_and_told_to_the_holder_only(desk: Desk) -> None:
    """A token is good until its last millisecond, and then only the holder of the secret learns why it is not."""
    issued = desk.new(lifetime_ms=HOUR_MS)
    token = issued.text.encode()
    desk.clock.advance((HOUR_MS - 1) / 1000)
    assert desk.answer_now(token) == issued.token.id
    desk.clock.advance(0.001)
    assert desk.answer_now(token) == "token_expired"
    assert desk.answer_now(other_secret(token)) == "wrong_token"


def test_revocation_is_told_to_the_holder_only(desk: Desk) -> None:
    """A revoked token is refused as revoked, even when it has expired too, and with another secret as wrong."""
    issued = desk.new()
    desk.store.revoke(issued.token.id)
    assert desk.answer(issued.text.encode()) == "token_revoked"
    assert desk.answer(other_secret(issued.text.encode())) == "wrong_token"
    desk.clock.advance(HOUR_MS)
    assert desk.answer(issued.text.encode()) == "token_revoked"


def test_revoking_twice_keeps_the_first_time(desk: Desk) -> None:
    """A second revocation does not move the time of the first."""
    issued = desk.new()
    first = desk.store.revoke(issued.token.id)
    desk.clock.advance(5.0)
    assert desk.store.revoke(issued.token.id) == first


def test_the_view_looks_once_a_second(desk: Desk) -> None:
    """Between two looks the view answers from memory, and at the next it knows."""
    issued = desk.new()
    assert desk.answer(issued.text.encode()) == issued.token.id
    desk.store.revoke(issued.token.id)
    desk.clock.advance(0.9)
    assert desk.answer_now(issued.text.encode()) == issued.token.id
    desk.clock.advance(0.1)
    assert desk.answer_now(issued.text.encode()) == "token_revoked"


def test_another_process_revokes(tmp_path: Path) -> None:
    """A running view notices a revocation that another process made, by the real clock."""
    clock = SystemClock()
    store = TokenStore(tmp_path / FILE_NAME, clock)
    issued = store.new(tier="managed", kind="device", label="laptop", lifetime_ms=HOUR_MS)
    store.close()
    view = TokenView(tmp_path / FILE_NAME, clock)
    assert view.check(issued.text.encode(), clock.now_ms()).id == issued.token.id

    command = [sys.executable, "-c", REVOKE_IN_ANOTHER_PROCESS, str(tmp_path / FILE_NAME), issued.token.id]
    subprocess.run(command, check=True, timeout=DEADLINE_SECONDS)
    deadline = time.monotonic() + DEADLINE_SECONDS
    reason = None
    while reason is None and time.monotonic() < deadline:
        try:
            view.check(issued.text.encode(), clock.now_ms())
            time.sleep(0.02)
        except Rejected as refusal:
            reason = refusal.reason
    view.close()
    assert reason is Reason.TOKEN_REVOKED


def test_a_store_that_cannot_be_read_fails_closed_after_a_minute(desk: Desk, caplog: pytest.LogCaptureFixture) -> None:
    """The last good view answers for a minute, then all is refused with one warning, until the store is back."""
    issued = desk.new()
    token = issued.text.encode()
    assert desk.answer(token) == issued.token.id
    away = desk.file.with_name("away")
    desk.file.rename(away)
    desk.clock.advance(STALE_SECONDS)
    answers = [(desk.answer_now(token), desk.view.readable), (desk.answer(token), desk.view.readable)]
    assert not desk.view.fresh()
    away.rename(desk.file)
    answers.append((desk.answer(token), desk.view.readable))
    assert desk.view.fresh()
    assert answers == [(issued.token.id, False), (Reason.TOKENS_UNREADABLE.value, False), (issued.token.id, True)]
    assert [record.levelname for record in caplog.records] == ["ERROR"]


def test_garbage_in_place_of_the_store_fails_closed(desk: Desk) -> None:
    """A file that is no database is an unreadable store, not an empty one."""
    issued = desk.new()
    assert desk.answer(issued.text.encode()) == issued.token.id
    garbage = desk.file.with_name("garbage")
    garbage.write_bytes(b"not a database" * 1000)
    garbage.rename(desk.file)
    assert desk.answer(issued.text.encode()) == issued.token.id
    desk.clock.advance(STALE_SECONDS + 1)
    assert desk.answer(issued.text.encode()) == Reason.TOKENS_UNREADABLE.value


def test_a_store_that_was_replaced_is_read_whole(desk: Desk, tmp_path: Path) -> None:
    """When another file takes the store's place, its tokens count and those of the old one do not."""
    old = desk.new()
    assert desk.answer(old.text.encode()) == old.token.id
    other = TokenStore(tmp_path / "other" / FILE_NAME, desk.clock)
    new = other.new(tier="byod", kind="class", label="phones", lifetime_ms=HOUR_MS)
    other.close()
    for companion in desk.file.parent.glob(f"{FILE_NAME}-*"):  # SQLite would apply the old log to the new file
        companion.unlink()
    (tmp_path / "other" / FILE_NAME).rename(desk.file)
    assert desk.answer(new.text.encode()) == new.token.id
    assert desk.answer(old.text.encode()) == "wrong_token"


def test_an_older_copy_over_the_store_is_noticed(desk: Desk) -> None:
    """When the store goes back in time within the same file, the view reads it whole."""
    first, second = desk.new(), desk.new()
    assert desk.answer(second.text.encode()) == second.token.id
    with sqlite3.connect(desk.file) as connection:
        connection.execute("DELETE FROM tokens WHERE id = ?", (second.token.id,))
    connection.close()
    assert desk.answer(second.text.encode()) == "wrong_token"
    assert desk.answer(first.text.encode()) == first.token.id


def test_kinds_of_a_newer_program_are_ignored(desk: Desk) -> None:
    """A row of an unknown kind, perhaps without a tier, is no token here and does no harm."""
    issued, reader = desk.new(), desk.new()
    with sqlite3.connect(desk.file) as connection:
        connection.execute(
            "UPDATE tokens SET kind = 'steward', tier = NULL, change = change + 1 WHERE id = ?", (reader.token.id,)
        )
    connection.close()
    assert desk.answer(reader.text.encode()) == "wrong_token"
    assert desk.answer(issued.text.encode()) == issued.token.id
    assert [token.id for token in desk.store.tokens()] == [issued.token.id]
    with pytest.raises(UnknownTokenError):
        desk.store.revoke(reader.token.id)


def test_a_file_of_a_newer_program_is_refused(desk: Desk) -> None:
    """A file with a higher schema version is refused with what to do, for the store and for the view."""
    with sqlite3.connect(desk.file) as connection:
        connection.execute("PRAGMA user_version = 2")
    connection.close()
    for opened in (TokenStore, TokenView):
        with pytest.raises(StateFileError, match="schema version 2 and this program knows 1"):
            opened(desk.file, desk.clock)


@given(
    lifetime=st.integers(1, 400 * 24 * HOUR_MS),
    age=st.integers(0, 400 * 24 * HOUR_MS),
    overlap=st.integers(1, 400 * 24 * HOUR_MS),
    later=st.integers(0, 400 * 24 * HOUR_MS),
)
def test_rotation_overlap(
    tmp_path_factory: pytest.TempPathFactory, lifetime: int, age: int, overlap: int, later: int
) -> None:
    """After a rotation the old token is good until the overlap or its own expiry ends, and the new one from at once."""
    clock = ManualClock(NOW_MS)
    file = tmp_path_factory.mktemp("rotation") / FILE_NAME
    store = TokenStore(file, clock)
    try:
        old = store.new(tier="managed", kind="class", label="laptops", lifetime_ms=lifetime)
        clock.advance((age % lifetime) / 1000)
        rotated_at = clock.now_ms()
        new = store.rotate(old.token.id, overlap_ms=overlap)
        assert (new.token.tier, new.token.kind, new.token.label) == ("managed", "class", "laptops")
        assert new.token.expires == rotated_at + lifetime
        kept = next(token for token in store.tokens() if token.id == old.token.id)
        assert kept.expires == min(old.token.expires, rotated_at + overlap)
        assert kept.replaced_by == new.token.id

        view = TokenView(file, clock)
        now = rotated_at + later
        answers = [answer(view, issued.text.encode(), now) for issued in (old, new)]
        view.close()
        assert answers == [
            old.token.id if now < kept.expires else "token_expired",
            new.token.id if now < new.token.expires else "token_expired",
        ]
    finally:
        store.close()


@pytest.mark.parametrize(
    ("end", "words"),
    [
        pytest.param("revoke", "is revoked; make a new one", id="a revoked token has no heir"),
        pytest.param("expire", "is expired; make a new one", id="an expired one neither"),
        pytest.param("rotate", "was rotated already; rotate its successor", id="a second heir would be a second chain"),
    ],
)
def test_only_live_tokens_rotate(desk: Desk, end: str, words: str) -> None:
    """A token that is no longer live is not rotated, and the refusal says what to do."""
    issued = desk.new()
    if end == "revoke":
        desk.store.revoke(issued.token.id)
    elif end == "expire":
        desk.clock.advance(HOUR_MS / 1000)
    else:
        desk.store.rotate(issued.token.id, overlap_ms=60_000)
    with pytest.raises(TokenNotLiveError, match=words):
        desk.store.rotate(issued.token.id, overlap_ms=60_000)


def test_unknown_ids(desk: Desk) -> None:
    """Rotating or revoking an id that was never made raises, and changes nothing."""
    desk.new()
    before = desk.store.tokens()
    with pytest.raises(UnknownTokenError):
        desk.store.rotate("aaaaaaaaaaaa", overlap_ms=1)
    with pytest.raises(UnknownTokenError):
        desk.store.revoke("aaaaaaaaaaaa")
    assert desk.store.tokens() == before


def test_the_file_is_its_owners_alone(desk: Desk) -> None:
    """The store and SQLite's companions of it can be read by their owner only, whatever the umask allows."""
    desk.new()
    files = sorted(desk.file.parent.iterdir())
    assert [file.name for file in files] == [FILE_NAME, f"{FILE_NAME}-shm", f"{FILE_NAME}-wal"]
    assert {stat.S_IMODE(file.stat().st_mode) for file in files} == {0o600}


def test_the_owners_rights_do_not_depend_on_the_umask(tmp_path: Path) -> None:
    """With no umask at all a new store is still 0600 in a folder of 0700."""
    before = os.umask(0)
    try:
        TokenStore(tmp_path / "data" / FILE_NAME, ManualClock(NOW_MS)).close()
    finally:
        os.umask(before)
    assert stat.S_IMODE((tmp_path / "data").stat().st_mode) == 0o700
    assert stat.S_IMODE((tmp_path / "data" / FILE_NAME).stat().st_mode) == 0o600


def test_a_secret_is_nowhere_but_in_the_issued_text(desk: Desk) -> None:
    """Neither the secret nor its hash is in a repr or an exception, nor the secret in a file, while the id is."""
    issued = desk.new()
    secret = issued.text.rpartition("_")[2]
    token = issued.text.encode()
    desk.store.revoke(issued.token.id)
    desk.clock.advance(1.0)
    with pytest.raises(Rejected) as refusal:
        desk.view.check(token, desk.clock.now_ms())
    known = desk.view._known[issued.token.id.encode()]
    told = [repr(issued), repr(issued.token), repr(known), repr(known.credential), repr(desk.store), repr(desk.view)]
    told += [repr(refusal.value), str(refusal.value), repr(desk.store.tokens())]
    files = b"".join(file.read_bytes() for file in desk.file.parent.iterdir())

    assert issued.token.id in "".join(told)  # the search finds what is there
    assert issued.token.id.encode() in files
    assert known.hash in files
    for hidden in (secret, known.hash.hex(), repr(known.hash)[2:-1]):
        assert hidden not in "".join(told)
    assert secret.encode() not in files
