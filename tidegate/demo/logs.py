"""The log of a demonstration: the embedded one in its directory, or Apache Kafka, its own or one that runs already."""

import asyncio
import secrets
import signal
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from ingest.log import LogReader
from ingest.log.embedded import EmbeddedLogReader
from load.fleet.search import raw_files
from schemas.catalogue import load_catalogue
from tidegate.child_gate import signals
from tidegate.settings import LOG_DIRECTORY

if TYPE_CHECKING:
    from ingest.log.kafka.connection import KafkaConnection

OWN_BROKER = "own"
"""In the place of an address: a broker that the demonstration starts, and ends."""


class CannotDemonstrate(Exception):
    """The log that was asked for is not to be had; the message says why, and what to do."""


class DemoLog(Protocol):
    """Where the product puts what it lets through."""

    @property
    def options(self) -> tuple[str, ...]:
        """What `tidegate serve` is told of it, besides its data directory."""
        ...

    @property
    def where(self) -> tuple[str, ...]:
        """What the commands are told that read it."""
        ...

    def reader(self) -> LogReader:
        """Another reader of it, for the search."""
        ...

    def files(self) -> Mapping[str, bytes]:
        """The bytes that it has on disks of this machine outside the data directory, by name; all of them searched."""
        ...


@dataclass(frozen=True, slots=True)
class Embedded:
    """The log in the data directory `data`."""

    data: Path
    options: tuple[str, ...] = ()

    @property
    def where(self) -> tuple[str, ...]:
        """As `DemoLog.where`."""
        return ("--data", str(self.data))

    def reader(self) -> LogReader:
        """As `DemoLog.reader`."""
        return EmbeddedLogReader(self.data / LOG_DIRECTORY)

    def files(self) -> Mapping[str, bytes]:
        """None: they are in the data directory."""
        return {}


@dataclass(frozen=True, slots=True)
class Kafka:
    """Topics of a cluster at `bootstrap`; `disk` is where a broker of ours keeps its files."""

    bootstrap: str
    topic_prefix: str = ""
    disk: Path | None = None

    @property
    def options(self) -> tuple[str, ...]:
        """As `DemoLog.options`; what is written has the form that most clients of Kafka read."""
        return (*self.where, "--schema-registry", "own")

    @property
    def where(self) -> tuple[str, ...]:
        """As `DemoLog.where`."""
        prefix = ("--kafka-topic-prefix", self.topic_prefix) if self.topic_prefix else ()
        return ("--log", "kafka", "--kafka-bootstrap", self.bootstrap, *prefix)

    def reader(self) -> LogReader:
        """As `DemoLog.reader`."""
        from ingest.log.kafka.log import KafkaLogReader  # noqa: PLC0415  # not where there is no Kafka

        return KafkaLogReader(self.connection(), topic_prefix=self.topic_prefix)

    def connection(self) -> "KafkaConnection":
        """How to reach the cluster: as it is where one tries things, without TLS and without a name."""
        from ingest.log.kafka.connection import KafkaConnection  # noqa: PLC0415  # as above

        return KafkaConnection(self.bootstrap)

    def files(self) -> Mapping[str, bytes]:
        """The files of a broker of ours; those of others are out of reach, and their records are searched alone."""
        return {} if self.disk is None else {f"kafka/{name}": content for name, content in raw_files(self.disk).items()}


@contextmanager
def demo_log(kafka: str | None, directory: Path, data: Path) -> Iterator[DemoLog]:
    """The log that was asked for: embedded in `data`, `OWN_BROKER` in `directory`, or the cluster at an address.

    In a cluster that runs already the topics have a prefix of their own, and are removed at the end.
    Raises `CannotDemonstrate`.
    """
    if kafka is None:
        yield Embedded(data)
    elif kafka == OWN_BROKER:
        with _own_broker(directory) as log:
            yield log
    else:
        with _topics_of_its_own(kafka) as log:
            yield log


@contextmanager
def _own_broker(directory: Path) -> Iterator[Kafka]:
    from load.broker import NoBroker, cluster  # noqa: PLC0415  # not where there is no Kafka

    try:
        with cluster(directory / "kafka") as broker:
            log = Kafka(broker.bootstrap, disk=broker.brokers[0].log_dir)
            asyncio.run(_make_topics(log))
            yield log
    except NoBroker as error:
        raise CannotDemonstrate(str(error)) from None


@contextmanager
def _topics_of_its_own(bootstrap: str) -> Iterator[Kafka]:
    from ingest.log.kafka.connection import BadConnection  # noqa: PLC0415  # as above
    from ingest.topics.admin import KafkaAdminError  # noqa: PLC0415  # not where there is no Kafka

    log = Kafka(bootstrap, topic_prefix=f"demo-{secrets.token_hex(4)}.")
    try:
        asyncio.run(_make_topics(log))
    except (BadConnection, KafkaAdminError) as error:
        raise CannotDemonstrate(f"{error}; without an address --kafka starts a broker of its own") from None
    try:
        yield log
    finally:
        with signals(signal.SIG_IGN):  # an impatient second Ctrl-C must not leave topics behind
            try:
                asyncio.run(_remove_topics(log))
            except KafkaAdminError as error:
                raise CannotDemonstrate(f"topics that begin with {log.topic_prefix} are still there: {error}") from None


async def _make_topics(log: Kafka) -> None:
    """As many copies as the cluster can hold, which may be one."""
    from ingest.topics.cluster import Brokers, apply_topics  # noqa: PLC0415  # not where there is no Kafka

    await apply_topics(log.connection(), load_catalogue(), topic_prefix=log.topic_prefix, brokers=Brokers.ANY)


async def _remove_topics(log: Kafka) -> None:
    from ingest.topics.cluster import remove_topics  # noqa: PLC0415  # as above

    await remove_topics(log.connection(), load_catalogue(), topic_prefix=log.topic_prefix)
