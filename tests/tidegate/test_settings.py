"""The settings of a gate: which source wins, and how each wrong one is refused."""

from pathlib import Path

import pytest

from tidegate.settings import Settings, SettingsError, load_log_settings, load_settings


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
    pytest.param({"log": "disk"}, "--log: Input should be 'embedded', 'memory' or 'kafka'", id="not in the list"),
    pytest.param({"log_level": "loud"}, "--log-level: Input should be 'debug'", id="spelt as the option is"),
    pytest.param({"body_timeout_seconds": "0"}, "--body-timeout-seconds: Input should be greater than 0", id="zero"),
    pytest.param({"tls_key": "nowhere.pem"}, "--tls-key: Path does not point to a file", id="no such file"),
    pytest.param({"tls_key": __file__}, "tls_certificate and tls_key go together", id="half of a pair"),
    pytest.param(
        {"only": "both"}, "--only: Input should be 'ingest' or 'answers'", id="both is said by saying nothing"
    ),
    pytest.param({"log": "memory", "only": "answers"}, "a log in memory belongs to", id="a log of another process"),
    pytest.param({"log": "kafka"}, "kafka_bootstrap is needed for log kafka", id="a cluster without an address"),
    pytest.param({"log": "kafka", "kafka_bootstrap": "b"}, "'b' is no address of a broker", id="no address"),
    pytest.param({"kafka_topic_prefix": "x."}, "kafka_topic_prefix is for log kafka", id="a cluster that is not used"),
    pytest.param({"kafka_topic_prefix": "x y"}, "--kafka-topic-prefix: String should match", id="no name of a topic"),
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


@pytest.mark.parametrize(
    "name",
    [
        pytest.param("TIDEGATE_CONFIG", id="names the file"),
        pytest.param("TIDEGATE_REPORTER_DIR", id="of a device on the same machine"),
    ],
)
def test_variable_of_another_command_is_none_of_the_settings(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    """A variable of ours that is for something else is not taken for a misspelt setting."""
    monkeypatch.setenv(name, "gate.toml")
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


KAFKA = {"log": "kafka", "kafka_bootstrap": "broker:9092"}


def test_a_password_is_read_from_its_file(tmp_path: Path) -> None:
    """The first line of the file is the password, and no text of the settings shows it."""
    file = tmp_path / "password"
    file.write_text("secret\n", encoding="utf-8")
    user = {"kafka_security_protocol": "SASL_PLAINTEXT", "kafka_sasl_mechanism": "PLAIN", "kafka_username": "gate"}
    settings = load_settings({"data": tmp_path, **KAFKA, **user, "kafka_password_file": file}, config=None)
    assert settings.kafka().password == "secret"
    assert "secret" not in repr(settings)
    file.write_text("", encoding="utf-8")
    with pytest.raises(SettingsError, match="is empty: its first line must be the password"):
        load_settings({"data": tmp_path, **KAFKA, **user, "kafka_password_file": file}, config=None)


def test_reading_a_cluster_needs_no_data_directory() -> None:
    """A command that reads the log needs a data directory where the log is in it, and not for a cluster."""
    assert load_log_settings(KAFKA, config=None).kafka().bootstrap == "broker:9092"
    with pytest.raises(SettingsError, match="--data is needed; give it, or TIDEGATE_DATA"):
        load_log_settings({}, config=None)
    with pytest.raises(SettingsError, match="a log in memory is gone with its process"):
        load_log_settings({"log": "memory"}, config=None)
