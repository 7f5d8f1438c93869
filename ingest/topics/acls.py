"""Who may do what with the topics: the ACLs that belong to them, for an operator to give to the cluster.

Nothing is allowed that is not listed, which holds only while the brokers' `allow.everyone.if.no.acl.found` is false, as
Kafka has it by default. A topic that may be read or written may be described as well; an idempotent producer needs
nothing further (Kafka 3.0 and later), and who assigns partitions by hand no consumer group. A gate looks at the
settings of its topics before it writes: one of them would have brokers put times of their own in place of the gate's.
"""

import shlex
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import Literal

from ingest.records import CONTROL_TOPIC, SCHEMAS_TOPIC
from ingest.topics.wanted import PROBE_TOPIC
from schemas.catalogue import Catalogue

ResourceType = Literal["TOPIC", "GROUP"]
PatternType = Literal["LITERAL", "PREFIXED"]
Operation = Literal["READ", "WRITE", "CREATE", "DELETE", "ALTER", "DESCRIBE", "DESCRIBE_CONFIGS", "ALTER_CONFIGS"]

ADMINISTRATION: tuple[Operation, ...] = ("CREATE", "DESCRIBE", "ALTER", "DESCRIBE_CONFIGS", "ALTER_CONFIGS", "DELETE")


@dataclass(frozen=True)
class Principals:
    """As whom the programs log in, as Kafka names users: `User:gate`. One process that does both is both."""

    gate: str = "User:tidegate-gate"
    follower: str = "User:tidegate-follower"
    admin: str = "User:tidegate-admin"


@dataclass(frozen=True, slots=True, order=True)
class Acl:
    """One thing that one principal is allowed, from any host, in Kafka's own words."""

    principal: str
    resource_type: ResourceType
    pattern_type: PatternType
    name: str
    operation: Operation


def topic_acls(catalogue: Catalogue, principals: Principals, *, topic_prefix: str = "") -> tuple[Acl, ...]:
    """The ACLs of the topics of `catalogue`, in the order of who needs them: gate, follower, admin, readers.

    A tier's topics are one pattern, `tidegate.<tier>.`: a tier's name has no dot, so it matches no other tier's, and a
    new version of a report needs no new ACL.
    """
    tiers = [f"{topic_prefix}tidegate.{name}." for name in sorted(catalogue.tiers)]
    control, schemas, probe = (topic_prefix + name for name in (CONTROL_TOPIC, SCHEMAS_TOPIC, PROBE_TOPIC))
    return (
        *_prefixed(principals.gate, tiers, "WRITE", "DESCRIBE_CONFIGS"),
        *_literal(principals.gate, (control, probe), "WRITE", "DESCRIBE_CONFIGS"),
        *_literal(principals.gate, (schemas,), "WRITE", "READ", "DESCRIBE_CONFIGS"),
        *_prefixed(principals.follower, tiers, "READ"),
        *_literal(principals.follower, (control, schemas), "READ"),
        *_prefixed(principals.admin, (f"{topic_prefix}tidegate.",), *ADMINISTRATION),
        *_readers(catalogue, schemas, topic_prefix),
    )


def _readers(catalogue: Catalogue, schemas: str, topic_prefix: str) -> Iterator[Acl]:
    """A tier's readers: its topics, the schemas without which they are bytes, and consumer groups named after it."""
    tiers_of = {
        reader: [name for name, tier in sorted(catalogue.tiers.items()) if reader in tier.topic.readers]
        for reader in sorted({reader for tier in catalogue.tiers.values() for reader in tier.topic.readers})
    }
    for reader, tiers in tiers_of.items():
        names = [f"{topic_prefix}tidegate.{tier}." for tier in tiers]
        yield from _prefixed(reader, names, "READ")
        yield from _literal(reader, (schemas,), "READ")
        for name in names:
            yield Acl(reader, "GROUP", "PREFIXED", name, "READ")


def _prefixed(principal: str, names: Iterable[str], *operations: Operation) -> Iterator[Acl]:
    return (Acl(principal, "TOPIC", "PREFIXED", name, operation) for name in names for operation in operations)


def _literal(principal: str, names: Iterable[str], *operations: Operation) -> Iterator[Acl]:
    return (Acl(principal, "TOPIC", "LITERAL", name, operation) for name in names for operation in operations)


def commands(acls: Sequence[Acl], *, bootstrap: str) -> tuple[str, ...]:
    """The same as commands of Kafka's kafka-acls.sh, to run in a shell; `admin.properties` says how to log in."""
    start = f"kafka-acls.sh --bootstrap-server {shlex.quote(bootstrap)} --command-config admin.properties --add"
    found = []
    for (principal, resource, pattern, operations), names in _together(acls):
        words = [f"--allow-principal {shlex.quote(principal)}"]
        words += [f"--operation {_camel(operation)}" for operation in operations]
        words += [f"--{resource.lower()} {shlex.quote(name)}" for name in names]
        words.append(f"--resource-pattern-type {pattern.lower()}")
        found.append(" \\\n    ".join([start, *words]))
    return tuple(found)


Together = tuple[tuple[str, ResourceType, PatternType, tuple[Operation, ...]], list[str]]


def _together(acls: Sequence[Acl]) -> Iterator[Together]:
    """ACLs that one command can add: of one principal, one kind of resource and one pattern, with the same operations.

    They come in the order of `acls`, with their names.
    """
    operations: dict[tuple[str, ResourceType, PatternType, str], list[Operation]] = {}
    for acl in acls:
        operations.setdefault((acl.principal, acl.resource_type, acl.pattern_type, acl.name), []).append(acl.operation)
    alike = [((*key[:3], tuple(allowed)), key[3]) for key, allowed in operations.items()]
    for group, members in groupby(alike, key=lambda one: one[0]):
        yield group, [name for _, name in members]


def _camel(operation: Operation) -> str:
    """An operation as kafka-acls.sh writes it: `DescribeConfigs`."""
    return "".join(word.capitalize() for word in operation.split("_"))
