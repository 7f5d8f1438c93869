"""The truth stands by itself: it shares no code with what it is held against."""

import ast
import sys
from pathlib import Path

import pytest

from load.fleet import truth

HERE = Path(truth.__file__).parent

MODULES = [*sorted(HERE.glob("truth*.py")), HERE / "reference_suppression.py", HERE / "expected_answers.py"]

SHARED = {"load.fleet.nouns", "load.fleet.findings", *(f"load.fleet.{module.stem}" for module in MODULES)}
"""The nouns of the fleet, and the truth's own modules."""


@pytest.mark.parametrize("module", MODULES, ids=lambda module: module.stem)
def test_the_truth_imports_nothing_that_it_judges(module: Path) -> None:
    """Beside the standard library only nouns and other modules of the truth are imported."""
    imported = {
        name
        for node in ast.walk(ast.parse(module.read_text()))
        for name in (
            [node.module or ""]
            if isinstance(node, ast.ImportFrom)
            else [alias.name for alias in node.names]
            if isinstance(node, ast.Import)
            else []
        )
    }
    assert {name for name in imported if name.partition(".")[0] not in sys.stdlib_module_names} <= SHARED
