"""deploy/compose.yaml without containers: its commands as processes of this machine, in its order, on loopback.

A service gets the environment, the arguments and the files that the compose file gives it. What a container would have
been given by its network and its mounts is put in place of what the file says: addresses, ports and directories. Kafka
is the broker of `load.broker` under the properties that Kafka's image makes of the KAFKA_ variables. Grafana is left
out: nothing of it can be installed here but the image.
"""

import json
import os
import shutil
import signal
import socket
import ssl
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import httpx
import yaml

from ingest.access.tokens import EVERY_TIER, ROLES
from load.broker.certificates import make_certificates
from load.broker.node import Broker, free_ports, java_command
from schemas.catalogue import load_catalogue
from tests.deploy.compose_file import DEPLOY, load, settings, start_order
from tests.deploy.dockerfile import of, stages
from tests.deploy.programs import haproxy, prometheus
from tests.running_gate import ANSWER_SECONDS, RunningGate, eventually, issue_token, ordinary_client, tier_files

HERE = "127.0.0.1"
NOT_RUN = "grafana"

LISTENED_AT = ("kafka:9092", "kafka:9093", "gate:8080", "answers:8081", "proxy:8443", "proxy:9443", "prometheus:9090")
"""Every address within the networks of the compose file."""

STOP_SIGNALS = {"proxy": signal.SIGUSR1}
"""What the image of a service sends for a stop, where it is not SIGTERM."""


@dataclass(slots=True)
class Deployment:
    """The services of the compose file that run; `order` is that of their start, `codes` are exit codes."""

    folder: Path
    ports: dict[str, int]
    services: dict[str, dict[str, Any]]
    processes: dict[str, subprocess.Popen[bytes]] = field(default_factory=dict)
    broker: Broker | None = None
    order: list[str] = field(default_factory=list)
    codes: dict[str, int] = field(default_factory=dict)

    @property
    def data(self) -> Path:
        return self.folder / "data"

    def output(self, name: str) -> str:
        """What a service printed."""
        return (self.folder / f"{name}.output").read_text(encoding="utf-8", errors="replace")

    def url(self, address: str, scheme: str = "http") -> str:
        return f"{scheme}://{HERE}:{self.ports[address]}"

    def door(self, address: str) -> RunningGate:
        """The gate as it is reached through a door of the proxy, with tokens for everybody."""
        catalogue = load_catalogue(tiers=self.folder / "policies")
        return RunningGate(
            self.processes["gate"],
            self.folder,
            self.folder / "policies",
            {"url": self.url(address, "https")},
            catalogue,
            ordinary_client(verify=trusting(self.folder)),
            {tier: issue_token(self.data, tier) for tier in catalogue.tiers},
            {role: issue_token(self.data, EVERY_TIER, kind=role) for role in ROLES},
            self.data,
        )

    def start(self, name: str) -> None:
        """Start a service once what it waits for is so."""
        for other, wanted in self.services[name].get("depends_on", {}).items():
            self._await(other, wanted["condition"])
        if name == "kafka":
            self.broker = self._kafka()
            self.broker.start()
        else:
            with (self.folder / f"{name}.output").open("wb") as output:
                self.processes[name] = subprocess.Popen(
                    self._command(name), env=self._environment(name), cwd=self.folder, stdout=output, stderr=output
                )
        self.order.append(name)

    def stop(self, name: str) -> None:
        """Stop a service as Compose does, and note how it ended; it has the time that the compose file gives it."""
        if name == "kafka":
            assert self.broker is not None
            self.broker.stop()
            return
        process = self.processes[name]
        if process.poll() is None:
            process.send_signal(STOP_SIGNALS.get(name, signal.SIGTERM))
        grace = self.services[name].get("stop_grace_period", "10s")
        self.codes[name] = process.wait(float(grace.removesuffix("s")))

    def await_doors(self) -> None:
        """Until the proxy takes connections and Prometheus answers, for which nothing in the compose file waits."""
        for address in (one for one in LISTENED_AT if one.startswith("proxy:")):
            eventually(partial(self._connects, address), f"the proxy takes connections at {address}")
        eventually(self._prometheus_ready, "Prometheus is ready")

    def _prometheus_ready(self) -> bool:
        assert self.processes["prometheus"].poll() is None, f"Prometheus ended:\n{self.output('prometheus')}"
        try:
            return httpx.get(f"{self.url('prometheus:9090')}/-/ready", timeout=ANSWER_SECONDS).status_code == 200
        except httpx.TransportError:
            return False

    def _connects(self, address: str) -> bool:
        assert self.processes["proxy"].poll() is None, f"the proxy ended:\n{self.output('proxy')}"
        try:
            socket.create_connection((HERE, self.ports[address]), timeout=ANSWER_SECONDS).close()
        except ConnectionRefusedError:
            return False
        return True

    def end(self) -> None:
        """Whatever still runs is killed."""
        for process in self.processes.values():
            if process.poll() is None:
                process.kill()
            process.wait()
        if self.broker is not None and self.broker.running:
            self.broker.kill()

    def _await(self, name: str, condition: str) -> None:
        if condition == "service_completed_successfully":
            code = self.processes[name].wait(60)
            assert code == 0, f"{name} ended with {code}:\n{self.output(name)}"
        elif condition == "service_healthy" and name != "kafka":  # that one was waited for when it was started
            eventually(lambda: self._healthy(name), f"{name} is healthy:\n{self.output(name)}")

    def _healthy(self, name: str) -> bool:
        """As the check of our image says."""
        assert self.processes[name].poll() is None, f"{name} ended:\n{self.output(name)}"
        [check] = of(stages()[-1], "HEALTHCHECK")
        _, *arguments = json.loads(check.partition("CMD ")[2])
        command = [sys.executable, *arguments]
        done = subprocess.run(command, env=self._environment(name), capture_output=True, timeout=30, check=False)
        return done.returncode == 0

    def _command(self, name: str) -> list[str]:
        service = self.services[name]
        image = service["image"].partition(":")[0]
        arguments = [self._moved(part) for part in service.get("command", [])]
        if image == "tidegate":
            return [sys.executable, "-m", "tidegate", *arguments]
        if image == "haproxy":  # as the command of its image
            return [haproxy(), "-W", "-db", "-f", str(DEPLOY / "haproxy" / "haproxy.cfg")]
        listen = f"--web.listen-address={HERE}:{self.ports['prometheus:9090']}"
        return [prometheus(), *arguments, listen]

    def _environment(self, name: str) -> dict[str, str]:
        given = {key: self._moved(value) for key, value in settings(self.services[name]).items()}
        if "TIDEGATE_PORT" in given:
            given |= {"TIDEGATE_PORT": str(self.ports[f"{name}:{given['TIDEGATE_PORT']}"])}
        return {"PATH": os.environ["PATH"], "PYTHONPATH": str(DEPLOY.parent), **given}

    def _moved(self, text: str) -> str:
        """A value of the compose file with what containers would have been given."""
        for address, port in self.ports.items():
            text = text.replace(address, f"{HERE}:{port}")
            text = text.replace(f"://:{address.rpartition(':')[2]}", f"://{HERE}:{port}")
        doors = {f":{inner}": f"{HERE}:{self.ports[f'proxy:{inner}']}" for inner in (8443, 9443)}
        return doors.get(text, _with_directories(text, self.folder))

    def _kafka(self) -> Broker:
        """Under the properties that Kafka's image makes of its variables: KAFKA_LOG_DIRS is log.dirs."""
        given = settings(self.services["kafka"])
        properties = {
            key.removeprefix("KAFKA_").lower().replace("_", "."): self._moved(value)
            for key, value in given.items()
            if key.startswith("KAFKA_") and key != "KAFKA_HEAP_OPTS"
        }
        directory = self.folder / "kafka"
        directory.mkdir()
        broker = Broker(int(properties["node.id"]), directory, self.ports["kafka:9092"])
        broker.properties.write_text("".join(f"{key}={value}\n" for key, value in properties.items()))
        tool = ["kafka.tools.StorageTool", "format", "-t", given["CLUSTER_ID"], "-c", str(broker.properties)]
        subprocess.run([*java_command(), *tool], cwd=directory, capture_output=True, timeout=60, check=True)
        return broker


def _with_directories(text: str, folder: Path) -> str:
    if text == "0.0.0.0":  # noqa: S104 - this is what is replaced
        return HERE
    moved = {
        "/var/lib/tidegate": folder / "data",
        "/var/lib/kafka/data": folder / "kafka" / "data",
        "/etc/tidegate/policies": folder / "policies",
        "/etc/prometheus": folder / "prometheus",
        "=/prometheus": f"={folder / 'tsdb'}",
        "/run/secrets": folder / "secrets",
    }
    for place, here in moved.items():
        if place in text:
            return text.replace(place, str(here))
    return text


def trusting(folder: Path) -> ssl.SSLContext:
    """What a client has to believe that it speaks to the proxy."""
    return ssl.create_default_context(cafile=str(folder / "secrets" / "ca.pem"))


def _secrets(folder: Path) -> None:
    """A certificate for this machine in the two files that the compose file hands to the proxy."""
    made = make_certificates(folder / "secrets", users=["proxy"])
    shutil.copy(made.certificate_file("proxy"), folder / "secrets" / "tls.pem")
    shutil.copy(made.key_file("proxy"), folder / "secrets" / "tls.pem.key")


def _scraping(folder: Path, ports: Mapping[str, int]) -> None:
    """Prometheus' files, with addresses in the place of names that a resolver of Docker would know."""
    shutil.copytree(DEPLOY / "prometheus", folder / "prometheus")
    file = folder / "prometheus" / "prometheus.yml"
    whole = yaml.safe_load(file.read_text(encoding="utf-8"))
    whole["global"] |= {"scrape_interval": "1s", "evaluation_interval": "1s"}
    for job in whole["scrape_configs"]:
        [source] = job.pop("dns_sd_configs")
        port = ports[f"{source['names'][0]}:{source['port']}"]
        job["static_configs"] = [{"targets": [f"{HERE}:{port}"]}]
    file.write_text(json.dumps(whole), encoding="utf-8")


@contextmanager
def deployment(folder: Path) -> Iterator[Deployment]:
    """Everything started; after the block whatever was not stopped is killed."""
    ports = dict(zip(LISTENED_AT, free_ports(len(LISTENED_AT)), strict=True))
    services = load({"INSIDE_SUBNET": f"{HERE}/32"})["services"]
    tier_files(folder / "policies")
    _secrets(folder)
    _scraping(folder, ports)
    made = Deployment(folder, ports, services)
    try:
        for name in start_order(services):
            if name != NOT_RUN:
                made.start(name)
        made.await_doors()
        yield made
    finally:
        made.end()
