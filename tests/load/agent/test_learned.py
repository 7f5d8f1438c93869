"""What is learned from spans, against what the fleet did."""

import gzip
from dataclasses import replace
from typing import Any

import pytest

from load.agent.days import Asked, DeviceDays
from load.agent.days_of_spans import run
from load.agent.learned import of_fleet, of_spans, require_same
from load.agent.sink import Sink
from load.agent.spans import of_task
from load.children import ChildFailedError

NOW_MS = 1_795_000_000_000


@pytest.fixture(scope="module")
def every() -> list[DeviceDays]:
    """Three days of a few devices."""
    return Asked(fleet=6, seed=3, now_ms=NOW_MS, trace=None, requests=0).days()


@pytest.fixture(scope="module")
def sink(every: list[DeviceDays]) -> Sink:
    """Where their spans have arrived."""
    sink = Sink()
    with sink.listening():
        run(f"http://127.0.0.1:{sink.port}", 300, every)
    return sink


def test_spans_tell_what_happened(every: list[DeviceDays], sink: Sink) -> None:
    """One span arrives for each task and each file, and from them comes what the fleet did."""
    spans = list(sink.spans())
    assert len(spans) == sum(len(days.tasks) + len(days.files) for days in every)
    assert of_spans(spans) == of_fleet(every)
    assert all(gzip.decompress(body) for body in sink.bodies)


def test_one_task_less_is_seen(every: list[DeviceDays], sink: Sink) -> None:
    """Answers that differ by a single task are not the same, and no figure."""
    first, *others = every
    fewer = of_fleet([first._replace(tasks=first.tasks[1:]), *others])
    with pytest.raises(ChildFailedError, match="routes"):
        require_same("spans", of_spans(sink.spans()), fewer)


def test_longer_task_is_seen(every: list[DeviceDays], sink: Sink) -> None:
    """A single task that took twice as long is in another bucket, and no figure."""
    first, *others = every
    place = next(number for number, task in enumerate(first.tasks) if task.latency_ms)
    tasks = list(first.tasks)
    tasks[place] = replace(tasks[place], latency_ms=2 * (tasks[place].latency_ms or 0))
    with pytest.raises(ChildFailedError, match="latencies"):
        require_same("spans", of_spans(sink.spans()), of_fleet([first._replace(tasks=tasks), *others]))


def test_span_says_no_more_than_needed(every: list[DeviceDays]) -> None:
    """What is zero, untrue or unsaid costs a span nothing; a fallback costs its own words."""
    task = next(task for days in every for task in days.tasks if task.fallback_reason == "none")
    plain: dict[str, Any] = of_task(replace(task, refused=False, bytes_sent=0))
    assert not any(value in (None, 0, False, []) for value in plain.values())
    assert "tidegate.consent" not in plain
    assert "tidegate.consent" in of_task(replace(task, fallback_reason="offline", consent="granted"))
