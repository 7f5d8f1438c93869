"""How a device comes to its settings, by code and by file."""

import json
import stat
from pathlib import Path
from typing import Any

import pytest

from reporter import configuring
from reporter.reporter import Reporter
from reporter.state import Settings, read, write
from tests.reporter.api.device import ENDPOINT

SECRET = "tdg_secret_token"

NO_TLS = "endpoint: must begin with https://; http:// is for a gate on this machine only"
NO_SUCH = "consent: there is no such setting; did you mean consents?"
NO_TEXT = "something was said that is no text, no number and not true or false"

NO_PATH = "directory: must be a path"


def configured(folder: Path, **settings: Any) -> Reporter:
    """A reporter that is told this, and stopped."""
    return Reporter(**{"directory": folder, **settings})


def test_what_is_given_is_kept(tmp_path: Path) -> None:
    """What an application gives is in a file of its owner alone, with a name for the device that says nothing."""
    folder = tmp_path / "device"
    reporter = configured(
        folder, endpoint=ENDPOINT, token=SECRET, device={"region": "eu-west"}, consents={"location": True}
    )
    assert reporter.status()["state"] == "on"
    found = read(folder / "settings.json")
    assert (found.endpoint, found.device.region) == (ENDPOINT, "eu-west")
    assert found.consents == {"location"}
    assert len(found.identifiers["device_id"]) == 32
    assert stat.S_IMODE((folder / "settings.json").stat().st_mode) == 0o600
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700


def test_what_is_not_given_stays(tmp_path: Path) -> None:
    """A second configuration changes what it names, and nothing else."""
    write(
        tmp_path / "settings.json",
        Settings(ENDPOINT, SECRET, identifiers={"device_id": "d"}, consents=frozenset({"location", "diagnostics"})),
    )
    configured(tmp_path, token="another", consents={"location": False, "fallback_reports": True})
    found = read(tmp_path / "settings.json")
    assert (found.endpoint, found.token, dict(found.identifiers)) == (ENDPOINT, "another", {"device_id": "d"})
    assert found.consents == {"diagnostics", "fallback_reports"}


@pytest.mark.parametrize(
    ("given", "why"),
    [
        pytest.param({"token": SECRET}, "endpoint: missing", id="no endpoint"),
        pytest.param({"endpoint": "http://gate.example", "token": SECRET}, NO_TLS, id="no TLS"),
        pytest.param({"endpoint": ENDPOINT, "token": SECRET, "consent": {}}, NO_SUCH, id="a typo"),
        pytest.param({"endpoint": ENDPOINT, "token": object()}, NO_TEXT, id="no text"),
        pytest.param({"endpoint": ENDPOINT, "token": SECRET, "directory": 7}, NO_PATH, id="no path"),
        pytest.param({"endpoint": ENDPOINT, "token": SECRET, "directory": "a\0b"}, NO_PATH, id="half a path"),
    ],
)  # fmt: skip
def test_settings_that_are_refused(tmp_path: Path, given: dict[str, Any], why: str) -> None:
    """Settings that cannot be used turn nothing on; `status` says why, without any of their values."""
    reporter = configured(tmp_path, **given)
    status = reporter.status()
    assert (status["state"], status["why"], status["errors"]) == ("off", why, {})
    assert SECRET not in json.dumps(status)
    assert not list(tmp_path.iterdir())


def test_a_directory_that_cannot_be(tmp_path: Path) -> None:
    """Where there can be no directory the application runs, and `status` says what is the trouble."""
    (tmp_path / "file").write_text("", encoding="utf-8")
    reporter = configured(tmp_path / "file" / "device", endpoint=ENDPOINT, token=SECRET)
    with reporter.task():
        pass
    assert reporter.flush(5) is False
    status = reporter.status()
    assert (status["state"], status["why"]) == ("off", "settings.json cannot be read")


def test_a_directory_of_others(tmp_path: Path) -> None:
    """An application that names a directory in which others work locks nobody out, and `status` says why it is off."""
    tmp_path.chmod(0o755)
    (tmp_path / "theirs").touch()
    status = configured(tmp_path, endpoint=ENDPOINT, token=SECRET).status()
    assert (status["state"], status["why"][:41]) == ("off", "directory: it has files of others in it, ")
    assert (stat.S_IMODE(tmp_path.stat().st_mode), [*tmp_path.iterdir()]) == (0o755, [tmp_path / "theirs"])


def test_consent_is_written_down(tmp_path: Path) -> None:
    """What a person answered is in the settings when the call returns."""
    reporter = configured(tmp_path, endpoint=ENDPOINT, token=SECRET)
    reporter.consent("fallback_reports", True)  # noqa: FBT003  # what a person answered
    assert read(tmp_path / "settings.json").consents == {"fallback_reports"}
    reporter.consent("fallback_reports", False)  # noqa: FBT003  # what a person answered
    assert read(tmp_path / "settings.json").consents == frozenset()


def test_a_consent_that_cannot_be_written_down(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where the settings cannot be written a withdrawn consent is withdrawn all the same, and written when they can."""
    write(tmp_path / "settings.json", Settings(ENDPOINT, SECRET, consents=frozenset({"location", "diagnostics"})))
    source = configuring.Source(tmp_path / "settings.json")

    def refused(*_: object) -> None:
        raise OSError

    with monkeypatch.context() as full:
        full.setattr(configuring, "write", refused)
        source.consent("location", given=False)
        source.consent("fallback_reports", given=True)
        found = source()
        assert found is not None
        assert found.consents >= {"diagnostics"}
        assert "location" not in found.consents
    assert read(tmp_path / "settings.json").consents == {"location", "diagnostics"}
    found = source()
    assert found is not None
    assert found.consents == read(tmp_path / "settings.json").consents == {"diagnostics"}


def test_there_is_no_home(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where nothing says which directory is the device's, an application runs and `status` says what to do."""
    for name in ("HOME", "XDG_STATE_HOME", "TIDEGATE_REPORTER_DIR"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr("pwd.getpwuid", {}.__getitem__)
    status = Reporter(endpoint=ENDPOINT, token=SECRET).status()
    assert (status["why"], status["errors"]) == (
        "directory: there is no home; TIDEGATE_REPORTER_DIR may name one", {},
    )  # fmt: skip


def test_only_true_is_an_agreement(tmp_path: Path) -> None:
    """What is neither true nor false withdraws, so that no text is ever taken for a consent."""
    reporter = configured(tmp_path, endpoint=ENDPOINT, token=SECRET)
    reporter.consent("location", "no")  # type: ignore[arg-type]
    assert read(tmp_path / "settings.json").consents == frozenset()
    assert reporter.status()["misused"] == {"consent": 1}


def test_a_consent_is_withdrawn_after_the_end(tmp_path: Path) -> None:
    """A person's answer is written down although the application has closed its reporter."""
    reporter = configured(tmp_path, endpoint=ENDPOINT, token=SECRET, consents={"location": True})
    reporter.close()
    reporter.consent("location", False)  # noqa: FBT003  # what a person answered
    assert read(tmp_path / "settings.json").consents == frozenset()
