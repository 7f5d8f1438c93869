"""The log that the settings name, opened to be written or to be read."""

from collections.abc import Collection, Sequence
from typing import Protocol, runtime_checkable

from ingest.log import Log, LogReader
from ingest.log.embedded import AppendLimits, EmbeddedLog, EmbeddedLogReader
from ingest.log.memory import MemoryLog
from ingest.log.partition_stats import PartitionStats
from ingest.report import Partition
from ingest.topics.wanted import wanted_topics
from schemas.catalogue import Catalogue
from tidegate.settings import LOG_DIRECTORY, Settings

APPEND_SECONDS = 5.0
"""How long a report waits for the log before its sender is told to retry; shorter than a stop may take."""

KAFKA_APPEND_SECONDS = 3.0
"""The same for a cluster, whose brokers may hang at any time: shorter than a stop lets requests under way go on."""


class ShownReader(LogReader, Protocol):
    """A reader that a person can look into."""

    async def stats(self) -> Sequence[PartitionStats]:
        """What each partition that is not empty holds now, sorted; looks at every entry, so it takes a while."""
        ...

    async def before_newest(self, partition: Partition, *, entries: int) -> int:
        """The offset after which `partition` holds its newest `entries` entries; -1 if it has no more than that."""
        ...


@runtime_checkable
class NeedsTopics(Protocol):
    """A log whose topics somebody else must make."""

    async def require(self, topics: Collection[str]) -> None:
        """Raises `LogUnavailable`, with the names of those that are missing, unless all `topics` are there."""
        ...


async def require_topics(log: Log, catalogue: Catalogue) -> None:
    """Raises `LogUnavailable` unless the log takes entries of every topic of these policies, and the gates' own."""
    if isinstance(log, NeedsTopics):
        await log.require([topic.name for topic in wanted_topics(catalogue)])


def open_log(settings: Settings) -> Log:
    """The log, to append to; raises `LogUnavailable`. A Kafka cluster is not looked for before the first append."""
    if settings.log == "memory":
        return MemoryLog()
    if settings.log == "kafka":
        from ingest.log.kafka.log import KafkaLog  # noqa: PLC0415  # a gate on its own disk does without aiokafka

        limits = AppendLimits(seconds=KAFKA_APPEND_SECONDS)
        return KafkaLog(settings.kafka(), topic_prefix=settings.kafka_topic_prefix, limits=limits)
    return EmbeddedLog(settings.data / LOG_DIRECTORY, limits=AppendLimits(seconds=APPEND_SECONDS))


def open_reader(settings: Settings) -> ShownReader:
    """The log, to read from beside whoever writes; one in memory belongs to its process, and raises ValueError."""
    if settings.log == "memory":
        raise ValueError("a log in memory is read by the process that has it")
    if settings.log == "kafka":
        from ingest.log.kafka.log import KafkaLogReader  # noqa: PLC0415  # as above

        return KafkaLogReader(settings.kafka(), topic_prefix=settings.kafka_topic_prefix)
    return EmbeddedLogReader(settings.data / LOG_DIRECTORY)


def log_name(settings: Settings) -> str:
    """What a person calls it."""
    if settings.log == "kafka":
        topics = f", topics {settings.kafka_topic_prefix}*" if settings.kafka_topic_prefix else ""
        return f"Kafka at {settings.kafka_bootstrap}{topics}"
    return str(settings.data / LOG_DIRECTORY)
