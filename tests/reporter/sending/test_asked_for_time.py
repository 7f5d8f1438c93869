"""A gate that asks for time gets it, whatever happens on the device meanwhile."""

import dataclasses
from pathlib import Path
from typing import Any

import pytest

from reporter.sending.answers import Answer
from tests.reporter.made_up import put, report
from tests.reporter.sending.made_up_gate import MadeUpDevice, MadeUpGate, accepted


def test_the_gate_asks_for_time(tmp_path: Path) -> None:
    """Nothing is asked of a gate before the time that it named, not even by whoever is in haste."""
    gate = MadeUpGate()
    device = MadeUpDevice(tmp_path, gate)
    gate.verdict = lambda _: Answer(503, {"retry-after": "500"}, b"")
    put(device.queue, report())
    assert not device.sender.flush(5.0)
    before = len(gate.posted)
    assert before == 1
    device.run(499)
    assert not device.sender.flush(1.0)
    assert len(gate.posted) == before
    gate.verdict = accepted
    device.run(200)
    assert device.queue.depth().reports == 0


HURRYING: list[Any] = [
    pytest.param({}, 1, id="the next process"),
    pytest.param({"consents": frozenset({"location"})}, 1, id="another consent"),
    pytest.param({"endpoint": "https://another.example"}, 2, id="another gate, which asked for nothing"),
]


@pytest.mark.parametrize(("changed", "posted"), HURRYING)
@pytest.mark.parametrize("same_process", [True, False])
def test_what_the_gate_asked_for_is_remembered(
    tmp_path: Path, changed: dict[str, Any], posted: int, same_process: bool
) -> None:
    """Neither a change of other settings nor the next process makes a device forget that its gate asked for time."""
    gate = MadeUpGate()
    device = MadeUpDevice(tmp_path, gate)
    gate.verdict = lambda _: Answer(503, {"retry-after": "500"}, b"")
    put(device.queue, report())
    device.sender.flush(5.0)
    if not same_process:
        device.sender.close()
        device = MadeUpDevice(tmp_path, gate)
    device.settings = dataclasses.replace(device.settings, **changed)
    device.sender.flush(5.0)
    assert len(gate.posted) == posted
    device.run(1000)
    assert len(gate.posted) > posted
