"""A device and a real gate: what was closed is in the log, once, whatever happened on the way."""

import dataclasses
import json
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from random import Random

import pytest

from ingest.clock import SystemClock
from ingest.records import GATES_OWN
from reporter import state
from reporter.directory import Directory
from reporter.queue.queue import Queue
from reporter.sending.connection import Connection, connection
from reporter.sending.policy_watch import PolicyWatch
from reporter.sending.sender import Sender
from reporter.sending.sender_lock import SenderLock
from reporter.state import Settings, SettingsFile
from tests.reporter.made_up import HOUR_MS, put, report
from tests.reporter.sending.bad_server import bad_server, http, says
from tests.reporter.sending.closing_and_sending import REPORTS
from tests.running_gate import PATIENCE_SECONDS, RunningGate, eventually, revoke_token, running_gate, tier_files

ROOT = Path(__file__).resolve().parents[3]
SEED = 20261121
PLANTED = ("pseudonym-of-the-device", "ada@example.org", "ada-laptop", "SER1234567")


class Device:
    """What one process of a device has, on the machine's own clock."""

    def __init__(self, folder: Path) -> None:
        self.directory = Directory(folder)
        self.directory.make()
        self.queue = Queue(self.directory.queue, clock=SystemClock())
        self.lock = SenderLock(self.directory.sender_lock)
        self.sender = Sender(
            self.queue,
            SettingsFile(self.directory.settings),
            connection,
            lock=self.lock,
            clock=SystemClock(),
            random=Random(SEED),
        )

    def put(self, number: int) -> set[bytes]:
        """Close a window of so many reports of the last hours; their ids."""
        start = time.time_ns() // 1_000_000 // HOUR_MS * HOUR_MS - HOUR_MS
        names = ("route_window", "health_window", "trace_window")
        reports = [report(names[at % 3], start=start - at % 5 * HOUR_MS) for at in range(number)]
        put(self.queue, *reports)
        return {one.report_id for one in reports}

    def sent(self) -> bool:
        """Whether everything that may go has gone."""
        return self.sender.flush(1.0)


@pytest.fixture(scope="module")
def gate(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningGate]:
    """One gate for the tests of this module."""
    folder = tmp_path_factory.mktemp("gate")
    with running_gate(folder, tiers=tier_files(folder / "tiers")) as running:
        yield running


@pytest.fixture
def device(tmp_path: Path, gate: RunningGate) -> Iterator[Device]:
    """A managed device with everything that an operator can set about it."""
    found = Device(tmp_path / "device")
    told = dict(zip(("device_id", "user_email", "hostname", "serial"), PLANTED, strict=True))
    settings = Settings(endpoint=f"{gate.url}/t/managed", token=gate.tokens["managed"], identifiers=told)
    state.write(found.directory.settings, settings)
    yield found
    found.sender.close()


def arrived(gate: RunningGate) -> Counter[bytes]:
    """How often each report is in the log."""
    return Counter(entry.key for entry in gate.entries() if entry.topic not in GATES_OWN)


def test_everything_arrives_once(gate: RunningGate, device: Device) -> None:
    """What was put in is in the log once; the gate pseudonymises the device, and no other identifier came near it."""
    closed = device.put(30)
    eventually(device.sent, "everything is sent")
    found = arrived(gate)
    assert {report_id: found[report_id] for report_id in closed} == dict.fromkeys(closed, 1)
    assert device.queue.status().totals["accepted"] == 30
    entries = [entry for entry in gate.entries() if entry.key in closed]
    assert all(gate.decoded(entry)["device_id"] is not None for entry in entries)
    kept = b"".join(file.read_bytes() for file in device.directory.path.iterdir() if file.name != "settings.json")
    assert not [name for name in PLANTED if name.encode() in kept]


def test_the_policy_comes_compressed(gate: RunningGate, device: Device) -> None:
    """A device is sent the policy compressed, reads what anybody else is sent plain, and is not sent it again."""
    settings = state.read(device.directory.settings)
    way = connection(settings)
    answer = way.exchange("GET", "/v1/policy", {}, None)
    assert answer.headers["content-encoding"] == "gzip"
    assert answer.body == gate.get("/t/managed/v1/policy", {"accept-encoding": "identity"}).raw
    assert int(answer.headers["content-length"]) < len(answer.body) / 10
    watch = PolicyWatch(device.queue, settings.endpoint, monotonic=time.monotonic, random=Random(SEED))
    assert watch.ask(way) is None
    assert watch.policy is not None
    again = way.exchange("GET", "/v1/policy", {"If-None-Match": str(watch.policy.etag)}, None)
    assert (again.status, again.body) == (304, b"")
    way.close()


def test_a_token_that_is_revoked(gate: RunningGate, device: Device) -> None:
    """A revoked token stops the device and loses nothing; a new one in its settings sets it going again."""
    settings = state.read(device.directory.settings)
    token = gate.token("managed")
    state.write(device.directory.settings, dataclasses.replace(settings, token=token))
    device.put(1)
    eventually(device.sent, "the new token is known")
    revoke_token(gate.data, token)
    closed = device.put(3)

    def refused() -> bool:
        device.put(1)
        device.sent()
        answer = device.queue.status().facts["answer"]
        return answer is not None and answer["reason"] == "token_revoked"

    eventually(refused, "the token is refused")
    waits = device.queue.depth().reports
    assert waits
    state.write(device.directory.settings, settings)
    eventually(device.sent, "everything is sent")
    assert closed <= arrived(gate).keys()
    totals = device.queue.status().totals
    assert totals["accepted"] == totals["windows_closed"]


def test_a_bad_day_and_the_next(gate: RunningGate, device: Device) -> None:
    """Whatever stood between device and gate, nothing is lost by it, and all of it arrives when it is gone."""
    settings = state.read(device.directory.settings)
    device.put(1)
    eventually(device.sent, "the policy is known")
    closed = device.put(12)
    days = [
        says(b""),
        says(b"\x00" * 100),
        says(http("200 OK", b"<html>hotel</html>")),
        says(http("302 Found", b"", "Location: http://localhost:1/")),
        says(http("500 Internal Server Error", b"oops")),
        says(http("202 Accepted", b'{"accepted": 4, "rejected": [{"index": 99, "action": "discard"}]}')),
        says(http("202 Accepted", b'{"accepted": 1000000, "rejected": []}')),
    ]
    for behave in days:
        with bad_server(behave) as server:
            bad = Connection(dataclasses.replace(settings, endpoint=f"http://localhost:{server.port}/t/managed"))
            device.sender._transport = bad
            device.sent()
            assert server.requests
            bad.close()
    assert device.queue.depth().reports == 12
    device.sender._transport = connection(settings)
    eventually(device.sent, "everything is sent")
    assert closed <= arrived(gate).keys()


KILLS = 20


@pytest.mark.faults
def test_killed_at_any_moment(gate: RunningGate, device: Device, tmp_path: Path) -> None:
    """After any number of kills all that was closed is in the log, and every window that was not is counted as lost."""
    said = tmp_path / "said"
    moments = Random(SEED)
    print(f"seed {SEED}")
    for _ in range(KILLS):
        _live_for(moments.uniform(0, 0.3), device, said)
    device.queue.sweep()
    eventually(device.sent, "everything is sent")
    lines = [line.split() for line in said.read_text(encoding="ascii").splitlines()]
    opened, closed = ({window for word, window, *_ in lines if word == said_word} for said_word in ("opened", "closed"))
    reports = {window: {bytes.fromhex(one) for one in ids} for word, window, *ids in lines if word == "closing"}
    found = arrived(gate).keys()
    whole = {window for window, ids in reports.items() if ids <= found}
    none = {window for window, ids in reports.items() if not ids & found}
    status = device.queue.status()
    print(json.dumps({"windows": len(opened), "closed": len(closed), "arrived": len(whole), **status.totals}))
    assert closed <= whole
    assert whole | none == reports.keys()
    lost = status.totals.get("lost.killed", 0)
    # A process may have been killed between opening a window and saying so, once each time.
    assert 0 <= lost - len(opened - whole) <= KILLS
    assert (status.open_windows, status.depth.reports) == (0, 0)
    assert status.totals["accepted"] == REPORTS * len(whole)
    assert status.totals["windows_closed"] == REPORTS * len(whole) + lost


def _live_for(seconds: float, device: Device, said: Path) -> None:
    """A process that closes and sends windows, killed so long after it has opened one."""
    before = said.stat().st_size if said.exists() else 0
    module = "tests.reporter.sending.closing_and_sending"
    process = subprocess.Popen([sys.executable, "-m", module, str(device.directory.path), str(said)], cwd=ROOT)
    try:
        eventually(lambda: said.exists() and said.stat().st_size > before, "the process has begun")
        time.sleep(seconds)  # any moment will do: that is the test
    finally:
        process.send_signal(signal.SIGKILL)
        process.wait(PATIENCE_SECONDS)
