"""How a contract file is refused: which file, which line, what is wrong, and what mends it."""

from collections.abc import Iterable
from dataclasses import dataclass
from difflib import get_close_matches
from pathlib import Path


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing wrong with one file. `line` counts from 1; 0 where the whole file is meant."""

    file: str
    line: int
    problem: str
    fix: str

    def __str__(self) -> str:
        place = f"{self.file}:{self.line}" if self.line else self.file
        return f"{place}: {self.problem}\n  fix: {self.fix}"


class ContractError(Exception):
    """One or more contract files cannot be used; `findings` says which and why."""

    def __init__(self, findings: Iterable[Finding]) -> None:
        self.findings = tuple(findings)
        super().__init__("\n".join(str(finding) for finding in self.findings))


def refuse(file: Path | str, problem: str, *, fix: str, line: int = 0) -> ContractError:
    """A `ContractError` with a single finding."""
    return ContractError([Finding(file=str(file), line=line, problem=problem, fix=fix)])


def nearest(name: str, known: Iterable[str]) -> str:
    """A sentence that names the known names nearest to `name`, or all of them where none is near."""
    known = sorted(known)
    close = get_close_matches(name, known, n=3, cutoff=0.6)
    if close:
        return "did you mean " + " or ".join(close) + "?"
    return "known: " + ", ".join(known)
