"""The agent's commands against a real gate, as a person types them."""

import json
import stat
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from io import StringIO
from pathlib import Path

import pytest

from reporter import state
from reporter.agent.command import main, parser
from reporter.agent.refused import WrongUsage
from reporter.clock import SystemClock
from reporter.directory import VARIABLE
from reporter.queue.queue import Queue
from tests.reporter.agent.setting import Place
from tests.reporter.made_up import BYOD, EVERY_CONSENT, HOUR_MS, put, report
from tests.running_gate import RunningGate, eventually, issue_token, running_gate, tier_files

PLANTED = {"user_email": "ada@example.org", "hostname": "ada-laptop", "serial": "SER1234567"}


@pytest.fixture(scope="module")
def gate(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningGate]:
    """One gate for all of these."""
    folder = tmp_path_factory.mktemp("gate")
    with running_gate(folder, tiers=tier_files(folder / "tiers")) as running:
        yield running


@pytest.fixture
def place(tmp_path: Path) -> Place:
    """A device of which there is nothing yet."""
    return Place(tmp_path / "device")


@pytest.fixture
def ready(place: Place, gate: RunningGate) -> Place:
    """A device that was set up, and of which an operator said more than the tier takes."""
    assert place.init(gate).code == 0
    settings = state.read(place.directory.settings)
    told = replace(settings, identifiers={**settings.identifiers, **PLANTED}, consents=EVERY_CONSENT)
    state.write(place.directory.settings, told)
    return place


def queue_of(place: Place) -> Queue:
    """What waits on the device."""
    return Queue(place.directory.queue, clock=SystemClock())


def put_reports(place: Place, *names: str) -> None:
    """Windows of the hour before this one were closed."""
    start = SystemClock().now_ms() // HOUR_MS * HOUR_MS - HOUR_MS
    put(queue_of(place), *[report(name, start=start) for name in names])


def test_a_device_is_set_up(place: Place, gate: RunningGate) -> None:
    """`init` writes settings for its owner alone, says what is taken off and what comes next, and shows no token."""
    done = place.init(gate, "managed", "--region", "eu-west", "--hardware-tier", "large")
    assert (done.code, done.err) == (0, "")
    settings = state.read(place.directory.settings)
    assert settings.token == gate.tokens["managed"]
    assert (settings.device.region, settings.device.hardware_tier) == ("eu-west", "large")
    assert settings.device.os == "linux"
    assert not settings.consents
    assert list(settings.identifiers) == ["device_id"]
    assert "user_email" in done.out
    assert "would take a report" in done.out
    assert "Next: `python -m reporter run`" in done.out
    assert gate.tokens["managed"] not in done.out
    modes = {stat.S_IMODE(file.stat().st_mode) for file in place.path.iterdir()}
    assert (stat.S_IMODE(place.path.stat().st_mode), modes) == (0o700, {0o600})


def test_set_up_again(ready: Place, gate: RunningGate) -> None:
    """A second `init` changes what it is told, and leaves device_id, consents and facts as an operator set them."""
    before = state.read(ready.directory.settings)
    by_hand = replace(before.device, os_version="99", agent_version=None)
    state.write(ready.directory.settings, replace(before, device=by_hand))
    assert ready.init(gate, "byod", "--site", "hq").code == 0
    after = state.read(ready.directory.settings)
    assert after.endpoint.endswith("/t/byod")
    assert (after.identifiers, after.consents) == (before.identifiers, before.consents)
    assert after.device == replace(by_hand, site="hq")


def test_every_tier_takes_a_device(place: Place, gate: RunningGate) -> None:
    """For every tier that ships `init` says what is taken off, and the gate would take the device's reports."""
    for tier in gate.catalogue.tiers:
        done = Place(place.path / tier).init(gate, tier)
        assert done.code == 0
        assert f"Tier {tier}, policy version" in done.out
        assert "would take a report" in done.out


@pytest.mark.parametrize(
    ("endpoint", "token", "code", "said"),
    [
        pytest.param("{gate}/t/managed", "tg_no_token", 1, "does not take this device's token", id="a wrong token"),
        pytest.param("{gate}/t/byod", "{managed}", 1, "it is another tier's", id="another tier's token"),
        pytest.param("{gate}/nowhere", "{managed}", 1, "publishes no policy", id="no tier"),
        pytest.param("http://gate.example/t/managed", "{managed}", 1, "must begin with https://", id="not TLS"),
        pytest.param("{gate}/t/managed", "", 1, "there is no token", id="no token"),
        pytest.param("{gate}/t/managed", "two words", 1, "token: must be", id="no token either"),
    ],
)
def test_what_cannot_be_set_up(
    place: Place, gate: RunningGate, endpoint: str, token: str, code: int, said: str
) -> None:
    """`init` says what is wrong, and never repeats a token."""
    names = {"gate": gate.url, "managed": gate.tokens["managed"]}
    done = place.type("init", endpoint.format(**names), stdin=token.format(**names))
    assert (done.code, said in done.err) == (code, True)
    assert not token or token.format(**names) not in done.out + done.err


def test_a_gate_that_is_not_there_yet(place: Place) -> None:
    """A device is set up without its gate, and reports as little as can be until it is there."""
    done = place.type("init", "http://127.0.0.1:9/t/managed", stdin="token")
    assert (done.code, done.err) == (0, "")
    assert "nobody answers at the endpoint" in done.out
    shown = place.type("show", "--sample", "--json").document[0]
    assert (shown["tier"], shown["values"]["device_id"]) == (None, None)


def test_a_word_too_many_is_not_repeated(capsys: pytest.CaptureFixture[str]) -> None:
    """A token behind the URL is refused without being repeated, and a misspelt option is told the right one."""
    assert main(["init", "https://gate.example/t/managed", "tg_secret"]) == 2
    assert "tg_secret" not in "".join(capsys.readouterr())
    assert main(["show", "--sampel"]) == 2
    assert "did you mean --sample?" in capsys.readouterr().err


def test_bytes_alone_are_not_checked(place: Place) -> None:
    """`show --raw --check` is refused, for the gate's answer would be mixed with the bytes."""
    assert place.type("show", "--raw", "--check").code == 2


def test_a_directory_of_others(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """`init` locks nobody out of a directory in which somebody else has files."""
    (tmp_path / "theirs").touch()
    tmp_path.chmod(0o755)
    monkeypatch.setenv(VARIABLE, str(tmp_path))
    monkeypatch.setattr("sys.stdin", StringIO("token"))
    assert main(["init", "http://127.0.0.1:9/t/managed"]) == 1
    assert (tmp_path.stat().st_mode & 0o777, sorted(tmp_path.iterdir())) == (0o755, [tmp_path / "theirs"])


def test_authorities_by_their_whole_path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A file of authorities is kept with its whole path, and has to be there."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv(VARIABLE, str(tmp_path / "device"))
    (tmp_path / "token").write_text("token", encoding="ascii")
    words = ["init", "http://127.0.0.1:9/t/managed", "--token-file", "token", "--ca-file", "ours.pem"]
    assert main(words) == 1
    (tmp_path / "ours.pem").touch()
    assert main(words) == 0
    assert state.read(tmp_path / "device" / "settings.json").ca_file == str(tmp_path / "ours.pem")


@pytest.mark.parametrize("words", [["--token", "tg_secret"], ["--token=tg_secret"]])
def test_a_token_is_no_argument(words: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    """A token on the command line is refused, and is not repeated."""
    assert main(["init", "https://gate.example/t/managed", *words]) == 2
    said = "".join(capsys.readouterr())
    assert "--token-file" in said
    assert "tg_secret" not in said


def test_a_token_of_a_moment_ago(gate: RunningGate, place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    """A token that was made while the gate runs is known to it when `init` has ended, however soon that was typed."""
    # Asked now, the gate looks for new tokens in a second and not before.
    eventually(lambda: gate.post("managed", "route_window", b"").status == 400, "the gate has looked")
    token = issue_token(gate.data, "managed")
    monkeypatch.setattr(sys, "stdin", StringIO(f"{token}\n"))
    assert main(["init", f"{gate.url}/t/managed", "--directory", str(place.path)]) == 0


@pytest.mark.parametrize(
    "words",
    [
        pytest.param([], id="nothing"),
        pytest.param(["stats"], id="misspelt"),
        pytest.param(["run", "--otlp", "0"], id="no port"),
        pytest.param(["show", "--count", "0"], id="no number"),
        pytest.param(["show", "--raw", "--json"], id="two forms"),
        pytest.param(["consent", "location", "maybe"], id="neither yes nor no"),
        pytest.param(["consent", "tracking", "yes"], id="no purpose"),
        pytest.param(["status", "--js"], id="an abbreviation"),
        pytest.param(["status", "more"], id="a word too many"),
    ],
)
def test_wrong_usage(words: list[str]) -> None:
    """What is no command ends with exit code 2 and says why."""
    with pytest.raises(WrongUsage):
        parser("tidegate agent").parse_args(words)
    assert main(words) == 2


COMMANDS = [["status"], ["show"], ["routes"], ["consent", "location", "yes"], ["forget"], ["flush"], ["run"]]


@pytest.mark.parametrize("words", COMMANDS, ids=lambda words: words[0])
def test_a_device_that_is_not_set_up(
    words: list[str], place: Place, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Every command says that `init` comes first, and leaves no file behind."""
    monkeypatch.setenv(VARIABLE, str(place.path))
    assert main(words, command="tidegate agent") == 1
    assert "`tidegate agent init`" in capsys.readouterr().err
    assert not place.path.exists()


def test_show_is_what_is_sent(ready: Place, gate: RunningGate) -> None:
    """The bytes that `show` prints are those that the gate takes, with the identifiers that the tier lets through."""
    put_reports(ready, "health_window")
    (shown,) = ready.type("show", "--json").document
    assert shown["values"]["device_id"] == state.read(ready.directory.settings).identifiers["device_id"]
    assert not [name for name, value in PLANTED.items() if value in json.dumps(shown)]
    answer = gate.post("managed", "health_window", bytes.fromhex(shown["bytes"]))
    assert (answer.status, answer.document["accepted"]) == (202, 1)


def test_show_for_people(ready: Place) -> None:
    """`show` names what is carried and what is never sent, and prints bytes and values of each that waits."""
    put_reports(ready, "health_window", "trace_window")
    out = ready.type("show", "--count", "5").out
    assert out.count("What they say:") == 2
    assert "carries     device_id" in out
    assert "never sent  user_email, hostname, serial" in out
    assert "|" in out
    assert not [name for name, value in PLANTED.items() if value in out]


def test_show_what_was_taken_off(ready: Place) -> None:
    """Fields that were made coarser before they were queued are named, with the number of their values."""
    start = SystemClock().now_ms() // HOUR_MS * HOUR_MS - HOUR_MS
    put(queue_of(ready), report("health_window", start=start, agent_version="1.2.3-beta", attributes={"a": "b"}))
    (shown,) = ready.type("show", "--json").document
    assert {"field": "agent_version", "action": "coarsen", "values": 1} in shown["taken_off"]
    assert {"field": "attributes", "action": "drop", "values": 1} in shown["taken_off"]
    assert "beta" not in ready.type("show").out


def test_show_check(ready: Place, gate: RunningGate) -> None:
    """`--check` shows what the gate would store, with the device under a pseudonym, and stores nothing."""
    put_reports(ready, "health_window")
    before = _health_windows(gate)
    (shown,) = ready.type("show", "--json", "--check").document
    assert shown["checked"]["outcome"] == "accepted"
    assert shown["checked"]["stripped"]["device_id"] not in (None, shown["values"]["device_id"])
    assert shown["checked"]["taken_off"] == [{"field": "device_id", "action": "pseudonymise"}]
    assert "would store it in tidegate.managed.health_window.v1" in ready.type("show", "--check").out
    assert _health_windows(gate) == before
    assert queue_of(ready).depth().reports == 1


def _health_windows(gate: RunningGate) -> int:
    """How many the gate has stored."""
    return sum("health_window" in entry.topic for entry in gate.entries())


def test_show_what_would_be_refused(ready: Place) -> None:
    """`--check` gives the gate's reason where it would refuse a report."""
    put(queue_of(ready), report("health_window", start=HOUR_MS))
    done = ready.type("show", "--check")
    assert (done.code, "would refuse it: window_too_old" in done.out) == (0, True)


def test_show_when_it_goes(ready: Place) -> None:
    """`show` says of a report whose window is not over yet when it goes."""
    start = SystemClock().now_ms() // HOUR_MS * HOUR_MS
    put(queue_of(ready), replace(report("health_window", start=start), not_before_ms=start + 2 * HOUR_MS))
    assert "not before" in ready.type("show").out


def test_show_raw(ready: Place) -> None:
    """`--raw` gives the bytes of the first report and nothing else."""
    put_reports(ready, "health_window")
    (shown,) = ready.type("show", "--json").document
    command = [sys.executable, "-m", "reporter", "show", "--raw"]
    assert (
        subprocess.run(command, env=ready.environment, capture_output=True, check=True).stdout.hex() == shown["bytes"]
    )


def test_show_a_sample(ready: Place) -> None:
    """`--sample` shows a made-up report of this device where nothing waits, and puts nothing into the queue."""
    assert "nothing waits" in ready.type("show").err
    (shown,) = ready.type("show", "--sample", "--check", "--json").document
    assert (shown["report"], shown["tier"], shown["checked"]["outcome"]) == ("route_window", "managed", "accepted")
    assert queue_of(ready).depth().reports == 0


def test_consent_withdrawn(ready: Place) -> None:
    """A consent that is withdrawn is written down, and what rests on it is deleted from every file."""
    settings = state.read(ready.directory.settings)
    state.write(ready.directory.settings, replace(settings, endpoint=settings.endpoint.replace("managed", "byod")))
    byod = queue_of(ready)
    start = SystemClock().now_ms() // HOUR_MS * HOUR_MS - HOUR_MS
    put(byod, report("path_probe", policy=BYOD, start=start), report("route_window", policy=BYOD, start=start))
    done = ready.type("consent", "diagnostics", "no")
    assert "1 report that rested on it" in done.out
    assert byod.depth().reports == 1
    assert state.read(ready.directory.settings).consents == {"fallback_reports", "location"}
    assert ready.type("consent", "diagnostics", "yes").code == 0
    assert state.read(ready.directory.settings).consents == EVERY_CONSENT


def test_forget(ready: Place) -> None:
    """`forget` empties queue and evidence and leaves the settings."""
    put_reports(ready, "health_window", "trace_window")
    application = ready.application(3)
    assert application.wait(60) == 0
    done = ready.type("forget")
    assert "evidence of 1 hour" in done.out
    assert queue_of(ready).depth().reports == 0
    assert ready.type("routes", "--all", "--json").document["rows"] == []
    assert state.read(ready.directory.settings).identifiers["serial"] == PLANTED["serial"]


def test_status(ready: Place, gate: RunningGate) -> None:
    """`status` says what waits, by which policy, with which consents, and neither token nor identifier."""
    put_reports(ready, "health_window")
    found = ready.type("status", "--json")
    assert found.document["policy"]["tier"] == "managed"
    assert found.document["queue"]["depth"]["reports"] == 1
    assert found.document["agent"] is None
    told = ready.type("status").out
    assert "1 report, " in told
    assert "tier managed, version 1" in told
    secrets = [gate.tokens["managed"], *state.read(ready.directory.settings).identifiers.values()]
    assert not [one for one in secrets if one in found.out + told]


def test_a_damaged_settings_file(ready: Place) -> None:
    """Settings that cannot be read are named by the setting, without a value."""
    text = ready.directory.settings.read_text(encoding="utf-8").replace('"site": null', '"sight": "ada-home"')
    ready.directory.settings.write_text(text, encoding="utf-8")
    done = ready.type("status")
    assert done.code == 1
    assert "settings.json: device.sight: there is no such setting; did you mean site?" in done.err
    assert "ada-home" not in done.err


def test_routes(ready: Place) -> None:
    """`routes` answers yes or no first, then when and why, of tasks that an application reported by itself."""
    assert "no evidence yet" in ready.type("routes").out
    assert ready.application(5).wait(60) == 0
    out = ready.type("routes").out
    assert out.startswith("Yes: 2 of 5 tasks since ")
    assert "3 tasks on this device are left out" in out
    (row,) = ready.type("routes", "--json").document["rows"]
    del row["hour_ms"]
    assert row == {
        "planned_route": "on_device",
        "actual_route": "managed_cloud",
        "decision_reason": "other",
        "fallback_reason": "timeout",
        "consent": "granted",
        "disclosed": "disclosed",
        "data_class": "internal",
        "tasks": 2,
    }
    assert len(ready.type("routes", "--json", "--all", "--since", "2h").document["rows"]) == 2
    assert ready.type("routes", "--since", "2999-01-01").out.startswith("No: none of 0 tasks")
    assert ready.type("routes", "--since", "yesterday").code == 2


def test_a_reader_that_has_enough(ready: Place) -> None:
    """A pipe that is closed early is no error."""
    command = f"{sys.executable} -m reporter show --sample | head -1"
    done = subprocess.run(command, shell=True, env=ready.environment, capture_output=True, text=True, check=True)  # noqa: S602
    assert (done.stdout.split()[0], done.stderr) == ("report", "")
