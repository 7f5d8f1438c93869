"""The bench of the device's library end to end, small: every figure is there, and the answers were the same."""

from typing import Any

import pytest

from load.agent_part import LABELS
from tests.load.running_bench import measured


@pytest.fixture(scope="module")
def document(tmp_path_factory: pytest.TempPathFactory) -> Any:
    """What a small run prints as JSON; had an answer differed there would be none."""
    return measured("agent", tmp_path_factory.mktemp("agent"))["agent"]


def test_same_days_are_told_by_both(document: Any) -> None:
    """Reports and spans have bytes both ways and CPU, over at least one connection."""
    assert list(document["days"]) == list(LABELS)
    for told in document["days"].values():
        assert min(told["sent"], told["received"], told["cpu"], told["connections"]) > 0


def test_later_spans_take_fewer_bytes(document: Any) -> None:
    """Spans that are exported every five minutes share requests: they take fewer bytes than every five seconds."""
    assert document["days"]["spans_300s"]["sent"] < document["days"]["spans_5s"]["sent"]


def test_starts_and_loops_have_every_side(document: Any) -> None:
    """A process with neither, with the library and with the SDK; tasks of each, and of a library not configured."""
    assert list(document["starts"]) == ["nothing", "reporter", "spans"]
    assert list(document["loops"]) == ["reporter", "unconfigured", "spans"]
    for figures in (*document["starts"].values(), *document["loops"].values()):
        assert figures["peak"]["lowest"] > 0


def test_nothing_is_judged(document: Any) -> None:
    """A small run has the targets, and judges none."""
    assert {target["verdict"] for target in document["targets"]} == {"not judged"}
