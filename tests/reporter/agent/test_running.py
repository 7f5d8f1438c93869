"""The agent as a process: applications that come and go, signals, and a truth that is counted at the end."""

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import pytest

from ingest.clock import SystemClock
from load.broker.node import free_ports
from reporter import state
from reporter.agent.listening import LONGEST_PATH
from reporter.directory import Directory
from reporter.evidence import Evidence
from reporter.observing.handing_over import Handing
from reporter.observing.observation import EndedTask
from reporter.queue.queue import Queue
from reporter.sending.sender_lock import SenderLock
from reporter.state import Settings
from tests.reporter.agent.setting import Place
from tests.reporter.api.device import decoded
from tests.reporter.borders import MINUTES_MS, keep_away_from_a_border
from tests.reporter.made_up import HOUR_MS, put, report
from tests.reporter.otel.made_spans import CHAT
from tests.running_gate import PATIENCE_SECONDS, RunningGate, eventually, running_gate, tier_files

TOPIC = "tidegate.managed.route_window."
NOBODY = "http://127.0.0.1:9/t/managed"
ENDED_WELL = 0


@pytest.fixture(scope="module")
def gate(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningGate]:
    """One gate for all of these."""
    folder = tmp_path_factory.mktemp("gate")
    with running_gate(folder, tiers=tier_files(folder / "tiers")) as running:
        yield running


@pytest.fixture
def place(tmp_path: Path) -> Place:
    """A device whose gate nobody can reach, so that all it closes stays in its queue."""
    made = Place(tmp_path / "device")
    made.directory.make()
    state.write(made.directory.settings, Settings(endpoint=NOBODY, token="token"))
    return made


def queue_of(place: Place) -> Queue:
    """What waits on the device."""
    return Queue(place.directory.queue, clock=SystemClock())


def has_taken(place: Place, observations: int) -> bool:
    """Whether the agent was handed so many."""
    return bool(place.answer()["taken"] == observations)


def said_by(agent: subprocess.Popen[str]) -> str:
    """The next line that it says."""
    assert agent.stderr is not None
    return agent.stderr.readline()


def queued_tasks(place: Place) -> int:
    """The tasks in all reports that wait."""
    routes = [one.queued for one in queue_of(place).peek(None, 1000) if one.queued.report == "route_window"]
    return sum(row["tasks"] for one in routes for row in decoded(one.report, one.message.content)["rows"])


def end(agent: subprocess.Popen[str], number: signal.Signals = signal.SIGTERM) -> str:
    """The agent is told to end, and does; what it said."""
    agent.send_signal(number)
    said = agent.communicate(timeout=PATIENCE_SECONDS)[1]
    assert agent.returncode == ENDED_WELL
    return said


def test_many_short_processes_make_one_report(gate: RunningGate, tmp_path: Path) -> None:
    """What short applications hand over is one report at the gate, and `flush` sends it at once."""
    place = Place(tmp_path / "device")
    assert place.init(gate).code == 0
    # A task that is handed over behind the end of its window is in a report of its own.
    keep_away_from_a_border(seconds=30, window_ms=MINUTES_MS)
    with place.agent() as agent:
        # One after the other: a socket holds ten of them, and what it has no room for stays with the application.
        for number in range(1, 4):
            assert place.application(10).wait(PATIENCE_SECONDS) == 0
            eventually(partial(has_taken, place, 10 * number), "everything was handed over")
        assert place.type("flush").out == "Everything that may be sent was sent.\n"
        stored = [gate.decoded(entry) for entry in gate.entries() if entry.topic.startswith(TOPIC)]
        assert sum(row["tasks"] for one in stored for row in one["rows"]) == 30
        assert len({one["window_start"] for one in stored}) == len(stored)
        assert place.type("routes").out.startswith("Yes: 15 of 30 tasks")
        said = place.type("status").out
        assert "30 observations taken" in said
        assert "HTTP 202, all taken; sending" in said
        end(agent)
    assert not place.directory.socket.exists()


def test_the_end_loses_nothing(place: Place) -> None:
    """What is handed over while the agent is told to end is counted by it, or stays with the application."""
    with place.agent() as agent:
        handing = Handing(place.directory.socket, time.monotonic)
        taken = stayed = 0
        told = False
        deadline = time.monotonic() + PATIENCE_SECONDS
        while stayed < 1000 and time.monotonic() < deadline:
            if taken == 500 and not told:
                agent.send_signal(signal.SIGTERM)
                told = True
            task = EndedTask()
            task.at_ms = SystemClock().now_ms()
            task.planned_route = "on_device"
            if handing.over(task):
                taken += 1
            elif told:
                stayed += 1
        handing.close()
        agent.communicate(timeout=PATIENCE_SECONDS)
    assert agent.returncode == ENDED_WELL
    assert queued_tasks(place) == taken >= 500


def test_a_second_signal_cuts_nothing_off(place: Place) -> None:
    """An agent that is told to end again, while it waits for a gate that is silent, ends as it would have."""
    with socket.create_server(("127.0.0.1", 0)) as silent:
        port = silent.getsockname()[1]
        state.write(place.directory.settings, Settings(endpoint=f"http://127.0.0.1:{port}/t/managed", token="token"))
        with place.agent() as agent:
            assert place.application(4).wait(PATIENCE_SECONDS) == 0
            eventually(partial(has_taken, place, 4), "everything was handed over")
            agent.send_signal(signal.SIGTERM)
            eventually(lambda: "ends" in said_by(agent), "it ends")
            end(agent)
    assert queued_tasks(place) == 4


@pytest.mark.faults
def test_killed(place: Place) -> None:
    """A window that was open when the agent was killed is counted as lost by the next, which takes the place over."""
    keep_away_from_a_border(seconds=10)
    with place.agent() as agent:
        assert place.application(4).wait(60) == 0
        eventually(lambda: queue_of(place).status().open_windows == 1, "the window is marked")
        agent.kill()
        agent.wait(PATIENCE_SECONDS)
        with place.agent() as another:
            eventually(lambda: queue_of(place).status().totals.get("lost.killed"), "the loss is counted")
            end(another)
    assert queued_tasks(place) == 0


def test_one_agent_for_a_device(place: Place) -> None:
    """A second agent says that there is one, and leaves it alone."""
    with place.agent() as agent:
        done = place.type("run")
        assert (done.code, "an agent runs on this device already" in done.err) == (1, True)
        assert place.application(2).wait(60) == 0
        eventually(lambda: place.answer()["taken"] == 2, "the first one still takes what comes")
        end(agent)


def test_it_sends_what_others_left(gate: RunningGate, tmp_path: Path) -> None:
    """An agent to which nobody hands anything over becomes the one that sends, and sends what waited before it came."""
    place = Place(tmp_path / "device")
    assert place.init(gate).code == 0
    start = SystemClock().now_ms() // HOUR_MS * HOUR_MS - HOUR_MS
    put(queue_of(place), report(start=start))
    with place.agent() as agent:
        # Whoever looks whether the lock is free has it for a moment, and keeps the agent from it for half a minute.
        eventually(place.directory.sender_lock.exists, "the agent is the one that sends")
        assert place.type("flush").code == 0
        assert queue_of(place).status().totals["accepted"] == 1
        assert not SenderLock(place.directory.sender_lock).take()
        end(agent)


def test_consent_is_followed(place: Place) -> None:
    """A consent that another process writes down holds in the agent without a signal."""
    with place.agent() as agent:
        assert place.type("consent", "fallback_reports", "yes").code == 0
        # A consent holds for windows that begin after it, and the agent looks every few seconds.
        eventually(lambda: _reports_after(place) >= {"fallback_window"}, "a report that needs the consent")
        end(agent)


def _reports_after(place: Place) -> set[str]:
    """What waits after an application has fallen back once more and the agent has closed its window."""
    place.application(2).wait(60)
    place.type("flush")
    return {one.queued.report for one in queue_of(place).peek(None, 1000)}


def test_settings_are_read_again(place: Place) -> None:
    """SIGHUP with settings that cannot be used is told by the name of the setting, and the agent goes on."""
    good = place.directory.settings.read_bytes()
    with place.agent() as agent:
        place.directory.settings.write_bytes(good.replace(b'"proxy": null', b'"proxy": "ada@example.org"'))
        agent.send_signal(signal.SIGHUP)
        assert agent.stderr is not None
        said = [agent.stderr.readline() for _ in range(2)]
        assert said[0] == "tidegate agent: runs\n"
        assert said[1].startswith("tidegate agent: goes on as before: settings.json: proxy: must")
        assert "ada" not in said[1]
        place.directory.settings.write_bytes(good)
        agent.send_signal(signal.SIGHUP)
        assert agent.stderr.readline() == "tidegate agent: has read its settings again\n"
        end(agent)


def test_facts_that_age(place: Place) -> None:
    """Versions of system and agent are brought up to date when an agent begins; what was taken away stays away."""
    settings = state.read(place.directory.settings)
    aged = state.Device(agent_version="0.0.1", site="hq", os_version=None)
    state.write(place.directory.settings, Settings(endpoint=NOBODY, token=settings.token, device=aged))
    with place.agent() as agent:
        end(agent)
    device = state.read(place.directory.settings).device
    assert device.agent_version not in (None, "0.0.1")
    assert (device.site, device.os_version) == ("hq", None)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_what_it_says(place: Place, number: signal.Signals) -> None:
    """A signal ends it in peace, and it says no more than that it ran."""
    with place.agent() as agent:
        assert end(agent, number) == "tidegate agent: runs\ntidegate agent: ends\n"


SPANS = """
import sys
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
provider = TracerProvider()
provider.add_span_processor(SimpleSpanProcessor(OTLPSpanExporter(sys.argv[1])))
for _ in range(3):
    provider.get_tracer("x").start_span("chat", attributes={attributes}).end()
provider.shutdown()
"""


def test_spans(place: Place) -> None:
    """With `--otlp` spans of an application become tasks, and the operator's table is read again with SIGHUP."""
    (port,) = free_ports(1)
    program = SPANS.replace("{attributes}", repr(CHAT))
    with place.agent("--otlp", str(port)) as agent:
        url = f"http://127.0.0.1:{port}/v1/traces"
        subprocess.run([sys.executable, "-c", program, url], timeout=60, check=True)
        assert place.answer()["spans"]["tasks"] == 3
        place.directory.spans.write_text('{"hosts": {"a": "nowhere"}}', encoding="utf-8")
        agent.send_signal(signal.SIGHUP)
        assert agent.stderr is not None
        said = [agent.stderr.readline() for _ in range(2)]
        assert "spans.json: hosts.a: must be one of" in said[1]
        subprocess.run([sys.executable, "-c", program, url], timeout=60, check=True)
        assert place.answer()["spans"]["tasks"] == 6
        place.directory.spans.unlink()
        agent.send_signal(signal.SIGHUP)
        assert agent.stderr.readline() == "tidegate agent: has read its settings again\n"
        subprocess.run([sys.executable, "-c", program, url], timeout=60, check=True)
        assert place.answer()["spans"]["tasks"] == 3
        end(agent)
    assert sum(one.tasks for one in Evidence(place.directory.evidence, clock=SystemClock()).since(0)) == 9


def test_a_port_that_is_taken(place: Place) -> None:
    """An agent that cannot take spans says so, and lets go of everything."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        done = place.type("run", "--otlp", str(port))
    assert (done.code, f"port {port} cannot be listened on" in done.err) == (1, True)
    with place.agent() as agent:
        end(agent)


def test_a_path_too_long_for_a_socket(tmp_path: Path) -> None:
    """Where no socket can lie in the directory, the agent says so."""
    long = Place(tmp_path / ("x" * LONGEST_PATH))
    long.directory.make()
    state.write(long.directory.settings, Settings(endpoint=NOBODY, token="token"))
    done = long.type("run")
    assert (done.code, "too long for a socket" in done.err) == (1, True)


@pytest.mark.parametrize(
    "datagram", [b"", b"nonsense", b'{"ask": "status"}', b'{"ask": ["status"]}', b"[" * 9000, b"x" * 100_000]
)
def test_whatever_comes(place: Place, datagram: bytes) -> None:
    """Nothing that is sent to the socket disturbs the agent."""
    with place.agent() as agent, socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sending:
        sending.sendto(datagram, os.fspath(Directory(place.path).socket))
        eventually(lambda: place.answer()["unreadable"] == 1, "it was looked at")
        end(agent)
