"""The Kafka topics that the policies ask for: catalogue -> topics, each with everything about it that is decided here.

A topic's settings are written out in full, those that are Kafka's defaults as well: a broker's own default may differ,
and what it could do to a record is said at each one.
"""

from collections.abc import Mapping
from dataclasses import dataclass

from schemas.catalogue import Catalogue
from schemas.plan import Plan

FOREVER = -1
"""How Kafka writes that something has no bound."""

IN_SYNC = "min.insync.replicas"
RETENTION = "retention.ms"
SEGMENT = "segment.ms"

LONGEST_MS = 2**63 - 1

AHEAD_MS = 24 * 3_600_000
"""How far a record's timestamp may be ahead of the broker's clock. Retention goes by the timestamp, so a gate with a
wrong clock could write records that outlive it; a day lets a clock in the wrong time zone pass, and no more."""

MAX_BATCH_BYTES = 1_048_588
"""Kafka's own default: 1 MiB and the head of a batch. A report is at most 64 KiB and the largest schema about 14 KiB,
but the limit is that of a whole batch, as a producer compressed it."""

ALWAYS: Mapping[str, str] = {
    # compact would remove all but the newest record of a key, so an acknowledged record or a counted duplicate.
    "cleanup.policy": "delete",
    # By age alone: a bound in bytes would remove records early on the day a fleet sends most.
    "retention.bytes": str(FOREVER),
    "max.message.bytes": str(MAX_BATCH_BYTES),
    # LogAppendTime would write the minute of the append over the hour to which a tier truncates it.
    "message.timestamp.type": "CreateTime",
    "message.timestamp.after.max.ms": str(AHEAD_MS),
    # A truncated hour is behind every clock, and so is a record of a gate whose clock stepped back.
    "message.timestamp.before.max.ms": str(LONGEST_MS),
    # As the gate compressed it; another codec would cost the broker the work of every batch again.
    "compression.type": "producer",
    # A leader that lacks acknowledged records would make a 202 untrue; better no leader for a while.
    "unclean.leader.election.enable": "false",
}


@dataclass(frozen=True, slots=True)
class TopicSpec:
    """A topic as it shall be. `name` is that of the entries, without a prefix of the cluster."""

    name: str
    partitions: int
    replication_factor: int
    configs: Mapping[str, str]


def topic_configs(*, retention_ms: int, segment_ms: int, min_insync_replicas: int) -> dict[str, str]:
    """The settings of a topic, by Kafka's names; the times are milliseconds."""
    return {
        **ALWAYS,
        RETENTION: str(retention_ms),
        SEGMENT: str(segment_ms),
        IN_SYNC: str(min_insync_replicas),
    }


def tier_topics(catalogue: Catalogue) -> tuple[TopicSpec, ...]:
    """The topic of every plan, sorted by name: one for each tier, report and version of it."""
    return tuple(sorted((_of_plan(plan) for plan in catalogue.plans.values()), key=lambda topic: topic.name))


def _of_plan(plan: Plan) -> TopicSpec:
    policy = plan.tier.topic
    return TopicSpec(
        name=plan.topic,
        partitions=policy.partitions,
        replication_factor=policy.replication_factor,
        configs=topic_configs(
            retention_ms=plan.tier.retention_ms,
            segment_ms=policy.segment_hours * 3_600_000,
            min_insync_replicas=policy.min_insync_replicas,
        ),
    )
