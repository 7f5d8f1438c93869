"""A server in a process of its own: when it is ready, what is said where it is not, and that it never stays behind."""

import os
import signal
import subprocess
import sys
import threading
from collections.abc import Mapping
from contextlib import AbstractContextManager
from pathlib import Path

import pytest

from load.server_process import NOTHING_MORE, ServerFailed, ServerProcess, server_process

READY = """print('{"url": "http://here"}', flush=True)\n"""
WAIT = "import signal\nwhile True: signal.pause()\n"
REAL_POPEN = subprocess.Popen
DEAF = "import signal\nsignal.signal(signal.SIGTERM, signal.SIG_IGN)\n"


def server(
    folder: Path, program: str, *, patience: float = 15, environment: Mapping[str, str] = NOTHING_MORE
) -> AbstractContextManager[ServerProcess]:
    """A Python program as a server, with its files in `folder`."""
    command = [sys.executable, "-c", program]
    files = {"stdout": folder / "stdout", "stderr": folder / "stderr"}
    return server_process(command, **files, environment=environment, patience=patience)


def test_the_first_line_of_its_own_counts(tmp_path: Path) -> None:
    """A server is ready with the line that it prints itself, whatever another one printed to the file before."""
    (tmp_path / "stdout").write_text('{"url": "http://before"}\n', encoding="utf-8")
    with server(tmp_path, READY + WAIT) as running:
        assert running.ready() == {"url": "http://here"}
        assert running.process.poll() is None
    assert running.process.returncode == -signal.SIGTERM


def test_its_last_words_are_told(tmp_path: Path) -> None:
    """A server that ends before it is ready is told of with its exit code and the end of what it logged."""
    told = "ended with 1 at its start:\nthe port is taken"
    with (
        server(tmp_path, "import sys\nsys.exit('the port is taken')") as running,
        pytest.raises(ServerFailed, match=told),
    ):
        running.ready()


def test_nobody_waits_for_ever(tmp_path: Path) -> None:
    """A server that says nothing is told of once the time is over, and ended."""
    told = "not ready within 0 s:\nit said nothing"
    with server(tmp_path, WAIT) as running, pytest.raises(ServerFailed, match=told):
        running.ready(seconds=0)
    assert running.process.returncode == -signal.SIGTERM


def test_one_that_does_not_end_is_killed(tmp_path: Path) -> None:
    """A server that ignores SIGTERM is killed when patience has an end."""
    with server(tmp_path, DEAF + READY + WAIT, patience=0.1) as running:
        running.ready()
    assert running.process.returncode == -signal.SIGKILL


def test_an_interrupt_leaves_none_behind(tmp_path: Path) -> None:
    """Ctrl-C, which a terminal sends to the whole session, ends the server by its block alone."""
    begun: list[ServerProcess] = []

    def interrupted() -> None:
        with server(tmp_path, READY + WAIT) as running:
            begun.append(running)
            running.ready()
            assert os.getsid(running.process.pid) == running.process.pid
            signal.raise_signal(signal.SIGINT)

    with pytest.raises(KeyboardInterrupt):
        interrupted()
    assert begun[0].process.returncode == -signal.SIGTERM


def test_an_interrupt_at_the_start_leaves_none_behind(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """An interrupt that comes while the process is being made ends it all the same."""
    made: list[subprocess.Popen[bytes]] = []

    def popen(*arguments: object, **how: object) -> subprocess.Popen[bytes]:
        made.append(REAL_POPEN(*arguments, **how))  # type: ignore[call-overload]  # as they came
        signal.pthread_kill(threading.main_thread().ident or 0, signal.SIGINT)
        return made[0]

    monkeypatch.setattr(subprocess, "Popen", popen)
    with pytest.raises(KeyboardInterrupt), server(tmp_path, READY + WAIT):
        pytest.fail("the block was entered")
    assert made[0].returncode == -signal.SIGTERM


def test_settings_of_the_caller_are_its_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A server inherits no setting of a gate or of its telemetry, and gets what it is given."""
    monkeypatch.setenv("TIDEGATE_LOG", "kafka")
    monkeypatch.setenv("OTEL_SERVICE_NAME", "mine")
    program = "import json, os\nprint(json.dumps({n: v for n, v in os.environ.items() if n[:4] in ('TIDE', 'OTEL')}))\n"
    with server(tmp_path, program, environment={"TIDEGATE_TOKEN": "given"}) as running:
        assert running.ready() == {"TIDEGATE_TOKEN": "given"}
