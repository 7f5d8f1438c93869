"""The wheel that ships: built here, installed into an environment of its own, and run outside the checkout.

The dependencies come from the environment that runs the tests, by a path line in a .pth file. Such a line adds one
folder and reads no .pth file in it, so the checkout, which is installed there as editable, stays out of reach. Nothing
here uses the network.
"""

import json
import os
import subprocess
import sys
import sysconfig
import tomllib
import venv
import zipfile
from dataclasses import dataclass
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
PACKAGES: list[str] = PROJECT["tool"]["hatch"]["build"]["targets"]["wheel"]["packages"]
IMPORT_ALL = "import json, importlib; print(json.dumps([importlib.import_module(p).__file__ for p in {packages!r}]))"


@dataclass(frozen=True, slots=True)
class Installed:
    """An environment that holds the wheel, and an empty folder to work in."""

    bin: Path
    site: Path
    cwd: Path

    def run(self, program: str, *arguments: str) -> str:
        """What the program prints; a status other than 0 fails the test and shows what it said on stderr."""
        done = subprocess.run(
            [self.bin / program, *arguments],
            cwd=self.cwd,
            env=_environment(),
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
        assert done.returncode == 0, f"{program} {' '.join(arguments)} ended with {done.returncode}:\n{done.stderr}"
        return done.stdout


def _environment() -> dict[str, str]:
    """This environment without what points back to the checkout, and wide enough that no table is cut."""
    inherited = {
        name: value for name, value in os.environ.items() if not name.startswith(("PYTHON", "TIDEGATE_", "VIRTUAL_ENV"))
    }
    return inherited | {"COLUMNS": "240"}


def _python(*arguments: str | Path) -> None:
    subprocess.run([sys.executable, *arguments], env=_environment(), stdout=subprocess.DEVNULL, timeout=120, check=True)


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The wheel of this checkout, built with the tools that are installed already."""
    folder = tmp_path_factory.mktemp("dist")
    _python("-m", "build", "--wheel", "--no-isolation", "--outdir", folder, ROOT)
    (built,) = folder.glob("*.whl")
    return built


@pytest.fixture(scope="module")
def installed(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Installed:
    """The wheel in a new environment, with this environment's dependencies in reach."""
    home = tmp_path_factory.mktemp("installed")
    venv.create(home, with_pip=False, symlinks=True)
    site = Path(sysconfig.get_path("purelib", "venv", {"base": str(home), "platbase": str(home)}))
    dependencies = dict.fromkeys([sysconfig.get_path("purelib"), sysconfig.get_path("platlib")])
    (site / "dependencies.pth").write_text("\n".join(dependencies) + "\n", encoding="utf-8")
    _python("-m", "pip", "--python", home / "bin" / "python", "install", "--quiet", "--no-index", "--no-deps", wheel)
    return Installed(bin=home / "bin", site=site, cwd=tmp_path_factory.mktemp("elsewhere"))


def test_wheel_holds_every_file_of_the_packages_and_no_other(wheel: Path) -> None:
    """Schemas, policies and other data ship beside the code, and neither tests nor caches do."""
    expected = {
        file.relative_to(ROOT).as_posix()
        for package in (*PACKAGES, "deploy/kafka")
        for file in (ROOT / package).rglob("*")
        if file.is_file() and "__pycache__" not in file.parts
    }
    names = {name for name in zipfile.ZipFile(wheel).namelist() if ".dist-info/" not in name}
    assert names == expected
    assert {Path(name).suffix for name in names} >= {".py", ".avsc", ".toml"}


def test_packages_are_imported_from_the_wheel(installed: Installed) -> None:
    """Every package is imported from the new environment, and none from the checkout."""
    files = [Path(file) for file in json.loads(installed.run("python", "-c", IMPORT_ALL.format(packages=PACKAGES)))]
    assert files == [installed.site / package / "__init__.py" for package in PACKAGES]


def test_console_script_says_its_version(installed: Installed) -> None:
    """`tidegate --version` says the version that pyproject.toml declares."""
    assert PROJECT["project"]["version"] in installed.run("tidegate", "--version")


def test_module_is_the_console_script(installed: Installed) -> None:
    """`python -m tidegate` is the same program as the console script."""
    assert PROJECT["project"]["version"] in installed.run("python", "-m", "tidegate", "--version")


def test_packaged_schemas_and_policies_pass_the_lint(installed: Installed) -> None:
    """The schemas and policies in the wheel are found and pass their own lint."""
    installed.run("tidegate", "schema", "lint")


def test_packaged_policy_is_shown(installed: Installed) -> None:
    """The managed tier's policy is read from the wheel, down to a field that it drops."""
    assert "user_email" in installed.run("tidegate", "policy", "show", "managed")
