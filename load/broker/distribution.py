"""Java, and the jars of the broker in `deploy/kafka/pom.xml`: found, or laid down once for every checkout and user.

The jars live in the user's cache directory, under a hash of the pom, so that a changed pom is a new directory and an
old one stays good. Two processes that need them at once take turns (Maven's own repository does not stand two writers),
and a directory appears whole or not at all.
"""

import fcntl
import hashlib
import os
import re
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path

KAFKA_DIRECTORY = Path(__file__).parents[2] / "deploy" / "kafka"
"""In a checkout and in an installed wheel alike: `deploy/kafka` lies beside `load`."""

OLDEST_JAVA = 17
"""Brokers of Kafka 4 need Java 17."""

FETCH_SECONDS = 600.0
CHARACTERS_OF_AN_ERROR = 1_500


class NoBroker(Exception):
    """No broker can be started here; the message says what is missing and how to get it."""


def jars() -> Path:
    """The directory of the broker's jars, fetched by Maven where they are not there yet (43 MB); raises `NoBroker`."""
    pom = KAFKA_DIRECTORY / "pom.xml"
    if not pom.exists():
        raise NoBroker(f"{pom} is missing: this installation of tidegate is not complete; install it again")
    place = _cache_directory() / f"kafka-{hashlib.sha256(pom.read_bytes()).hexdigest()[:12]}"
    if not place.exists():
        with _one_at_a_time(place.with_suffix(".lock")):
            if not place.exists():
                _fetch(pom, place)
    return place


def java() -> str:
    """The path of a Java that is new enough: of JAVA_HOME where that is set, else of PATH; raises `NoBroker`."""
    home = os.environ.get("JAVA_HOME")
    found = shutil.which("java", path=str(Path(home, "bin")) if home else None)
    if not found:
        where = f"JAVA_HOME ({home}) has no bin/java" if home else "there is no java on PATH"
        raise NoBroker(
            f"{where}; Kafka needs Java {OLDEST_JAVA} or later (Debian: apt-get install default-jre-headless)"
        )
    version = _version(found)
    if version is None or version < OLDEST_JAVA:
        this = f"Java {version}" if version else "no Java that says its version"
        raise NoBroker(f"{found} is {this}; Kafka needs {OLDEST_JAVA} or later: set JAVA_HOME to one")
    return found


@cache
def _version(program: str) -> int | None:
    """17 of "17.0.15"; 8 of "1.8.0", as it was written until 9."""
    said = subprocess.run([program, "-version"], capture_output=True, text=True, check=False).stderr  # noqa: S603  # Java
    version = re.search(r'version "(?:1\.)?(\d+)', said)
    return int(version[1]) if version else None


def _cache_directory() -> Path:
    base = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(base) / "tidegate"


@contextmanager
def _one_at_a_time(file: Path) -> Iterator[None]:
    """Only one process of this machine is in the block; the lock goes with the process, however that ends."""
    file.parent.mkdir(parents=True, exist_ok=True)
    with file.open("wb") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def _fetch(pom: Path, place: Path) -> None:
    maven = shutil.which("mvn")
    if not maven:
        raise NoBroker(f"there is no mvn on PATH, which fetches the jars of {pom} (Debian: apt-get install maven)")
    with tempfile.TemporaryDirectory(prefix=f"{place.name}.", dir=place.parent) as scratch:
        laid = Path(scratch) / "jars"
        _run_maven(maven, pom, laid)
        laid.rename(place)


def _run_maven(maven: str, pom: Path, directory: Path) -> None:
    goal = ["dependency:copy-dependencies", "-DincludeScope=runtime", f"-DoutputDirectory={directory}"]
    try:
        done = subprocess.run(  # noqa: S603  # Maven, on our own pom
            [maven, "--batch-mode", "--quiet", "--file", str(pom), *goal],
            env={**os.environ, "JAVA_HOME": str(Path(java()).resolve().parents[1])},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=FETCH_SECONDS,
            check=False,
        )
    except subprocess.TimeoutExpired:
        raise NoBroker(f"mvn did not fetch the jars of {pom} within {FETCH_SECONDS:.0f} s; try again") from None
    if done.returncode or not any(directory.glob("kafka_*.jar")):
        said = done.stdout.strip()[-CHARACTERS_OF_AN_ERROR:]
        raise NoBroker(f"mvn could not fetch the jars of {pom}; it needs Maven Central or a mirror. It said:\n{said}")
