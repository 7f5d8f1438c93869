"""An application on a device that nobody configured: it runs as ever, and nothing is left behind."""

import inspect
import threading
from pathlib import Path
from typing import Any

import pytest

from reporter.observing import unobserved
from reporter.observing.running_task import RunningTask
from reporter.observing.session import Session
from reporter.reporter import Reporter


def everything(reporter: Reporter) -> None:
    """Every call there is."""
    with reporter.session() as session, session.task(data_class="internal") as task:
        task.ran_on("edge", model="pocket-chat")
        task.fell_back("offline")
        task.tokens(1, 2)
    reporter.sync(store="memory")
    reporter.offline_queue(depth=1)
    reporter.path_probe(service_role="sync")
    reporter.capability_probe(capability="chat")
    reporter.inventory(model="pocket-chat")
    reporter.health(battery=50)
    reporter.violation("other")
    reporter.consent("location", True)  # noqa: FBT003  # what a person answered
    assert reporter.flush(0) is False


def test_nothing_happens(tmp_path: Path) -> None:
    """Without settings no call does anything: no file, no thread, no directory."""
    threads = set(threading.enumerate())
    reporter = Reporter(directory=tmp_path / "device")
    everything(reporter)
    assert reporter.status() == {"state": "off", "why": "not configured", "errors": {}, "misused": {}}
    assert not list(tmp_path.iterdir())
    assert set(threading.enumerate()) <= threads


def test_errors_go_on_to_the_application(tmp_path: Path) -> None:
    """An exception leaves the block of a task that is not observed, too."""
    reporter = Reporter(directory=tmp_path)
    with pytest.raises(KeyError), reporter.session() as session, session.task():
        raise KeyError


@pytest.mark.parametrize(
    ("observed", "instead"),
    [
        pytest.param(RunningTask, unobserved.UnobservedTask, id="task"),
        pytest.param(Session, unobserved.UnobservedSession, id="session"),
    ],
)
def test_every_call_does_nothing(observed: type[Any], instead: type[Any]) -> None:
    """What stands for a task that is not observed has all of its calls, and so none that reaches for what it lacks."""
    calls = {name for name, _ in inspect.getmembers(observed, inspect.isfunction) if not name.startswith("_")}
    assert calls
    assert calls <= vars(instead).keys()


@pytest.mark.parametrize(
    ("text", "why"),
    [
        pytest.param("{", "the file is not JSON", id="no JSON"),
        pytest.param(
            '{"endpont": "", "token": ""}', "endpont: there is no such setting; did you mean endpoint?", id="a typo"
        ),
    ],
)
def test_settings_that_cannot_be_read(tmp_path: Path, text: str, why: str) -> None:
    """Settings that cannot be used are as good as none, and `status` says what is wrong with them."""
    (tmp_path / "settings.json").write_text(text, encoding="utf-8")
    reporter = Reporter(directory=tmp_path)
    everything(reporter)
    assert reporter.status() == {"state": "off", "why": why, "errors": {}, "misused": {}}
