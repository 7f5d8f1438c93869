"""Fixtures of the tests of the log in Kafka."""

from collections.abc import AsyncIterator

import pytest

from ingest.log.kafka import partition as kafka_partition
from tests.ingest.log.kafka.append_bench import Bench


@pytest.fixture
async def bench(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Bench]:
    """A log with stand-in producers, which does not pause long behind a failure."""
    monkeypatch.setattr(kafka_partition, "PAUSE_SECONDS", 0.01)
    monkeypatch.setattr(kafka_partition, "REFUSED_PAUSE_SECONDS", 0.01)
    bench = Bench()
    yield bench
    await bench.close()
