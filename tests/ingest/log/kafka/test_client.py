"""What every connection has in common: fresh metadata, a reason in time, and nothing said by aiokafka itself."""

import asyncio
import contextlib
import logging
import socket
from collections.abc import Iterator
from typing import Any

import pytest

from ingest.log import LogUnavailable
from ingest.log.kafka import client as kafka_client
from ingest.log.kafka.append import REQUIRE_SECONDS
from ingest.log.kafka.client import connection_arguments, learn_topics, why_not_connected
from ingest.log.kafka.connection import KafkaConnection
from ingest.log.kafka.reader import READ_SECONDS

SILENT = 3


class Metadata:
    """A client's metadata: one request at a time, which whoever asks meanwhile joins, as aiokafka has it."""

    def __init__(self) -> None:
        self._md_update_fut: asyncio.Future[bool] | None = None
        self.requests = 0

    def force_metadata_update(self) -> "asyncio.Future[bool]":
        if self._md_update_fut is None:
            self._md_update_fut = asyncio.get_running_loop().create_future()
            self.requests += 1
        return asyncio.shield(self._md_update_fut)

    def answer(self, *, learnt: bool = True) -> None:
        under_way, self._md_update_fut = self._md_update_fut, None
        assert under_way is not None
        under_way.set_result(learnt)


async def turn() -> None:
    """Let everything that can go on do so."""
    for _ in range(5):
        await asyncio.sleep(0)


async def test_an_answer_older_than_the_question_is_none() -> None:
    """Topics are learnt by a request that is made after the call, also while another one is under way."""
    client = Metadata()
    client.force_metadata_update()
    calls = [asyncio.create_task(learn_topics(client)) for _ in range(3)]  # type: ignore[arg-type]  # a stand-in
    await turn()
    client.answer()
    await turn()
    assert (client.requests, [call.done() for call in calls]) == (2, [False] * 3)
    client.answer()
    await asyncio.gather(*calls)
    assert client.requests == 2


@pytest.mark.parametrize("answered", [0, 1])
async def test_metadata_that_nobody_has(answered: int) -> None:
    """Where no broker answers, this is said, and whoever was waiting for the request before is not left behind."""
    client = Metadata()
    client.force_metadata_update()
    call = asyncio.create_task(learn_topics(client))  # type: ignore[arg-type]  # as above
    for _ in range(answered):
        await turn()
        client.answer()
    await turn()
    client.answer(learnt=False)
    with pytest.raises(LogUnavailable, match="no broker says"):
        await call


@pytest.fixture
def silent() -> Iterator[list[str]]:
    """Addresses where connections are taken and nothing is said."""
    with contextlib.ExitStack() as stack:
        sockets = [stack.enter_context(socket.create_server(("127.0.0.1", 0))) for _ in range(SILENT)]
        yield [f"127.0.0.1:{one.getsockname()[1]}" for one in sockets]


async def test_silent_brokers_are_told_of_together(silent: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    """However many brokers are silent, finding out takes the time of one, and each is named with its reason."""
    under_way, most = 0, 0
    connect: Any = vars(kafka_client)["create_conn"]

    async def counted(*arguments: object, **keywords: object) -> object:
        nonlocal under_way, most
        under_way += 1
        most = max(most, under_way)
        try:
            return await connect(*arguments, **keywords)
        finally:
            under_way -= 1

    monkeypatch.setattr(kafka_client, "create_conn", counted)
    monkeypatch.setattr(kafka_client, "DIAGNOSIS_SECONDS", 0.1)
    said = await why_not_connected(KafkaConnection(",".join(silent)))
    assert most == SILENT
    assert "; ".join(f"{address}: no answer in time" for address in silent) in said


def test_a_diagnosis_fits_under_the_limits_around_it() -> None:
    """Connecting and finding out why it failed takes less than whoever waits for it does."""
    both = kafka_client.CONNECT_SECONDS + kafka_client.DIAGNOSIS_SECONDS
    assert both < min(READ_SECONDS, REQUIRE_SECONDS)


def test_aiokafka_says_nothing_by_itself(
    capsys: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Once a connection is made, what aiokafka logs goes nowhere, in commands that set up no logging as well."""
    library = logging.getLogger("aiokafka")
    monkeypatch.setattr(library, "propagate", True)
    monkeypatch.setattr(library, "handlers", [])
    monkeypatch.setattr(library, "level", logging.NOTSET)
    library.manager._clear_cache()  # type: ignore[attr-defined]  # levels are remembered
    logging.getLogger("aiokafka.conn").error("before")
    assert "before" in caplog.text
    connection_arguments(KafkaConnection("127.0.0.1:1"))
    logging.getLogger("aiokafka.conn").error("after")
    assert "after" not in caplog.text + capsys.readouterr().err
