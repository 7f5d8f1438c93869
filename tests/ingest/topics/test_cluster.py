"""Topics of a real cluster, made to be as they shall be: seen with another client, Apache's and librdkafka's terms."""

import asyncio
import logging
import re
import socket
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, replace

import pytest

from ingest.log.kafka import client as kafka_client
from ingest.log.kafka.connection import KafkaConnection
from ingest.topics.admin import KafkaAdminError, kafka_admin
from ingest.topics.cluster import Brokers, Topics, TopicsJob, apply_topics, remove_topics
from ingest.topics.plan import Create, Step, TopicPlan
from ingest.topics.wanted import wanted_topics
from load.broker import Cluster
from schemas.catalogue import load_catalogue
from schemas.tier import MS_PER_DAY
from schemas.topics import TopicSpec, topic_configs
from tests.kafka_admin import admin_client, configs, configure, delete_topics, in_the_end

pytestmark = pytest.mark.kafka

CATALOGUE = load_catalogue()
NAME = "tidegate.managed.route_window.v1"
WANTED = TopicSpec(
    name=NAME,
    partitions=2,
    replication_factor=1,
    configs=topic_configs(retention_ms=90 * MS_PER_DAY, segment_ms=MS_PER_DAY, min_insync_replicas=1),
)
OTHER = replace(WANTED, name="tidegate.control")


def insisting(plan: TopicPlan) -> TopicPlan:
    """What `--force` makes of a plan."""
    return plan.insisted()


def agreeing(plan: TopicPlan) -> TopicPlan:
    """What is made of a plan without it."""
    return plan


@dataclass
class Ours:
    """Topics under the prefix of one test."""

    bootstrap: str
    prefix: str

    @property
    def connection(self) -> KafkaConnection:
        return KafkaConnection(self.bootstrap)

    def job(self, *wanted: TopicSpec, delete: Sequence[str] = ()) -> TopicsJob:
        return TopicsJob(self.connection, wanted, topic_prefix=self.prefix, delete=delete)

    async def apply(self, *wanted: TopicSpec) -> TopicPlan:
        return await self.job(*wanted).apply(agree=agreeing)

    def partitions(self) -> dict[str, int]:
        """Topics and their partitions, as librdkafka sees them."""
        found = admin_client(self.bootstrap).list_topics(timeout=10).topics
        ours = [name for name in found if name.startswith(self.prefix)]
        return {name.removeprefix(self.prefix): len(found[name].partitions) for name in ours}

    def configs(self, name: str = NAME) -> dict[str, str]:
        """The settings in effect, as librdkafka sees them."""
        return configs(self.bootstrap, self.prefix + name)

    def set(self, key: str, value: str) -> None:
        """What somebody else does with a tool of their own."""
        configure(self.bootstrap, self.prefix + NAME, key, value)

    def delete_all(self) -> None:
        if names := [self.prefix + name for name in self.partitions()]:
            delete_topics(self.bootstrap, names)


@pytest.fixture
async def ours(kafka_bootstrap: str, topic_prefix: str) -> AsyncIterator[Ours]:
    """Topics of this test alone, gone when it has ended."""
    ours = Ours(kafka_bootstrap, topic_prefix)
    yield ours
    await asyncio.to_thread(ours.delete_all)


async def test_applying_makes_every_topic_and_then_nothing(ours: Ours) -> None:
    """Every topic of the catalogue is there with its partitions; applied once more, there is nothing to do."""
    first = await apply_topics(ours.connection, CATALOGUE, topic_prefix=ours.prefix, brokers=Brokers.ANY)
    wanted = wanted_topics(CATALOGUE)
    assert ours.partitions() == {topic.name: topic.partitions for topic in wanted}
    assert {type(step) for step in first.steps} == {Create}
    again = await apply_topics(ours.connection, CATALOGUE, topic_prefix=ours.prefix, brokers=Brokers.ANY)
    assert (again.steps, again.refusals, again.unnamed) == ((), (), ())
    await remove_topics(ours.connection, CATALOGUE, topic_prefix=ours.prefix)
    assert ours.partitions() == {}


async def test_a_topic_has_every_setting_that_was_wanted(ours: Ours) -> None:
    """All settings of a topic are in effect as they were wanted, seen by another client."""
    await ours.apply(WANTED)
    assert ours.configs().items() >= WANTED.configs.items()


async def test_a_change_leaves_the_settings_of_others(ours: Ours) -> None:
    """One setting is changed back, and one that somebody else made, of which the policies say nothing, stays."""
    await ours.apply(WANTED)
    ours.set("message.timestamp.type", "LogAppendTime")
    ours.set("flush.messages", "1000")
    plan = await ours.apply(WANTED)
    assert len(plan.steps) == 1
    configs = ours.configs()
    assert configs["message.timestamp.type"] == "CreateTime"
    assert configs["flush.messages"] == "1000"
    assert configs.items() >= WANTED.configs.items()


async def test_a_refusal_holds_everything_back(ours: Ours) -> None:
    """While something is refused nothing is done, a new topic and a harmless change included."""
    await ours.apply(replace(WANTED, partitions=1))
    ours.set("message.timestamp.type", "LogAppendTime")
    plan = await ours.apply(WANTED, OTHER)
    assert len(plan.refusals) == 1
    assert ours.partitions() == {NAME: 1}
    assert ours.configs()["message.timestamp.type"] == "LogAppendTime"


async def test_insisting_grows_and_shortens(ours: Ours) -> None:
    """What is refused is done when somebody insists: partitions are added, the retention is shortened."""
    await ours.apply(WANTED)
    configs = {**WANTED.configs, "retention.ms": str(30 * MS_PER_DAY)}
    await ours.job(replace(WANTED, partitions=5, configs=configs)).apply(agree=insisting)
    assert ours.partitions() == {NAME: 5}
    assert ours.configs()["retention.ms"] == str(30 * MS_PER_DAY)


async def test_insisting_deletes_what_was_named_and_nothing_else(ours: Ours) -> None:
    """A topic that no policy names stays until it is named and insisted on."""
    await ours.apply(WANTED, OTHER, replace(WANTED, name="tidegate.lab.health_window.v1"))
    plan = await ours.job(WANTED).apply(agree=insisting)
    assert plan.unnamed == ("tidegate.control", "tidegate.lab.health_window.v1")
    assert ours.partitions().keys() == {NAME, *plan.unnamed}
    await ours.job(WANTED, delete=["tidegate.control"]).apply(agree=insisting)
    assert ours.partitions().keys() == {NAME, "tidegate.lab.health_window.v1"}


async def test_two_at_once_do_no_harm(ours: Ours) -> None:
    """Several that apply the same at the same time all succeed, and the topics are there once."""
    plans = await asyncio.gather(*[ours.apply(WANTED, OTHER) for _ in range(4)])
    assert [plan.refusals for plan in plans] == [()] * 4
    assert ours.partitions() == {NAME: 2, "tidegate.control": 2}


async def test_what_was_left_half_done_is_finished(ours: Ours) -> None:
    """After an apply that ended in the middle, the next one does what is missing and no more."""
    await ours.apply(WANTED)
    plan = await ours.apply(WANTED, OTHER)
    assert [step.topic for step in plan.steps] == ["tidegate.control"]


async def test_progress_is_told_after_each_kind(ours: Ours) -> None:
    """What was done is told when it was done, new topics before changes."""
    await ours.apply(WANTED)
    ours.set("segment.ms", "60000")
    told: list[Sequence[Step]] = []
    await ours.job(WANTED, OTHER).apply(agree=agreeing, done=told.append)
    assert [[type(step).__name__ for step in steps] for steps in told] == [["Create"], ["Configure"]]


async def test_a_setting_that_the_broker_does_not_know_is_named(ours: Ours) -> None:
    """What the cluster says of a topic that it does not make is passed on with the topic's name."""
    bad = replace(WANTED, configs={**WANTED.configs, "retention.ms": "soon"})
    with pytest.raises(KafkaAdminError, match=f"{ours.prefix}{NAME} cannot be created: .*retention.ms"):
        await ours.apply(bad)


async def test_a_topic_that_does_not_become_as_it_was_made_is_named(ours: Ours) -> None:
    """If the cluster goes on showing something else, waiting ends and says which topic it is."""
    await ours.apply(WANTED)
    async with kafka_admin(ours.connection) as admin:
        topics = Topics(admin, topic_prefix=ours.prefix, settle_seconds=0.3)
        with pytest.raises(KafkaAdminError, match=r"does not show tidegate\.control as"):
            await topics.settle([WANTED, OTHER])
        with pytest.raises(KafkaAdminError, match=rf"does not show {re.escape(NAME)} as"):
            await topics.settle([replace(WANTED, partitions=5)])
        with pytest.raises(KafkaAdminError, match=rf"does not show {re.escape(NAME)} as"):
            await topics.settle([], deleted=[NAME])


async def test_aiokafka_says_nothing_meanwhile(
    ours: Ours, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    """While a cluster is looked at and changed, what aiokafka logs goes nowhere."""
    library = logging.getLogger("aiokafka")
    monkeypatch.setattr(library, "propagate", True)
    monkeypatch.setattr(library, "handlers", [])
    logging.getLogger("aiokafka.conn").error("before")
    async with kafka_admin(ours.connection) as admin:
        await admin.metadata()
        logging.getLogger("aiokafka.conn").error("meanwhile")
    assert [record.message for record in caplog.records if record.name.startswith("aiokafka")] == ["before"]


async def test_without_a_prefix_nothing_is_removed(ours: Ours) -> None:
    """The topics of a real installation are not to be thrown away by what cleans up after tests."""
    with pytest.raises(ValueError, match="without a prefix"):
        await remove_topics(ours.connection, CATALOGUE, topic_prefix="")


async def test_a_broker_that_does_not_answer_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    """An address where nobody listens is said with the reason and what to check."""
    monkeypatch.setattr(kafka_client, "DIAGNOSIS_SECONDS", 20)
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        address = f"127.0.0.1:{unused.getsockname()[1]}"
        with pytest.raises(
            KafkaAdminError, match=rf"no broker could be used \({address}: nobody listens there\); check"
        ):
            await TopicsJob(KafkaConnection(address), [WANTED]).plan()


async def test_three_brokers_hold_three_copies(kafka_cluster: Cluster, topic_prefix: str) -> None:
    """On a cluster that can, every partition has the copies that the policies say, with two in sync for a 202."""
    await apply_topics(kafka_cluster.connection(), CATALOGUE, topic_prefix=topic_prefix)
    admin, names = admin_client(kafka_cluster.bootstrap), [topic.name for topic in wanted_topics(CATALOGUE)]

    def copies() -> dict[str, set[int]]:
        found = admin.list_topics(timeout=10).topics
        return {
            name.removeprefix(topic_prefix): {len(partition.replicas) for partition in found[name].partitions.values()}
            for name in found
            if name.startswith(topic_prefix)
        }

    ours = Ours(kafka_cluster.bootstrap, topic_prefix)
    wanted = {name: {3} for name in names}
    assert in_the_end(copies, wanted) == wanted
    assert in_the_end(lambda: {ours.configs(name)["min.insync.replicas"] for name in names}, {"2"}) == {"2"}


async def test_a_single_broker_is_no_three(kafka_cluster: Cluster, topic_prefix: str) -> None:
    """Asking for single copies where three brokers are up is refused."""
    job = TopicsJob(kafka_cluster.connection(), [WANTED], topic_prefix=topic_prefix, brokers=Brokers.ONE)
    with pytest.raises(KafkaAdminError, match=r"3 brokers are up.*leave --single-broker away"):
        await job.plan()


async def test_too_few_brokers_hold_no_fewer_copies(ours: Ours) -> None:
    """Copies are never made fewer silently: on too few brokers nothing is created."""
    plan = await ours.apply(replace(WANTED, replication_factor=9), OTHER)
    assert ["every copy needs one of its own" in refusal.why for refusal in plan.refusals] == [True]
    assert ours.partitions() == {}
