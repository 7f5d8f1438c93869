"""Apicurio Registry, a schema registry that nobody here wrote: started from Maven Central's archive, kept in memory.

Its API under `/apis/ccompat/v7` is Confluent's. Karapace is not on PyPI, and Confluent's own registry not on Maven
Central. The archive is 142 MB, so a test run does not fetch it unless REQUIRE_KAFKA=1 asks for everything.
"""

import http.client
import os
import shutil
import signal
import subprocess
import tarfile
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

from load.broker.node import free_ports
from tests.real_kafka import REQUIRE_VARIABLE

VERSION = "2.6.13.Final"
ARTIFACT = f"io.apicurio:apicurio-registry-app:{VERSION}:tar.gz:all"
ARCHIVE = (
    Path.home()
    / f".m2/repository/io/apicurio/apicurio-registry-app/{VERSION}/apicurio-registry-app-{VERSION}-all.tar.gz"
)
START_SECONDS = 60.0
NOT_THERE = 404


@dataclass(slots=True)
class Apicurio:
    """A registry that runs; `url` is the base of Confluent's API."""

    url: str
    process: subprocess.Popen[bytes]

    def stop(self) -> None:
        """End it, and with it everything that was registered."""
        self.process.send_signal(signal.SIGTERM)
        self.process.wait(START_SECONDS)


@contextmanager
def apicurio(folder: Path) -> Iterator[Apicurio]:
    """The registry on a free port; skips the test where it cannot be had."""
    java = shutil.which("java")
    archive = _archive()
    if java is None or archive is None:
        _not_here("no java, or no Apicurio Registry: fetch it with mvn dependency:get -Dartifact=" + ARTIFACT)
    with tarfile.open(archive) as packed:
        packed.extractall(folder, filter="data")
    [port] = free_ports(1)
    listening = ["-Dquarkus.http.host=127.0.0.1", f"-Dquarkus.http.port={port}"]
    jar = folder / f"apicurio-registry-app-{VERSION}-runner.jar"
    with (folder / "output").open("wb") as output:
        command = [str(java), "-Xmx384m", "-XX:TieredStopAtLevel=1", *listening, "-jar", str(jar)]
        process = subprocess.Popen(command, stdout=output, stderr=output, cwd=folder)
    try:
        running = Apicurio(f"http://127.0.0.1:{port}/apis/ccompat/v7", process)
        _wait(running)
        yield running
    finally:
        process.kill()
        process.wait()


def _archive() -> Path | None:
    maven = shutil.which("mvn")
    if not ARCHIVE.exists() and maven is not None and os.environ.get(REQUIRE_VARIABLE) == "1":
        get = [maven, "-q", "-B", "dependency:get", "-Dtransitive=false", f"-Dartifact={ARTIFACT}"]
        subprocess.run(get, check=False, timeout=600, stdout=subprocess.DEVNULL)
    return ARCHIVE if ARCHIVE.exists() else None


def _not_here(why: str) -> None:
    if os.environ.get(REQUIRE_VARIABLE) == "1":
        pytest.fail(why, pytrace=False)
    pytest.skip(why)


def _wait(running: Apicurio) -> None:
    """Until it did once what a gate asks of it first: that may take it seconds, and a gate waits for five."""
    deadline = time.monotonic() + START_SECONDS
    while not _answers(running):
        assert running.process.poll() is None, "the registry ended"
        assert time.monotonic() < deadline, "the registry did not start"
        time.sleep(0.1)


def _answers(running: Apicurio) -> bool:
    media = {"Content-Type": "application/vnd.schemaregistry.v1+json"}
    question = urllib.request.Request(f"{running.url}/subjects/warm-up", b'{"schema": "\\"string\\""}', media)
    try:
        with urllib.request.urlopen(question, timeout=20):
            return True
    except urllib.error.HTTPError as refused:
        with refused:
            return refused.code == NOT_THERE
    except (OSError, http.client.HTTPException):
        return False
