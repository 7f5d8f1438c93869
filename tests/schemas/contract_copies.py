"""A copy of the shipped contract files that a test may break, and what is then found wrong with it."""

import shutil
from pathlib import Path

from schemas.catalogue import REPORTS_DIRECTORY, TIERS_DIRECTORY, load_catalogue
from schemas.errors import ContractError, Finding


class Copy:
    """The shipped report schemas and policies in a directory of the test's own."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.reports = Path(shutil.copytree(REPORTS_DIRECTORY, directory / "reports"))
        self.tiers = Path(shutil.copytree(TIERS_DIRECTORY, directory / "tiers"))

    def change(self, file: str, old: str, new: str) -> None:
        """Replace the first occurrence of `old`, which must be there."""
        path = self.directory / file
        text = path.read_text(encoding="utf-8")
        if old not in text:
            raise AssertionError(f"{file} does not hold what the test would change")
        path.write_text(text.replace(old, new, 1), encoding="utf-8")

    def line(self, file: str, mark: str) -> int:
        """The line, from 1, on which `mark` first stands; 0 for no mark."""
        lines = (self.directory / file).read_text(encoding="utf-8").splitlines()
        return next(number for number, line in enumerate(lines, start=1) if mark in line) if mark else 0

    def findings(self) -> tuple[Finding, ...]:
        """Everything that is wrong with the files."""
        try:
            load_catalogue(reports=self.reports, tiers=self.tiers)
        except ContractError as error:
            return error.findings
        return ()
