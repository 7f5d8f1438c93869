"""`tidegate demo`: the whole product is tried and told, and nothing of it is left behind, however it ends."""

import json
import os
import pty
import re
import shlex
import signal
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from socket import socket

import pytest
from confluent_kafka.admin import AdminClient

from tests.running_gate import eventually

DEMO = (sys.executable, "-m", "tidegate", "demo")

SMALL = ("--devices", "40")

RUN_SECONDS = 600
"""How long a whole demonstration of forty devices may take on a machine that has much else to do."""

POSTING = "Reports posted on time"

WRONG_TRUTH = """
import sys
from load.fleet import trial
right = trial.receipts_truth
def wrong(posted):
    receipts = right(posted)
    receipts["managed"].stored += 1
    return receipts
trial.receipts_truth = wrong
from tidegate.cli import main
sys.argv[1:] = ["demo", "--once", "--devices", "40"]
main()
"""
"""The demonstration, with one number of the truth altered."""


def environment(folder: Path, **more: str) -> dict[str, str]:
    """This environment with temporary directories in `folder`."""
    return {**os.environ, "TMPDIR": str(folder), "COLUMNS": "100", **more}


def run(folder: Path, command: Sequence[str], **more: str) -> subprocess.CompletedProcess[str]:
    """A demonstration from its start to its end."""
    return subprocess.run(
        command, env=environment(folder, **more), capture_output=True, text=True, timeout=RUN_SECONDS, check=False
    )


def processes(folder: Path) -> list[int]:
    """Every process that was started with `folder` for its temporary directories, forked ones included."""
    found = []
    for process in Path("/proc").glob("[0-9]*"):
        try:
            variables = (process / "environ").read_bytes()
        except OSError:  # it has just ended, or is none of ours
            continue
        if f"TMPDIR={folder}\0".encode() in variables:
            found.append(int(process.name))
    return found


def assert_nothing_is_left(folder: Path) -> None:
    """No directory, no file, no process."""
    assert list(folder.iterdir()) == []
    assert processes(folder) == []


class OnTerminal:
    """A demonstration whose stderr is a terminal, so that its bars appear while they move."""

    def __init__(self, folder: Path, output: Path, *options: str) -> None:
        self.terminal, theirs = pty.openpty()
        os.set_blocking(self.terminal, False)
        self._output = output
        self._told = b""
        with output.open("wb") as stdout:
            self.process = subprocess.Popen([*DEMO, *options], env=environment(folder), stdout=stdout, stderr=theirs)
        os.close(theirs)

    def told(self) -> str:
        """What has come on the terminal so far."""
        try:
            while piece := os.read(self.terminal, 65536):
                self._told += piece
        except OSError:  # nothing more for now, or the other end is closed
            pass
        return self._told.decode(errors="replace")

    def output(self) -> str:
        """What it has printed so far."""
        return self._output.read_text("utf-8")

    def end(self) -> int:
        """Its exit code."""
        return eventually(lambda: (self.told(), self.process.poll())[1:] != (None,), "it ended") and self.process.wait()


@contextmanager
def on_terminal(folder: Path, *options: str) -> Iterator[OnTerminal]:
    """A demonstration that is killed at the end of the block, if it should still run."""
    folder.mkdir()
    running = OnTerminal(folder, folder.with_name("output"), *options)
    try:
        yield running
    finally:
        running.process.kill()
        running.process.wait()
        os.close(running.terminal)


def test_once_as_json_is_one_object_and_leaves_nothing(tmp_path: Path) -> None:
    """All is well with a small fleet, whatever gate and proxy the caller has set up; stdout is one JSON object."""
    done = run(
        tmp_path,
        [*DEMO, "--once", "--json", *SMALL, "--seed", "1"],
        TIDEGATE_PORT="no number",
        TIDEGATE_DATA="/nowhere",
        http_proxy="http://127.0.0.1:9",
    )
    assert (done.returncode, done.stderr) == (0, "")
    found = json.loads(done.stdout)
    counted = {name: found.pop(name) for name in ("posted", "accepted", "duplicates", "rejected", "in_doubt")}
    assert counted["posted"] == counted["accepted"] + counted["duplicates"] + counted["rejected"]
    assert counted["accepted"] > 1000
    assert min(counted["duplicates"], counted["rejected"]) > 0
    assert counted["in_doubt"] == 0
    assert found.pop("seconds") > 0
    assert found.pop("places_searched") > 20
    assert found == {
        "tasks": 2400,
        "devices": 40,
        "seed": 1,
        "truth_equal": True,
        "mismatches": [],
        "identifier_leaks": 0,
        "leaks": [],
        "places_without_control": [],
        "all_is_well": True,
    }
    assert_nothing_is_left(tmp_path)


@pytest.mark.parametrize("own", [pytest.param(True, id="a broker of its own"), pytest.param(False, id="one that runs")])
@pytest.mark.kafka
def test_on_kafka(tmp_path: Path, kafka_bootstrap: str, own: bool) -> None:
    """On Apache Kafka all is well too, the broker's own files are searched, and no process and no topic is left."""
    before = topics(kafka_bootstrap)
    kafka = ["--kafka"] if own else ["--kafka", kafka_bootstrap]
    done = run(tmp_path, [*DEMO, "--once", "--json", "--devices", "30", *kafka])
    assert (done.returncode, done.stderr) == (0, "")
    found = json.loads(done.stdout)
    assert found["accepted"] > 1000
    assert (found["truth_equal"], found["identifier_leaks"], found["places_without_control"]) == (True, 0, [])
    assert (found["places_searched"] > 100) == own, "the files of a broker of its own, and of no other one"
    assert topics(kafka_bootstrap) == before
    assert_nothing_is_left(tmp_path)


def topics(bootstrap: str) -> set[str]:
    """Topics that a demonstration made there."""
    listed = AdminClient({"bootstrap.servers": bootstrap}).list_topics(timeout=10).topics
    return {name for name in listed if name.startswith("demo-")}


def test_a_kafka_that_is_not_there(tmp_path: Path) -> None:
    """An address where no broker answers is refused with what to do, and nothing is left."""
    with socket() as nobody:  # bound, and not listening
        nobody.bind(("127.0.0.1", 0))
        address = f"127.0.0.1:{nobody.getsockname()[1]}"
        done = run(tmp_path, [*DEMO, "--once", "--devices", "30", "--kafka", address])
    assert done.returncode == 1
    assert "without an address --kafka starts a broker of its own" in done.stderr
    assert "Traceback" not in done.stderr
    assert_nothing_is_left(tmp_path)


def test_a_wrong_number_is_named_and_ends_with_1(tmp_path: Path) -> None:
    """Where product and truth differ in one number, the page says in which, and the exit code is 1."""
    done = run(tmp_path, [sys.executable, "-c", WRONG_TRUTH])
    assert done.returncode == 1
    answers, ended = done.stdout.split("How it ended")
    for title in ("Where did tasks run?", "Is every report accounted for?"):
        assert title in answers
    assert re.search(r"^ *0 identifiers found in \d+ places searched$", ended, re.MULTILINE)
    differences = re.findall(r"^  differs: (.*)$", ended, re.MULTILINE)
    assert differences
    for one in differences:
        assert one.startswith("A3 ")
        assert "(managed" in one
    assert ended.rstrip().endswith("Not all is well.")
    assert "Searching for identifiers" in done.stderr
    assert "\x1b" not in done.stdout + done.stderr
    assert max(map(len, done.stdout.splitlines())) <= 100
    assert_nothing_is_left(tmp_path)


def test_serves_until_ctrl_c(tmp_path: Path) -> None:
    """Without --once the product goes on, suggested commands are answered, and Ctrl-C ends all of it with 0."""
    folder = tmp_path / "temporary"
    with on_terminal(folder, *SMALL) as running:
        eventually(lambda: "until Ctrl-C" in (running.told(), running.output())[1], "it serves", seconds=RUN_SECONDS)
        output = running.output()
        assert "All is well." in output
        [suggested] = re.findall(r"-m tidegate (ask A3 .*)", output)
        asked = subprocess.run(
            [sys.executable, "-m", "tidegate", *shlex.split(suggested)], capture_output=True, text=True, check=False
        )
        assert "contractor" in asked.stdout, asked.stderr
        [device] = re.findall(r"^ *(\S+ -m tidegate agent init .*\\\n.*)$", output, re.MULTILINE)
        typed = device.replace("python -m", f"{sys.executable} -m")
        shown = subprocess.run(["/bin/sh", "-euc", typed], capture_output=True, text=True, check=False)
        assert "made for    tier byod" in shown.stdout, shown.stderr
        running.process.send_signal(signal.SIGINT)
        assert running.end() == 0
        assert "the demonstration's directory is gone" in running.told()
    assert_nothing_is_left(folder)


MOMENTS = [
    pytest.param("Making a fleet", "2000", signal.SIGHUP, id="while the fleet is made"),
    pytest.param(POSTING, "300", signal.SIGINT, id="while it posts"),
    pytest.param(POSTING, "40", signal.SIGTERM, id="while a small one posts"),
]


@pytest.mark.parametrize(("moment", "devices", "number"), MOMENTS)
def test_ended_early_leaves_nothing(tmp_path: Path, moment: str, devices: str, number: signal.Signals) -> None:
    """A signal at any moment ends product and truth, and says so with 1: nobody may take that for a good result."""
    folder = tmp_path / "temporary"
    with on_terminal(folder, "--once", "--devices", devices) as running:
        eventually(lambda: moment in running.told(), moment)
        running.process.send_signal(number)
        assert running.end() == 1
        assert "Stopped before its end; the demonstration's directory is gone." in running.told()
        assert "Traceback" not in running.told()
        assert running.output() == ""
    assert_nothing_is_left(folder)


def test_product_that_dies(tmp_path: Path) -> None:
    """A product that ends by itself ends the demonstration with 1 and its last log lines, and nothing is left."""
    folder = tmp_path / "temporary"

    def product() -> list[int]:
        commands = {one: Path(f"/proc/{one}/cmdline").read_bytes() for one in processes(folder)}
        return [one for one, command in commands.items() if b"\0serve\0" in command]

    with on_terminal(folder, "--once", "--devices", "300") as running:
        eventually(lambda: POSTING in running.told(), "it posts")
        [one] = product()
        os.kill(one, signal.SIGKILL)
        assert running.end() == 1
        assert "Error: it ended by itself" in running.told()
        assert '"event": ' in running.told()
    assert_nothing_is_left(folder)


WRONG = [
    pytest.param(("--json",), 2, "--json goes with --once", id="JSON without an end"),
    pytest.param(("--devices", "5"), 2, "30<=x<=20000", id="too few devices for any answer"),
    pytest.param(("--trace", "{folder}/none.csv"), 2, "does not exist", id="no such trace"),
    pytest.param(("--once", "--trace", "{folder}/bad.csv"), 1, "bad.csv", id="a trace that is none"),
]


@pytest.mark.parametrize(("options", "code", "told"), WRONG)
def test_wrong_usage(tmp_path: Path, options: tuple[str, ...], code: int, told: str) -> None:
    """What cannot work is refused with a sentence, before anything starts."""
    (tmp_path / "bad.csv").write_text("time,tokens\nsecret,1\n", encoding="utf-8")
    done = run(tmp_path, [*DEMO, *(option.format(folder=tmp_path) for option in options)])
    assert done.returncode == code
    assert told in done.stderr
    assert "Traceback" not in done.stderr
    assert "secret" not in done.stderr
    assert [file.name for file in tmp_path.iterdir()] == ["bad.csv"]
