"""The topics of a Kafka cluster, made to be as the policies say: look, compare, carry out, look again.

Every step may be done by two at once, or be left half done: what counts is what the cluster shows, so the same command
run again goes on where the last one stopped, and `apply` is done only when nothing is left that it was to do.
"""

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Sequence
from dataclasses import KW_ONLY, dataclass, replace
from enum import Enum
from typing import Any

from ingest.log.kafka.connection import KafkaConnection
from ingest.topics.admin import KafkaAdmin, KafkaAdminError, kafka_admin
from ingest.topics.plan import Cluster, Configure, Create, Delete, FoundTopic, Grow, Step, TopicPlan, compare
from ingest.topics.wanted import OURS, on_brokers, wanted_topics
from schemas.catalogue import Catalogue
from schemas.topics import TopicSpec

SETTLE_SECONDS = 30.0
LOOK_AGAIN_SECONDS = 0.1


class Brokers(Enum):
    """How many copies there are."""

    SEVERAL = "several"
    """As many as the policies say; what has too few brokers for them is refused."""

    ONE = "one"
    """One, on a broker that is alone; where more are up, nothing is done."""

    ANY = "any"
    """As many as the policies say and the brokers that are up can hold: for demonstrations and tests."""


class Topics:
    """The topics of one cluster, by the names that entries have, which are those of the cluster without its prefix."""

    def __init__(self, admin: KafkaAdmin, *, topic_prefix: str = "", settle_seconds: float = SETTLE_SECONDS) -> None:
        self._admin = admin
        self._settle_seconds = settle_seconds
        self._prefix = topic_prefix

    async def look(self, wanted: Sequence[TopicSpec]) -> Cluster:
        """What the cluster has; settings are read of the topics in `wanted`. Raises `KafkaAdminError`."""
        metadata = await self._admin.metadata()
        ours = self._prefix + OURS
        seen = {topic[1]: topic[3] for topic in metadata.topics}
        keys = {key for topic in wanted for key in topic.configs}
        names = {self._prefix + topic.name for topic in wanted}
        configs = await self._admin.configs(sorted(names & seen.keys()), keys)
        found = [
            FoundTopic(
                name=name.removeprefix(self._prefix),
                partitions=len(partitions),
                replication_factor=min((len(partition[3]) for partition in partitions), default=0),
                configs=configs.get(name, {}),
            )
            for name, partitions in seen.items()
            if name.startswith(ours) and (name in configs or name not in names)
        ]
        return Cluster(
            brokers=len(metadata.brokers),
            topics={topic.name: topic for topic in found},
            foreign=sum(not name.startswith(ours) for name in seen),
        )

    async def carry_out(self, plan: TopicPlan, *, done: Callable[[Sequence[Step]], None] = lambda _: None) -> None:
        """Do the steps of `plan`, one kind after the other, and tell `done` of each; raises `KafkaAdminError`."""
        for kind, do in self._kinds():
            steps = [step for step in plan.steps if isinstance(step, kind)]
            if steps:
                await do(steps)
                done(steps)

    def _kinds(self) -> tuple[tuple[type[Step], Callable[[Any], Awaitable[None]]], ...]:
        """New topics first, so that a gate can start; deletion last, when everything else went well."""
        return (Create, self._create), (Grow, self._grow), (Configure, self._configure), (Delete, self._delete)

    async def _create(self, steps: Sequence[Create]) -> None:
        await self._admin.create([replace(step.spec, name=self._prefix + step.topic) for step in steps])

    async def _grow(self, steps: Sequence[Grow]) -> None:
        await self._admin.grow({self._prefix + step.topic: step.to for step in steps})

    async def _configure(self, steps: Sequence[Configure]) -> None:
        changes: dict[str, dict[str, str]] = {}
        for step in steps:
            changes.setdefault(self._prefix + step.topic, {})[step.key] = step.to
        await self._admin.configure(changes)

    async def _delete(self, steps: Sequence[Delete]) -> None:
        await self._admin.delete([self._prefix + step.topic for step in steps])

    async def settle(self, wanted: Sequence[TopicSpec], *, deleted: Iterable[str] = ()) -> None:
        """Wait until the cluster shows `wanted`, and nothing of `deleted`; raises `KafkaAdminError` if it does not."""
        loop = asyncio.get_running_loop()
        deadline = loop.time() + self._settle_seconds
        while left := await self._left(wanted, deleted):
            if loop.time() > deadline:
                raise KafkaAdminError(
                    f"the cluster does not show {', '.join(left)} as they were made: somebody else changes them, or"
                    " this user may not describe them; see `tidegate topics plan`"
                )
            await asyncio.sleep(LOOK_AGAIN_SECONDS)

    async def _left(self, wanted: Sequence[TopicSpec], deleted: Iterable[str]) -> list[str]:
        """What differs, in whatever way: what was insisted on is a refusal again as long as the cluster lacks it."""
        cluster = await self.look(wanted)
        plan = compare(wanted, cluster)
        differing = {difference.topic for difference in (*plan.steps, *plan.refusals)}
        return sorted(differing | (set(deleted) & cluster.topics.keys()))


@dataclass(frozen=True, slots=True)
class TopicsJob:
    """Which topics shall be in which cluster; `delete` names those that shall go, of ours that no policy names."""

    connection: KafkaConnection
    wanted: Sequence[TopicSpec]
    _: KW_ONLY
    topic_prefix: str = ""
    brokers: Brokers = Brokers.SEVERAL
    delete: Sequence[str] = ()

    async def plan(self) -> TopicPlan:
        """What there is to do; raises `KafkaAdminError`."""
        async with kafka_admin(self.connection) as admin:
            topics = Topics(admin, topic_prefix=self.topic_prefix)
            return await self._plan(topics, await self._possible(topics))

    async def apply(
        self, *, agree: Callable[[TopicPlan], TopicPlan], done: Callable[[Sequence[Step]], None] = lambda _: None
    ) -> TopicPlan:
        """Do what `agree` makes of the plan, say what that was, and tell `done` meanwhile; raises `KafkaAdminError`.

        While something in it is refused, nothing is done.
        """
        async with kafka_admin(self.connection) as admin:
            topics = Topics(admin, topic_prefix=self.topic_prefix)
            wanted = await self._possible(topics)
            plan = agree(await self._plan(topics, wanted))
            if not plan.refusals:
                await topics.carry_out(plan, done=done)
                await topics.settle(wanted, deleted=self.delete)
        return plan

    async def _plan(self, topics: Topics, wanted: Sequence[TopicSpec]) -> TopicPlan:
        return compare(wanted, await topics.look(wanted), delete=self.delete)

    async def _possible(self, topics: Topics) -> Sequence[TopicSpec]:
        """What is wanted, in the number of copies that `brokers` chose."""
        if self.brokers is Brokers.SEVERAL:
            return self.wanted
        up = (await topics.look(())).brokers
        if self.brokers is Brokers.ONE and up > 1:
            raise KafkaAdminError(f"{up} brokers are up, not a single one: leave --single-broker away")
        return on_brokers(self.wanted, up)


async def apply_topics(
    connection: KafkaConnection,
    catalogue: Catalogue,
    *,
    topic_prefix: str = "",
    brokers: Brokers = Brokers.SEVERAL,
) -> TopicPlan:
    """Make the topics of `catalogue` as they shall be and say what was done; raises `KafkaAdminError`.

    For whoever needs the topics and asks nobody: what a person would have to insist on is not done, but raised.
    """
    job = TopicsJob(connection, wanted_topics(catalogue), topic_prefix=topic_prefix, brokers=brokers)
    plan = await job.apply(agree=lambda plan: plan)
    for refusal in plan.refusals:
        raise KafkaAdminError(f"{topic_prefix}{refusal.topic}: {refusal.what}: {refusal.why}; {refusal.fix}")
    return plan


async def remove_topics(connection: KafkaConnection, catalogue: Catalogue, *, topic_prefix: str) -> None:
    """Delete every topic of `catalogue` under a prefix, with what is in it; raises `KafkaAdminError`.

    For what was made to be thrown away, a demonstration or a test: without a prefix it would be the real one.
    """
    if not topic_prefix:
        raise ValueError("topics without a prefix are not made to be thrown away")
    wanted = wanted_topics(catalogue)
    async with kafka_admin(connection) as admin:
        topics = Topics(admin, topic_prefix=topic_prefix)
        found = (await topics.look(wanted)).topics
        names = [topic.name for topic in wanted if topic.name in found]
        await topics.carry_out(TopicPlan(tuple(Delete(name) for name in names), (), (), 0))
        await topics.settle((), deleted=names)
