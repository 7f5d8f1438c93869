"""Every topic that a Kafka log needs: those of the tiers, and three that the gates write for themselves.

The gates' own take nothing from a file: they are replicated as well as the best replicated tier, and what the gates
account for is kept as long as the longest kept record that it accounts for.
"""

from collections.abc import Sequence
from dataclasses import replace

from ingest.records import CONTROL_TOPIC, SCHEMAS_TOPIC
from schemas.catalogue import Catalogue
from schemas.topics import FOREVER, IN_SYNC, TopicSpec, tier_topics, topic_configs

OURS = "tidegate."
"""What the name of every topic of ours begins with, after the prefix of the cluster."""

PROBE_TOPIC = "tidegate.probe"
"""Where a gate proves that it could append; nobody reads it."""

PROBE_RETENTION_MS = 10 * 60_000
OWN_SEGMENT_MS = 24 * 3_600_000


def wanted_topics(catalogue: Catalogue) -> tuple[TopicSpec, ...]:
    """The topics of `catalogue`, sorted by name."""
    return tuple(sorted((*tier_topics(catalogue), *_own_topics(catalogue)), key=lambda topic: topic.name))


def on_brokers(topics: Sequence[TopicSpec], brokers: int) -> tuple[TopicSpec, ...]:
    """The same topics in as many copies as that many brokers can hold, which may be fewer than a policy asks for."""
    return tuple(
        replace(
            topic,
            replication_factor=min(topic.replication_factor, brokers),
            configs={**topic.configs, IN_SYNC: str(min(int(topic.configs[IN_SYNC]), brokers))},
        )
        for topic in topics
    )


def _own_topics(catalogue: Catalogue) -> tuple[TopicSpec, ...]:
    """One partition each: a gate writes a few records a second to them, and the order in one partition is total."""
    tiers = catalogue.tiers.values()
    return (
        _own(CONTROL_TOPIC, catalogue, retention_ms=max(tier.retention_ms for tier in tiers)),
        # Not compacted either, though it would hold the same: a reader of the log is promised that an offset which it
        # once read stays what it was, and a schema takes a few KiB once for each change of a policy.
        _own(SCHEMAS_TOPIC, catalogue, retention_ms=FOREVER),
        _own(PROBE_TOPIC, catalogue, retention_ms=PROBE_RETENTION_MS),
    )


def _own(name: str, catalogue: Catalogue, *, retention_ms: int) -> TopicSpec:
    policies = [tier.topic for tier in catalogue.tiers.values()]
    return TopicSpec(
        name=name,
        partitions=1,
        replication_factor=max(policy.replication_factor for policy in policies),
        configs=topic_configs(
            retention_ms=retention_ms,
            segment_ms=min(OWN_SEGMENT_MS, retention_ms) if retention_ms != FOREVER else OWN_SEGMENT_MS,
            min_insync_replicas=max(policy.min_insync_replicas for policy in policies),
        ),
    )
