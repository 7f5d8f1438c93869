"""What people have who consume Kafka without a line of ours: confluent-kafka's clients, kcat, and the schemas."""

import os
import shutil
import subprocess
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from functools import partial
from typing import Any, NamedTuple

import confluent_kafka
import pytest
from confluent_kafka.admin import AdminClient
from confluent_kafka.schema_registry import SchemaRegistryClient
from confluent_kafka.schema_registry.avro import AvroDeserializer
from confluent_kafka.serialization import MessageField, SerializationContext

from tests.real_kafka import REQUIRE_VARIABLE

SECONDS = 30.0

KCATS = 8
"""How many run at a time."""


class Message(NamedTuple):
    """A message as librdkafka hands it out."""

    topic: str
    key: bytes
    value: bytes
    headers: list[tuple[str, bytes]]


def topics_of(bootstrap: str, prefix: str) -> list[str]:
    """The topics that begin so."""
    admin = AdminClient({"bootstrap.servers": bootstrap})
    return sorted(name for name in admin.list_topics(timeout=SECONDS).topics if name.startswith(prefix))


def messages_of(bootstrap: str, topics: Sequence[str]) -> list[Message]:
    """Everything in the topics, read to their present end by librdkafka."""
    settings = {"bootstrap.servers": bootstrap, "group.id": "nobody", "enable.auto.commit": False}
    consumer = confluent_kafka.Consumer(settings)
    try:
        described = consumer.list_topics(timeout=SECONDS).topics
        wanted = [
            confluent_kafka.TopicPartition(topic, number, 0)
            for topic in topics
            for number in described[topic].partitions
        ]
        left = sum(consumer.get_watermark_offsets(one, timeout=SECONDS)[1] for one in wanted)
        consumer.assign(wanted)
        found: list[Message] = []
        while len(found) < left:
            batch = consumer.consume(left - len(found), timeout=SECONDS)
            assert batch, f"{left - len(found)} messages did not come"
            assert not [one.error() for one in batch if one.error()]
            found += [_message(one) for one in batch]
        return found
    finally:
        consumer.close()


def _message(one: confluent_kafka.Message) -> Message:
    topic, key, value = one.topic(), one.key(), one.value()
    assert topic is not None
    assert key is not None
    assert value is not None
    headers = one.headers() or []
    assert isinstance(headers, list)
    return Message(topic, key, value, [(name, content) for name, content in headers if isinstance(content, bytes)])


@contextmanager
def reader_of(url: str) -> "Iterator[Reader]":
    """A `Reader` whose connections are closed with the block."""
    with SchemaRegistryClient({"url": url}) as client:
        yield Reader(client)


class Reader:
    """Confluent's own deserializer, which knows a registry's URL and nothing else."""

    def __init__(self, client: SchemaRegistryClient) -> None:
        self.client = client
        self._deserializer = AvroDeserializer(client)

    def read(self, message: Message) -> dict[str, Any]:
        """The record in a message."""
        headers: list[tuple[str, str | bytes | None]] = [*message.headers]
        context = SerializationContext(message.topic, MessageField.VALUE, headers)
        record = self._deserializer(message.value, context)
        assert isinstance(record, dict)
        return record


class Listed(NamedTuple):
    """A record as kcat shows it; headers as it prints them."""

    key: bytes
    headers: dict[str, str]


def kcat_listings(bootstrap: str, topics: Sequence[str]) -> dict[str, list[Listed]]:
    """Keys and headers of everything in the topics."""
    with ThreadPoolExecutor(KCATS) as several:  # each waits for half a second before it ends
        return dict(zip(topics, several.map(partial(_listed, bootstrap), topics), strict=True))


def _listed(bootstrap: str, topic: str) -> list[Listed]:
    printed = kcat("-C", "-q", "-e", "-b", bootstrap, "-t", topic, "-f", "%K %k%h\\n")
    found = []
    while printed:
        length, _, rest = printed.partition(b" ")
        key, (headers, _, printed) = rest[: int(length)], rest[int(length) :].partition(b"\n")
        pairs = [header.partition("=") for header in headers.decode().split(",") if header]
        found.append(Listed(key, {name: value for name, _, value in pairs}))
    return found


def kcat(*arguments: str) -> bytes:
    """What kcat prints; skips the test on a machine without it, unless Kafka is required there."""
    program = shutil.which("kcat")
    if program is None:
        if os.environ.get(REQUIRE_VARIABLE) == "1":
            pytest.fail(f"{REQUIRE_VARIABLE}=1, and there is no kcat (Debian package kcat)")
        pytest.skip("there is no kcat on this machine (Debian package kcat)")
    done = subprocess.run([program, *arguments], capture_output=True, timeout=SECONDS, check=False)
    assert done.returncode == 0, done.stderr.decode(errors="replace")
    return done.stdout
