"""The bench of the device's library end to end, small: every figure is there, and the answers were the same."""

from typing import Any

import pytest

from load.agent.figures import AGENT_QUICK
from tests.load.running_bench import SEED, measured

pytestmark = pytest.mark.bench


@pytest.fixture(scope="module")
def document(tmp_path_factory: pytest.TempPathFactory) -> Any:
    """What a small run prints as JSON; had an answer differed there would be none."""
    return measured("agent", folder=tmp_path_factory.mktemp("agent"))["agent"]


def test_same_days_are_told_in_every_way(document: Any) -> None:
    """Reports and spans stand side by side, each with bytes both ways, CPU and connections, of many and of one."""
    assert list(document["days"]) == ["people", "machine"]
    assert document["days"]["machine"]["tasks"] == AGENT_QUICK.requests
    assert document["seed"] == SEED
    for days in document["days"].values():
        assert list(days["ways"]) == list(AGENT_QUICK.ways)
        for figures in days["ways"].values():
            assert min(spread["lowest"] for spread in figures.values()) > 0


def test_starts_and_loops_have_every_side(document: Any) -> None:
    """A process with neither, with the library and with the SDK; tasks of each, and of a library not configured."""
    assert list(document["starts"]) == ["nothing", "reporter", "spans"]
    assert list(document["loops"]) == ["reporter", "unconfigured", "spans"]
    for figures in (*document["starts"].values(), *document["loops"].values()):
        assert figures["peak"]["lowest"] > 0


def test_nothing_is_judged(document: Any) -> None:
    """A small run has the targets, and judges none."""
    assert {target["verdict"] for target in document["targets"]} == {"not judged"}
