"""The lock that makes one process of a device the one that sends."""

import os
from pathlib import Path

from reporter.sending.sender_lock import SenderLock


def test_one_at_a_time(tmp_path: Path) -> None:
    """The lock is held by one until it lets go, and the file stays its owner's."""
    one, other = SenderLock(tmp_path / "lock"), SenderLock(tmp_path / "lock")
    assert [one.take(), other.take(), one.take()] == [True, False, True]
    one.release()
    assert [other.take(), one.take()] == [True, False]
    other.release()
    assert (tmp_path / "lock").stat().st_mode & 0o777 == 0o600


def test_a_place_that_cannot_be_written(tmp_path: Path) -> None:
    """Where there is no such directory nobody sends, and nothing is raised."""
    assert not SenderLock(tmp_path / "gone" / "lock").take()


def test_a_forked_child_does_not_send(tmp_path: Path) -> None:
    """A child has no part in its parent's lock: it cannot take it, cannot let go of it, and does not prolong it."""
    lock, after = SenderLock(tmp_path / "lock"), SenderLock(tmp_path / "lock")
    assert lock.take()
    ready, go_on = os.pipe(), os.pipe()
    pid = os.fork()
    if pid == 0:
        lock.release()
        os.write(ready[1], b"1" if lock.take() else b"0")
        os.read(go_on[0], 1)
        os._exit(0)
    try:
        assert os.read(ready[0], 1) == b"0"
        assert not after.take()
        lock.release()
        assert after.take()
    finally:
        os.write(go_on[1], b"x")
        os.waitpid(pid, 0)
        for end in (*ready, *go_on):
            os.close(end)
    after.release()
