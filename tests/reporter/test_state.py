"""settings.json: what may be in it, who may read it, and that no error repeats a value."""

import dataclasses
import json
import os
import traceback
from pathlib import Path
from typing import Any

import pytest

from reporter import state
from reporter.directory import Directory
from reporter.reports import schema
from reporter.state import BadSettings, Device, Settings, SettingsFile

PLANTED = "tango-foxtrot"
LEAST_SETTINGS: dict[str, Any] = {"endpoint": "https://gate.example/t/managed/", "token": "tg_1_2"}


def read(**changes: Any) -> Settings:
    """Settings from JSON with these changes; None takes a key away."""
    found = {name: value for name, value in {**LEAST_SETTINGS, **changes}.items() if value is not None}
    return Settings.from_json(json.dumps(found).encode())


def test_defaults() -> None:
    """An endpoint and a token are enough; nobody has consented to anything, and nothing is said of the device."""
    settings = read()
    assert settings.endpoint == "https://gate.example/t/managed"
    assert (settings.consents, settings.identifiers, settings.on_tier_change) == (frozenset(), {}, "keep")
    assert settings.device == Device(hardware_tier="medium", network_context="other")


def test_what_is_written_is_read_again(tmp_path: Path) -> None:
    """Settings survive their file, which nobody else may read, and leave no other file beside it."""
    settings = read(
        device={"region": "eu", "hardware_tier": "large"},
        identifiers={"device_id": state.new_device_id()},
        consents={"location": True, "diagnostics": False},
        on_tier_change="discard",
        ca_file="/etc/ca.pem",
        proxy="environment",
    )
    file = tmp_path / "settings.json"
    state.write(file, settings)
    assert state.read(file) == settings
    assert settings.consents == {"location"}
    assert [entry.name for entry in tmp_path.iterdir()] == ["settings.json"]
    assert file.stat().st_mode & 0o777 == 0o600


def test_rights_are_taken_from_others(tmp_path: Path) -> None:
    """A file that others could read is its owner's alone once it has been read."""
    file = tmp_path / "settings.json"
    file.write_bytes(read().as_json())
    file.chmod(0o644)
    state.read(file)
    assert file.stat().st_mode & 0o777 == 0o600


BAD = [
    pytest.param({"tokn": PLANTED}, "tokn: there is no such setting; did you mean token?", id="a mistyped name"),
    pytest.param(
        {"device": {"regoin": PLANTED}}, "device.regoin: there is no such setting; did you mean region?", id="inside"
    ),
    pytest.param(
        {"consents": {PLANTED: True}}, "consents.tango-foxtrot: there is no such setting", id="a consent to nothing"
    ),
    pytest.param({"consents": {"location": PLANTED}}, "consents: each is true or false", id="a consent that is a text"),
    pytest.param({"identifiers": {"serial": 17}}, "identifiers.serial: must be a text", id="no text"),
    pytest.param(
        {"identifiers": {"serial": f"{PLANTED}\ud800"}},
        "identifiers.serial: must be a text",
        id="half a surrogate pair",
    ),
    pytest.param({"identifiers": []}, "identifiers: must be an object", id="no object"),
    pytest.param({"device": {"hardware_tier": PLANTED}}, "device.hardware_tier: must be one of", id="no such tier"),
    pytest.param({"device": {"site": ""}}, "device.site: must be a text", id="an empty text"),
    pytest.param({"on_tier_change": PLANTED}, "on_tier_change: must be one of keep, discard", id="no such choice"),
    pytest.param({"token": f"{PLANTED}\r\nX: y"}, "token: must be", id="a token that ends the header"),
    pytest.param({"token": ""}, "token: must be", id="an empty token"),
    pytest.param({"token": None}, "token: missing", id="no token"),
    pytest.param({"endpoint": None}, "endpoint: missing", id="no endpoint"),
    pytest.param({"endpoint": PLANTED}, "endpoint: must be a URL", id="no URL"),
    pytest.param(
        {"endpoint": f"http://{PLANTED}.example"}, "endpoint: must begin with https://", id="a token without TLS"
    ),
    pytest.param({"endpoint": f"ftp://{PLANTED}.example"}, "endpoint: must begin with https://", id="another protocol"),
    pytest.param(
        {"endpoint": f"https://{PLANTED}@gate.example"}, "endpoint: must have no user", id="a user in the URL"
    ),
    pytest.param(
        {"endpoint": f"https://gate.example/?{PLANTED}"}, "endpoint: must have no user", id="a query in the URL"
    ),
    pytest.param({"endpoint": f"https://gate.example/{PLANTED} x"}, "endpoint: must be a URL", id="a blank in the URL"),
    pytest.param({"endpoint": "https://gate.example:99999"}, "endpoint: must be a URL", id="no such port"),
    pytest.param({"proxy": f"https://{PLANTED}"}, "proxy: must begin with http://", id="a proxy over TLS"),
    pytest.param({"ca_file": 1}, "ca_file: must be a text", id="no path"),
]


@pytest.mark.parametrize(("changes", "message"), BAD)
def test_bad_settings(changes: dict[str, Any], message: str) -> None:
    """What cannot be used is refused by the name of the setting, and no value is repeated."""
    with pytest.raises(BadSettings) as refusal:
        read(**changes)
    assert str(refusal.value).startswith(message)
    if PLANTED not in message:
        assert PLANTED not in "".join(traceback.format_exception(refusal.value))


@pytest.mark.parametrize("document", [b"", b"[]", b"\xff", b"{" * 70_000, b'{"token": "tango-foxtrot', b"[" * 60_000])
def test_no_settings_at_all(document: bytes) -> None:
    """A file that is no JSON object is refused without a byte of it."""
    with pytest.raises(BadSettings) as refusal:
        Settings.from_json(document)
    assert PLANTED not in "".join(traceback.format_exception(refusal.value))


@pytest.mark.parametrize(
    "host", ["localhost", "localhost:8080", "managed.localhost", "127.0.0.1:1", "127.9.9.9", "[::1]:80"]
)
def test_this_machine_needs_no_tls(host: str) -> None:
    """A gate on this machine may be reached without TLS."""
    assert read(endpoint=f"http://{host}/t/byod").endpoint == f"http://{host}/t/byod"


def test_nothing_secret_is_shown() -> None:
    """What settings look like in a log names neither the token nor an identifier nor the proxy's password."""
    settings = read(token=PLANTED, identifiers={"serial": PLANTED}, proxy=f"http://u:{PLANTED}@proxy")
    assert PLANTED not in repr(settings)


def test_vocabularies_are_those_of_the_schemas() -> None:
    """The words for hardware and network are the symbols of the reports, and the facts are their fields."""
    fields = schema("health_window").by_path
    assert fields["hardware_tier"].symbols == state.HARDWARE_TIERS
    assert fields["network_context"].symbols == state.NETWORK_CONTEXTS
    assert Device().fields().keys() <= fields.keys()


def test_a_change_by_another_process_counts(tmp_path: Path) -> None:
    """Settings are read again once their file is another one, and are gone with it."""
    file = tmp_path / "settings.json"
    settings = SettingsFile(file)
    assert settings() is None
    state.write(file, read(consents={"location": True}))
    assert settings() is settings()
    state.write(file, dataclasses.replace(read(), consents=frozenset()))
    found = settings()
    assert found is not None
    assert not found.consents
    file.unlink()
    assert settings() is None


def test_a_write_that_fails_leaves_no_token_behind(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where the new settings cannot be put in their place the old ones stay, and no other file holds a token."""
    file = tmp_path / "settings.json"
    state.write(file, read())

    def refused(_: int) -> None:
        raise OSError

    monkeypatch.setattr(os, "fsync", refused)
    with pytest.raises(OSError):  # noqa: PT011  # that of the test itself
        state.write(file, read(token=PLANTED))
    assert [entry.name for entry in tmp_path.iterdir()] == ["settings.json"]
    assert state.read(file) == read()


def test_what_a_killed_process_left_is_removed(tmp_path: Path) -> None:
    """A draft that nobody writes any more is removed with the next settings; one that is being written stays."""
    file = tmp_path / "settings.json"
    left, written = tmp_path / ".settings.json.0a", tmp_path / ".settings.json.0b"
    for draft in (left, written):
        draft.write_text(PLANTED, encoding="utf-8")
    os.utime(left, (0, 0))
    state.write(file, read())
    assert {entry.name for entry in tmp_path.iterdir()} == {file.name, written.name}


DIRECTORIES = [
    pytest.param({"TIDEGATE_REPORTER_DIR": "/somewhere", "XDG_STATE_HOME": "/else"}, "/somewhere", id="named"),
    pytest.param({"XDG_STATE_HOME": "/state"}, "/state/tidegate", id="as the platform says"),
    pytest.param({"XDG_STATE_HOME": "relative"}, "~/.local/state/tidegate", id="a relative path is ignored"),
    pytest.param({}, "~/.local/state/tidegate", id="the platform's default"),
]


@pytest.mark.parametrize(("environment", "path"), DIRECTORIES)
def test_usual_directory(environment: dict[str, str], path: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """The directory is the one that the environment names, else the platform's."""
    monkeypatch.setattr("sys.platform", "linux")
    assert Directory.usual(environment).path == Path(path).expanduser()


def test_the_directory_is_its_owners(tmp_path: Path) -> None:
    """A directory that is made, and one that was there, can be entered by nobody else."""
    there = tmp_path / "there"
    there.mkdir(mode=0o755)
    for path in (there, tmp_path / "new" / "below"):
        Directory(path).make()
        assert path.stat().st_mode & 0o777 == 0o700


def test_the_way_to_the_directory_is_its_owners(tmp_path: Path) -> None:
    """Directories above it that have to be made are as closed, or somebody else could put another in its place."""
    before = os.umask(0)
    Directory(tmp_path / "new" / "below" / "device").make()
    os.umask(before)
    assert [path.stat().st_mode & 0o777 for path in sorted((tmp_path / "new").rglob("*"))] == [0o700, 0o700]
    assert (tmp_path / "new").stat().st_mode & 0o777 == 0o700


def test_somebody_elses_directory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A directory of somebody else is refused and left as it is: its owner could put other settings there."""
    (tmp_path / "device").mkdir(mode=0o755)
    somebody = os.geteuid() + 1
    monkeypatch.setattr(os, "geteuid", lambda: somebody)
    with pytest.raises(PermissionError) as refused:
        Directory(tmp_path / "device").make()
    assert "device" not in str(refused.value)
    assert (tmp_path / "device").stat().st_mode & 0o777 == 0o755


def test_a_directory_in_which_others_work(tmp_path: Path) -> None:
    """A directory that is open to others and has files in it is refused as it is, unless it is a device's already."""
    tmp_path.chmod(0o755)
    directory = Directory(tmp_path)
    (tmp_path / "theirs").touch()
    with pytest.raises(BadSettings, match="files of others"):
        directory.make()
    assert tmp_path.stat().st_mode & 0o777 == 0o755
    (tmp_path / "theirs").rename(directory.spans)
    directory.make()
    tmp_path.chmod(0o755)
    for name in ("settings.json", "more"):
        (tmp_path / name).touch()
    directory.make()
    assert tmp_path.stat().st_mode & 0o777 == 0o700


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give a link away")
def test_somebody_elses_link(tmp_path: Path) -> None:
    """A link that somebody else has laid is refused, though it leads to a directory of ours; our own is followed."""
    (tmp_path / "ours").mkdir()
    link = tmp_path / "device"
    link.symlink_to(tmp_path / "ours")
    Directory(link).make()
    os.chown(link, 4711, -1, follow_symlinks=False)
    with pytest.raises(PermissionError):
        Directory(link).make()
