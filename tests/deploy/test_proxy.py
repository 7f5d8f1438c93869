"""The proxy: its limits fit the gate's, and HAProxy in front of a gate does what is promised."""

import json
import os
import re
import shutil
import subprocess
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from random import Random

import httpx
import pytest

from ingest.body import MAX_BODY
from ingest.clock import SystemClock
from ingest.http.protocol import HEAD_SECONDS, MAX_HEAD
from ingest.problems import Reason, problem_document
from load.broker.certificates import make_certificates
from load.broker.node import free_ports
from reporter.queue.queue import Queue
from reporter.sending.connection import connection
from reporter.sending.sender import Sender
from reporter.sending.sender_lock import SenderLock
from reporter.state import Settings
from tests.deploy.compose_file import DEPLOY, services, settings
from tests.deploy.programs import haproxy
from tests.end_to_end.reports import HOUR_MS, Reports, this_hour
from tests.reporter.made_up import put, report
from tests.running_gate import PATIENCE_SECONDS, RunningGate, change_tier, eventually, running_gate, tier_files
from tidegate.log_source import APPEND_SECONDS
from tidegate.settings import Settings as GateSettings

CONFIGURATION = DEPLOY / "haproxy" / "haproxy.cfg"
TEXT = CONFIGURATION.read_text(encoding="utf-8")
DOCUMENT = re.compile(r"http-error status (\d+) content-type application/problem\+json string '([^']+)'(.*)")
DOCUMENTS = {int(status): (json.loads(text), rest) for status, text, rest in DOCUMENT.findall(TEXT)}

ATTEMPTS = 10
"""An answer that is lost in a reset is lost now and then only."""


def figure(pattern: str) -> int:
    """The only number of the configuration behind `pattern`."""
    [found] = re.findall(rf"^\s*{pattern} (\d+)s?\b", TEXT, re.MULTILINE)
    return int(found)


def section(name: str) -> str:
    """One section of the configuration."""
    return re.split(r"^(?=\S)", TEXT[TEXT.index(f"\n{name}\n") + 1 :], flags=re.MULTILINE)[1]


def test_haproxy_accepts_the_configuration(tmp_path: Path) -> None:
    """HAProxy's own check finds the configuration valid, without a warning, as the compose file starts it."""
    environment = _environment(tmp_path, ports=(8443, 9443, 8080))
    done = subprocess.run(
        [haproxy(), "-c", "-f", CONFIGURATION], env=environment, capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode == 0, done.stderr
    assert "WARNING" not in done.stderr


def test_every_variable_is_given() -> None:
    """The compose file sets the variables of the configuration, and no other."""
    assert set(re.findall(r"\$\{(\w+)\}", TEXT)) == set(settings(services()["proxy"]))


def test_sizes_fit_the_gates() -> None:
    """The gate gets as large a head as it takes, and no body that is announced as larger than it takes."""
    assert figure(r"tune\.bufsize") >= MAX_HEAD + 1024
    [longest] = re.findall(r"hdr_val\(content-length\) gt (\d+)", section("frontend devices"))
    assert int(longest) == MAX_BODY


def test_times_fit_the_gates() -> None:
    """A head may take as long as at the gate, and the gate has time for a slow body and a slow log."""
    defaults = section("defaults")
    [head] = re.findall(r"timeout http-request (\d+)s", defaults)
    [answer] = re.findall(r"timeout server (\d+)s", defaults)
    assert int(head) == HEAD_SECONDS
    body_seconds = GateSettings.model_fields["body_timeout_seconds"].default
    assert int(answer) >= body_seconds + APPEND_SECONDS + 5


@pytest.mark.parametrize(
    ("status", "reason"),
    [
        pytest.param(400, Reason.MALFORMED_REQUEST, id="no HTTP"),
        pytest.param(404, Reason.NOT_FOUND, id="no door"),
        pytest.param(408, Reason.BODY_TIMEOUT, id="too slow"),
        pytest.param(413, Reason.BODY_TOO_LARGE, id="too large"),
    ],
)
def test_what_the_proxy_says_is_what_the_gate_says(status: int, reason: Reason) -> None:
    """Where the gate has a document for what the proxy refuses, the proxy's is the same."""
    assert DOCUMENTS[status][0] == problem_document(reason)


@pytest.mark.parametrize("status", [502, 503, 504])
def test_a_device_is_told_to_retry_where_no_gate_answers(status: int) -> None:
    """Where the gate says nothing, the proxy's document has the one thing that a device needs, and a pause."""
    document, rest = DOCUMENTS[status]
    assert (document["status"], document["action"]) == (status, "retry")
    assert rest.strip() == "hdr Retry-After 10"


def test_no_log_format_has_anything_of_a_request() -> None:
    """What is logged is chosen field by field, and none of them is of the client or of what it sent."""
    formats = re.findall(r"^\s*(?:error-)?log-format '(.*)'$", TEXT, re.MULTILINE)
    assert len(formats) == 2
    used = {found for text in formats for found in re.findall(r"%(?:\[[^\]]*\]|[A-Za-z]+)", text)}
    assert used == {"%Ts", "%f", "%HM", "%ST", "%b", "%s", "%U", "%B", "%Ta", "%tsc", "%[fc_err_str]"}
    assert not re.search(r"^\s*(option httplog|option tcplog|capture|stats|http-request capture)", TEXT, re.MULTILINE)


@dataclass(frozen=True, slots=True)
class Proxied:
    """A gate behind the proxy; `door` is that of devices, and `ca_file` says whom they may believe there."""

    gate: RunningGate
    door: str
    client: httpx.Client
    ca_file: Path

    def post(
        self, body: bytes, *, token: str | None = None, headers: Mapping[str, str] | None = None
    ) -> httpx.Response:
        """A post to the tier `managed` through the proxy."""
        said = {"authorization": f"Bearer {token or self.gate.tokens['managed']}", "content-type": "application/avro"}
        path = "/t/managed/v1/reports/route_window"
        return self.client.post(self.door + path, content=body, headers=said | dict(headers or {}))


def _environment(folder: Path, *, ports: tuple[int, int, int]) -> dict[str, str]:
    devices, people, gate = ports
    made = make_certificates(folder / "secrets", users=["proxy"])
    shutil.copy(made.certificate_file("proxy"), folder / "secrets" / "tls.pem")
    shutil.copy(made.key_file("proxy"), folder / "secrets" / "tls.pem.key")
    return {
        "PATH": os.environ["PATH"],
        "DEVICES_BIND": f"127.0.0.1:{devices}",
        "PEOPLE_BIND": f"127.0.0.1:{people}",
        "TLS_CERTIFICATE": str(folder / "secrets" / "tls.pem"),
        "GATE_ADDRESS": f"127.0.0.1:{gate}",
        "ANSWERS_ADDRESS": f"127.0.0.1:{gate}",
    }


@contextmanager
def proxied(folder: Path, gate: RunningGate) -> Iterator[Proxied]:
    """The proxy in front of `gate`, from when it has found it."""
    devices, people = free_ports(2)
    environment = _environment(folder, ports=(devices, people, gate.address[1]))
    with (folder / "proxy.output").open("wb") as output:
        process = subprocess.Popen(
            [haproxy(), "-W", "-db", "-f", CONFIGURATION], env=environment, stderr=output, stdout=output
        )
    try:
        with httpx.Client(verify=False, timeout=30) as client:  # noqa: S501 - test_deployment.py checks certificates
            made = Proxied(gate, f"https://localhost:{devices}", client, folder / "secrets" / "ca.pem")
            eventually(lambda: _found(made), "the proxy has found the gate")
            yield made
    finally:
        process.kill()
        process.wait()


def _found(made: Proxied) -> bool:
    try:
        return made.client.get(f"{made.door}/t/managed/v1/policy").status_code == 200
    except httpx.TransportError:
        return False


@pytest.fixture(scope="module")
def proxy(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Proxied]:
    """A gate that believes the proxy, and trusts nobody's network but 10.0.0.0/8."""
    folder = tmp_path_factory.mktemp("proxied")
    tiers = tier_files(folder / "tiers")
    change_tier(tiers / "managed.toml", trusted_networks='["10.0.0.0/8"]')
    with running_gate(folder, tiers=tiers, trusted_proxies="127.0.0.1/32") as gate, proxied(folder, gate) as made:
        yield made


def test_a_report_goes_through(proxy: Proxied) -> None:
    """What a device posts arrives as it was sent, byte for byte, and its answer comes back."""
    answer = proxy.post(Reports(proxy.gate.catalogue).message())
    assert (answer.status_code, answer.json()["accepted"]) == (202, 1)


def test_a_device_reports_through_it(proxy: Proxied, tmp_path: Path) -> None:
    """What the library asks and posts has a door: a report of each of two types leaves the device's queue."""
    settings = Settings(
        endpoint=f"{proxy.door}/t/managed", token=proxy.gate.tokens["managed"], ca_file=str(proxy.ca_file)
    )
    queue = Queue(tmp_path / "queue.db", clock=SystemClock())
    put(queue, report(start=this_hour() - HOUR_MS), report("health_window", start=this_hour() - HOUR_MS))
    lock = SenderLock(tmp_path / "sender.lock")
    sender = Sender(queue, lambda: settings, connection, lock=lock, clock=SystemClock(), random=Random(1))
    assert sender.flush(PATIENCE_SECONDS)
    sender.close()
    assert queue.status().totals["accepted"] == 2


def test_a_device_does_not_choose_its_address(proxy: Proxied) -> None:
    """Whatever a device writes into X-Forwarded-For, the gate sees the address that the proxy sees."""
    shared = proxy.gate.token("managed", kind="class")
    eventually(lambda: proxy.post(b"", token=shared).status_code == 403, "the gate knows the token")
    for name in ("X-Forwarded-For", "Forwarded", "X-Real-IP"):
        answer = proxy.post(b"", token=shared, headers={name: "10.1.2.3"})
        assert answer.json()["reason"] == "token_kind_not_accepted"
    # The same gate asked without the proxy believes the header: it is the proxy that takes it away.
    direct = proxy.gate.post("managed", "route_window", b"", token=shared, headers={"X-Forwarded-For": "10.1.2.3"})
    assert direct.document["reason"] == "empty_body"


@pytest.mark.parametrize("token", [None, "tg_nobody_knows"])
def test_a_body_that_is_too_large_is_always_answered(proxy: Proxied, token: str | None) -> None:
    """However often a device sends too much, and whoever it is, it is told so and does not see a broken connection."""
    for _ in range(ATTEMPTS):
        answer = proxy.post(bytes(MAX_BODY + 1), token=token)
        assert (answer.status_code, answer.json()["reason"], answer.json()["action"]) == (
            413,
            "body_too_large",
            "discard",
        )


def test_a_body_without_a_length_is_for_the_gate(proxy: Proxied) -> None:
    """A body in chunks goes on to the gate, which counts its bytes."""

    def chunks() -> Iterator[bytes]:
        yield Reports(proxy.gate.catalogue).message()

    said = {"authorization": f"Bearer {proxy.gate.tokens['managed']}", "content-type": "application/avro"}
    answer = proxy.client.post(f"{proxy.door}/t/managed/v1/reports/route_window", content=chunks(), headers=said)
    assert answer.status_code == 202


def test_without_a_gate_a_device_is_told_to_retry(tmp_path: Path) -> None:
    """While no gate is there the proxy says so, in the one word that a device knows."""
    with running_gate(tmp_path, tiers=tier_files(tmp_path / "tiers")) as gate, proxied(tmp_path, gate) as made:
        gate.stop()
        answer = made.post(b"")
        assert (answer.status_code, answer.json()["action"], answer.headers["retry-after"]) == (503, "retry", "10")
