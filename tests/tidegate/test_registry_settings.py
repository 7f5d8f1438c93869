"""The settings of the schema registry: which are taken, and how each wrong one is refused."""

from pathlib import Path

import pytest

from ingest.registry.ids import OwnIds, RegisteredIds
from tidegate.serving.ingest_half import id_source
from tidegate.settings import SettingsError, load_settings

URL = "https://registry.example.org:8081"


@pytest.fixture
def password(tmp_path: Path) -> Path:
    """A file with a password."""
    file = tmp_path / "password"
    file.write_text("a secret\n", encoding="utf-8")
    return file


def test_what_gives_the_ids(tmp_path: Path, password: Path) -> None:
    """Without the setting nobody gives ids; `own` and a URL, with a password or without, name who does."""
    assert id_source(load_settings({"data": tmp_path}, config=None)) is None
    assert isinstance(id_source(load_settings({"data": tmp_path, "schema_registry": "own"}, config=None)), OwnIds)
    flags = {"data": tmp_path, "schema_registry": URL}
    login = {"schema_registry_username": "tidegate", "schema_registry_password_file": password}
    for more in ({}, login):
        assert isinstance(id_source(load_settings(flags | more, config=None)), RegisteredIds)


@pytest.mark.parametrize(
    ("flags", "said"),
    [
        pytest.param({"schema_registry": "mine"}, "http(s)://host", id="neither own nor a URL"),
        pytest.param({"schema_registry": "https://me:secret@registry"}, "without user", id="a password in the URL"),
        pytest.param({"schema_registry": URL, "schema_registry_username": "me"}, "go together", id="half a login"),
        pytest.param({"schema_registry": "own", "schema_registry_username": "me"}, "a URL", id="a login for own"),
        pytest.param({"schema_registry_username": "me"}, "a URL", id="a login for nobody"),
    ],
)
def test_a_wrong_setting_is_refused(tmp_path: Path, flags: dict[str, str], said: str) -> None:
    """A registry that cannot be meant is refused with what it has to be, and without a password."""
    with pytest.raises(SettingsError) as refused:
        load_settings({"data": tmp_path, **flags}, config=None)
    assert said in str(refused.value)
    assert "secret" not in str(refused.value)
