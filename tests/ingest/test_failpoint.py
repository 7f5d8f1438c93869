"""Named places at which a process ends or stops itself, and that nothing is there in production."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from ingest import failpoint
from ingest.failpoint import NAMES, Armed, FailpointError, bound, parse

ROOT = Path(__file__).resolve().parents[2]
PROGRAM = """
from ingest.failpoint import reached
for _ in range(3):
    reached("gate.durable")
    print(".", flush=True)
"""


def run(text: str) -> "subprocess.CompletedProcess[str]":
    """A program that comes by three times, with the variable set."""
    environment = {**os.environ, failpoint.VARIABLE: text}
    return subprocess.run(
        [sys.executable, "-c", PROGRAM],
        cwd=ROOT,
        env=environment,
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )


@pytest.mark.parametrize(
    ("text", "armed"),
    [
        pytest.param("", (), id="nothing"),
        pytest.param("gate.durable=kill", (Armed("gate.durable", "kill", 1),), id="the first time"),
        pytest.param(
            "gate.durable=kill@3, seal.drafted=stop",
            (Armed("gate.durable", "kill", 3), Armed("seal.drafted", "stop", 1)),
            id="two",
        ),
    ],
)
def test_the_variable_is_read(text: str, armed: tuple[Armed, ...]) -> None:
    """Names, actions and times are read as they are written."""
    assert parse(text) == armed


@pytest.mark.parametrize(
    ("text", "said"),
    [
        pytest.param("gate.durabel=kill", "did you mean gate.durable", id="a name that there is not"),
        pytest.param("gate.durable=burn", "kill or stop, not burn", id="an action that there is not"),
        pytest.param("gate.durable", "form name=action", id="no action"),
        pytest.param("gate.durable=kill@0", "form name=action", id="the time before the first"),
        pytest.param("gate.durable=kill,", "form name=action", id="a comma too many"),
    ],
)
def test_what_cannot_be_understood_is_refused(text: str, said: str) -> None:
    """A name, an action or a time that there is not is refused with the nearest that there is."""
    with pytest.raises(FailpointError, match=said):
        parse(text)


@pytest.mark.parametrize(("time", "came_by"), [(1, 0), (3, 2)])
def test_a_process_kills_itself_at_the_time_named(time: int, came_by: int) -> None:
    """The process is gone before the call of that time returns, and not before."""
    done = run(f"gate.durable=kill@{time}")
    assert done.returncode == -signal.SIGKILL
    assert done.stdout.count(".") == came_by


def test_another_failpoint_does_nothing() -> None:
    """A process comes by a place that is not armed although another is."""
    done = run("gate.stripped=kill")
    assert (done.returncode, done.stdout.count(".")) == (0, 3)


def test_a_process_stops_itself_and_goes_on() -> None:
    """With `stop` the process stands still until somebody continues it."""
    environment = {**os.environ, failpoint.VARIABLE: "gate.durable=stop"}
    with subprocess.Popen(
        [sys.executable, "-c", PROGRAM], cwd=ROOT, env=environment, stdout=subprocess.PIPE
    ) as process:
        _, status = os.waitpid(process.pid, os.WUNTRACED)
        assert os.WIFSTOPPED(status)
        process.send_signal(signal.SIGCONT)
        assert process.stdout is not None
        assert process.stdout.read().count(b".") == 3


def test_without_the_variable_nothing_is_there() -> None:
    """In a process without the variable, as this one, the function has no body and counts nothing."""
    assert failpoint.VARIABLE not in os.environ
    assert failpoint.reached is bound(())
    assert failpoint.reached.__code__.co_code == (lambda _: None).__code__.co_code


def test_every_failpoint_is_in_the_code_once() -> None:
    """Each name of the list is reached in the product, and nothing else is."""
    found = [
        line.partition('reached("')[2].partition('"')[0]
        for package in ("ingest", "aggregators")
        for file in (ROOT / package).rglob("*.py")
        for line in file.read_text(encoding="utf-8").splitlines()
        if line.strip().startswith('reached("')
    ]
    assert sorted(set(found)) == sorted(NAMES)
    # Each log has its own place at which entries are handed to the storage.
    assert sorted(found) == sorted([*NAMES, "gate.appended"])
