"""What is said of a cluster that does not answer what it is asked about topics."""

import re
from typing import Any

import pytest
from aiokafka.client import AIOKafkaClient
from aiokafka.errors import RequestTimedOutError

from ingest.topics import admin
from ingest.topics.admin import KafkaAdmin, KafkaAdminError


class Silent(AIOKafkaClient):
    """Of a cluster whose brokers never answer."""

    def __init__(self) -> None:
        pass

    async def send(self, node_id: Any, request: Any, *, group: Any = None) -> Any:
        del node_id, request, group
        raise RequestTimedOutError

    async def force_metadata_update(self) -> bool:
        return False

    def get_random_node(self) -> int:
        return 1


async def test_what_is_said_fits_a_gate_and_a_command(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever asked a cluster that stopped answering is told to do the same again, be it a start or a command."""
    monkeypatch.setattr(admin, "BACKOFF_SECONDS", 0)
    said = "the cluster stopped answering (RequestTimedOutError); do the same again once its brokers answer"
    with pytest.raises(KafkaAdminError, match=f"^{re.escape(said)}$"):
        await KafkaAdmin(Silent()).configs(["tidegate.probe"], ["message.timestamp.type"])
