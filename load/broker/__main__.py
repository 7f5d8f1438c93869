"""`python -m load.broker` (`make kafka`): Kafka on loopback for as long as the command runs."""

import re
import signal
import sys
import tempfile
import time
from contextlib import ExitStack
from pathlib import Path
from types import FrameType

import click

from load.broker.distribution import NoBroker, jars
from load.broker.node import BrokerFailedError, listening
from load.broker.running import Cluster, lasting_cluster

POLL_SECONDS = 0.5

TRY = """\
Try, in another terminal:
  kcat -b {address} -L
  tidegate topics apply {single}--kafka-bootstrap {address}
  tidegate serve --log kafka --kafka-bootstrap {address}
  tidegate demo --kafka {address}
  KAFKA_BOOTSTRAP={address} make test

Ctrl-C ends it."""


@click.command()
@click.option(
    "--port", type=click.IntRange(1, 65_000), default=9092, show_default=True, help="Port of the first broker."
)
@click.option(
    "--brokers",
    type=click.IntRange(1, 9),
    default=1,
    show_default=True,
    help="How many; they listen on the ports from PORT on. With 3, everything has replication factor 3 and "
    "min.insync.replicas 2.",
)
@click.option(
    "--data",
    type=click.Path(path_type=Path, file_okay=False),
    help="Keep topics and entries here, and go on from what is here. Without it they are gone at the end.",
)
def main(*, port: int, brokers: int, data: Path | None) -> None:
    """Run Apache Kafka on loopback, in plain text, until Ctrl-C.

    Needs Java 17 or later, and the first time Maven (mvn), which fetches the jars that deploy/kafka/pom.xml names
    (43 MB) into the user's cache directory.

    A broker makes no topic by itself (auto.create.topics.enable=false): `tidegate topics apply` does.
    """
    signal.signal(signal.SIGTERM, _end)
    ports = range(port, port + brokers)
    try:
        with ExitStack() as stack:
            directory = data or Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="tidegate-kafka-")))
            _refuse_taken(ports)
            click.echo("Starting Kafka ...", err=True)
            kafka = stack.enter_context(lasting_cluster(directory.resolve(), ports))
            click.echo(_said(kafka, data))
            _wait(kafka)
    except (NoBroker, BrokerFailedError) as failure:
        raise click.ClickException(str(failure)) from None
    except KeyboardInterrupt:
        click.echo("Kafka has ended." if data is None else f"Kafka has ended; its data are in {data}.", err=True)


def _end(_number: int, _frame: FrameType | None) -> None:
    """SIGTERM ends it as Ctrl-C does."""
    raise KeyboardInterrupt


def _refuse_taken(ports: range) -> None:
    if taken := [port for port in ports if listening(port)]:
        raise NoBroker(f"port {taken[0]} is taken; is Kafka running already? Choose another one with --port")


def _said(kafka: Cluster, data: Path | None) -> str:
    version = re.search(r"kafka_[\d.]+-([\d.]+)\.jar", " ".join(file.name for file in jars().iterdir()))
    alone = len(kafka.brokers) == 1
    number = "1 broker" if alone else f"{len(kafka.brokers)} brokers"
    where = f"data in {data}" if data else "data gone when it ends"
    first = f"Kafka {version[1] if version else ''} takes requests: {number}, plain text, {where}"
    tries = TRY.format(address=kafka.brokers[0].address, single="--single-broker " if alone else "")
    return "\n".join((first, f"  {kafka.bootstrap}", "", tries))


def _wait(kafka: Cluster) -> None:
    """Until Ctrl-C, or until no broker is left; one that somebody killed is told of, and the others go on."""
    lost: set[int] = set()
    while len(lost) < len(kafka.brokers):
        time.sleep(POLL_SECONDS)
        for broker in kafka.brokers:
            if not broker.running and broker.node_id not in lost:
                lost.add(broker.node_id)
                click.echo(f"Broker {broker.node_id} ({broker.address}) has ended; {broker.said()}", err=True)
    raise BrokerFailedError("no broker is left")


if __name__ == "__main__":
    sys.exit(main())
