"""What an operator takes, as a whole: the compose file's commands, started in its order, used, watched and stopped."""

import json
import socket
from collections.abc import Iterator
from functools import partial
from typing import Any

import httpx
import pytest

from load.fleet.search import files_under
from tests.deploy.deployment import HERE, Deployment, deployment, trusting
from tests.deploy.expressions import RULES, dashboard_expressions, filled
from tests.end_to_end.fleet_of_ten import DEVICES, TASKS, post_all
from tests.running_gate import RunningGate, eventually

pytestmark = pytest.mark.kafka

PLANTED = b"laptop 3 of fleet 1"
"""The name of a device as it was posted: it may be on no disk."""


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Deployment]:
    """Every service but Grafana."""
    with deployment(tmp_path_factory.mktemp("deployment")) as made:
        yield made


@pytest.fixture(scope="module")
def devices(running: Deployment) -> Iterator[RunningGate]:
    """The gate through the door of devices, where ten of them have posted."""
    door = running.door("proxy:8443")
    eventually(lambda: door.get("/t/managed/v1/policy").status == 200, "the proxy has found the gate")
    eventually(lambda: door.post("managed", "route_window", b"").status == 400, "the gate knows the tokens")
    post_all(door)
    yield door
    door.client.close()


@pytest.fixture(scope="module")
def people(running: Deployment) -> Iterator[RunningGate]:
    """The answers through the door of people."""
    door = running.door("proxy:9443")
    eventually(lambda: door.ask("/v1/status").status == 200, "the answers know the tokens")
    yield door
    door.client.close()


def test_what_was_posted_is_answered(devices: RunningGate, people: RunningGate) -> None:
    """Reports that devices post through the proxy come out of Kafka and the rollups as an answer, each counted once."""
    assert devices.url != people.url
    published = people.publish()
    assert published.status == 200, published.raw
    rows = people.ask("/v1/answers/R1").document["rows"]
    assert {row["route"]: row["tasks"] for row in rows} == {route: tasks * DEVICES for route, tasks in TASKS.items()}


def test_the_log_is_kafka(running: Deployment, devices: RunningGate) -> None:
    """There is no embedded log beside it, and the topics were made by the service that is for it."""
    assert devices.url
    assert [file.name for file in running.data.rglob("log.*")] == []
    assert "tidegate.managed.route_window.v1" in running.output("topics")


def test_schemas_are_served_to_people(people: RunningGate) -> None:
    """Whoever reads Kafka's topics gets the schemas through the door of people."""
    subjects = people.get("/registry/subjects")
    assert subjects.status == 200
    assert "tidegate.managed.route_window.v1-value" in subjects.document


HIDDEN = ["/metrics", "/healthz", "/readyz", "/readyz/answers", "/openapi.json", "//metrics", "/v1/../metrics"]


@pytest.mark.parametrize("path", [*HIDDEN, "/t/managed/metrics", "/v1/answers", "/v1/status", "/registry/subjects"])
def test_devices_do_not_reach(running: Deployment, path: str) -> None:
    """What is none of a device's business is not found at the door of devices, however the path is written."""
    assert _status(running, "proxy:8443", path) == 404


@pytest.mark.parametrize("path", [*HIDDEN, "/v1/policy", "/t/managed/v1/reports/route_window"])
def test_people_do_not_reach(running: Deployment, path: str) -> None:
    """Neither metrics nor posting is behind the door of people."""
    assert _status(running, "proxy:9443", path) == 404


def _status(running: Deployment, address: str, path: str) -> int:
    """The status of a GET whose path is sent as it is written."""
    with (
        socket.create_connection((HERE, running.ports[address]), timeout=10) as plain,
        trusting(running.folder).wrap_socket(plain, server_hostname="localhost") as wire,
    ):
        wire.sendall(f"GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n".encode())
        return int(wire.recv(4096).split(b" ")[1])


def test_proxy_keeps_nothing_of_a_request(running: Deployment, devices: RunningGate, people: RunningGate) -> None:
    """No token, path, host or address of whoever connects is in what the proxy printed, and every line is ours."""
    secret = "tg_deadbeef_planted"
    devices.post("managed", "route_window", b"planted body", token=secret, headers={"x-planted": "planted header"})
    devices.get("/planted/path?planted=query")
    with socket.create_connection((HERE, running.ports["proxy:8443"]), timeout=10) as plain:
        plain.sendall(b"GET /planted HTTP/1.1\r\nplanted: plain\r\n\r\n")
        plain.recv(100)
    eventually(lambda: '"no_request"' in running.output("proxy"), "the proxy logged the connection without TLS")
    printed = running.output("proxy")
    tokens = [*devices.tokens.values(), *people.roles.values(), secret]
    assert [word for word in [*tokens, "planted", "route_window", "localhost"] if word in printed] == []
    requests = [json.loads(line) for line in printed.splitlines() if line.startswith("{")]
    assert {line["event"] for line in requests} == {"request", "no_request"}
    assert all(HERE not in json.dumps(line) for line in requests)


def test_nothing_that_a_device_is_called_by_is_on_a_disk(running: Deployment, devices: RunningGate) -> None:
    """No file of any service holds the name of a device as it was posted; a name that is there is found."""
    files = files_under(running.folder)
    assert any(b"tidegate.managed.route_window.v1" in content for content in files.values()), devices.url
    assert [str(file) for file, content in files.items() if PLANTED in content] == []


def samples(running: Deployment, expression: str) -> list[dict[str, Any]]:
    """What Prometheus answers to an instant query; fails the test where it refuses the expression."""
    answer = httpx.get(f"{running.url('prometheus:9090')}/api/v1/query", params={"query": expression}, timeout=30)
    document = answer.json()
    assert document["status"] == "success", f"{expression}: {document}"
    found: list[dict[str, Any]] = document["data"]["result"]
    return found


def test_prometheus_scrapes_both(running: Deployment, devices: RunningGate) -> None:
    """Prometheus has samples of the gate and of the answers, with the numbers that were posted."""
    assert devices.url
    for job in ("gate", "answers"):
        expression = f'up{{job="{job}"}} == 1'
        eventually(partial(samples, running, expression), f"{job} is scraped")
    accepted = 'sum(tidegate_gate_reports_total{outcome="accepted"})'
    eventually(lambda: [float(one["value"][1]) for one in samples(running, accepted)] == [DEVICES], "all are counted")


def test_prometheus_evaluates_every_alarm(running: Deployment) -> None:
    """Every rule is loaded and evaluated without an error; none that is critical comes of a healthy deployment."""

    def rules() -> list[dict[str, Any]]:
        groups = httpx.get(f"{running.url('prometheus:9090')}/api/v1/rules", timeout=30).json()["data"]["groups"]
        return [rule for group in groups for rule in group["rules"]]

    eventually(lambda: all(rule["health"] == "ok" for rule in rules()), "every rule was evaluated")
    assert sorted(rule["name"] for rule in rules()) == sorted(rule["alert"] for rule in RULES)
    critical = [rule for rule in rules() if rule["labels"]["severity"] == "critical"]
    assert [rule["name"] for rule in critical if rule["state"] == "firing"] == []


WITHOUT_A_SAMPLE_HERE = ("ALERTS{", "_follower_why > 0", "< 60")
"""What is empty while all is well, or some minutes after a start."""


def test_prometheus_answers_every_expression_of_the_dashboard(running: Deployment, devices: RunningGate) -> None:
    """Each expression of the dashboard is taken by Prometheus, and has something to show once devices have posted."""
    eventually(lambda: samples(running, 'up{job="gate"} == 1'), "the gate is scraped")
    devices.post("managed", "route_window", b"no Avro")
    for expression in dashboard_expressions():
        shown = filled(expression)
        if any(part in shown for part in WITHOUT_A_SAMPLE_HERE):
            samples(running, shown)
        else:
            eventually(partial(samples, running, shown), f"there is something of {shown}")


def test_everything_ends_in_good_order(running: Deployment) -> None:
    """Stopped in the reverse of the order in which they were started, all services end by themselves and in time."""
    last_of_all = running.output("gate")
    assert '"gate_stopped"' not in last_of_all
    for name in reversed(running.order):
        running.stop(name)
    assert running.order[0] == "kafka"
    assert running.codes == dict.fromkeys(set(running.order) - {"kafka"}, 0)
    assert '"gate_stopped"' in running.output("gate")
    assert '"answers_stopped"' in running.output("answers")
    assert list((running.folder / "kafka" / "data").iterdir()), "what it stored stays"
