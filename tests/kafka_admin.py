"""What an administrator does to a cluster, in librdkafka's terms; each returns once the brokers show it.

A change is answered when the controller has it, and a broker that is asked at once may not know of it yet.
"""

import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import cache
from typing import TypeVar

from confluent_kafka import KafkaError, KafkaException, Producer, TopicPartition
from confluent_kafka.admin import (  # type: ignore[attr-defined]  # it has them, and does not say that it exports them
    AclBinding,
    AclBindingFilter,
    AclOperation,
    AclPermissionType,
    AdminClient,
    AlterConfigOpType,
    ConfigEntry,
    ConfigResource,
    PartitionMetadata,
    ResourcePatternType,
    ResourceType,
)
from confluent_kafka.cimpl import NewPartitions, NewTopic

from tests.real_kafka import missing, own_cluster
from tests.running_gate import eventually

ANY_TIME = {"message.timestamp.after.max.ms": str(2**63 - 1), "retention.ms": "-1"}
"""Unless its topic is told otherwise a broker refuses what is an hour ahead of its clock, and deletes what is old."""

SECONDS = 60
PAUSE_SECONDS = 0.02

T = TypeVar("T")

PARTITIONS_OF_THE_MOCK = 4
"""librdkafka's mock cluster makes what a client asks for, with so many partitions, and in no other way."""

MADE_ON_THE_MOCK: dict[str, int] = {}
"""How many of them a log is to use."""

EVERY_ACL = AclBindingFilter(
    ResourceType.ANY,
    None,  # type: ignore[arg-type]  # any name, any principal, any host, says librdkafka; its types do not
    ResourcePatternType.ANY,
    None,  # type: ignore[arg-type]
    None,  # type: ignore[arg-type]
    AclOperation.ANY,
    AclPermissionType.ANY,
)


def on_the_mock_cluster() -> bool:
    """Whether there is no real broker."""
    return own_cluster() is None and missing() is not None


@cache
def admin_client(bootstrap: str) -> AdminClient:
    """A client of this cluster; the first answer costs 0.2 s."""
    return AdminClient({"bootstrap.servers": bootstrap, "log_level": 0})


def make_topics(bootstrap: str, names: Iterable[str], *, partitions: int = 1, copies: int = 1) -> None:
    """Make topics, unless they are there."""
    if on_the_mock_cluster():
        for name in names:
            MADE_ON_THE_MOCK.setdefault(name, min(partitions, PARTITIONS_OF_THE_MOCK))
            Producer({"bootstrap.servers": bootstrap, "log_level": 0}).list_topics(name, timeout=SECONDS)
        return
    make_topics_by(admin_client(bootstrap), names, partitions=partitions, copies=copies)


def make_topics_by(admin: AdminClient, names: Iterable[str], *, partitions: int = 1, copies: int = 1) -> None:
    """As `make_topics`, on a cluster that asks who is there."""
    wanted = [NewTopic(name, partitions, copies, config=ANY_TIME) for name in names]
    for made in admin.create_topics(wanted).values():
        try:
            made.result(SECONDS)
        except KafkaException as error:
            if error.args[0].code() != KafkaError.TOPIC_ALREADY_EXISTS:
                raise
    _shown(lambda: {topic.topic for topic in wanted} <= _partitions(admin).keys(), "the topics")


def grow(bootstrap: str, topic: str, *, partitions: int) -> None:
    """Give a topic more partitions."""
    admin = admin_client(bootstrap)
    admin.create_partitions([NewPartitions(topic, partitions)])[topic].result(SECONDS)
    _shown(lambda: _partitions(admin)[topic] == partitions, "the partitions")


def configure(bootstrap: str, topic: str, name: str, value: str) -> None:
    """Set one setting of a topic."""
    admin = admin_client(bootstrap)
    setting = ConfigEntry(name, value, incremental_operation=AlterConfigOpType.SET)
    resource = ConfigResource(ConfigResource.Type.TOPIC, topic, incremental_configs=[setting])
    admin.incremental_alter_configs([resource])[resource].result(SECONDS)
    _shown(lambda: configs(bootstrap, topic)[name] == value, "the setting")


def configs(bootstrap: str, topic: str) -> dict[str, str]:
    """The settings of a topic that are in effect."""
    resource = ConfigResource(ConfigResource.Type.TOPIC, topic)
    entries = admin_client(bootstrap).describe_configs([resource])[resource].result(SECONDS)
    return {key: entry.value for key, entry in entries.items()}


def delete_topics(bootstrap: str, names: Sequence[str]) -> None:
    """Delete topics."""
    admin = admin_client(bootstrap)
    for deleted in admin.delete_topics(list(names)).values():
        deleted.result(SECONDS)
    _shown(lambda: _partitions(admin).keys().isdisjoint(names), "that the topics are gone")


def delete_records(bootstrap: str, topic: str, before: Mapping[int, int]) -> None:
    """Take away what lies before an offset of each partition, as retention does; its leader does that itself."""
    wanted = [TopicPartition(topic, number, offset) for number, offset in before.items()]
    for deleted in admin_client(bootstrap).delete_records(wanted).values():
        deleted.result(SECONDS)


def allow(admin: AdminClient, rules: Sequence[AclBinding]) -> None:
    """Give users rights."""
    for made in admin.create_acls(list(rules)).values():
        made.result(SECONDS)
    _shown(lambda: set(admin.describe_acls(EVERY_ACL).result(SECONDS)) >= set(rules), "the rules")


def follows(bootstrap: str, topic: str, *, node: int) -> None:
    """Return once a broker that was away is in sync again, and leads no partition of a topic with three copies.

    It took no leave, so it wakes up in the belief that it leads what it led, and shows itself so when it is asked.
    """
    admin = admin_client(bootstrap)

    def partitions() -> Iterable[PartitionMetadata]:
        return admin.list_topics(topic, timeout=SECONDS).topics[topic].partitions.values()

    _shown(lambda: all(len(one.isrs) == 3 and one.leader != node for one in partitions()), "the broker as a follower")


def in_the_end(ask: Callable[[], T], wanted: T) -> T:
    """What is answered: as soon as it is what is wanted, or at last; not every broker knows of a change at once."""
    deadline = time.monotonic() + SECONDS
    while True:
        try:
            if (found := ask()) == wanted or time.monotonic() > deadline:
                return found
        except KafkaException:  # a broker that does not know the topic yet
            if time.monotonic() > deadline:
                raise
        time.sleep(PAUSE_SECONDS)


def _partitions(admin: AdminClient) -> dict[str, int]:
    return {name: len(found.partitions) for name, found in admin.list_topics(timeout=SECONDS).topics.items()}


def _shown(condition: Callable[[], bool], what: str) -> None:
    eventually(condition, f"the brokers show {what}", seconds=SECONDS)
