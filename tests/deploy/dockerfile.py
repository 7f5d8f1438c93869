"""deploy/Dockerfile read into its stages, and the steps of a stage done in a directory in place of an image.

Only what our file uses is known: FROM, ARG before it, ENV, WORKDIR, COPY from the context, RUN in shell form. A step is
done with the absolute paths of the stage moved below a directory; the user is whoever runs the tests.
"""

import re
import shutil
import subprocess
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from tests.documents import ROOT

DOCKERFILE = ROOT / "deploy" / "Dockerfile"
IGNORE_FILE = ROOT / "deploy" / "Dockerfile.dockerignore"

COMMENT = re.compile(r"^\s*#.*\n", re.MULTILINE)


@dataclass(frozen=True, slots=True)
class Instruction:
    """One instruction, on one line."""

    name: str
    text: str


def stages() -> list[list[Instruction]]:
    """The instructions of each stage; the first list is what stands before the first FROM."""
    found: list[list[Instruction]] = [[]]
    for instruction in _instructions():
        if instruction.name == "FROM":
            found.append([])
        found[-1].append(instruction)
    return found


def _instructions() -> Iterator[Instruction]:
    text = COMMENT.sub("", DOCKERFILE.read_text(encoding="utf-8")).replace("\\\n", " ")
    for line in text.splitlines():
        if line.strip():
            name, _, rest = line.partition(" ")
            yield Instruction(name, " ".join(rest.split()))


def of(stage: list[Instruction], name: str) -> list[str]:
    """What follows each instruction of that name."""
    return [instruction.text for instruction in stage if instruction.name == name]


def environment(stage: list[Instruction]) -> dict[str, str]:
    """The variables that a stage sets."""
    return dict(pair.split("=", 1) for text in of(stage, "ENV") for pair in text.split())


def let_in() -> set[str]:
    """What of the context the ignore file lets in."""
    lines = IGNORE_FILE.read_text(encoding="utf-8").splitlines()
    return {line.removeprefix("!") for line in lines if line.startswith("!")}


@dataclass(frozen=True, slots=True)
class Moved:
    """A directory that stands for the root of a stage; `paths` are those of the stage that are moved below it."""

    root: Path
    paths: tuple[str, ...]

    def text(self, text: str) -> str:
        """`text` with the paths moved."""
        pattern = "|".join(re.escape(path) for path in self.paths)
        return re.sub(rf"(?<![\w/.])({pattern})(?=[/\s]|$)", lambda match: f"{self.root}{match[1]}", text)

    def do(self, stage: list[Instruction], variables: Mapping[str, str]) -> None:
        """Every step of the stage, in order; raises CalledProcessError for a command that fails."""
        place = self.root
        for step in stage:
            if step.name == "WORKDIR":
                place = Path(self.text(step.text))
                place.mkdir(parents=True)
            elif step.name == "COPY":
                self._copy(step.text.split(), place)
            elif step.name == "RUN":
                self._run(step.text, place, variables)

    def _copy(self, words: list[str], place: Path) -> None:
        *sources, target = words
        for source in sources:
            assert source in let_in(), f"{source} is not in the context"
            if (ROOT / source).is_dir():
                shutil.copytree(ROOT / source, place / target, ignore=shutil.ignore_patterns("__pycache__", "*.pyc"))
            else:
                shutil.copy(ROOT / source, place / target)

    def _run(self, text: str, place: Path, variables: Mapping[str, str]) -> None:
        python = self.root / "bin" / "python"
        if not python.exists():
            python.parent.mkdir()
            python.symlink_to(Path(sys.base_prefix) / "bin" / f"python{sys.version_info[0]}.{sys.version_info[1]}")
        path = f"{python.parent}:/usr/bin:/bin"
        done = subprocess.run(
            ["/bin/sh", "-e", "-c", self.text(text)],
            cwd=place,
            env={**variables, "PATH": path},
            capture_output=True,
            text=True,
            timeout=900,
            check=False,
        )
        assert done.returncode == 0, f"{text}\n{done.stdout[-2000:]}{done.stderr[-2000:]}"
