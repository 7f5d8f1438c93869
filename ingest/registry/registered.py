"""What a schema registry would hold, from the log alone: subjects, their versions, and schemas by id.

A subject is `<topic>-value`; its versions are counted from 1 in the order in which the log got them, and none is ever
taken away. A schema has the id that its newest entry in a topic names; 31 bits of its fingerprint are an id of it as
well, unless a registry gave those to another one.
"""

import asyncio
import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

from ingest.clock import Clock
from ingest.log import LogReader, LogUnavailable
from ingest.registry.ids import subject_of
from ingest.schema_topic import SchemaTopic, StoredSchema, claims
from schemas.framing import own_id

LOOK_SECONDS = 1.0
"""How old an answer may be. A look at a topic that has nothing new is two reads of the log."""

LOOK_FOR_MISSING_SECONDS = 0.1
"""The same where something was not found: another gate may have appended it with its first record. Twice as long after
each such look in vain, up to `LOOK_SECONDS`: strangers may ask for what is nowhere as often as they like."""


@dataclass(frozen=True)
class Version:
    """One version of a subject."""

    subject: str
    number: int
    schema_id: int
    fingerprint: bytes
    document: Mapping[str, Any] = field(repr=False)

    @cached_property
    def text(self) -> str:
        """The schema as JSON text."""
        return json.dumps(self.document, separators=(",", ":"))


@dataclass(frozen=True, slots=True)
class Registered:
    """Everything at one moment."""

    subjects: Mapping[str, Sequence[Version]]
    by_id: Mapping[int, StoredSchema]

    def versions_of(self, schema_id: int) -> Sequence[Version]:
        """Where the schema of that id is written; nowhere if it is a report's, or none."""
        schema = self.by_id.get(schema_id)
        versions = (version for versions in self.subjects.values() for version in versions)
        return [one for one in versions if schema is not None and one.fingerprint == schema.fingerprint]


def registered(schemas: Sequence[StoredSchema], *, topic_prefix: str = "") -> Registered:
    """The registry that the schemas of a log make, these in the log's order."""
    newest = {(schema.topic, schema.fingerprint): schema for schema in schemas}
    first = {(schema.topic, schema.fingerprint): None for schema in schemas if schema.topic is not None}
    subjects: dict[str, list[Version]] = {}
    for topic, fingerprint in first:
        subject = subject_of(topic or "", topic_prefix)
        versions = subjects.setdefault(subject, [])
        schema = newest[topic, fingerprint]
        schema_id = schema.schema_id or own_id(fingerprint)
        versions.append(Version(subject, len(versions) + 1, schema_id, fingerprint, schema.document))
    own = {own_id(schema.fingerprint): schema for schema in reversed(schemas)}
    return Registered(subjects=subjects, by_id={**own, **claims(schemas)})


class RegisteredView:
    """`Registered` as the log has it now, or had it a moment ago. Belongs to one event loop."""

    def __init__(self, reader: LogReader, *, clock: Clock, topic_prefix: str = "") -> None:
        self._topic = SchemaTopic(reader)
        self._clock = clock
        self._topic_prefix = topic_prefix
        self._looking = asyncio.Lock()
        self._looked: float | None = None
        self._early = LOOK_FOR_MISSING_SECONDS
        self._now: Registered | None = None

    async def now(self, *, within: float = LOOK_SECONDS) -> Registered:
        """What the log held at most `within` seconds ago; what it held before where it cannot be read.

        Looks in vain make it more than `within`, but not more than `LOOK_SECONDS`. Raises `LogUnavailable` if the log
        could never be read.
        """
        async with self._looking:
            age = math.inf if self._looked is None else self._clock.monotonic() - self._looked
            if age > (LOOK_FOR_MISSING_SECONDS if self._now is None else max(within, self._early)):
                await self._look(early=age <= LOOK_SECONDS)
            if self._now is None:
                raise LogUnavailable("the schemas of the log cannot be read")
            return self._now

    async def _look(self, *, early: bool) -> None:
        try:
            new = await self._topic.read_on()
            if new or self._now is None:
                self._now = registered(self._topic.schemas(), topic_prefix=self._topic_prefix)
        except LogUnavailable:
            new = False
        # Also after a failure, which may have taken seconds: whoever waited meanwhile is answered at once.
        self._looked = self._clock.monotonic()
        factor = 2 if early else 0.5
        self._early = LOOK_FOR_MISSING_SECONDS if new else self._early * factor
        self._early = min(max(self._early, LOOK_FOR_MISSING_SECONDS), LOOK_SECONDS)
