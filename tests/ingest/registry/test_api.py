"""The registry's API: what it serves, and how it says no.

`tests/end_to_end/test_outside_clients.py` has real clients.
"""

import asyncio
import json
from collections.abc import AsyncIterator, Sequence
from copy import deepcopy
from typing import Any

import httpx
import pytest

from ingest.clock import ManualClock
from ingest.log import LogUnavailable
from ingest.log.memory import MemoryLog
from ingest.records import schema_entry
from ingest.registry.api import registry_application
from ingest.registry.posted_schema import MAX_BODY, MAX_OBJECTS, WAITING
from ingest.registry.refusals import Refusal
from ingest.registry.registered import LOOK_FOR_MISSING_SECONDS, LOOK_SECONDS, RegisteredView
from ingest.report import Partition
from ingest.schema_topic import publish_schemas, written
from schemas.catalogue import load_catalogue
from schemas.framing import own_id
from schemas.report_schema import crc_64_avro

NOW = 1_795_000_000_000
CATALOGUE = load_catalogue()
WRITTEN = written(CATALOGUE)
PLAN = CATALOGUE.plans["managed", CATALOGUE.latest["route_window"].fingerprint]
PREFIX = "eu."
SUBJECT = f"{PREFIX}{PLAN.topic}-value"
REPORT = CATALOGUE.latest["route_window"]
STRANGE = "a-strangers-name"

FEWER = deepcopy(PLAN.output) | {"fields": PLAN.output["fields"][:9]}
"""What a stricter policy would write."""

OTHERWISE = deepcopy(PLAN.output)
OTHERWISE["fields"][1] |= {"type": "string", "default": STRANGE}


class CountedLog(MemoryLog):
    """A log that counts the looks at it, and can be away."""

    looks = 0
    away = False

    async def partitions(self) -> Sequence[Partition]:
        self.looks += 1
        if self.away:
            raise LogUnavailable("away")
        return await super().partitions()


@pytest.fixture
def clock() -> ManualClock:
    """A clock that stands still."""
    return ManualClock(NOW)


@pytest.fixture
async def log() -> CountedLog:
    """The schemas that ship, without ids, and one of a stricter policy, which had one."""
    log = CountedLog()
    await publish_schemas(log, CATALOGUE, now=NOW)
    await log.append([schema_entry(crc_64_avro(FEWER), FEWER, now=NOW + 1, topic=PLAN.topic, schema_id=77)])
    log.looks = 0
    return log


@pytest.fixture
async def client(log: CountedLog, clock: ManualClock) -> AsyncIterator[httpx.AsyncClient]:
    """A client of the registry over that log."""
    application = registry_application(RegisteredView(log, clock=clock, topic_prefix=PREFIX), clock=clock)
    async with httpx.AsyncClient(transport=httpx.ASGITransport(application), base_url="http://gate") as client:
        yield client


def body(document: Any) -> dict[str, str]:
    """What clients post of a schema."""
    return {"schema": json.dumps(document, indent=1)}


def version(number: int, document: Any, schema_id: int) -> dict[str, Any]:
    """A version of `SUBJECT` as it is answered."""
    text = json.dumps(document, separators=(",", ":"))
    return {"subject": SUBJECT, "version": number, "id": schema_id, "schemaType": "AVRO", "schema": text}


OWN = own_id(PLAN.output_fingerprint)

SERVED = [
    ("/subjects", sorted(f"{PREFIX}{schema.topic}-value" for schema in WRITTEN)),
    (f"/subjects?subjectPrefix={SUBJECT[:-8]}", [SUBJECT]),
    (f"/subjects/{SUBJECT}/versions", [1, 2]),
    (f"/subjects/{SUBJECT}/versions/1", version(1, PLAN.output, OWN)),
    (f"/subjects/{SUBJECT}/versions/latest", version(2, FEWER, 77)),
    (f"/subjects/{SUBJECT}/versions/-1", version(2, FEWER, 77)),
    (f"/subjects/{SUBJECT}/versions/2/schema", FEWER),
    ("/schemas/ids/77", {"schema": json.dumps(FEWER, separators=(",", ":"))}),
    (f"/schemas/ids/{OWN}/schema", PLAN.output),
    (f"/schemas/ids/{own_id(crc_64_avro(FEWER))}/schema", FEWER),
    ("/schemas/ids/77/subjects", [SUBJECT]),
    ("/schemas/ids/77/versions", [{"subject": SUBJECT, "version": 2}]),
    (f"/schemas/ids/{own_id(REPORT.fingerprint)}/schema", REPORT.document),
    (f"/schemas/ids/{own_id(REPORT.fingerprint)}/subjects", []),
    ("/schemas/types", ["AVRO"]),
    ("/config", {"compatibilityLevel": "FULL_TRANSITIVE"}),
    (f"/config/{SUBJECT}", {"compatibilityLevel": "FULL_TRANSITIVE"}),
    ("/mode", {"mode": "READONLY"}),
    (f"/mode/{SUBJECT}", {"mode": "READONLY"}),
]


@pytest.mark.parametrize(("path", "expected"), [pytest.param(*one, id=one[0][:60]) for one in SERVED])
async def test_it_serves_what_the_log_holds(client: httpx.AsyncClient, path: str, expected: Any) -> None:
    """Subjects, versions in the log's order, schemas by the id of the log or by 31 bits of the fingerprint."""
    answer = await client.get(path)
    assert (answer.status_code, answer.json()) == (200, expected)
    assert answer.headers["content-type"] == "application/vnd.schemaregistry.v1+json"


REFUSED = [
    ("GET", f"/subjects/{STRANGE}/versions", Refusal.NO_SUCH_SUBJECT),
    ("GET", f"/subjects/{STRANGE}/versions/1", Refusal.NO_SUCH_SUBJECT),
    ("GET", f"/config/{STRANGE}", Refusal.NO_SUCH_SUBJECT),
    ("GET", f"/mode/{STRANGE}", Refusal.NO_SUCH_SUBJECT),
    ("POST", f"/subjects/{STRANGE}", Refusal.NO_SUCH_SUBJECT),
    ("POST", f"/compatibility/subjects/{STRANGE}/versions", Refusal.NO_SUCH_SUBJECT),
    ("GET", f"/subjects/{PLAN.topic}-value/versions", Refusal.NO_SUCH_SUBJECT),
    ("GET", f"/subjects/{SUBJECT}/versions/3", Refusal.NO_SUCH_VERSION),
    ("GET", f"/subjects/{SUBJECT}/versions/0", Refusal.INVALID_VERSION),
    ("GET", f"/subjects/{SUBJECT}/versions/{STRANGE}", Refusal.INVALID_VERSION),
    ("GET", f"/subjects/{SUBJECT}/versions/{'9' * 5000}", Refusal.INVALID_VERSION),
    ("POST", f"/compatibility/subjects/{SUBJECT}/versions/9", Refusal.NO_SUCH_VERSION),
    ("GET", "/schemas/ids/1", Refusal.NO_SUCH_SCHEMA),
    ("GET", "/schemas/ids/0", Refusal.NO_SUCH_SCHEMA),
    ("GET", f"/schemas/ids/{STRANGE}", Refusal.NO_SUCH_SCHEMA),
    ("GET", "/schemas/ids/%D9%A1", Refusal.NO_SUCH_SCHEMA),
    ("GET", f"/{STRANGE}", Refusal.NO_SUCH_RESOURCE),
    ("GET", f"/subjects/{STRANGE}%2F1/versions", Refusal.NO_SUCH_RESOURCE),
    ("GET", f"/subjects/{SUBJECT}", Refusal.METHOD_NOT_ALLOWED),
    ("POST", f"/subjects/{SUBJECT}/versions", Refusal.READ_ONLY),
    ("POST", f"/subjects/{STRANGE}/versions", Refusal.READ_ONLY),
    ("DELETE", f"/subjects/{SUBJECT}", Refusal.READ_ONLY),
    ("DELETE", f"/subjects/{SUBJECT}/versions/1", Refusal.READ_ONLY),
    ("PUT", "/config", Refusal.READ_ONLY),
    ("PUT", f"/config/{SUBJECT}", Refusal.READ_ONLY),
    ("PUT", "/mode", Refusal.READ_ONLY),
]


@pytest.mark.parametrize(
    ("method", "path", "refusal"), [pytest.param(*one, id=f"{one[0]} {one[1][:50]}") for one in REFUSED]
)
async def test_it_refuses_in_the_registrys_form(
    client: httpx.AsyncClient, method: str, path: str, refusal: Refusal
) -> None:
    """What is not there, and whatever would write, is refused with code and words, and without what was asked."""
    answer = await client.request(method, path)
    assert answer.status_code == refusal.value.status
    assert answer.json() == {"error_code": refusal.value.error_code, "message": refusal.value.message}
    assert answer.headers["content-type"] == "application/vnd.schemaregistry.v1+json"
    assert STRANGE not in answer.text


async def test_clients_ask_for_the_id_of_a_schema(client: httpx.AsyncClient) -> None:
    """A schema that is posted to its subject is answered with version and id, however it is laid out."""
    answer = await client.post(f"/subjects/{SUBJECT}?normalize=false", json=body(FEWER))
    assert (answer.status_code, answer.json()) == (200, version(2, FEWER, 77))
    missing = await client.post(f"/subjects/{SUBJECT}", json=body(OTHERWISE))
    assert missing.json()["error_code"] == Refusal.NO_SUCH_SCHEMA.value.error_code
    assert STRANGE not in missing.text


@pytest.mark.parametrize(
    ("number", "document", "compatible"),
    [
        pytest.param("/latest", PLAN.output, True, id="the looser policy against the stricter"),
        pytest.param("/1", FEWER, True, id="the stricter policy against the looser"),
        pytest.param("", FEWER, True, id="against all"),
        pytest.param("/1", OTHERWISE, False, id="another type"),
        pytest.param("", OTHERWISE, False, id="another type against all"),
        pytest.param("/1", {"type": "record", "name": STRANGE.replace("-", ""), "fields": []}, False, id="another"),
    ],
)
async def test_compatibility(client: httpx.AsyncClient, number: str, document: Any, compatible: bool) -> None:
    """A schema is compatible if each reads the other's records; if not, the kinds of what is wrong are told."""
    answer = await client.post(f"/compatibility/subjects/{SUBJECT}/versions{number}?verbose=true", json=body(document))
    assert answer.status_code == 200
    assert answer.json()["is_compatible"] is compatible
    assert bool(answer.json()["messages"]) is not compatible
    assert STRANGE not in answer.text
    assert STRANGE.replace("-", "") not in answer.text


def deep(levels: int) -> bytes:
    """A schema of arrays within arrays, as text: too deep for Python to build it otherwise."""
    array = '{"type":"array","items":' * levels + '"int"' + "}" * levels
    return json.dumps({"schema": '{"type":"record","name":"R","fields":[{"name":"a","type":' + array + "}]}"}).encode()


HOSTILE = [
    pytest.param(b"", Refusal.INVALID_SCHEMA, id="empty"),
    pytest.param(b"\xff\xfe{", Refusal.INVALID_SCHEMA, id="no text"),
    pytest.param(b"[" * 60_000, Refusal.INVALID_SCHEMA, id="deep JSON"),
    pytest.param(b"7", Refusal.INVALID_SCHEMA, id="a number"),
    pytest.param(b'{"schema": 7}', Refusal.INVALID_SCHEMA, id="a schema that is no text"),
    pytest.param(b'{"schema": "' + STRANGE.encode() + b'"}', Refusal.INVALID_SCHEMA, id="no JSON in the text"),
    pytest.param(b'{"schema": "\\"string\\""}', Refusal.INVALID_SCHEMA, id="no record"),
    pytest.param(json.dumps(body({"type": "record"})).encode(), Refusal.INVALID_SCHEMA, id="half a schema"),
    pytest.param(json.dumps(body({"type": "record", "name": 3, "fields": 7})).encode(), Refusal.INVALID_SCHEMA, id="3"),
    pytest.param(deep(MAX_OBJECTS + 3), Refusal.INVALID_SCHEMA, id="too many parts"),
    pytest.param(b" " * (MAX_BODY + 1), Refusal.BODY_TOO_LARGE, id="too large"),
]


@pytest.mark.parametrize("path", [f"/subjects/{SUBJECT}", f"/compatibility/subjects/{SUBJECT}/versions/latest"])
@pytest.mark.parametrize(("content", "refusal"), HOSTILE)
async def test_what_is_no_schema_is_refused(
    client: httpx.AsyncClient, path: str, content: bytes, refusal: Refusal
) -> None:
    """Whatever a stranger posts in place of a schema is refused without a byte of it."""
    answer = await client.post(path, content=content)
    assert (answer.status_code, answer.json()["error_code"]) == (refusal.value.status, refusal.value.error_code)
    assert STRANGE not in answer.text


async def test_the_deepest_schema_hurts_nobody(client: httpx.AsyncClient) -> None:
    """A schema as deep as its parts may be many is compared, or refused, and the registry goes on."""
    looked_up = await client.post(f"/subjects/{SUBJECT}", content=deep(MAX_OBJECTS - 3))
    compared = await client.post(f"/compatibility/subjects/{SUBJECT}/versions/1", content=deep(MAX_OBJECTS - 3))
    assert (looked_up.status_code, compared.status_code) == (404, 422)
    assert (await client.get("/schemas/types")).status_code == 200


async def test_a_body_that_does_not_arrive(client: httpx.AsyncClient, monkeypatch: pytest.MonkeyPatch) -> None:
    """A body of which nothing more comes is given up in time."""
    monkeypatch.setattr("ingest.registry.posted_schema.BODY_SECONDS", 0.05)

    async def trickle() -> AsyncIterator[bytes]:
        yield b'{"schema"'
        await asyncio.sleep(60)

    answer = await client.post(f"/subjects/{SUBJECT}", content=trickle())
    assert answer.status_code == 408


async def test_another_gates_schema_is_seen(client: httpx.AsyncClient, log: CountedLog, clock: ManualClock) -> None:
    """What another gate appended is served within a second, at once where somebody asks for it, and looks are few."""
    for _ in range(20):
        assert (await client.get(f"/subjects/{SUBJECT}/versions")).json() == [1, 2]
    assert log.looks == 1
    await log.append([schema_entry(crc_64_avro(OTHERWISE), OTHERWISE, now=NOW, topic=PLAN.topic, schema_id=78)])
    assert (await client.get(f"/subjects/{SUBJECT}/versions")).json() == [1, 2]
    clock.advance(LOOK_FOR_MISSING_SECONDS * 1.5)
    assert (await client.get("/schemas/ids/78/versions")).json() == [{"subject": SUBJECT, "version": 3}]
    for _ in range(20):
        assert (await client.get("/schemas/ids/79")).status_code == 404
    assert log.looks == 2
    clock.advance(LOOK_SECONDS * 1.5)
    await client.get("/subjects")
    assert log.looks == 3


async def test_strangers_cause_few_looks(client: httpx.AsyncClient, log: CountedLog, clock: ManualClock) -> None:
    """Whoever asks without end for what is nowhere has the log looked at once or twice a second, and no oftener."""
    seconds, step = 20, 0.02
    for _ in range(round(seconds / step)):
        clock.advance(step)
        assert (await client.get("/schemas/ids/79")).status_code == 404
    assert seconds * 0.5 < log.looks < seconds * 2
    await log.append([schema_entry(crc_64_avro(OTHERWISE), OTHERWISE, now=NOW, topic=PLAN.topic, schema_id=79)])
    clock.advance(LOOK_SECONDS * 1.01)
    assert (await client.get("/schemas/ids/79")).status_code == 200
    looks = log.looks
    clock.advance(LOOK_FOR_MISSING_SECONDS * 1.5)
    assert (await client.get("/schemas/ids/80")).status_code == 404
    assert log.looks == looks + 1, "after something new was found it is looked for again at once"


async def test_a_log_that_is_away(client: httpx.AsyncClient, log: CountedLog, clock: ManualClock) -> None:
    """Before the log was ever read the registry says that it cannot answer; later it serves what it knows."""
    log.away = True
    answer = await client.get("/subjects")
    assert (answer.status_code, answer.headers["retry-after"]) == (503, "1")
    log.away = False
    assert (await client.get("/subjects")).status_code == 503
    assert log.looks == 1, "whoever waits behind a look that failed is answered with what it said"
    clock.advance(LOOK_FOR_MISSING_SECONDS * 1.5)
    served = (await client.get("/subjects")).json()
    log.away = True
    clock.advance(60)
    assert (await client.get("/subjects")).json() == served


async def test_few_may_wait_for_their_turn(client: httpx.AsyncClient) -> None:
    """Of many comparisons at once some are answered and the rest is told to come back."""
    path = f"/compatibility/subjects/{SUBJECT}/versions/1"
    answers = await asyncio.gather(*(client.post(path, json=body(OTHERWISE)) for _ in range(3 * WAITING)))
    statuses = [answer.status_code for answer in answers]
    assert set(statuses) == {200, 429}
    assert statuses.count(200) >= WAITING
