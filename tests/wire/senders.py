"""The senders of `docs/senders`, built by Go and Java with what the pins of `go.mod`, `go.sum` and `pom.xml` name.

Modules and jars go to the user's cache directory, as the broker's jars do (`load.broker.distribution`): a second run
needs no network. Without a toolchain or a module the tests are skipped with the reason, and fail where CI is set; a
sender that does not compile fails them everywhere.
"""

import fcntl
import hashlib
import os
import subprocess
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.deploy.programs import go, program

ROOT = Path(__file__).resolve().parents[2]
SENDERS = ROOT / "docs" / "senders"

FETCH_SECONDS = 300.0
BUILD_SECONDS = 300.0
RUN_SECONDS = 60.0


@dataclass(frozen=True, slots=True)
class Senders:
    """The two programs of one language, each a command to which arguments are added."""

    language: str
    send: Sequence[str]
    golden: Sequence[str]


def run(command: Sequence[str], environment: Mapping[str, str] | None = None, *, seconds: float = RUN_SECONDS) -> str:
    """What a program prints; one that fails fails the test with its last words."""
    done = _run(command, seconds=seconds, environment=environment or {})
    assert done.returncode == 0, done.stderr[-2000:]
    return done.stdout


def in_go(folder: Path) -> Senders:
    """The senders in Go, built in `folder`."""
    tool, source, environment = go(), SENDERS / "go", _go_environment()
    _fetch([tool, "-C", str(source), "mod", "download"], environment)
    run([tool, "-C", str(source), "build", "-o", f"{folder}/", "./..."], environment, seconds=BUILD_SECONDS)
    return Senders("Go", [str(folder / "senders")], [str(folder / "golden")])


def in_java(folder: Path) -> Senders:
    """The senders in Java: one from its source, as docs/wire.md runs it, the other compiled in `folder`."""
    compiler, java = program("javac", "Debian: default-jdk-headless"), program("java", "Debian: default-jdk-headless")
    source, jars = SENDERS / "java", f"{_jars()}/*"
    files = [str(file) for file in sorted(source.glob("*.java"))]
    run([compiler, "-Xlint:all", "-Werror", "-cp", jars, "-d", str(folder), *files], seconds=BUILD_SECONDS)
    golden = [java, "-cp", f"{jars}{os.pathsep}{folder}", "Golden"]
    return Senders("Java", [java, "-cp", jars, str(source / "Send.java")], golden)


def _go_environment() -> dict[str, str]:
    cache = _cache_directory()
    return {
        "GOPATH": str(cache / "go"),
        "GOCACHE": str(cache / "go-build"),
        # The pins hold, and what was fetched can be removed like any other file.
        "GOFLAGS": "-mod=readonly -modcacherw -buildvcs=false",
        "GOTOOLCHAIN": "local",
        "CGO_ENABLED": "0",
    }


def _jars() -> Path:
    """The directory of the jars, under a hash of the pom; it appears whole or not at all."""
    maven, pom = program("mvn", "Debian: maven"), SENDERS / "java" / "pom.xml"
    place = _cache_directory() / f"senders-{hashlib.sha256(pom.read_bytes()).hexdigest()[:12]}"
    with _one_at_a_time(place.with_suffix(".lock")):
        if not place.exists():
            with tempfile.TemporaryDirectory(dir=place.parent) as scratch:
                laid = Path(scratch) / "jars"
                goal = ["dependency:copy-dependencies", "-DincludeScope=runtime", f"-DoutputDirectory={laid}"]
                _fetch([maven, "--batch-mode", "--quiet", "--file", str(pom), *goal], {})
                laid.rename(place)
    return place


def _cache_directory() -> Path:
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "tidegate"


@contextmanager
def _one_at_a_time(file: Path) -> Iterator[None]:
    file.parent.mkdir(parents=True, exist_ok=True)
    with file.open("wb") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def _fetch(command: Sequence[str], environment: Mapping[str, str]) -> None:
    """Have something fetched; where that cannot be done there is nothing to test."""
    try:
        done = _run(command, seconds=FETCH_SECONDS, environment=environment)
        said = (done.stdout + done.stderr).strip()[-500:] if done.returncode else None
    except subprocess.TimeoutExpired:
        said = f"nothing came within {FETCH_SECONDS:.0f} s"
    if said is None:
        return
    why = f"{Path(command[0]).name} could not fetch what the senders need: {said}"
    if os.environ.get("CI"):
        pytest.fail(why)
    pytest.skip(why)


def _run(command: Sequence[str], *, seconds: float, environment: Mapping[str, str]) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        command, env={**os.environ, **environment}, capture_output=True, text=True, timeout=seconds, check=False
    )
