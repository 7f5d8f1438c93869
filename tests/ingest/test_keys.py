"""Pseudonym keys: made once, shared, destroyed for ever, and never in between after a crash."""

import stat
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ingest.clock import ManualClock, SystemClock
from ingest.keys import (
    INDEX_NAME,
    KEY_BYTES,
    MS_PER_DAY,
    RECHECK_SECONDS,
    Epoch,
    EpochRecord,
    Keyring,
    UnknownEpochError,
)
from ingest.problems import Reason, Rejected

WINDOW_MS = int(datetime(2026, 11, 21, 8, tzinfo=UTC).timestamp() * 1000)
EPOCH = Epoch(30, WINDOW_MS // (30 * MS_PER_DAY))
FILE = Path("managed") / f"{EPOCH}.key"


@pytest.fixture
def clock() -> ManualClock:
    """A clock that stands still."""
    return ManualClock(WINDOW_MS)


@pytest.fixture
def keyring(tmp_path: Path, clock: ManualClock) -> Iterator[Keyring]:
    """An empty keyring."""
    keyring = Keyring(tmp_path / "keys", clock)
    yield keyring
    keyring.close()


def answer(keyring: Keyring, window_ms: int = WINDOW_MS) -> str:
    """The key of managed in hexadecimal, or the reason of the refusal."""
    try:
        return keyring.key("managed", 30, window_ms).hex()
    except Rejected as refusal:
        return refusal.reason.value


def reopened(directory: Path) -> str:
    """What a new process would be told."""
    keyring = Keyring(directory, SystemClock())
    try:
        return answer(keyring)
    finally:
        keyring.close()


def states(keyring: Keyring) -> dict[str, str]:
    """State by tier and epoch."""
    return {f"{record.tier} {record.epoch}": record.state for record in keyring.epochs()}


@given(days=st.integers(1, 366), at=st.integers(0, 4_000_000_000_000))
def test_epochs_begin_at_midnight_and_follow_each_other(days: int, at: int) -> None:
    """Every moment is in exactly one epoch of a length, which begins at a UTC midnight and is named for that day."""
    epoch = Epoch(days, at // (days * MS_PER_DAY))
    assert epoch.start_ms <= at < epoch.end_ms == Epoch(days, epoch.number + 1).start_ms
    assert epoch.start_ms % MS_PER_DAY == 0
    assert str(epoch) == f"{datetime.fromtimestamp(epoch.start_ms / 1000, UTC):%Y-%m-%d}.{days}d"


@pytest.mark.parametrize(
    ("tier", "days", "window_ms", "same"),
    [
        pytest.param("managed", 30, EPOCH.start_ms, True, id="the epoch's first millisecond"),
        pytest.param("managed", 30, EPOCH.end_ms - 1, True, id="its last"),
        pytest.param("managed", 30, EPOCH.end_ms, False, id="the next epoch"),
        pytest.param("managed", 30, EPOCH.start_ms - 1, False, id="the one before"),
        pytest.param("byod", 30, WINDOW_MS, False, id="another tier"),
        pytest.param("managed", 7, WINDOW_MS, False, id="another length"),
    ],
)
def test_one_key_per_tier_and_epoch(keyring: Keyring, tier: str, days: int, window_ms: int, same: bool) -> None:
    """Within a tier and an epoch there is one key, and elsewhere another."""
    first = keyring.key("managed", 30, WINDOW_MS)
    assert len(first) == KEY_BYTES
    assert (keyring.key(tier, days, window_ms) == first) is same


def test_the_key_survives_a_restart(keyring: Keyring, tmp_path: Path) -> None:
    """A keyring that is opened again gives the same key."""
    assert reopened(tmp_path / "keys") == answer(keyring)


def test_keys_are_their_owners_alone(keyring: Keyring, tmp_path: Path) -> None:
    """Key files are 0600, their folders 0700, and no draft stays behind."""
    answer(keyring)
    directory = tmp_path / "keys"
    modes = {path.relative_to(directory).as_posix(): stat.S_IMODE(path.stat().st_mode) for path in directory.rglob("*")}
    assert stat.S_IMODE(directory.stat().st_mode) == 0o700
    assert modes == {
        "managed": 0o700,
        FILE.as_posix(): 0o600,
        **{f"{INDEX_NAME}{end}": 0o600 for end in ("", "-wal", "-shm")},
    }


@pytest.mark.parametrize(
    ("harm", "reason"),
    [
        pytest.param(lambda file: file.unlink(), "key_missing", id="removed by mistake"),
        pytest.param(lambda file: file.write_bytes(b""), "key_missing", id="empty"),
        pytest.param(lambda file: file.write_bytes(b"k" * 31), "key_missing", id="too short"),
        pytest.param(lambda file: (file.unlink(), file.mkdir()), "key_missing", id="a folder in its place"),
    ],
)
def test_a_lost_key_is_missing_and_never_made_anew(
    keyring: Keyring, clock: ManualClock, tmp_path: Path, harm: object, reason: str
) -> None:
    """A key whose file was lost or damaged is missing within about a second, in this process and in the next."""
    answer(keyring)
    assert callable(harm)
    harm(tmp_path / "keys" / FILE)
    clock.advance(RECHECK_SECONDS)
    assert answer(keyring) == reason
    assert reopened(tmp_path / "keys") == reason


def test_a_restored_key_is_used_again(keyring: Keyring, clock: ManualClock, tmp_path: Path) -> None:
    """When the operator puts a missing file back, the gate goes on with it by itself."""
    key = answer(keyring)
    file = tmp_path / "keys" / FILE
    file.rename(file.with_suffix(".away"))
    clock.advance(RECHECK_SECONDS)
    assert answer(keyring) == "key_missing"
    assert states(keyring) == {f"managed {EPOCH}": "missing"}
    file.with_suffix(".away").rename(file)
    assert answer(keyring) == key


def test_a_destroyed_epoch_is_closed_for_ever(keyring: Keyring, tmp_path: Path) -> None:
    """After destruction the file is gone, the epoch is refused, and not even a restored file opens it again."""
    key = answer(keyring)
    file = tmp_path / "keys" / FILE
    keyring.destroy("managed", EPOCH)
    assert not file.exists()
    assert answer(keyring) == "epoch_closed"
    file.write_bytes(bytes.fromhex(key))
    assert reopened(tmp_path / "keys") == "epoch_closed"
    assert not file.exists()
    assert states(keyring) == {f"managed {EPOCH}": "destroyed"}


def test_destruction_overwrites_the_bytes(keyring: Keyring, tmp_path: Path) -> None:
    """The key's bytes are overwritten in place, so a second name of the file holds nothing either."""
    key = answer(keyring)
    other_name = tmp_path / "other-name"
    other_name.hardlink_to(tmp_path / "keys" / FILE)
    assert other_name.read_bytes().hex() == key
    keyring.destroy("managed", EPOCH)
    assert other_name.read_bytes() == bytes(KEY_BYTES)


def test_a_destruction_during_a_read_is_noticed(
    keyring: Keyring, clock: ManualClock, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A key whose destruction began while its file was being read is not used, whatever bytes were read."""
    answer(keyring)
    other = Keyring(tmp_path / "keys", clock)
    read_bytes = Path.read_bytes

    def read_and_destroy(file: Path) -> bytes:
        content = read_bytes(file)
        other.destroy("managed", EPOCH)
        return content

    monkeypatch.setattr(Path, "read_bytes", read_and_destroy)
    clock.advance(RECHECK_SECONDS)
    assert answer(keyring) == "epoch_closed"
    other.close()


def test_destroying_twice_keeps_the_first_time(keyring: Keyring, clock: ManualClock) -> None:
    """A second destruction changes nothing, and an epoch that never was is unknown."""
    answer(keyring)
    keyring.destroy("managed", EPOCH)
    before = keyring.epochs()
    clock.advance(60)
    keyring.destroy("managed", EPOCH)
    assert keyring.epochs() == before
    with pytest.raises(UnknownEpochError):
        keyring.destroy("byod", EPOCH)


def test_an_index_that_cannot_be_read_gives_no_key(keyring: Keyring, tmp_path: Path, clock: ManualClock) -> None:
    """Without its index the keyring hands out nothing, because it cannot know what was destroyed."""
    answer(keyring)
    clock.advance(RECHECK_SECONDS)
    keyring._connection.execute("DROP TABLE epochs")
    assert answer(keyring) == "key_missing"
    assert (tmp_path / "keys" / FILE).exists()


def test_purge_destroys_what_is_past_the_horizon(keyring: Keyring) -> None:
    """Purging destroys a tier's epochs, of whatever length, from the moment that their end and the horizon are past."""
    horizon_days = 45
    keyring.key("managed", 30, WINDOW_MS)
    keyring.key("managed", 7, WINDOW_MS)
    keyring.key("byod", 30, WINDOW_MS)
    short = Epoch(7, WINDOW_MS // (7 * MS_PER_DAY))
    assert short.end_ms < EPOCH.end_ms

    due = EPOCH.end_ms + horizon_days * MS_PER_DAY
    assert keyring.purge("managed", horizon_days=horizon_days, now_ms=due - 1) == (short,)
    assert keyring.purge("managed", horizon_days=horizon_days, now_ms=due) == (EPOCH,)
    assert keyring.purge("managed", horizon_days=horizon_days, now_ms=due) == ()
    assert states(keyring) == {
        f"byod {EPOCH}": "usable",
        f"managed {EPOCH}": "destroyed",
        f"managed {short}": "destroyed",
    }


def test_keys_leave_memory(keyring: Keyring, clock: ManualClock) -> None:
    """A key that nobody asks for any more is dropped when another one is looked up."""
    answer(keyring)
    clock.advance(RECHECK_SECONDS)
    answer(keyring, EPOCH.end_ms)
    assert [epoch for _, epoch in keyring._cache] == [Epoch(30, EPOCH.number + 1)]


def test_no_key_is_told(keyring: Keyring, clock: ManualClock, tmp_path: Path) -> None:
    """A key is in its own file alone: in no repr, exception, file name or index."""
    key = keyring.key("managed", 30, WINDOW_MS)
    told = [repr(keyring), repr(keyring._cache), repr(keyring.epochs())]
    keyring.destroy("managed", EPOCH)
    clock.advance(RECHECK_SECONDS)
    with pytest.raises(Rejected) as refusal:
        keyring.key("managed", 30, WINDOW_MS)
    told += [repr(refusal.value), repr(refusal.value.__context__), *map(str, tmp_path.rglob("*"))]
    files = b"".join(path.read_bytes() for path in tmp_path.rglob("*") if path.is_file())
    assert refusal.value.reason is Reason.EPOCH_CLOSED
    assert "managed" in "".join(told)  # the searches find what is there
    assert b"managed" in files
    for form in (key.hex(), repr(key)[2:-1]):
        assert form not in "".join(told)
    assert key not in files
    assert key.hex().encode() not in files


def test_records_say_when(keyring: Keyring, clock: ManualClock) -> None:
    """A record tells when a key was made and when it was destroyed."""
    answer(keyring)
    clock.advance(5)
    keyring.destroy("managed", EPOCH)
    assert keyring.epochs() == [EpochRecord("managed", EPOCH, WINDOW_MS, WINDOW_MS + 5000, has_file=False)]
