"""A part of a fleet that has lived, for every test that only looks at what arrived; and a folder in memory."""

import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from load.offline.__main__ import MEMORY
from load.offline.lives import Lived, live
from load.offline.plan import Part, Plan


@pytest.fixture(scope="session")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """In memory where there is such: hundreds of queues commit in these tests."""
    made = Path(tempfile.mkdtemp(dir=MEMORY if MEMORY.is_dir() else tmp_path_factory.getbasetemp()))
    yield made
    shutil.rmtree(made)


@pytest.fixture(scope="session")
def part() -> Part:
    """Ten devices over four days."""
    (part,) = Plan(devices=10, days=4, tasks=12, seed=5, part=10).parts()
    return part


@pytest.fixture(scope="session")
def lived(part: Part, folder: Path) -> Lived:
    """The part has lived; its files are in `folder`."""
    return live(part, folder)
