"""A cluster of Kafka for the length of a block: formatted, started, and gone when the block is left.

    with cluster(tmp_path, brokers=3) as kafka:
        kafka.bootstrap           # "127.0.0.1:10312,127.0.0.1:10315,127.0.0.1:10318"
        kafka.brokers[0].kill()

With three brokers everything has replication factor 3 and min.insync.replicas 2; every broker is a controller as well.
"""

import fcntl
import shutil
import subprocess
import uuid
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from ingest.log.kafka.connection import KafkaConnection
from load.broker.certificates import Certificates, make_certificates
from load.broker.distribution import KAFKA_DIRECTORY, NoBroker
from load.broker.node import HOST, Broker, BrokerFailedError, free_ports, java_command
from load.broker.security import PLAINTEXT, Security, listener_properties, new_passwords, scram_arguments

FORMAT_SECONDS = 60.0


@dataclass(frozen=True, slots=True)
class Cluster:
    """Brokers that run, and how a client reaches them."""

    brokers: Sequence[Broker]
    security: Security
    passwords: Mapping[str, str] = field(repr=False)
    certificates: Certificates | None

    @property
    def bootstrap(self) -> str:
        """The addresses of all brokers, with commas between them, as every client takes them."""
        return ",".join(broker.address for broker in self.brokers)

    def connection(self, user: str | None = None) -> KafkaConnection:
        """How `user` connects; by default the one who may do everything."""
        who = user or self.security.users[0]
        files = self.certificates
        personal = files if self.security.client_certificates == "required" else None
        return KafkaConnection(
            self.bootstrap,
            security_protocol=self.security.protocol,
            sasl_mechanism=self.security.mechanism,
            username=who if self.security.sasl else None,
            password=self.passwords.get(who),
            ca_file=files.ca_file if files else None,
            certificate_file=personal.certificate_file(who) if personal else None,
            key_file=personal.key_file(who) if personal else None,
        )


@contextmanager
def cluster(directory: Path, *, brokers: int = 1, security: Security = PLAINTEXT) -> Iterator[Cluster]:
    """A fresh cluster on free ports. After the block its processes, data, keys and passwords are gone.

    What it printed stays in `directory`, for whoever looks into a failure. Raises `NoBroker` where none can be started,
    `BrokerFailedError` where one does not start.
    """
    made = _prepared(directory, free_ports(brokers), security)
    try:
        _format(made)
        with _running(made.brokers):
            yield made
    finally:
        _remove(made)


@contextmanager
def lasting_cluster(directory: Path, ports: Sequence[int]) -> Iterator[Cluster]:
    """A cluster over what an earlier one left in `directory`, or a new one, in plain text; its data stay.

    It has a broker for each port of `ports`. Raises as `cluster` does, and `NoBroker` where `directory` holds another
    number of brokers or is in use.
    """
    directory.mkdir(parents=True, exist_ok=True)
    with _alone(directory):
        before = len(list(directory.glob("broker-*/data")))
        if before not in {0, len(ports)}:
            number = "1 broker" if before == 1 else f"{before} brokers"
            raise NoBroker(f"{directory} holds the data of {number}, not of {len(ports)}: ask for {before}")
        made = _prepared(directory, ports, PLAINTEXT)
        _format(made)
        with _running(made.brokers):
            yield made
            _stop(made.brokers)


@contextmanager
def _alone(directory: Path) -> Iterator[None]:
    with (directory / "lock").open("wb") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise NoBroker(f"{directory} is in use by another cluster that runs") from None
        yield


@contextmanager
def _running(brokers: Sequence[Broker]) -> Iterator[None]:
    with ExitStack() as stack:
        for broker in brokers:
            stack.callback(broker.kill)
            broker.launch()
        for broker in brokers:
            broker.wait_until_started()
        yield


def _stop(brokers: Sequence[Broker]) -> None:
    """Those that can take their leave do, one by one: they need a majority of controllers, unless there is only one."""
    majority = len(brokers) // 2 + 1
    for broker in brokers if len(brokers) == 1 else brokers[:-majority]:
        broker.stop()


def _remove(made: Cluster) -> None:
    for broker in made.brokers:
        shutil.rmtree(broker.log_dir, ignore_errors=True)
        broker.properties.unlink(missing_ok=True)
    if made.certificates:
        shutil.rmtree(made.certificates.directory)


def _prepared(directory: Path, ports: Sequence[int], security: Security) -> Cluster:
    """The directories and configurations of all nodes, one for each of the ports."""
    directory.mkdir(parents=True, exist_ok=True)
    certificates = None
    if security.tls:
        personal = security.users if security.client_certificates == "required" else ()
        certificates = make_certificates(directory / "certificates", personal)
    brokers = [Broker(number, directory / f"broker-{number}", port) for number, port in enumerate(ports, start=1)]
    made = Cluster(brokers, security, new_passwords(security), certificates)
    inner = free_ports(2 * len(brokers), besides=ports)
    others, controllers = inner[: len(brokers)], inner[len(brokers) :]
    quorum = ",".join(f"{broker.node_id}@{HOST}:{port}" for broker, port in zip(brokers, controllers, strict=True))
    for broker, other, controller in zip(brokers, others, controllers, strict=True):
        _write_properties(made, broker, {"other": other, "controller": controller}, quorum)
    return made


def _write_properties(made: Cluster, broker: Broker, ports: Mapping[str, int], quorum: str) -> None:
    replicas = min(3, len(made.brokers))
    insync = max(1, replicas - 1)
    files = made.certificates
    paths = {"ca": str(files.ca_file), "broker": str(files.broker_file)} if files else {}
    own = {
        "node.id": broker.node_id,
        "controller.quorum.voters": quorum,
        "listeners": f"CLIENTS://{broker.address},BROKERS://{HOST}:{ports['other']}"
        f",CONTROLLERS://{HOST}:{ports['controller']}",
        "advertised.listeners": f"CLIENTS://{broker.address},BROKERS://{HOST}:{ports['other']}",
        "listener.security.protocol.map": f"CLIENTS:{made.security.protocol},BROKERS:PLAINTEXT,CONTROLLERS:PLAINTEXT",
        "inter.broker.listener.name": "BROKERS",
        "controller.listener.names": "CONTROLLERS",
        "log.dirs": broker.log_dir,
        "default.replication.factor": replicas,
        "min.insync.replicas": insync,
        "offsets.topic.replication.factor": replicas,
        "transaction.state.log.replication.factor": replicas,
        "transaction.state.log.min.isr": insync,
        "share.coordinator.state.topic.replication.factor": replicas,
        "share.coordinator.state.topic.min.isr": insync,
        **listener_properties(made.security, made.passwords, paths),
    }
    broker.directory.mkdir(mode=0o700, exist_ok=True)
    broker.properties.touch(mode=0o600)
    shared = (KAFKA_DIRECTORY / "server.properties").read_text(encoding="utf-8")
    lines = [f"{name}={value}" for name, value in own.items()]
    broker.properties.write_text("\n".join([shared, *lines, ""]), encoding="utf-8")


def _format(made: Cluster) -> None:
    """`kafka.tools.StorageTool format` for every node, all at once; a disk that was formatted is left as it is.

    The controllers are named in every configuration, so that the ports of a lasting cluster may change.
    """
    cluster_id = uuid.uuid4().hex
    scram = scram_arguments(made.security, made.passwords)
    new = [broker for broker in made.brokers if not (broker.log_dir / "meta.properties").exists()]
    started = [(broker, _start_format(broker, cluster_id, scram)) for broker in new]
    try:
        for broker, process in started:
            said, _ = process.communicate(timeout=FORMAT_SECONDS)
            if process.returncode:
                raise BrokerFailedError(f"broker {broker.node_id} has no formatted disk; it said:\n{said.decode()}")
    finally:
        for _, process in started:
            process.kill()
            process.communicate()


def _start_format(broker: Broker, cluster_id: str, scram: Sequence[str]) -> subprocess.Popen[bytes]:
    command = java_command(f"-Dtidegate.kafka.output={broker.output}")
    arguments = ["format", "--cluster-id", cluster_id, "--config", str(broker.properties), *scram]
    return subprocess.Popen(  # noqa: S603  # Java, with arguments made here
        [*command, "kafka.tools.StorageTool", *arguments], stdout=subprocess.PIPE, stderr=subprocess.STDOUT
    )
