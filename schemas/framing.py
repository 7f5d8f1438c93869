"""What a value begins with: how it names the Avro schema of its body. Both framings are known here and nowhere else.

    C3 01, fingerprint (8 bytes), body      Avro single-object encoding: CRC-64-AVRO, little-endian
    00, id (4 bytes, big-endian), body      as Confluent's serializers write: the id that a schema registry gave

What stands between the first bytes and the body is the value's *reference*: 8 bytes are a fingerprint, 4 bytes an id.
Whoever reads takes either, for a log keeps what was written before the framing was changed. Devices post the
single-object encoding and nothing else: an id means nothing without a registry.
"""

from collections.abc import Mapping
from typing import Protocol

SINGLE_OBJECT_MARKER = b"\xc3\x01"
"""Avro 1.11 specification, "Single-object encoding"."""

FINGERPRINT_BYTES = 8
SINGLE_OBJECT_BYTES = len(SINGLE_OBJECT_MARKER) + FINGERPRINT_BYTES
"""Where the body of a single-object message begins."""

CONFLUENT_MARKER = b"\x00"
ID_BYTES = 4
CONFLUENT_BYTES = len(CONFLUENT_MARKER) + ID_BYTES
"""Where the body begins behind an id."""

LARGEST_ID = 2**31 - 1
"""Registries and their clients hold an id in a signed 32-bit number."""

Reference = bytes
"""What a value says of its schema: a fingerprint or an id, told apart by their length."""


class NotFramed(ValueError):
    """The value begins as neither framing, or ends within its first bytes."""


def split(value: bytes) -> tuple[Reference, int]:
    """The schema that a value names, and where in it the body begins; raises `NotFramed`.

    The body is not copied and the pair has no type of its own: every record of a log goes through here twice.
    """
    size = len(value)
    if value[:2] == SINGLE_OBJECT_MARKER and size >= SINGLE_OBJECT_BYTES:
        return value[2:SINGLE_OBJECT_BYTES], SINGLE_OBJECT_BYTES
    if value[:1] == CONFLUENT_MARKER and size >= CONFLUENT_BYTES:
        return value[1:CONFLUENT_BYTES], CONFLUENT_BYTES
    raise NotFramed


def single_object(fingerprint: bytes) -> bytes:
    """What a single-object message under the schema of that fingerprint begins with."""
    return SINGLE_OBJECT_MARKER + fingerprint


def confluent(schema_id: int) -> bytes:
    """What a value under the schema of that id begins with."""
    return CONFLUENT_MARKER + id_reference(schema_id)


def id_reference(schema_id: int) -> Reference:
    """The reference of an id; raises `ValueError` where it is none that a registry gives."""
    if not 0 < schema_id <= LARGEST_ID:
        raise ValueError(f"{schema_id} is no schema id: they go from 1 to {LARGEST_ID}")
    return schema_id.to_bytes(ID_BYTES, "big")


def own_id(fingerprint: bytes) -> int:
    """The id of a schema that no registry had to give: 31 bits of its fingerprint, the same at every gate.

    Two schemas may have the same, and one in 2^31 has 0, which is no id: whoever uses them has to look.
    """
    return int.from_bytes(fingerprint, "little") & LARGEST_ID


class Framing(Protocol):
    """What a gate writes in front of a body."""

    def prefix(self, topic: str, fingerprint: bytes) -> bytes:
        """What a value of `topic` under the schema of that fingerprint begins with."""
        ...


class SingleObject:
    """The framing that needs nothing beside the schemas."""

    def prefix(self, topic: str, fingerprint: bytes) -> bytes:
        """As `Framing.prefix`."""
        del topic
        return single_object(fingerprint)


SINGLE_OBJECT = SingleObject()


class ByIds:
    """The framing of a schema registry, by the ids that it gave for a schema in a topic.

    Ids are only ever added: what is being judged under the policies of before ends with their schemas.
    """

    def __init__(self) -> None:
        self._prefixes: dict[tuple[str, bytes], bytes] = {}

    def add(self, ids: Mapping[tuple[str, bytes], int]) -> None:
        """Know further ids, by topic and fingerprint."""
        self._prefixes |= {written: confluent(schema_id) for written, schema_id in ids.items()}

    def prefix(self, topic: str, fingerprint: bytes) -> bytes:
        """As `Framing.prefix`; raises `KeyError` for a schema without an id, under which nothing may be written."""
        return self._prefixes[topic, fingerprint]
