"""What may be on a device's disk, and where."""

from pathlib import Path

import pytest

from load.offline.disk import hidden_on_disk, wrong_on_disk

PLANTED = {"user_email": "ada.0001@example.org", "token": "token-0123456789abcdef"}


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    """A device's directory as it should be."""
    made = tmp_path / "device"
    made.mkdir(mode=0o700)
    _write(made / "settings.json", " ".join(PLANTED.values()).encode())
    _write(made / "queue.db", b"nothing of anybody" * 100)
    return made


def _write(file: Path, content: bytes) -> None:
    file.write_bytes(content)
    file.chmod(0o600)


def test_nothing_is_wrong(directory: Path) -> None:
    """Identifiers and token in settings.json alone are as it should be."""
    assert list(wrong_on_disk(directory, PLANTED)) == []
    assert list(hidden_on_disk({directory: PLANTED})) == []


def test_value_elsewhere_is_named(directory: Path) -> None:
    """A value in another file is told by its name and the file's, and not itself."""
    _write(directory / "queue.db", b"x" + PLANTED["user_email"].encode())
    (wrong,) = wrong_on_disk(directory, PLANTED)
    assert "user_email" in wrong
    assert "queue.db" in wrong
    assert PLANTED["user_email"] not in wrong


def test_value_that_is_nowhere_is_no_proof(directory: Path) -> None:
    """Where settings.json does not hold what was planted, nothing was searched for."""
    _write(directory / "settings.json", b"{}")
    assert len(list(wrong_on_disk(directory, PLANTED))) == len(PLANTED)
    assert "the search does not find what stands in settings.json" in list(hidden_on_disk({directory: PLANTED}))


def test_encoded_value_is_found(directory: Path) -> None:
    """A value in hexadecimal digits is found by the search in all forms."""
    _write(directory / "queue.db-journal", PLANTED["token"].encode().hex().encode())
    assert any(what.startswith("token is in queue.db-journal") for what in hidden_on_disk({directory: PLANTED}))


@pytest.mark.parametrize("name", ["", "settings.json", "queue.db"])
def test_rights_of_others_are_seen(directory: Path, name: str) -> None:
    """Directory and files are their owner's alone."""
    path = directory / name
    path.chmod(path.stat().st_mode | 0o040)
    assert any("is not its owner's alone" in what for what in wrong_on_disk(directory, PLANTED))
