"""Clients that post until their gate is gone, and remember what they were told."""

import http.client
import random
import signal
import struct
import threading
from collections.abc import Sequence
from contextlib import closing

from schemas.catalogue import Catalogue
from tests.end_to_end.reports import Reports
from tests.running_gate import RunningGate, eventually

BATCH = 5


class Client(threading.Thread):
    """Posts reports that nobody else posts, one after the other, alone and in batches, until the gate is gone.

    It tries none again: what is twice in the log was written twice by the gate.
    """

    def __init__(self, gate: RunningGate, catalogue: Catalogue, seed: int) -> None:
        super().__init__()
        self.accepted: list[bytes] = []
        self.sent: set[bytes] = set()
        self._address = gate.address
        self._token = gate.tokens["managed"]
        self._random = random.Random(seed)
        self._message = Reports(catalogue, seed=seed).message(report_id=bytes(16))

    def run(self) -> None:
        with closing(http.client.HTTPConnection(*self._address, timeout=20)) as connection:
            try:
                while True:
                    self._post(connection)
            except (OSError, http.client.HTTPException):
                return

    def ids(self) -> list[bytes]:
        """The identifiers of the reports of the next post."""
        return [self._random.randbytes(16) for _ in range(self._random.choice((1, BATCH)))]

    def _post(self, connection: http.client.HTTPConnection) -> None:
        ids = self.ids()
        self.sent.update(ids)
        # report_id is the first field of every report, right behind the ten bytes of the prefix.
        messages = [self._message[:10] + report_id + self._message[26:] for report_id in ids]
        body = b"".join(struct.pack(">I", len(message)) + message for message in messages)
        headers = {"Authorization": f"Bearer {self._token}", "Content-Type": "application/avro-sequence"}
        connection.request("POST", "/t/managed/v1/reports/route_window", body, headers)
        answer = connection.getresponse()
        answer.read()
        assert answer.status == 202
        self.accepted.extend(ids)


class Repeater(Client):
    """A client that now and then posts again what was accepted before, as a device does that has lost an answer."""

    def ids(self) -> list[bytes]:
        if self.accepted and self._random.random() < 0.3:
            return self._random.choices(self.accepted, k=self._random.choice((1, BATCH)))
        return super().ids()


def killed_while_posting(gate: RunningGate, clients: Sequence[Client], *, after: float) -> None:
    """Let the clients post, kill the gate `after` seconds from its first answer, and wait until they have ended."""
    for client in clients:
        client.start()
    eventually(lambda: any(client.accepted for client in clients), "a report was accepted")
    # Not a wait for something to happen: the moment is what is drawn.
    threading.Event().wait(after)
    gate.stop(signal.SIGKILL)
    for client in clients:
        client.join()
