"""The settings of a gate: which source wins, and how each wrong one is refused."""

from pathlib import Path

import pytest

from tidegate.settings import Settings, SettingsError, load_settings


@pytest.mark.parametrize(
    ("flag", "variable", "in_file", "port"),
    [
        pytest.param("1", "2", "3", 1, id="a flag beats both"),
        pytest.param(None, "2", "3", 2, id="a variable beats the file"),
        pytest.param(None, None, "3", 3, id="the file beats the default"),
        pytest.param(None, None, None, 8080, id="the default is left"),
        pytest.param(None, "", "3", 3, id="an empty variable is none"),
        pytest.param("1", "no number", "3", 1, id="what loses is not even looked at"),
    ],
)
def test_order_of_the_sources(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    flag: str | None,
    variable: str | None,
    in_file: str | None,
    port: int,
) -> None:
    """A flag comes before a variable, a variable before the file, and the file before the default."""
    config = tmp_path / "gate.toml"
    config.write_text("" if in_file is None else f"port = {in_file}\n", encoding="utf-8")
    if variable is not None:
        monkeypatch.setenv("TIDEGATE_PORT", variable)
    assert load_settings({"data": tmp_path, "port": flag}, config=config).port == port


def test_sources_add_up(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Settings from all three sources are in force together."""
    config = tmp_path / "gate.toml"
    config.write_text('location = "eu-west"\n', encoding="utf-8")
    monkeypatch.setenv("TIDEGATE_LOG", "memory")
    settings = load_settings({"data": str(tmp_path)}, config=config)
    assert (settings.data, settings.log, settings.location) == (tmp_path, "memory", "eu-west")


REFUSED_FLAGS = [
    pytest.param({}, "--data is needed; give it, or TIDEGATE_DATA, or data in the settings file", id="nothing said"),
    pytest.param({"port": "http"}, "--port: Input should be a valid integer", id="no number"),
    pytest.param({"port": "70000"}, "--port: Input should be less than or equal to 65535", id="too large"),
    pytest.param({"log": "disk"}, "--log: Input should be 'embedded' or 'memory'", id="not in the list"),
    pytest.param({"log_level": "loud"}, "--log-level: Input should be 'debug'", id="spelt as the option is"),
    pytest.param({"body_timeout_seconds": "0"}, "--body-timeout-seconds: Input should be greater than 0", id="zero"),
    pytest.param({"tls_key": "nowhere.pem"}, "--tls-key: Path does not point to a file", id="no such file"),
    pytest.param({"tls_key": __file__}, "tls_certificate and tls_key go together", id="half of a pair"),
    pytest.param(
        {"only": "both"}, "--only: Input should be 'ingest' or 'answers'", id="both is said by saying nothing"
    ),
    pytest.param({"log": "memory", "only": "answers"}, "a log in memory belongs to", id="a log of another process"),
]


@pytest.mark.parametrize(("flags", "said"), REFUSED_FLAGS)
def test_wrong_flag_is_refused(tmp_path: Path, flags: dict[str, str], said: str) -> None:
    """A wrong value is refused under the name of the option that it was given with."""
    given = {"data": str(tmp_path), **flags} if flags else {}
    with pytest.raises(SettingsError) as refused:
        load_settings(given, config=None)
    assert said in str(refused.value)


@pytest.mark.parametrize(
    ("name", "value", "said"),
    [
        pytest.param("TIDEGATE_PORT", "http", "TIDEGATE_PORT: Input should be a valid integer", id="wrong value"),
        pytest.param(
            "TIDEGATE_PRT", "1", "TIDEGATE_PRT: there is no such setting; did you mean TIDEGATE_PORT", id="typo"
        ),
        pytest.param("tidegate_prt", "1", "tidegate_prt: there is no such setting", id="typo in lower case"),
        pytest.param("TIDEGATE_PORT_80_TCP", "tcp://10.0.0.1:80", "enableServiceLinks", id="a Kubernetes service link"),
    ],
)
def test_wrong_variable_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, value: str, said: str
) -> None:
    """A variable that is no setting, or has a wrong value, is refused by its own name."""
    monkeypatch.setenv(name, value)
    with pytest.raises(SettingsError) as refused:
        load_settings({"data": tmp_path}, config=None)
    assert said in str(refused.value)


def test_variable_of_another_command_is_none_of_the_settings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """TIDEGATE_CONFIG, which names the file, is not taken for a misspelt setting."""
    monkeypatch.setenv("TIDEGATE_CONFIG", "gate.toml")
    assert load_settings({"data": tmp_path}, config=None).data == tmp_path


@pytest.mark.parametrize(
    ("text", "said"),
    [
        pytest.param("prt = 1", "gate.toml: there is no setting prt; did you mean port?", id="unknown key"),
        pytest.param('port = "http"', "gate.toml: port: Input should be a valid integer", id="wrong value"),
        pytest.param("port = [", "gate.toml: ", id="not TOML"),
        pytest.param(None, "gate.toml: there is no such settings file", id="no file"),
    ],
)
def test_wrong_file_is_refused(tmp_path: Path, text: str | None, said: str) -> None:
    """What is wrong in the file is refused with the file's name."""
    config = tmp_path / "gate.toml"
    if text is not None:
        config.write_text(text, encoding="utf-8")
    with pytest.raises(SettingsError) as refused:
        load_settings({"data": tmp_path}, config=config)
    assert said in str(refused.value)


def test_every_mistake_is_told_at_once(tmp_path: Path) -> None:
    """Two wrong settings make one refusal with a line for each."""
    with pytest.raises(SettingsError) as refused:
        load_settings({"data": tmp_path, "port": "x", "log": "y"}, config=None)
    assert [line.partition(":")[0] for line in str(refused.value).splitlines()] == ["--port", "--log"]


def test_every_setting_is_described() -> None:
    """Each setting has the description that becomes its help."""
    assert [name for name, info in Settings.model_fields.items() if not info.description] == []
