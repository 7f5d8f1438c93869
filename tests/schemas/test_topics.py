"""The Kafka topics that policies ask for."""

import re
from pathlib import Path

import pytest

from schemas.catalogue import TIERS_DIRECTORY, load_catalogue
from schemas.plan import Plan
from schemas.tier import TopicPolicy, load_tier
from schemas.topics import TopicSpec, tier_topics

CATALOGUE = load_catalogue()
TOPICS = {topic.name: topic for topic in tier_topics(CATALOGUE)}


def test_there_is_a_topic_for_every_plan() -> None:
    """Each tier, report and version has its own topic, and there is no other one."""
    assert list(TOPICS) == sorted(plan.topic for plan in CATALOGUE.plans.values())


@pytest.mark.parametrize("plan", CATALOGUE.plans.values(), ids=lambda plan: plan.topic)
def test_a_topic_is_as_its_tier_says(plan: Plan) -> None:
    """Partitions, copies and times come from the policy file, the age of a record from `retention_days` alone."""
    policy, topic = plan.tier.topic, TOPICS[plan.topic]
    assert (topic.partitions, topic.replication_factor) == (policy.partitions, policy.replication_factor)
    assert topic.configs["retention.ms"] == str(plan.tier.retention_days * 24 * 60 * 60 * 1000)
    assert topic.configs["segment.ms"] == str(policy.segment_hours * 60 * 60 * 1000)
    assert topic.configs["min.insync.replicas"] == str(policy.min_insync_replicas)


MUST_BE_SAID = {
    "cleanup.policy": "delete",
    "retention.bytes": "-1",
    "message.timestamp.type": "CreateTime",
    "message.timestamp.after.max.ms": "86400000",
    "message.timestamp.before.max.ms": "9223372036854775807",
    "compression.type": "producer",
    "unclean.leader.election.enable": "false",
    "max.message.bytes": "1048588",
}


@pytest.mark.parametrize("topic", TOPICS.values(), ids=lambda topic: topic.name)
def test_no_setting_that_matters_is_left_to_the_broker(topic: TopicSpec) -> None:
    """What a broker's own default could spoil is written out for every topic."""
    assert topic.configs.items() >= MUST_BE_SAID.items()


@pytest.mark.parametrize("tier", ["managed", "byod", "contractor"])
def test_a_policy_without_the_table_loads(tmp_path: Path, tier: str) -> None:
    """A policy file from before there was a [topic] table is in force as it was, with the defaults."""
    text = (TIERS_DIRECTORY / f"{tier}.toml").read_text(encoding="utf-8")
    old = re.sub(r"^\[topic\]\n(?:.+\n)*", "", text, flags=re.MULTILINE)
    assert "[topic]" in text
    assert "[topic]" not in old
    file = tmp_path / f"{tier}.toml"
    file.write_text(old, encoding="utf-8")
    loaded = load_tier(file)
    assert loaded.topic == TopicPolicy()
    assert loaded.model_copy(update={"topic": CATALOGUE.tiers[tier].topic}) == CATALOGUE.tiers[tier]


def test_another_table_strips_alike(tmp_path: Path) -> None:
    """A change of [topic] changes no plan's fingerprint, so it needs no new policy version."""
    for file in TIERS_DIRECTORY.glob("*.toml"):
        text = file.read_text(encoding="utf-8").replace("segment_hours = 24", "segment_hours = 12")
        (tmp_path / file.name).write_text(text, encoding="utf-8")
    changed = load_catalogue(tiers=tmp_path)
    assert tier_topics(changed) != tier_topics(CATALOGUE)
    assert {key: plan.fingerprint for key, plan in changed.plans.items()} == {
        key: plan.fingerprint for key, plan in CATALOGUE.plans.items()
    }
