"""Text for a terminal."""

import shutil
import subprocess

import pytest

from reporter.agent.page import facts, hexdump, number, table, time


def test_facts() -> None:
    """Names stand beside what there is to say, and long texts go on below their beginning."""
    assert list(facts([("a", "short"), ("longer", "word " * 30), ("b", "")])) == [
        "a       short",
        "longer  word word word word word word word word word word word word word word word word word word",
        "        word word word word word word word word word word word word",
        "b",
    ]
    assert list(facts([])) == []


def test_table() -> None:
    """Columns are as wide as what is in them."""
    assert list(table(("a", "bb"), [("ccc", "d"), ("e", "ffff")])) == ["a    bb", "ccc  d", "e    ffff"]


@pytest.mark.parametrize(("of", "said"), [(0, "0 reports"), (1, "1 report"), (1234, "1,234 reports")])
def test_number(of: int, said: str) -> None:
    """One of something is told from several."""
    assert number(of, "report") == said


def test_time() -> None:
    """A time is told to the minute, in UTC."""
    assert time(1_795_266_059_999) == "2026-11-21 13:00"


HEXDUMP = shutil.which("hexdump")


@pytest.mark.skipif(HEXDUMP is None, reason="hexdump is not on this machine")
@pytest.mark.parametrize("size", [1, 8, 15, 16, 17, 300])
def test_hexdump(size: int) -> None:
    """Bytes look as `hexdump -C` shows them."""
    content = bytes(at % 256 for at in range(size))
    real = subprocess.run([str(HEXDUMP), "-Cv"], input=content, capture_output=True, check=True).stdout.decode()
    assert list(hexdump(content)) == [line for line in real.splitlines() if "|" in line]
