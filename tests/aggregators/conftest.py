"""Empty rollups, for the tests that need no follower around them."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from aggregators.rollups.rollups import Rollups


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    """Where the rollups of a test are, in a data directory."""
    return tmp_path / "data" / "rollups"


@pytest.fixture
def rollups(directory: Path) -> Iterator[Rollups]:
    """Empty rollups."""
    made = Rollups.open(directory)
    yield made
    made.close()
