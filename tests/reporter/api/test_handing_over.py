"""Where an agent runs, applications hand over what they observed; where it does not take it, nothing is lost."""

import json
import socket
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from reporter.observing.handing_over import AGAIN_SECONDS, MOST_BYTES, Handing, as_datagram, received
from reporter.observing.notes import note_of
from reporter.observing.observation import NOTED, EndedTask, Note
from reporter.windows.task import Task
from tests.reporter.api.device import Bench
from tests.reporter.api.test_survival import Hostile
from tests.reporter.made_up import NOW_MS


@pytest.fixture
def agent(tmp_path: Path) -> Iterator[socket.socket]:
    """The agent's end of the socket."""
    with closing(socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)) as bound:
        bound.bind(str(tmp_path / "agent.sock"))
        bound.settimeout(0)
        yield bound


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[Bench]:
    """An application, which lets go of the agent at the end."""
    made = Bench(tmp_path).knows_policy()
    yield made
    made.work.end()


def a_task(**said: Any) -> EndedTask:
    """A task of which this was said."""
    task = EndedTask()
    task.at_ms = NOW_MS
    for name, value in said.items():
        setattr(task, name, value)
    return task


OBSERVATIONS = [
    pytest.param(a_task(), id="an untold task"),
    pytest.param(
        a_task(model="pocket-chat", tokens_in=5, latency_ms=0.25, session="ab", disclosures=frozenset({"residency"})),
        id="a task",
    ),
    *(pytest.param(Note(NOW_MS, note_of(kind, {})[0]), id=name) for name, kind in NOTED.items()),
]


def facts(observation: EndedTask | Note) -> dict[str, Any]:
    """All that there is of an observation."""
    if isinstance(observation, Note):
        return {"at_ms": observation.at_ms, "what": observation.what}
    return {name: getattr(observation, name) for name in (*Task.__slots__, *EndedTask.__slots__)}


@pytest.mark.parametrize("observation", OBSERVATIONS)
def test_what_is_handed_over_arrives(observation: EndedTask | Note) -> None:
    """The agent reads from a datagram what the application observed."""
    datagram = as_datagram(observation)
    assert datagram is not None
    arrived = received(datagram)
    assert arrived is not None
    assert facts(arrived) == facts(observation)


@pytest.mark.parametrize(
    "datagram",
    [
        pytest.param(b"", id="nothing"),
        pytest.param(b"\xff", id="no text"),
        pytest.param(b"[" * 100_000, id="deep"),
        pytest.param(b"[]", id="no object"),
        pytest.param(b'{"at_ms": "now", "kind": "task", "said": {}}', id="no time"),
        pytest.param(b'{"at_ms": 1, "kind": "task"}', id="nothing said"),
        pytest.param(b'{"at_ms": 1, "kind": "rumour", "said": {}}', id="another kind"),
        pytest.param(b'{"at_ms": 1, "kind": "sync", "said": {}}', id="something missing"),
    ],
)
def test_what_is_no_observation(datagram: bytes) -> None:
    """Anything else is dropped."""
    assert received(datagram) is None


def test_fields_that_do_not_exist_are_not_set() -> None:
    """A datagram can set nothing of a task but what an application may say."""
    told = {"at_ms": 1, "kind": "task", "session": 7, "said": {"at_ms": 5, "colour": "blue"}, "disclosures": [1, "x"]}
    task = received(json.dumps(told).encode())
    assert isinstance(task, EndedTask)
    assert (task.at_ms, task.session) == (1, None)
    assert task.disclosures == {"x"}


def test_an_agent_takes_them(bench: Bench, agent: socket.socket) -> None:
    """While an agent listens, an application adds up nothing itself."""
    bench.task(model="pocket-chat")
    bench.round()
    arrived = received(agent.recv(MOST_BYTES))
    assert isinstance(arrived, EndedTask)
    assert (arrived.model, bench.work.adding_up.open_span) == ("pocket-chat", None)
    assert bench.work.status(bench.inbox)["handed_over"] == 1


@pytest.mark.usefixtures("agent")
def test_an_agent_that_does_not_keep_up(bench: Bench) -> None:
    """What an agent does not take at once the application adds up itself, without waiting."""
    for _ in range(1000):
        bench.task()
    bench.round()
    span = bench.work.adding_up.open_span
    assert span is not None
    handed_over = bench.work.status(bench.inbox)["handed_over"]
    assert 0 < handed_over < 1000
    assert handed_over + span.tasks.tasks == 1000


def test_an_agent_that_went_away(tmp_path: Path, bench: Bench, agent: socket.socket) -> None:
    """After the agent has gone the application goes on alone, and looks for another one later."""
    handing = Handing(tmp_path / "agent.sock", bench.monotonic)
    assert handing.over(a_task())
    agent.close()
    assert not handing.over(a_task())
    (tmp_path / "agent.sock").unlink()
    with closing(socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)) as another:
        another.bind(str(tmp_path / "agent.sock"))
        assert not handing.over(a_task())
        bench.advance(AGAIN_SECONDS)
        assert handing.over(a_task())
    handing.close()


@pytest.mark.usefixtures("agent")
@pytest.mark.parametrize(
    "said",
    [
        pytest.param({"model": "x" * MOST_BYTES}, id="too long"),
        pytest.param({"model": object()}, id="not for JSON"),
        pytest.param({"contract_valid": Hostile()}, id="hostile"),
    ],
)
def test_what_cannot_be_handed_over(bench: Bench, said: dict[str, Any]) -> None:
    """What does not go into a datagram is added up by the application."""
    bench.task(**said)
    bench.round()
    span = bench.work.adding_up.open_span
    assert span is not None
    assert span.tasks.tasks == 1
