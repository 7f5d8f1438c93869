"""The ids of schemas: in the log before anything is written under them, never two schemas under one, or nothing."""

import dataclasses
from collections.abc import Callable, Sequence
from copy import deepcopy
from typing import Any

import pytest

from ingest.clock import ManualClock
from ingest.log import LogUnavailable
from ingest.log.memory import MemoryLog
from ingest.records import schema_entry
from ingest.registry.ids import OwnIds, Registration
from ingest.report import Entry, Position
from ingest.schema_topic import Ids, SchemaTopic, StoredSchema, publish_schemas, schemas_of, stored_schemas, written
from schemas.catalogue import Catalogue, load_catalogue
from schemas.errors import ContractError
from schemas.framing import SINGLE_OBJECT, confluent, id_reference, own_id
from schemas.report_schema import crc_64_avro

NOW = 1_795_000_000_000
CATALOGUE = load_catalogue()
WRITTEN = written(CATALOGUE)
REPORTS = len(CATALOGUE.schemas)


class Given:
    """A registry that gives the ids it was told to, and remembers what it was asked."""

    def __init__(self, give: Callable[[int, StoredSchema], int] = lambda place, _: 100 + place) -> None:
        self._give = give
        self.asked: list[str | None] = []

    async def ids(self, schemas: Sequence[StoredSchema]) -> Ids:
        self.asked += [schema.topic for schema in schemas]
        return {
            (schema.topic or "", schema.fingerprint): self._give(place, schema) for place, schema in enumerate(schemas)
        }


def registration(log: MemoryLog, ids: Any = None) -> Registration:
    """What a gate has on that log; without `ids` no registry is configured."""
    return Registration(log, ids=ids, clock=ManualClock(NOW))


async def stored(log: MemoryLog) -> Sequence[StoredSchema]:
    """Everything that the log holds of schemas, in its order."""
    topic = SchemaTopic(log)
    await topic.read_on()
    return topic.schemas()


def named(symbol: str) -> dict[str, Any]:
    """A small schema that is another one for each symbol."""
    return {"type": "enum", "name": "E", "symbols": [f"S{symbol}"]}


ONE, OTHER = named("1465626311"), named("2234436807")
"""Found by search: their fingerprints differ, and the lowest 31 bits do not."""


def test_the_colliding_pair_collides() -> None:
    """The two schemas of these tests are different ones with the same own id."""
    assert crc_64_avro(ONE) != crc_64_avro(OTHER)
    assert own_id(crc_64_avro(ONE)) == own_id(crc_64_avro(OTHER))


async def test_without_a_registry_values_are_single_objects() -> None:
    """Without ids the framing is Avro's own, and the log's schemas say their topic and no id."""
    log = MemoryLog()
    prepared = registration(log)
    await prepared.prepare(CATALOGUE)
    assert prepared.framing is SINGLE_OBJECT
    found = await stored(log)
    assert {schema.schema_id for schema in found} == {None}
    assert {schema.topic for schema in found} == {None} | {schema.topic for schema in WRITTEN}


async def test_ids_are_in_the_log_with_their_schemas() -> None:
    """Every schema that is written under stands in the log with its topic and id, and is found by either reference."""
    log = MemoryLog(partitions=3)
    prepared = registration(log, OwnIds())
    await prepared.prepare(CATALOGUE)
    schemas = await stored_schemas(log)
    for one in WRITTEN:
        schema_id = own_id(one.fingerprint)
        assert prepared.framing.prefix(one.topic or "", one.fingerprint) == confluent(schema_id)
        assert schemas[id_reference(schema_id)] == schemas[one.fingerprint] == one.document
    assert len(schemas) == len(schemas_of(CATALOGUE)) + len(WRITTEN)


async def test_a_schema_is_appended_again_with_its_id() -> None:
    """After the setting was changed each schema is appended once more, with the new id, and a restart appends none."""
    log = MemoryLog()
    await registration(log).prepare(CATALOGUE)
    assert len(await stored(log)) == REPORTS + len(WRITTEN)
    await registration(log, OwnIds()).prepare(CATALOGUE)
    assert len(await stored(log)) == REPORTS + 2 * len(WRITTEN)
    await registration(log, Given()).prepare(CATALOGUE)
    for ids in (Given(), None):
        await registration(log, ids).prepare(CATALOGUE)
        assert len(await stored(log)) == REPORTS + 3 * len(WRITTEN)
    await registration(log, OwnIds()).prepare(CATALOGUE)
    assert [schema.schema_id for schema in await stored(log)][-1] == own_id(WRITTEN[-1].fingerprint)
    assert len(await stored_schemas(log)) == len(schemas_of(CATALOGUE)) + 2 * len(WRITTEN)


async def test_schemas_of_before_get_their_topic() -> None:
    """A log whose schemas do not say yet where they are written gets them again with their topics, once."""
    log = MemoryLog()
    await log.append([schema_entry(key, document, now=NOW) for key, document in schemas_of(CATALOGUE).items()])
    assert await publish_schemas(log, CATALOGUE, now=NOW) == len(WRITTEN)
    assert await publish_schemas(log, CATALOGUE, now=NOW) == 0


async def test_colliding_ids_in_a_catalogue_are_refused() -> None:
    """Where two schemas of a catalogue would have one id, both are named with what to do, and nothing is appended."""
    log = MemoryLog()
    prepared = registration(log, Given(lambda _, __: 5))
    with pytest.raises(ContractError) as refused:
        await prepared.prepare(CATALOGUE)
    finding = refused.value.findings[0]
    assert WRITTEN[0].name in finding.problem
    assert WRITTEN[1].name in finding.problem
    assert "id 5" in finding.problem
    assert "schema_registry" in finding.fix
    assert await stored(log) == []
    with pytest.raises(KeyError):
        prepared.framing.prefix(WRITTEN[0].topic or "", WRITTEN[0].fingerprint)


async def test_an_id_of_the_log_is_refused_for_another_schema() -> None:
    """A registry that gives an id which the log has for another schema, as a new one would, is refused."""
    log = MemoryLog()
    await registration(log, Given()).prepare(CATALOGUE)
    before = await stored(log)
    with pytest.raises(ContractError) as refused:
        await registration(log, Given(lambda place, _: 100 + (place + 1) % len(WRITTEN))).prepare(CATALOGUE)
    assert len(refused.value.findings) == len(WRITTEN)
    assert await stored(log) == before


async def test_own_ids_that_collide_with_the_log_are_refused() -> None:
    """A schema with the same 31 bits as one that the log holds is refused, though their fingerprints differ."""
    log = MemoryLog()
    own = own_id(crc_64_avro(ONE))
    await log.append([schema_entry(crc_64_avro(ONE), ONE, now=NOW, topic="t", schema_id=own)])
    with pytest.raises(ContractError, match="both have the schema id"):
        await registration(log, OwnIds()).prepare(_with_output(OTHER))
    await registration(log, OwnIds()).prepare(_with_output(ONE))


def _with_output(document: dict[str, Any]) -> Catalogue:
    """A catalogue, one of whose plans writes under that schema."""
    catalogue = load_catalogue()
    plan = next(iter(catalogue.plans.values()))
    plan.output.clear()
    plan.output.update(deepcopy(document))
    return catalogue


class Racing(MemoryLog):
    """A log to which another gate appends just before every append."""

    def __init__(self, first: Entry) -> None:
        super().__init__()
        self._first = first

    async def append(self, entries: Sequence[Entry]) -> Sequence[Position]:
        await super().append([self._first])
        return await super().append(entries)


async def test_of_two_gates_at_once_the_second_is_refused() -> None:
    """A gate whose id was taken between its look and its append does not go on, and readers believe the first."""
    one = WRITTEN[0]
    log = Racing(schema_entry(crc_64_avro(OTHER), OTHER, now=NOW, topic="elsewhere", schema_id=100))
    prepared = registration(log, Given())
    with pytest.raises(ContractError):
        await prepared.prepare(CATALOGUE)
    with pytest.raises(KeyError):
        prepared.framing.prefix(one.topic or "", one.fingerprint)
    assert (await stored_schemas(log))[id_reference(100)] == OTHER


async def test_nothing_is_asked_of_a_log_that_cannot_be_written() -> None:
    """Where the log fails the framing knows no id, so nothing can be written under the catalogue."""
    log = MemoryLog()
    await log.close()
    prepared = registration(log, Given())
    with pytest.raises(LogUnavailable):
        await prepared.prepare(CATALOGUE)
    with pytest.raises(KeyError):
        prepared.framing.prefix(WRITTEN[0].topic or "", WRITTEN[0].fingerprint)


@pytest.mark.parametrize(
    "headers",
    [
        pytest.param((("registry_id", b"x"),), id="no number"),
        pytest.param((("registry_id", b"0"),), id="no id"),
        pytest.param((("registry_id", str(2**31).encode()),), id="beyond 31 bits"),
        pytest.param((("topic", b"\xff"),), id="a topic that is no text"),
    ],
)
async def test_a_damaged_entry_is_left_out(headers: tuple[tuple[str, bytes], ...]) -> None:
    """An entry of the topic of schemas whose headers are damaged is passed over, and nothing else."""
    log = MemoryLog()
    good = schema_entry(crc_64_avro(ONE), ONE, now=NOW, topic="t", schema_id=9)
    bad = schema_entry(crc_64_avro(OTHER), OTHER, now=NOW)
    await log.append([dataclasses.replace(bad, headers=headers), good])
    assert await stored_schemas(log) == {crc_64_avro(ONE): ONE, id_reference(9): ONE}
