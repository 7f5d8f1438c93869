"""Where the ids of Confluent framing come from, and the framing that a gate was started with.

    Registration.prepare(catalogue)    ids -> the log holds the schemas with them -> the framing knows them

In that order, before a catalogue is adopted: when anything fails, nothing is written under it (docs/registry.md).
"""

import asyncio
from collections.abc import Sequence
from typing import Protocol

from ingest.clock import Clock
from ingest.log import Log
from ingest.registry.client import RegistryClient, RegistryFailed
from ingest.schema_topic import NO_IDS, Ids, StoredSchema, publish_schemas, written
from schemas.catalogue import Catalogue
from schemas.errors import refuse
from schemas.framing import SINGLE_OBJECT, ByIds, Framing, own_id


class IdSource(Protocol):
    """Who gives a schema its id."""

    async def ids(self, schemas: Sequence[StoredSchema]) -> Ids:
        """The id of every one of `schemas`, all of which have a topic; raises `ContractError`."""
        ...


class OwnIds:
    """31 bits of the fingerprint: every gate gives the same ids without asking anybody."""

    async def ids(self, schemas: Sequence[StoredSchema]) -> Ids:
        """As `IdSource.ids`."""
        found = {(schema.topic or "", schema.fingerprint): own_id(schema.fingerprint) for schema in schemas}
        for schema in schemas:
            if own_id(schema.fingerprint) == 0:
                raise refuse(schema.name, "31 bits of its fingerprint are 0, which is no id", fix=OTHERWISE)
        return found


OTHERWISE = "let the policy keep another set of fields, or name a schema registry by its URL"


class RegisteredIds:
    """The ids that an external registry gives, asked for anew each time: what it does not have is registered there.

    Subjects are `<topic>-value` (TopicNameStrategy), the topic as Kafka has it, `topic_prefix` included.
    """

    def __init__(self, client: RegistryClient, *, topic_prefix: str = "") -> None:
        self._client = client
        self._topic_prefix = topic_prefix

    async def ids(self, schemas: Sequence[StoredSchema]) -> Ids:
        """As `IdSource.ids`."""
        documents = {
            (schema.topic or "", schema.fingerprint): (subject_of(schema.topic or "", self._topic_prefix), schema)
            for schema in schemas
        }
        try:
            ids = await asyncio.to_thread(
                self._client.register_all, [(subject, schema.document) for subject, schema in documents.values()]
            )
        except RegistryFailed as error:
            raise refuse(self._client.url, str(error), fix=error.fix) from None
        return dict(zip(documents, ids, strict=True))


def subject_of(topic: str, topic_prefix: str) -> str:
    """What registries and their clients call the values of a topic of entries."""
    return f"{topic_prefix}{topic}-value"


class Registration:
    """Makes a catalogue fit to be written under. Without `ids` values are framed as single objects."""

    def __init__(self, log: Log, *, ids: IdSource | None, clock: Clock) -> None:
        self._log = log
        self._ids = ids
        self._clock = clock
        self._by_ids = ByIds()
        self.framing: Framing = SINGLE_OBJECT if ids is None else self._by_ids

    async def prepare(self, catalogue: Catalogue) -> None:
        """Have ids and log ready for `catalogue`; raises `ContractError`, `LogUnavailable` or `InDoubt`."""
        ids = NO_IDS if self._ids is None else await self._ids.ids(written(catalogue))
        await publish_schemas(self._log, catalogue, now=self._clock.now_ms(), ids=ids)
        self._by_ids.add(ids)
