"""`python -m load.broker`: one command to a Kafka that a person can try things with."""

import os
import re
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from load.broker.node import HOST, claim, free_ports, listening
from tests.load.broker.clients import make_topic, read, write
from tests.running_gate import PATIENCE_SECONDS


@contextmanager
def command(*arguments: str, end: signal.Signals = signal.SIGINT) -> Iterator[tuple[str, str]]:
    """What the command says first, and the address in it; ended by `end`, with exit code 0."""
    process = subprocess.Popen(
        [sys.executable, "-m", "load.broker", *arguments], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    try:
        assert process.stdout is not None
        first, bootstrap = process.stdout.readline(), process.stdout.readline().strip()
        yield first, bootstrap
    finally:
        process.send_signal(end)
        _, said = process.communicate(timeout=PATIENCE_SECONDS)
    assert (process.returncode, "Kafka has ended" in said) == (0, True), said


@pytest.mark.kafka
def test_until_it_is_ended() -> None:
    """It says where it listens, serves a client there, and is gone after Ctrl-C."""
    (port,) = free_ports(1)
    with command("--port", str(port)) as (first, bootstrap):
        assert re.fullmatch(r"Kafka 4\.\d+\.\d+ takes requests: 1 broker, plain text, data gone when it ends\n", first)
        assert bootstrap == f"{HOST}:{port}"
        make_topic(bootstrap)
    assert not listening(port)


@pytest.mark.kafka
def test_keeps_its_data(tmp_path: Path) -> None:
    """With --data everything is there the next time, on another port; another number of brokers is refused."""
    ports = free_ports(2)
    with command("--port", str(ports[0]), "--data", str(tmp_path / "kept"), end=signal.SIGTERM) as (_, bootstrap):
        make_topic(bootstrap)
        write(bootstrap, b"kept")
        assert "in use by another cluster" in refused("--port", str(ports[1]), "--data", str(tmp_path / "kept"))
    with command("--port", str(ports[1]), "--data", str(tmp_path / "kept")) as (_, bootstrap):
        assert read(bootstrap) == [b"kept"]
    said = refused("--port", str(ports[0]), "--data", str(tmp_path / "kept"), "--brokers", "3")
    assert "holds the data of 1 broker, not of 3" in said


@pytest.mark.kafka
def test_three(tmp_path: Path) -> None:
    """With --brokers 3 the topics can have three copies."""
    first_port = next(port for port in free_ports(20) if all(free(port + more) for more in (1, 2)))
    with command("--port", str(first_port), "--brokers", "3", "--data", str(tmp_path)) as (first, bootstrap):
        assert "3 brokers" in first
        assert bootstrap.split(",") == [f"{HOST}:{first_port + number}" for number in range(3)]
        make_topic(bootstrap, copies=3)
        write(bootstrap, b"three times")
    assert len([file for file in tmp_path.rglob("said-0/*.log") if b"three times" in file.read_bytes()]) == 3


def free(port: int) -> bool:
    """Whether a port that nobody was given is ours now."""
    return claim(port) and not listening(port)


def test_port_taken() -> None:
    """A port that somebody listens on is named, before anything is started."""
    with socket.create_server((HOST, 0)) as taken:
        port = taken.getsockname()[1]
        assert f"port {port} is taken" in refused("--port", str(port))


def test_no_java(tmp_path: Path) -> None:
    """Without Java the command says what to install, and no trace of Python."""
    said = refused("--port", str(free_ports(1)[0]), PATH=str(tmp_path), JAVA_HOME="")
    assert "there is no java on PATH" in said
    assert "Traceback" not in said


def refused(*arguments: str, **environment: str) -> str:
    """What the command says on stderr as it fails."""
    done = subprocess.run(
        [sys.executable, "-m", "load.broker", *arguments],
        capture_output=True,
        text=True,
        env={**os.environ, **environment},
        timeout=PATIENCE_SECONDS,
        check=False,
    )
    assert (done.returncode, done.stdout) == (1, "")
    return done.stderr
