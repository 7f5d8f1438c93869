"""Where no broker can be had: what is missing is said, with what to do about it."""

import json
import shutil
import threading
from pathlib import Path

import pytest
from click.testing import CliRunner

from load import bench
from load.broker import BrokerFailedError, NoBroker, jars
from load.broker.distribution import java
from load.server_process import ServerFailed

JAVA_17 = "echo 'openjdk version \"17.0.15\" 2025-04-15' >&2"
LAYS_DOWN = """\
for argument; do case $argument in -DoutputDirectory=*) directory=${argument#-DoutputDirectory=};; esac; done
echo called >> "$(dirname "$0")/calls"
mkdir -p "$directory"
sleep 0.2
echo jar > "$directory/kafka_2.13-4.3.1.jar"
"""


@pytest.fixture
def bin_directory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The only directory with programs of which this process knows, and an empty cache."""
    place = tmp_path / "bin"
    place.mkdir()
    for name in ("dirname", "mkdir", "sleep"):
        (place / name).symlink_to(shutil.which(name) or "")
    monkeypatch.setenv("PATH", str(place))
    monkeypatch.delenv("JAVA_HOME", raising=False)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return place


def program(place: Path, name: str, script: str) -> None:
    """A program of that name, as a shell script."""
    file = place / name
    file.write_text(f"#!/bin/sh\n{script}\n")
    file.chmod(0o755)


@pytest.mark.parametrize(
    ("said", "why"),
    [
        pytest.param('openjdk version "11.0.2" 2019-01-15', r"bin/java is Java 11; Kafka needs 17 or later", id="11"),
        pytest.param(
            'java version "1.8.0_392"', r"bin/java is Java 8; Kafka needs 17 or later", id="8, in its old way"
        ),
        pytest.param("Killed", r"no Java that says its version", id="something else"),
    ],
)
def test_old_java(bin_directory: Path, said: str, why: str) -> None:
    """A Java that is too old is named, with its version and the one that is needed."""
    program(bin_directory, "java", f"echo '{said}' >&2")
    with pytest.raises(NoBroker, match=why):
        java()


def test_no_java(bin_directory: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without Java it is said where it was looked for: on PATH, or in JAVA_HOME where that is set."""
    with pytest.raises(NoBroker, match="no java on PATH; Kafka needs Java 17 or later"):
        java()
    program(bin_directory, "java", JAVA_17)
    monkeypatch.setenv("JAVA_HOME", "/nowhere")
    with pytest.raises(NoBroker, match=r"JAVA_HOME \(/nowhere\) has no bin/java"):
        java()


def test_no_maven(bin_directory: Path) -> None:
    """Without Maven, and without the jars, it is said who would fetch them."""
    program(bin_directory, "java", JAVA_17)
    with pytest.raises(NoBroker, match="no mvn on PATH"):
        jars()


@pytest.mark.parametrize(
    "script",
    [
        pytest.param("echo could not transfer; exit 1", id="it fails"),
        pytest.param("echo could not transfer", id="it lays nothing down"),
    ],
)
def test_maven_fails(bin_directory: Path, tmp_path: Path, script: str) -> None:
    """What Maven said is repeated, and nothing is left that a later try would take for the jars."""
    program(bin_directory, "java", JAVA_17)
    program(bin_directory, "mvn", script)
    with pytest.raises(NoBroker, match=r"(?s)mvn could not fetch .*could not transfer"):
        jars()
    assert not [place for place in (tmp_path / "cache" / "tidegate").iterdir() if place.is_dir()]


def test_fetched_once(bin_directory: Path) -> None:
    """Two that need the jars at once get the same complete directory, and Maven is run once."""
    program(bin_directory, "java", JAVA_17)
    program(bin_directory, "mvn", LAYS_DOWN)
    java()
    found: list[list[str]] = []
    both = [threading.Thread(target=lambda: found.append([file.name for file in jars().iterdir()])) for _ in range(2)]
    for one in both:
        one.start()
    for one in both:
        one.join()
    assert found == [["kafka_2.13-4.3.1.jar"]] * 2
    assert (bin_directory / "calls").read_text() == "called\n"


class Answered:
    """A part of the bench that was measured."""

    heading = "what an answer costs"
    tables = ()
    targets = ()

    def document(self) -> dict[str, int]:
        """Its one figure."""
        return {"figure": 42}


def test_the_bench_keeps_what_it_measured(bin_directory: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without Java the other parts are printed, it is said why Kafka was not measured, and the exit code is 1."""
    assert not list(bin_directory.glob("java"))
    monkeypatch.setattr(bench, "PARTS", {"kafka": bench.Bench.kafka, "answers": lambda _: Answered()})
    done = CliRunner().invoke(bench.main, ["--json", "--quick", "--folder", str(bin_directory)])
    assert done.exit_code == 1
    assert json.loads(done.stdout)["answers"]["figure"] == 42
    assert "Error: kafka was not measured: there is no" in done.stderr
    assert "Traceback" not in done.stderr
    assert "what an answer costs" in CliRunner().invoke(bench.main, ["--quick"]).stdout


@pytest.mark.parametrize(
    "error", [BrokerFailedError("broker 1 ended"), ServerFailed("no gate"), TimeoutError(), NoBroker("no mvn")]
)
def test_a_part_that_fails_takes_no_other_with_it(monkeypatch: pytest.MonkeyPatch, error: Exception) -> None:
    """Whatever ends a part, those before and behind it are measured and printed."""

    def failing(_: bench.Bench) -> Answered:
        raise error

    monkeypatch.setattr(
        bench, "PARTS", {"gate": lambda _: Answered(), "kafka": failing, "answers": lambda _: Answered()}
    )
    done = CliRunner().invoke(bench.main, ["--json", "--quick"])
    assert done.exit_code == 1
    assert set(json.loads(done.stdout)) == {"machine", "gate", "answers"}
    assert f"kafka was not measured: {str(error) or 'a server did not answer in time'}" in done.stderr
