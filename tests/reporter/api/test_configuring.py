"""How a device comes to its settings, by code and by file."""

import json
import stat
from pathlib import Path
from typing import Any

import pytest

from reporter.reporter import Reporter
from reporter.state import Settings, read, write
from tests.reporter.api.device import ENDPOINT

SECRET = "tdg_secret_token"

NO_TLS = "endpoint: must begin with https://; http:// is for a gate on this machine only"
NO_SUCH = "consent: there is no such setting; did you mean consents?"
NO_TEXT = "something was said that is no text, no number and not true or false"


def configured(folder: Path, **settings: Any) -> Reporter:
    """A reporter that is told this, and stopped."""
    return Reporter(directory=folder, **settings)


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


def test_consent_is_written_down(tmp_path: Path) -> None:
    """What a person answered is in the settings when the call returns."""
    reporter = configured(tmp_path, endpoint=ENDPOINT, token=SECRET)
    reporter.consent("fallback_reports", True)  # noqa: FBT003  # what a person answered
    assert read(tmp_path / "settings.json").consents == {"fallback_reports"}
    reporter.consent("fallback_reports", False)  # noqa: FBT003  # what a person answered
    assert read(tmp_path / "settings.json").consents == frozenset()
