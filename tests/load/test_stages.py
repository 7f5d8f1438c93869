"""The steps of a report, timed one by one: each runs on the real gate, and none is forgotten."""

from pathlib import Path

import pytest
from click.testing import CliRunner

from ingest.telemetry.account import ACCEPTED, RECEIVED
from load.rounds import TIER
from load.stages import Stages, main, setting

SEED = 3
REPORTS = 10


def test_every_step_is_printed() -> None:
    """The command prints one line of microseconds for every step."""
    ran = CliRunner().invoke(main, ["--reports", "5", "--seed", str(SEED)])
    assert ran.exit_code == 0, ran.output
    lines = ran.output.splitlines()
    assert len(lines) == 11
    assert all(line.endswith("µs a report") for line in lines)


async def test_whole_request_goes_all_the_way(tmp_path: Path) -> None:
    """What is timed as a whole request ends with every report accepted and in the log."""
    with setting(tmp_path, seed=SEED, reports=REPORTS) as within:
        await Stages(within).request()
        ledger = {(tier, outcome): count for tier, outcome, count in within.gate.account.ledger()}
    assert ledger[TIER, RECEIVED] == ledger[TIER, ACCEPTED] == within.gate.log.entries == REPORTS


async def test_refused_request_fails_the_run(tmp_path: Path) -> None:
    """A gate that refuses cannot look fast here either."""
    with setting(tmp_path, seed=SEED, reports=REPORTS) as within:
        await within.gate.log.close()
        with pytest.raises(LookupError):
            await Stages(within).request()
