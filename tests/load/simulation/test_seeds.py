"""Seeds: all is well in every one of them, the same one is the same everywhere, and a failing one is shown."""

import os
import subprocess
import sys
from collections import Counter
from functools import partial

import pytest

from load.simulation import __main__ as command
from load.simulation.parts import Parts
from load.simulation.run import run_seed
from tests.load.simulation.broken_parts import CountsAgain

SEEDS = range(100)
REPEATED = (3, 24)
"""One seed on brokers and one on a disk."""


def test_all_is_well() -> None:
    """Nothing is lost, counted twice, leaked or left in any seed, though every kind of end of a report occurs."""
    ended = [run_seed(seed) for seed in SEEDS]
    assert [(one.seed, one.findings) for one in ended if one.findings] == []
    totals: Counter[str] = Counter()
    for one in ended:
        totals += Counter(accepted=one.accepted, refused=one.refused, in_doubt=one.in_doubt, faults=one.faults)
        totals += Counter(duplicates=one.duplicates)
    assert all(totals[name] > len(SEEDS) / 10 for name in ("accepted", "refused", "in_doubt", "faults", "duplicates"))


def traced(seed: int) -> str:
    """The trace of a seed."""
    lines: list[str] = []
    run_seed(seed, tell=lines.append)
    return "\n".join(lines)


@pytest.mark.parametrize("seed", REPEATED)
def test_a_seed_repeats(seed: int) -> None:
    """The same seed gives the same trace byte for byte, in this process and in others that hash differently."""
    here = traced(seed)
    assert here == traced(seed)
    for hash_seed in ("1", "4242"):
        done = subprocess.run(
            [sys.executable, "-m", "load.simulation", "--seed", str(seed), "--trace"],
            capture_output=True,
            text=True,
            timeout=60,
            check=True,
            env={**os.environ, "PYTHONHASHSEED": hash_seed},
        )
        assert done.stdout.startswith(here + f"\n1 seeds ({seed} to {seed}), ")


def test_two_seeds_differ() -> None:
    """Another seed is another story."""
    assert traced(REPEATED[0]) != traced(REPEATED[1])


def test_the_command_says_zeros(capsys: pytest.CaptureFixture[str]) -> None:
    """A run of good seeds ends with zeros and exit code 0."""
    assert command.main(["--seeds", "5", "--first-seed", "7"]) == 0
    shown = capsys.readouterr().out
    assert shown.startswith("first seed 7\n5 seeds (7 to 11), ")
    assert shown.endswith(
        "lost 0, counted twice 0, stored too often 0, kept though refused 0, leaked 0, ledgers wrong 0, "
        "sums wrong 0, left over 0, late 0\n"
    )


def test_a_first_seed_is_drawn_and_printed(capsys: pytest.CaptureFixture[str]) -> None:
    """Where no first seed is asked for another one is drawn each time, and the printed one repeats the run."""
    shown = []
    for _ in range(2):
        assert command.main(["--seeds", "1"]) == 0
        shown.append(capsys.readouterr().out)
    assert shown[0] != shown[1]
    assert command.main(["--seeds", "1", "--first-seed", shown[0].split()[2]]) == 0
    assert capsys.readouterr().out == shown[0]


def test_the_command_shows_a_failing_seed(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    """A failing seed is named, told with everything that happened in it, and makes the exit code 1."""
    monkeypatch.setattr(command, "run_seed", partial(run_seed, parts=Parts(rollups=CountsAgain)))
    assert command.main(["--seeds", "3", "--first-seed", "0"]) == 1
    shown = capsys.readouterr().out
    assert "gate.0: begins" in shown or "gate-0.0: begins" in shown
    assert "WRONG  counted twice" in shown
    assert "python -m load.simulation --seed" in shown
    assert "counted twice 0" not in shown.splitlines()[-1]
