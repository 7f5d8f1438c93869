"""The image: what the Dockerfile says, and its first stage done step by step."""

import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
import tomllib
import zipfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from packaging.utils import canonicalize_name

from tests.deploy.compose_file import services
from tests.deploy.dockerfile import DOCKERFILE, Moved, environment, let_in, of, stages
from tests.deploy.programs import hadolint
from tests.documents import ROOT

BEFORE, BUILD, FINAL = stages()
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
PACKAGES: list[str] = PROJECT["tool"]["hatch"]["build"]["targets"]["wheel"]["packages"]
FORCED: dict[str, str] = PROJECT["tool"]["hatch"]["build"]["targets"]["wheel"].get("force-include", {})

NOBODY_OF_OURS = ("--reuid=10001", "--regid=10001", "--clear-groups", "--no-new-privs", "--bounding-set=-all")
LIST = (
    "import json; from importlib.metadata import distributions; "
    "print(json.dumps([(one.name, one.version) for one in distributions()]))"
)
NEEDS_THE_INDEX = "the steps install packages from the index"


def test_hadolint_has_nothing_to_say() -> None:
    """The linter that knows Dockerfiles accepts the file, style included."""
    done = subprocess.run(
        [hadolint(), "--failure-threshold", "style", DOCKERFILE],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert (done.returncode, done.stdout) == (0, "")


def test_python_is_pinned() -> None:
    """Both stages begin with the same Python, of one patch version, which the project supports."""
    [python] = of(BEFORE, "ARG")
    version = re.fullmatch(r"PYTHON=(\d+)\.(\d+)\.\d+-slim-[a-z]+", python)
    assert version is not None
    assert (int(version[1]), int(version[2])) >= (3, 11)
    assert [of(stage, "FROM") for stage in (BUILD, FINAL)] == [["python:${PYTHON} AS build"], ["python:${PYTHON}"]]


def test_every_package_that_ships_is_copied() -> None:
    """The first stage gets each package of the wheel, and what else the wheel and its metadata are made of."""
    copied = {source for text in of(BUILD, "COPY") for source in text.split()[:-1]}
    assert copied == {*PACKAGES, *FORCED, "pyproject.toml", "constraints.txt", "README.md", "LICENSE"}


def test_the_context_holds_nothing_else() -> None:
    """The ignore file lets in what is copied and no more: no data, no secrets, no history."""
    copied = {source for text in of(BUILD, "COPY") for source in text.split()[:-1]}
    assert let_in() == copied


def test_nothing_but_the_environment_leaves_the_first_stage() -> None:
    """The image gets one directory of the first stage: no source, no build tools, no pip of theirs."""
    assert of(FINAL, "COPY") == ["--from=build /opt/tidegate /opt/tidegate"]


def test_every_installation_honours_the_constraints() -> None:
    """No package is installed in a version that was not tested."""
    installations = [text for text in of(BUILD, "RUN") for text in re.findall(r"pip [^&]*install[^&]*", text)]
    assert len(installations) == 2
    assert all("--constraint constraints.txt" in text for text in installations)


def test_image_runs_as_a_numbered_user() -> None:
    """The user has a fixed number that is not root's, in the image as in the compose file, and owns the data alone."""
    [user] = of(FINAL, "USER")
    assert user == "10001:10001"
    assert {services()[name]["user"] for name in ("topics", "gate", "answers")} == {user}
    assert "--owner 10001 --group 10001 --mode 0700 /var/lib/tidegate" in of(FINAL, "RUN")[0]


def test_no_variable_is_a_secret() -> None:
    """Neither stage has a variable or argument for anything secret."""
    names = {*environment(BUILD), *environment(FINAL), *(text.split("=")[0] for text in of(BEFORE, "ARG"))}
    assert [name for name in names if re.search("PASS|SECRET|TOKEN|KEY", name)] == []


def test_health_is_asked_of_the_port_that_is_set(tmp_path: Path) -> None:
    """The check fails where nobody listens, at the port that TIDEGATE_PORT names."""
    [check] = of(FINAL, "HEALTHCHECK")
    python, *arguments = json.loads(check.partition("CMD ")[2])
    assert python == "python"
    environ = {**os.environ, "TIDEGATE_PORT": "9"}
    done = subprocess.run(
        [sys.executable, *arguments], cwd=tmp_path, env=environ, capture_output=True, timeout=60, check=False
    )
    assert done.returncode == 1
    assert b"Connection refused" in done.stderr


@pytest.fixture(scope="module")
def built() -> Iterator[Path]:
    """What the first stage leaves behind, below a directory that everybody may enter."""
    if not os.environ.get("CI") and not _index_is_reached():
        pytest.skip(NEEDS_THE_INDEX)
    root = Path(tempfile.mkdtemp(prefix="image-"))
    root.chmod(0o755)
    kept = {name: value for name, value in os.environ.items() if name.startswith("PIP_") or name == "HOME"}
    variables = kept | environment(BUILD)
    # Downloads are kept between two runs of the tests, which an image must not do; no virtual environment is demanded.
    for name in ("PIP_NO_CACHE_DIR", "PIP_REQUIRE_VIRTUALENV"):
        variables.pop(name, None)
    try:
        Moved(root, ("/src", "/build", "/wheel", "/opt/tidegate")).do(BUILD, variables)
        yield root
    finally:
        shutil.rmtree(root)


def _index_is_reached() -> bool:
    command = [sys.executable, "-m", "pip", "--retries", "0", "--timeout", "5", "index", "versions", "hatchling"]
    return subprocess.run(command, capture_output=True, timeout=60, check=False).returncode == 0


def test_first_stage_builds_one_wheel_with_every_file(built: Path) -> None:
    """The steps as they stand build the wheel of this version, with every file of the packages in it."""
    [wheel] = (built / "wheel").iterdir()
    assert wheel.name == f"tidegate-{PROJECT['project']['version']}-py3-none-any.whl"
    names = {name for name in zipfile.ZipFile(wheel).namelist() if name.partition("/")[0] in PACKAGES}
    copied = built / "src"
    expected = {
        file.relative_to(copied).as_posix()
        for package in PACKAGES
        for file in (copied / package).rglob("*")
        if file.is_file()
    }
    assert names == expected


def test_what_ships_has_the_versions_of_the_constraints(built: Path) -> None:
    """Every package of the environment that ships is in constraints.txt in that version; pip is not among them."""
    lines = (ROOT / "constraints.txt").read_text(encoding="utf-8").splitlines()
    pins = (line.split("==") for line in lines if "==" in line)
    pinned = {canonicalize_name(name): version for name, version in pins}
    listed = subprocess.run([_python(built), "-c", LIST], capture_output=True, timeout=60, check=True)
    found = {canonicalize_name(name): version for name, version in json.loads(listed.stdout)}
    assert found.pop(canonicalize_name("tidegate")) == PROJECT["project"]["version"]
    assert len(found) > 20
    assert "pip" not in found
    assert {name: version for name, version in found.items() if pinned.get(name) != version} == {}


def test_it_runs_as_the_user_of_the_image(built: Path, tmp_path: Path) -> None:
    """As a user without a name, a home or a right, with no variable but the image's, the commands run."""
    setpriv = shutil.which("setpriv")
    if os.geteuid() != 0 or setpriv is None:
        pytest.skip("only root can become another user, with setpriv of util-linux")
    entry: list[str | Path] = [setpriv, *NOBODY_OF_OURS, built / "opt" / "tidegate" / "bin" / "tidegate"]
    for arguments in (["--version"], ["schema", "lint"], ["serve", "--help"]):
        done = subprocess.run(
            [*entry, *arguments],
            cwd="/",
            env={"PATH": "/usr/bin:/bin"},
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
        assert done.returncode == 0, done.stderr
    refused = subprocess.run(
        [*entry, "serve", "--data", tmp_path / "d"],
        cwd="/",
        env={},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert refused.returncode == 1, "another user's directory must be out of reach"


def _python(built: Path) -> str:
    return str(built / "opt" / "tidegate" / "bin" / "python")
