"""Topics that shall be against topics that are: what is done, and what is refused with what it would mean."""

from dataclasses import replace

import pytest

from ingest.topics.plan import Cluster, Configure, Create, Delete, FoundTopic, Grow, Step, compare, duration
from ingest.topics.wanted import on_brokers, wanted_topics
from schemas.catalogue import load_catalogue
from schemas.tier import MS_PER_DAY
from schemas.topics import TopicSpec, topic_configs

NAME = "tidegate.managed.route_window.v1"
DAYS_90 = str(90 * MS_PER_DAY)
WANTED = TopicSpec(
    name=NAME,
    partitions=6,
    replication_factor=3,
    configs=topic_configs(retention_ms=90 * MS_PER_DAY, segment_ms=MS_PER_DAY, min_insync_replicas=2),
)
FOUND = FoundTopic(NAME, partitions=6, replication_factor=3, configs=WANTED.configs)


def cluster(*topics: FoundTopic, brokers: int = 3) -> Cluster:
    """A cluster with these topics of ours and two of others."""
    return Cluster(brokers=brokers, topics={topic.name: topic for topic in topics}, foreign=2)


def found(partitions: int = 6, replication_factor: int = 3, **configs: str) -> Cluster:
    """A cluster where the topic differs in this; in settings an underscore stands for a dot."""
    changed = {name.replace("_", "."): value for name, value in configs.items()}
    return cluster(FoundTopic(NAME, partitions, replication_factor, {**WANTED.configs, **changed}))


def set_to(key: str, was: str, to: str) -> Configure:
    """The step that sets one setting."""
    return Configure(NAME, key, was, to)


def test_nothing_is_done_to_what_is_as_it_shall_be() -> None:
    """The same topics in and out make an empty plan, which tells how many topics of others there are."""
    plan = compare([WANTED], cluster(FOUND))
    assert (plan.steps, plan.refusals, plan.unnamed, plan.foreign) == ((), (), (), 2)


def test_a_topic_that_is_missing_is_created() -> None:
    """What no broker has is created as it shall be."""
    assert compare([WANTED], cluster()).steps == (Create(WANTED),)


def test_a_topic_of_ours_that_nobody_wants_is_named_and_left_alone() -> None:
    """A topic that no policy names any more is neither changed nor deleted."""
    plan = compare([WANTED], cluster(FOUND, replace(FOUND, name="tidegate.lab.health_window.v1")))
    assert (plan.steps, plan.refusals, plan.unnamed) == ((), (), ("tidegate.lab.health_window.v1",))


@pytest.mark.parametrize(
    ("cluster", "steps"),
    [
        pytest.param(
            found(retention_ms="86400000"), [set_to("retention.ms", "86400000", DAYS_90)], id="a longer retention"
        ),
        pytest.param(
            found(min_insync_replicas="1"), [set_to("min.insync.replicas", "1", "2")], id="more copies in sync"
        ),
        pytest.param(
            found(message_timestamp_type="LogAppendTime"),
            [set_to("message.timestamp.type", "LogAppendTime", "CreateTime")],
            id="times that would tell the minute",
        ),
        pytest.param(
            found(cleanup_policy="compact,delete"),
            [set_to("cleanup.policy", "compact,delete", "delete")],
            id="no compaction where age counted already",
        ),
        pytest.param(
            found(retention_bytes="1000"), [set_to("retention.bytes", "1000", "-1")], id="no bound in bytes"
        ),
        pytest.param(
            found(unclean_leader_election_enable="true", segment_ms="1"),
            [
                set_to("unclean.leader.election.enable", "true", "false"),
                set_to("segment.ms", "1", "86400000"),
            ],
            id="two settings at once",
        ),
        pytest.param(found(replication_factor=5), [], id="more copies than asked for are left"),
    ],
)  # fmt: skip
def test_what_loses_nothing_is_done(cluster: Cluster, steps: list[Step]) -> None:
    """A difference whose end removes no record and breaks no promise is a step."""
    plan = compare([WANTED], cluster)
    assert (list(plan.steps), plan.refusals) == (steps, ())


@pytest.mark.parametrize(
    ("cluster", "what", "why", "step"),
    [
        pytest.param(
            found(retention_ms=str(91 * MS_PER_DAY)),
            "retention.ms from 7862400000 (91 days) to 7776000000 (90 days)",
            "records older than 90 days are deleted within minutes",
            set_to("retention.ms", str(91 * MS_PER_DAY), DAYS_90),
            id="a shorter retention",
        ),
        pytest.param(
            found(retention_ms="-1"),
            "retention.ms from -1 (for ever) to 7776000000 (90 days)",
            "records older than 90 days are deleted",
            set_to("retention.ms", "-1", DAYS_90),
            id="a retention where there was none",
        ),
        pytest.param(
            found(cleanup_policy="compact"),
            "cleanup.policy from compact to delete",
            "those older than 90 days are then deleted",
            set_to("cleanup.policy", "compact", "delete"),
            id="a retention that did not act",
        ),
        pytest.param(
            found(min_insync_replicas="3"),
            "min.insync.replicas from 3 to 2",
            "promises 2 in-sync copies where it promised 3",
            set_to("min.insync.replicas", "3", "2"),
            id="fewer copies in sync",
        ),
        pytest.param(
            found(partitions=3),
            "partitions from 3 to 6",
            "a key may be in two partitions",
            Grow(NAME, 3, 6),
            id="more partitions",
        ),
        pytest.param(found(partitions=12), "partitions from 12 to 6", "cannot take partitions away", None, id="fewer"),
        pytest.param(
            found(replication_factor=1), "replication factor from 1 to 3", "planned by hand", None, id="too few copies"
        ),
        pytest.param(
            cluster(brokers=2), "create with replication factor 3", "2 brokers are up", None, id="too few brokers"
        ),
        pytest.param(
            cluster(brokers=1), "create with replication factor 3", "1 broker is up", None, id="one broker"
        ),
    ],
)  # fmt: skip
def test_what_loses_something_is_refused_until_insisted_on(
    cluster: Cluster, what: str, why: str, step: Step | None
) -> None:
    """A refusal says what it would mean and what to do; insisting makes a step of it where Kafka can do it at all."""
    plan = compare([WANTED], cluster)
    [refusal] = plan.refusals
    assert plan.steps == ()
    assert refusal.what == what
    assert why in refusal.why
    assert refusal.fix
    insisted = plan.insisted()
    assert insisted.steps == (() if step is None else (step,))
    assert insisted.refusals == ((refusal,) if step is None else ())


@pytest.mark.parametrize(
    ("name", "why", "steps"),
    [
        pytest.param("tidegate.lab.a.v1", "every record in it is gone", (Delete("tidegate.lab.a.v1"),), id="unnamed"),
        pytest.param(NAME, "a policy names it", (), id="one that a policy names"),
        pytest.param("tidegate.lab.b.v1", "there is no topic of that name", (), id="one that is not there"),
        pytest.param("orders", "there is no topic of that name", (), id="one of others"),
    ],
)
def test_only_what_no_policy_names_can_be_deleted(name: str, why: str, steps: tuple[Step, ...]) -> None:
    """A deletion is refused until it is insisted on, and stays refused for a topic that is wanted, or not ours."""
    plan = compare([WANTED], cluster(FOUND, replace(FOUND, name="tidegate.lab.a.v1")), delete=[name])
    [refusal] = plan.refusals
    assert why in refusal.why
    assert plan.steps == ()
    assert plan.insisted().steps == steps


@pytest.mark.parametrize(
    ("ms", "words"),
    [("-1", "for ever"), ("86400000", "1 day"), ("540000", "9 minutes"), ("7", "7 milliseconds")],
)  # fmt: skip
def test_durations_are_said_in_words(ms: str, words: str) -> None:
    """A number of milliseconds is said in the largest unit that it is a whole number of."""
    assert duration(ms) == words


def test_the_gates_own_topics_come_along() -> None:
    """Control is kept as long as the longest kept record, schemas for ever, the probe for minutes."""
    catalogue = load_catalogue()
    own = {topic.name: topic for topic in wanted_topics(catalogue) if topic.name.count(".") == 1}
    longest = max(tier.retention_days for tier in catalogue.tiers.values())
    assert {name: topic.configs["retention.ms"] for name, topic in own.items()} == {
        "tidegate.control": str(longest * MS_PER_DAY),
        "tidegate.schemas": "-1",
        "tidegate.probe": "600000",
    }
    assert {(topic.partitions, topic.configs["cleanup.policy"]) for topic in own.values()} == {(1, "delete")}
    assert {topic.replication_factor for topic in own.values()} == {3}


@pytest.mark.parametrize(("brokers", "copies", "in_sync"), [(1, 1, "1"), (2, 2, "2"), (3, 3, "2"), (9, 3, "2")])
def test_copies_for_the_brokers_that_are_there(brokers: int, copies: int, in_sync: str) -> None:
    """Fewer brokers than copies leave as many copies as brokers, and never more in sync than there are."""
    [topic] = on_brokers([WANTED], brokers)
    assert (topic.replication_factor, topic.configs["min.insync.replicas"]) == (copies, in_sync)
    assert topic.partitions == WANTED.partitions
